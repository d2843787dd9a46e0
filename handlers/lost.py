"""Bodies that the server's disk has lost, and their way back from whoever has them (docs/protocol.md, section 6)."""

from __future__ import annotations

import falcon

from handlers import caller, replies
from handlers.bodies import body_of
from handlers.problems import Problem
from store.reader import Reader
from store.registry import Registry
from store.vaults import Vaults
from sync.model import HASH

# What is taken of a body before Vaults decides how much a file may have.
_NO_LIMIT = 1 << 62


class Lost:
    """/v1/vaults/{vault}/lost"""

    def __init__(self, registry: Registry, reader: Reader) -> None:
        self._registry = registry
        self._reader = reader

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault, "write")
        replies.send(resp, {"lost": self._reader.lost(there)})


class Found:
    """/v1/vaults/{vault}/lost/{hash}"""

    def __init__(self, registry: Registry, vaults: Vaults) -> None:
        self._registry = registry
        self._vaults = vaults

    def on_put(self, req: falcon.Request, resp: falcon.Response, vault: str, hash: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault, "write")
        if not HASH.fullmatch(hash):
            raise Problem("bad-request", "name the body by its SHA-256, 64 lowercase hex digits")
        body = body_of(req)
        body.check(_NO_LIMIT)
        self._vaults.give_back(there, hash, body.chunks(_NO_LIMIT), length=body.length, by=caller.of(req))
        resp.status = falcon.HTTP_204
