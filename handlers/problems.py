"""What a refusal is, before it is written out: a code word of docs/protocol.md, section 2, and what goes with it."""

from __future__ import annotations

from collections.abc import Mapping

import falcon

from sync.model import Json

STATUS: dict[str, int] = {
    "bad-path": 400,
    "bad-request": 400,
    "bad-cursor": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "cross-origin": 403,
    "too-many": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "name-taken": 409,
    "other-vault": 409,
    "path-taken": 409,
    "last-owner": 409,
    "cursor-expired": 410,
    "purged": 410,
    "conflict": 412,
    "too-large": 413,
    "encoded-body": 415,
    "bad-range": 416,
    "wrong-host": 421,
    "hash-mismatch": 422,
    "length-mismatch": 422,
    "upgrade-required": 426,
    "base-required": 428,
    "slow-down": 429,
    "internal": 500,
    "store-unavailable": 503,
    "disk-full": 507,
    "metadata-full": 507,
    "quota": 507,
}


class Problem(Exception):
    """An answer that is a refusal. `detail` is for people; `extras` are further fields of the problem's JSON."""

    def __init__(
        self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, extras: Json | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.extras = extras or {}

    @property
    def status(self) -> int:
        return STATUS[self.code]


def challenge(req: falcon.Request) -> dict[str, str]:
    """What a 401 says of how to sign in: nothing to a page's own requests, for a browser would open a window of its
    own."""
    marked = req.get_header("X-Requested-With") is not None
    return {} if marked else {"WWW-Authenticate": 'Basic realm="gobi"'}
