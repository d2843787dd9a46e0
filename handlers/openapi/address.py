"""`GET /openapi.json` (docs/protocol.md, section 9)."""

from __future__ import annotations

from functools import cache

import falcon

from handlers import packed
from handlers.packed import Packed


class OpenApi:
    """/openapi.json, made when it is first asked for: most servers are never asked."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        packed.answer(req, resp, _document())
        resp.set_header("Cache-Control", "no-cache")


@cache
def _document() -> Packed:
    import msgspec

    from handlers.openapi.document import document

    return packed.pack("application/json", msgspec.json.encode(document()))
