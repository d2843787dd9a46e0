"""Older versions, and bringing one back (docs/protocol.md, section 8)."""

from __future__ import annotations

import falcon
from msgspec import Struct

from handlers import caller, params, replies
from handlers.bodies import read_json
from handlers.shapes import Stamp
from store.offload import Offload
from store.reader import Reader
from store.registry import Registry
from store.vaults import Vaults
from sync.paths import check_path


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


class RestoreRequest(Struct):
    path: str
    stamp: Stamp
    head: Stamp | None


class Restore:
    """/v1/vaults/{vault}/restore"""

    def __init__(self, registry: Registry, vaults: Vaults, offload: Offload) -> None:
        self._registry = registry
        self._vaults = vaults
        self._offload = offload

    def on_post(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        who = caller.of(req)
        there = self._registry.enter(who.user, vault, "write")
        asked = read_json(req, RestoreRequest, self._offload)
        check_path(asked.path)
        outcome = self._vaults.restore(there, asked.path, asked.stamp, asked.head, device=who.device, user=who.user)
        replies.send_version(resp, there, outcome)
