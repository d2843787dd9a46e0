"""What changed, and what to do about it (docs/protocol.md, section 5)."""

from __future__ import annotations

from typing import Annotated, Literal

import falcon
from msgspec import Meta, Struct

from handlers import caller, params, replies
from handlers.bodies import MAX_JSON, read_json
from handlers.problems import Problem
from handlers.shapes import Hash, Size, Stamp, check_each
from store.offload import Offload
from store.reader import Reader
from store.registry import Registry
from sync.model import Change, Json, bounded_mtime

MAX_CHANGES = 10_000
PAGE = 5_000
# Hashes that a change may name as sent, and how many of them are looked for: those that were sent last.
MAX_SENT = 100_000
SENT = 1_000


class Changes:
    """/v1/vaults/{vault}/changes"""

    def __init__(self, registry: Registry, reader: Reader) -> None:
        self._registry = registry
        self._reader = reader

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault)
        query = params.query(req)
        cursor = self._reader.parse_cursor(query.get("cursor", "0"))
        page = self._reader.changes(there, cursor, params.limit(query))
        rows = [version.to_json() for version in page.changes]
        replies.send(resp, {"changes": rows, "cursor": str(page.cursor), "more": page.more})


class Reported(Struct):
    """One change as the client reports it."""

    path: str
    kind: Literal["put", "delete", "missing", "same"]
    base: Stamp | None = None
    hash: Hash | None = None
    size: Size | None = None
    mtime: int | None = None  # of any size: it is brought into range, so that one odd file never stops the others
    sent: Annotated[list[Hash], Meta(max_length=MAX_SENT)] = []
    executable: bool | None = None


class SyncRequest(Struct):
    cursor: str
    changes: list[Reported] = []
    last: bool = True
    limit: Annotated[int, Meta(ge=1, le=params.MAX_LIMIT)] = PAGE


class Sync:
    """/v1/vaults/{vault}/sync"""

    def __init__(self, registry: Registry, reader: Reader, offload: Offload, max_file: int) -> None:
        self._registry = registry
        self._reader = reader
        self._offload = offload
        self._max_file = max_file

    def on_post(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        user = caller.of(req).user
        there = self._registry.enter(user, vault)
        asked = read_json(req, SyncRequest, self._offload, MAX_JSON)
        if len(asked.changes) > MAX_CHANGES:
            raise Problem("too-large", f"more than {MAX_CHANGES} changes in one request: send them in several")
        cursor = self._reader.parse_cursor(asked.cursor)
        changes = _as_changes(asked.changes)
        answer = self._reader.sync(there, cursor, changes, asked.last, asked.limit)
        row: Json = {
            "vault": there.id,
            "actions": [one.to_json() for one in answer.actions],
            "cursor": str(answer.cursor),
            "more": answer.more,
        }
        if asked.last and not answer.more and there.members.get(user) != "read":
            lost = len(self._reader.lost(there))
            row |= {"lost": lost} if lost else {}
            row["max_file"] = self._max_file
        replies.send(resp, row)


def _as_changes(reported: list[Reported]) -> list[Change]:
    """Raises Problem where a change lacks what its kind needs."""
    check_each("changes", [one.path for one in reported])
    changes = []
    for index, one in enumerate(reported):
        if one.kind in ("put", "same") and one.hash is None:
            raise Problem("bad-request", f"changes[{index}]: a {one.kind} needs `hash`")
        if one.kind == "same" and one.base is None:
            raise Problem("bad-request", f"changes[{index}]: a same needs `base`")
        mtime = None if one.mtime is None else bounded_mtime(one.mtime)
        sent = tuple(one.sent[-SENT:])
        changes.append(Change(one.path, one.kind, one.base, one.hash, one.size or 0, mtime, sent, one.executable))
    return changes
