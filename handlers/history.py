"""Older versions: one path's and everybody's, and taking changes back (docs/protocol.md, section 8)."""

from __future__ import annotations

from typing import Any

import falcon
from msgspec import Struct

from handlers import caller, params, replies
from handlers.bodies import as_shape, read_json
from handlers.problems import Problem
from handlers.shapes import Stamp
from store.access import Caller
from store.base import Metadata, Vault
from store.moments import stamp_at
from store.offload import Offload
from store.one_by_one import OneByOne
from store.reader import Reader
from store.registry import Registry
from store.undo import Asked, Undo
from store.vaults import Vaults
from sync.paths import check_path

# Undos of one user, and dry runs of them, at work and waiting.
MOST_UNDOS = 4


class History:
    """/v1/vaults/{vault}/history/{path}"""

    def __init__(self, registry: Registry, reader: Reader) -> None:
        self._registry = registry
        self._reader = reader

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str, path: str) -> None:  # noqa: ARG002
        there = self._registry.enter(caller.of(req).user, vault)
        name = params.vault_path(req)
        query = params.query(req)
        rows, following = self._reader.history(there, name, params.stamp(query, "before"), params.limit(query))
        replies.send(resp, {"versions": [row.to_json() for row in rows], "next": following})


class Log:
    """/v1/vaults/{vault}/log"""

    def __init__(self, registry: Registry, reader: Reader) -> None:
        self._registry = registry
        self._reader = reader

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault)
        query = params.query(req)
        rows, following = self._reader.log(
            there,
            before=params.stamp(query, "before"),
            since=params.stamp(query, "since") or 0,
            device=query.get("device"),
            user=query.get("user"),
            prefix=query.get("prefix", ""),
            limit=params.limit(query),
        )
        replies.send(resp, {"versions": [row.to_json() for row in rows], "next": following})


class Moment:
    """/v1/vaults/{vault}/stamp"""

    def __init__(self, registry: Registry, metadata: Metadata) -> None:
        self._registry = registry
        self._metadata = metadata

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault)
        time = params.stamp(params.query(req), "time")
        if time is None:
            raise Problem("bad-request", "say which moment, as `time`: microseconds since 1970")
        moment = stamp_at(self._metadata, there, time)
        replies.send(resp, {"stamp": moment.stamp, "sure": moment.sure})


class RestoreRequest(Struct):
    path: str
    stamp: Stamp
    head: Stamp | None


class UndoRequest(Struct):
    since: Stamp
    device: str | None = None
    user: str | None = None
    prefix: str = ""
    until: str | None = None
    dry_run: bool = False


class Restore:
    """/v1/vaults/{vault}/restore: one version of one path, or with `since` everything that was changed after it."""

    def __init__(self, registry: Registry, reader: Reader, vaults: Vaults, undo: Undo, offload: Offload) -> None:
        self._registry = registry
        self._reader = reader
        self._vaults = vaults
        self._undo = undo
        self._turns = OneByOne("undo", MOST_UNDOS)
        self._offload = offload

    def on_post(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        who = caller.of(req)
        there = self._registry.enter(who.user, vault, "write")
        body = read_json(req, dict[str, Any], self._offload)
        if "since" not in body:
            asked = as_shape(body, RestoreRequest)
            check_path(asked.path)
            outcome = self._vaults.restore(there, asked.path, asked.stamp, asked.head, by=who)
            replies.send_version(resp, there, outcome)
        elif "path" in body:
            raise Problem("bad-request", "one path's version is put back by `stamp`, many by `since`: not both")
        else:
            self._take_back(resp, there, as_shape(body, UndoRequest), who)

    def _take_back(self, resp: falcon.Response, vault: Vault, asked: UndoRequest, who: Caller) -> None:
        until = None if asked.until is None else self._reader.parse_cursor(asked.until)
        selection = Asked(asked.since, asked.device, asked.user, asked.prefix, until)
        undo = self._undo.preview if asked.dry_run else self._undo.run
        with self._turns.turn(who.user):  # it has everything that was changed in memory
            undone = undo(vault, selection, by=who)
        changes = [change.version.to_json() | {"restores": change.restores} for change in undone.changes]
        if asked.dry_run:
            changes = [row | {"stamp": None} for row in changes]
        skipped = [one.head.to_json() | {"reason": one.reason} for one in undone.skipped]
        replies.send(resp, {"changes": changes, "skipped": skipped, "until": str(undone.until)})
