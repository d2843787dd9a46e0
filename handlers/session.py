"""Sessions for browsers: a signed cookie instead of the password. The server keeps nothing.

The signature covers the user's stored password hash, so that a changed password, or the user's removal, ends every
session at once. Signing out takes the cookie from the browser.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

import falcon

from handlers import caller, replies
from store.base import Metadata

COOKIE = "gobi_session"
LIFETIME_S = 14 * 24 * 3600


class Sessions:
    """Makes and checks cookies. `clock` gives seconds since 1970."""

    def __init__(self, metadata: Metadata, clock: Callable[[], float] = time.time) -> None:
        self._metadata = metadata
        self._clock = clock
        self._secret: bytes | None = None

    def issue(self, name: str) -> str:
        expires = int(self._clock()) + LIFETIME_S
        signature = self._sign(name, expires)
        return f"{name}:{expires}:{signature}"

    def user(self, cookie: str) -> str | None:
        """Whose cookie it is, or None for one that is forged, expired or revoked."""
        name, _, rest = cookie.partition(":")
        expires, _, signature = rest.partition(":")
        if not (expires.isascii() and expires.isdigit()) or len(expires) > 12 or int(expires) <= self._clock():
            return None
        good = self._sign(name, int(expires))
        return name if good is not None and hmac.compare_digest(good.encode(), signature.encode()) else None

    def _sign(self, name: str, expires: int) -> str | None:
        user = self._metadata.user(name)
        if user is None or user.password is None:
            return None
        if self._secret is None:
            self._secret = self._metadata.secret()
        text = f"session\0{name}\0{expires}\0{user.password}".encode()
        digest = hmac.digest(self._secret, text, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Session:
    """/v1/session"""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        replies.send(resp, {"user": caller.of(req).user})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        user = caller.of(req).user
        resp.set_cookie(
            COOKIE,
            self._sessions.issue(user),
            max_age=LIFETIME_S,
            path="/",
            secure=req.scheme == "https",
            http_only=True,
            same_site="Strict",
        )
        replies.send(resp, {"user": user})

    def on_delete(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.unset_cookie(COOKIE, path="/", same_site="Strict")
        resp.status = falcon.HTTP_204
