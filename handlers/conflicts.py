"""Conflicts: what is open, each side's body, and settling one (docs/protocol.md, section 8)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated

import falcon
from msgspec import Meta, Struct

from handlers import caller, params, replies
from handlers.bodies import MAX_JSON, read_json
from handlers.download import Download, Sent
from handlers.shapes import Stamp
from store.merge_queue import MergeQueue
from store.merging import Declined, Merged, Merging
from store.offload import Offload
from store.reader import CONFLICTS, Reader
from store.registry import Registry
from store.settle import KEEP, Choice
from store.vaults import Vaults
from sync.model import Json


class Conflicts:
    """/v1/vaults/{vault}/conflicts"""

    def __init__(self, registry: Registry, reader: Reader) -> None:
        self._registry = registry
        self._reader = reader

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault)
        pages = self._reader.conflict_pages(there)
        first = next(pages)  # now, while an error can still be answered
        if len(first) < CONFLICTS:
            replies.send(resp, {"conflicts": first})
            return
        resp.content_type = "application/json"
        resp.stream = _listed(first, pages)


def _listed(first: list[Json], following: Iterator[list[Json]]) -> Iterator[bytes]:
    """One JSON object in pieces."""
    yield b'{"conflicts":' + replies.encode(first)[:-1]
    for page in following:
        if page:
            yield b"," + replies.encode(page)[1:-1]
    yield b"]}"


class Conflict:
    """/v1/vaults/{vault}/conflicts/{id}"""

    def __init__(self, registry: Registry, reader: Reader) -> None:
        self._registry = registry
        self._reader = reader

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str, id: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault)
        replies.send(resp, self._reader.conflict_json(there, [self._reader.conflict(there, id)])[0])


class Side:
    """/v1/vaults/{vault}/conflicts/{id}/{side}"""

    def __init__(self, registry: Registry, reader: Reader, download: Download) -> None:
        self._registry = registry
        self._reader = reader
        self._download = download

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str, id: str, side: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault)
        found = self._reader.conflict_side(there, id, side)
        # A candidate is no version and has no stamp: its tag is its hash.
        tag = found.hash
        sent = Sent(tag, found.hash, found.size, found.path, found.mtime, found.mtime, executable=found.executable)
        self._download.answer(req, resp, there, sent)


class Merge:
    """/v1/vaults/{vault}/conflicts/{id}/merge"""

    def __init__(self, registry: Registry, merging: Merging, queue: MergeQueue) -> None:
        self._registry = registry
        self._merging = merging
        self._queue = queue

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str, id: str) -> None:
        user = caller.of(req).user
        there = self._registry.enter(user, vault)
        sides = self._merging.sides(there, id, params.stamp(params.query(req), "candidate"))
        if isinstance(sides, Declined):
            replies.send_encoded(resp, _merge_row(sides))
            return
        work = partial(self._merging.answer, sides, _merge_row)
        replies.send_encoded(resp, self._queue.run(user, sides, work))


def _merge_row(done: Merged | Declined) -> bytes:
    if isinstance(done, Declined):
        return replies.encode({"mergeable": False, "reason": done.reason})
    merged = done.merge
    row: Json = {"mergeable": True, "clean": merged.clean, "text": merged.text, "hunks": merged.hunks}
    return replies.encode(row | {"candidate": done.candidate, "head": done.head})


class ResolveRequest(Struct):
    keep: Annotated[str, Meta(extra_json_schema={"enum": list(KEEP)})]
    head: Stamp
    candidate: Stamp | None = None
    text: str | None = None
    seen: Stamp | None = None


class Resolve:
    """/v1/vaults/{vault}/conflicts/{id}/resolve"""

    def __init__(self, registry: Registry, vaults: Vaults, offload: Offload) -> None:
        self._registry = registry
        self._vaults = vaults
        self._offload = offload

    def on_post(self, req: falcon.Request, resp: falcon.Response, vault: str, id: str) -> None:
        who = caller.of(req)
        there = self._registry.enter(who.user, vault, "write")
        asked = read_json(req, ResolveRequest, self._offload, MAX_JSON)
        choice = Choice(asked.keep, asked.head, who.device, who.user, asked.candidate, asked.text, seen=asked.seen)
        versions = self._vaults.resolve(there, id, choice, by=who)
        replies.send(resp, {"versions": [version.to_json() for version in versions]})
