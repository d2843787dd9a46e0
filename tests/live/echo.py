"""A server that sends every message back, on the framing of the live sockets: for a test suite that needs one.

The same worker, handshake, frames and connections as `gobi serve` has; nothing in gobi leads here.
"""

from __future__ import annotations

import time
from typing import Any

import falcon
import gevent

from handlers import errors
from handlers.live import frames
from handlers.live.connection import Connection
from handlers.live.frames import GOING_AWAY, Event
from handlers.live.handshake import _switching
from handlers.wire import Application, Detached, Wire, take


class Echoing(Connection):
    """Collects what it hears, because the frames do not, and says it."""

    __slots__ = ("_pieces",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._pieces: list[bytes] = []
        super().__init__(*arguments, **options)

    def hear(self, piece: Event) -> None:
        self._pieces.append(piece.payload)
        if piece.final:
            whole, self._pieces = b"".join(self._pieces), []
            assert self.send(frames.frame(piece.opcode, whole)), "the suite reads what it is sent"


class Echo:
    """The resource, and the owner of all its connections."""

    def __init__(self) -> None:
        self._connections: set[Connection] = set()

    def on_get(self, req: falcon.Request, _resp: falcon.Response) -> None:
        answer = _switching(req)
        taken = take(req.env)
        req.env["gunicorn.socket"].sendall(answer)
        loop = gevent.get_hub().loop
        one = Echoing(taken.socket, loop, self, user="suite", device=None, password=None, vault_id="", at=0)
        self._connections.add(one)
        if taken.unread:
            one.receive(taken.unread)
        raise Detached

    def now(self) -> float:
        return time.monotonic()

    def waiting(self, connection: Connection) -> None:
        gevent.spawn(self._hurry, connection)

    def _hurry(self, connection: Connection) -> None:
        """What the pool does for all of its own."""
        while connection in self._connections and not connection.patient:
            if connection.overdue(self.now()):
                connection.drop()
            gevent.sleep(0.1)

    def leaving(self, connection: Connection) -> None:
        pass

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def stop(self) -> None:
        for one in list(self._connections):
            one.close(GOING_AWAY)

    @property
    def empty(self) -> bool:
        return not self._connections


def make() -> Application:
    """What gunicorn calls."""
    echo = Echo()
    app = falcon.App()
    errors.install(app)  # it knows what leaves HTTP
    app.add_route("/", echo)
    return Wire(app, 30, echo)
