"""`GET /openapi.json` (docs/protocol.md, section 9)."""

from __future__ import annotations

from functools import cache

import falcon

from handlers import packed
from handlers.packed import Packed
from store.offload import Offload


class OpenApi:
    """/openapi.json, made when it is first asked for: most servers are never asked.

    `server`: the path that all addresses are below.
    """

    def __init__(self, offload: Offload, server: str = "/") -> None:
        self._offload = offload
        self._server = server

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        packed.answer(req, resp, self._offload(_document, self._server))
        resp.set_header("Cache-Control", "no-cache")


@cache
def _document(server: str) -> Packed:
    import msgspec

    from handlers.openapi.document import document

    return packed.pack("application/json", msgspec.json.encode(document(server)))
