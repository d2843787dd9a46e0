"""One request, from its first byte to its answer's last: its id, what is counted of it, its line in the log."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Any

from store import log_context

Environ = dict[str, Any]

# The request's address as the URL table has it. Whoever is turned away at the door has none: addresses name files.
ROUTE = "gobi.route"
LIVE = "/v1/vaults/{vault}/live"
# What programs ask all day long, and what a browser loads before anybody did anything.
_QUIET = ("/healthz", "/readyz", "/metrics", "/web/", "/openapi.json")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = "gobi.request_id"

log = logging.getLogger("gobi.access")


class Exchange:
    """`status` is empty until the answer has begun. `ended` hears of the end, with the bytes of the request's body."""

    __slots__ = ("_ended", "_told", "address", "began", "environ", "sent", "status")

    def __init__(self, environ: Environ, ended: Callable[[Exchange, int], None]) -> None:
        self.environ = environ
        self.began = time.perf_counter()
        self.status = ""
        self.sent = 0
        self._ended: Callable[[Exchange, int], None] | None = ended
        self._told = {"request": request_id(environ)}
        log_context.about.set(self._told)

    @property
    def outcome(self) -> str:
        """The status; "101" for what became a socket, "gone" where the client did not wait for an answer."""
        became_socket = self.status == "" and self.environ.get(ROUTE) == LIVE
        return "101" if became_socket else self.status or "gone"

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def end(self, received: int) -> None:
        """`received`: bytes of the request's body. May be repeated."""
        ended, self._ended = self._ended, None
        if ended is None:
            return
        ended(self, received)
        self._tell(received)
        log_context.about.set(None)  # its connection lives on, and what is said next is of no request

    def _tell(self, received: int) -> None:
        # As it came, percent-encoded: without the query, where a link of somebody's own invention may have a secret.
        address = str(self.environ.get("RAW_URI") or self.environ["PATH_INFO"]).partition("?")[0]
        place: str = self.environ["PATH_INFO"]  # without the path below which the server is
        level = logging.DEBUG if place == "/" or place.startswith(_QUIET) else logging.INFO
        if log.isEnabledFor(level):
            log_context.about.set(self._told)  # it may end in another greenlet than it began in
            fields = {
                "method": self.environ["REQUEST_METHOD"],
                "path": address,
                "status": self.outcome,
                "seconds": f"{self.seconds:.3f}",
                "received": received,
                "sent": self.sent,
            }
            log.log(level, "request", extra={"fields": fields})


def request_id(environ: Environ) -> str:
    """The caller's own (`X-Request-ID`), if it is a sane one, or one made here; the same throughout the request."""
    known: str | None = environ.get(_KEY)
    if known is None:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        known = environ[_KEY] = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    return known
