"""Whether the server lives, and whether it could do its work (docs/protocol.md, section 9)."""

from __future__ import annotations

from collections.abc import Callable

import falcon

from handlers import replies
from store.base import Bodies, Bus, Metadata
from store.errors import StoreError
from store.offload import Offload


class Alive:
    """/healthz"""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        replies.send(resp, {"status": "ok"})


class Ready:
    """/readyz"""

    def __init__(self, metadata: Metadata, bodies: Bodies, bus: Bus, offload: Offload) -> None:
        self._checks: dict[str, Callable[[], None]] = {
            "metadata": lambda: metadata.ping(),
            "bodies": lambda: offload(bodies.check),
            "notify": lambda: bus.ping(),
        }

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        checks = {name: _outcome(check) for name, check in self._checks.items()}
        ready = all(outcome == "ok" for outcome in checks.values())
        status = falcon.HTTP_200 if ready else falcon.HTTP_503
        replies.send(resp, {"status": "ok" if ready else "failing", "checks": checks}, status)
        if not ready:
            resp.set_header("Retry-After", "5")


def _outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except StoreError as error:
        return str(error)
    return "ok"
