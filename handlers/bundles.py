"""Many files in one request: push, pull, archive.tar (docs/protocol.md, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

import falcon
from msgspec import Meta, Struct

from handlers import caller, params, replies
from handlers.bodies import MAX_JSON, body_of, read_json
from handlers.download import disposition
from handlers.problems import Problem
from handlers.shapes import Stamp, check_each
from store.base import Vault
from store.intake import MAX_BYTES
from store.offload import Offload
from store.reader import Reader
from store.registry import Registry
from store.turns import Turns
from store.vaults import PushResult, Vaults
from sync.model import Conflict, Json

MAX_FILES = 10_000
# Candidates that an answer tells of in whole conflicts; and one more in each row, which is the row's own.
MOST_CANDIDATES = 10_000
RETRY_S = 10


class Push:
    """/v1/vaults/{vault}/push"""

    def __init__(self, registry: Registry, reader: Reader, vaults: Vaults) -> None:
        self._registry = registry
        self._reader = reader
        self._vaults = vaults

    def on_post(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        who = caller.of(req)
        there = self._registry.enter(who.user, vault, "write")
        keep = params.keeps_conflicts(params.query(req))
        body = body_of(req)
        body.check(MAX_BYTES)
        pushed = self._vaults.push(there, body.chunks(MAX_BYTES), keep=keep, by=who)
        replies.send(
            resp,
            {
                "results": self._results(there, pushed.results),
                "after": replies.cursor(there, pushed.after),
                "cursor": replies.cursor(there, pushed.cursor),
            },
        )

    def _results(self, vault: Vault, results: list[PushResult]) -> list[Json]:
        kept = _once_whole(results)
        conflicts = iter(self._reader.conflict_json(vault, kept) if kept else [])
        rows = []
        for result in results:
            row: Json = {"path": result.path, "status": result.status}
            if result.version is not None:
                row["version"] = result.version.to_json()
            if result.conflict is not None:
                row["conflict"] = next(conflicts)
            if result.code is not None:
                row["code"] = result.code
            if result.head is not None:
                row["head"] = result.head.to_json()
            rows.append(row)
        return rows


def _once_whole(results: list[PushResult]) -> list[Conflict]:
    """The conflicts of an answer's rows, each with all its candidates in the last of its rows only, and with the row's
    own elsewhere: so that the answer grows with the request. Where even that is too much, all have their own only."""
    last = {result.conflict.id: row for row, result in enumerate(results) if result.conflict is not None}
    room = MOST_CANDIDATES
    told = []
    for row, result in enumerate(results):
        if result.conflict is None:
            continue
        whole = last[result.conflict.id] == row and len(result.conflict.candidates) <= room
        room -= len(result.conflict.candidates) if whole else 0
        own = result.candidate or result.conflict.candidates[-1]
        told.append(result.conflict if whole else result.conflict._replace(candidates=(own,)))
    return told


class Wanted(Struct):
    path: str
    stamp: Stamp


class PullRequest(Struct):
    files: Annotated[list[Wanted], Meta(description="in the order they are wanted")]


class Pull:
    """/v1/vaults/{vault}/pull"""

    def __init__(self, registry: Registry, reader: Reader, offload: Offload) -> None:
        self._registry = registry
        self._reader = reader
        self._offload = offload

    def on_post(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault)
        asked = read_json(req, PullRequest, self._offload, MAX_JSON)
        if len(asked.files) > MAX_FILES:
            raise Problem("too-large", f"more than {MAX_FILES} files in one request: ask in several")
        check_each("files", [one.path for one in asked.files])
        length, pieces = self._reader.pull(there, [(one.path, one.stamp) for one in asked.files])
        resp.content_type = "application/x-tar"
        resp.set_header("Content-Length", str(length))
        resp.stream = pieces


class Archive:
    """/v1/vaults/{vault}/archive.tar, one at a time for each user"""

    def __init__(self, registry: Registry, reader: Reader, turns: Turns) -> None:
        self._registry = registry
        self._reader = reader
        self._turns = turns

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        user = caller.of(req).user
        there = self._registry.enter(user, vault)
        pieces = self._reader.archive(there, params.stamp(params.query(req), "stamp"))
        end = self._turns.take(user)
        if end is None:
            raise Problem(
                "slow-down",
                "one archive at a time: wait until the other one is through",
                headers={"Retry-After": str(RETRY_S)},
            )
        resp.content_type = "application/x-tar"
        resp.set_header("Content-Disposition", disposition("attachment", f"{there.name}.tar"))
        if req.method == "GET":
            resp.stream = _Turn(pieces, end)
        else:
            end()


class _Turn:
    """Keeps a user's turn until the archive was sent, or its reader has gone."""

    def __init__(self, pieces: Iterator[bytes], end: Callable[[], None]) -> None:
        self._pieces = pieces
        self._end: Callable[[], None] | None = end

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        end, self._end = self._end, None
        if end is not None:
            end()
