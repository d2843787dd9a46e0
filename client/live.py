"""The live socket (docs/protocol.md, section 7): hears what others do, and comes back whenever it is cut off.

The framing is the `websockets` library's protocol without I/O; reading a socket to its end needs no more than a thread.
Messages only hurry: whatever is not understood, or lost, is found by the next exchange.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from socket import SHUT_RDWR, SHUT_WR, socket
from threading import Event, Thread
from typing import TYPE_CHECKING, NamedTuple

from client import said
from client.foresee import Heard

if TYPE_CHECKING:
    from websockets.client import ClientProtocol

    from client.connection import Connection

LARGEST = 1024 * 1024  # bytes of one message: five times what a hundred versions can take
_ABSENT = (404, 405, 426, 501)  # what servers say that have no live socket
_NOT_ALLOWED = (401, 403, 409)
_POLICY = 1008


class Opened(NamedTuple):
    """The vault stands at `cursor`."""

    cursor: str


class Woken(NamedTuple):
    """More happened than was told. `path`: a conflict there was settled."""

    path: str | None = None


class Lost(NamedTuple):
    """`absent`: there is no live socket on this server. `doubtful`: perhaps there is no vault for us any more."""

    why: str
    absent: bool = False
    doubtful: bool = False


Told = Opened | Heard | Woken | Lost


class Waits(NamedTuple):
    """Seconds: before the first attempt to come back, at most, without any message (the server pings every 30)."""

    first: float = 0.5
    longest: float = 60.0
    silence: float = 90.0


class Live:
    """Runs in a thread of its own from `start` on. `tell` is called there.

    `place`: the way to the socket from the cursor where this client stands, asked anew for every attempt.
    """

    def __init__(
        self, place: Callable[[], tuple[Connection, str]], tell: Callable[[Told], None], waits: Waits | None = None
    ) -> None:
        self._place = place
        self._tell = tell
        self._waits = waits or Waits()
        self._wait = self._waits.first
        self._stopped = False
        self._hurry = Event()
        self._socket: socket | None = None
        self._thread = Thread(target=self._run, name="gobi-live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """The server is there: no need to wait any longer before the next attempt."""
        self._wait = self._waits.first
        self._hurry.set()

    def stop(self) -> None:
        self._stopped = True
        self._hurry.set()
        if self._socket is not None:
            with suppress(OSError):  # cut off already
                self._socket.shutdown(SHUT_RDWR)

    def _run(self) -> None:
        while not self._stopped:
            lost = self._listen()
            if self._stopped:
                return
            self._tell(lost)
            if lost.absent:
                self._wait = self._waits.longest
            # All clients of a server that was restarted come back, but not all in the same moment.
            self._hurry.wait(self._wait * random.uniform(0.5, 1))  # noqa: S311  nobody profits from guessing it
            self._hurry.clear()
            self._wait = min(self._wait * 2, self._waits.longest)

    def _listen(self) -> Lost:
        """One connection, from the handshake to its end."""
        from websockets.exceptions import InvalidStatus

        conversation: _Conversation | None = None
        try:
            connection, target = self._place()
            self._socket = connection.dial()
            with self._socket:
                self._socket.settimeout(self._waits.silence)
                conversation = _Conversation(self._socket, connection, target)
                while (message := conversation.next()) is not None:
                    self._hear(message)
            if conversation.refused is not None:
                raise conversation.refused
            return Lost("the server closed the connection", doubtful=conversation.close_code == _POLICY)
        except InvalidStatus as no:
            status = no.response.status_code
            return Lost(f"the server answered {status}", status in _ABSENT, status in _NOT_ALLOWED)
        except TimeoutError:
            return Lost("the server is silent")
        except (OSError, HTTPException) as error:
            return Lost(getattr(error, "strerror", None) or "the connection was cut")
        except Exception as error:  # noqa: BLE001  a strange server must not end the thread: polling goes on meanwhile
            return Lost(f"the server does not speak as expected ({error})")
        finally:
            self._socket = None

    def _hear(self, message: bytes) -> None:
        row = json.loads(message)
        match row.get("type"):
            case "hello":
                self._wait = self._waits.first
                self._tell(Opened(said.word(row["cursor"])))
            case "changes":
                self._tell(Heard.from_json(row))
            case "wake":
                self._tell(Woken())
            case "conflict" if row["conflict"]["state"] != "open":
                self._tell(Woken(said.word(row["conflict"]["path"])))


class _Conversation:
    """One WebSocket over a connected socket. Answers pings by itself."""

    def __init__(self, sock: socket, connection: Connection, target: str) -> None:
        from websockets.client import ClientProtocol
        from websockets.typing import Subprotocol
        from websockets.uri import parse_uri

        self._socket = sock
        address = "ws" + connection.url.removeprefix("http") + target
        self._protocol: ClientProtocol = ClientProtocol(
            parse_uri(address), subprotocols=[Subprotocol("gobi.v1")], max_size=LARGEST
        )
        request = self._protocol.connect()
        for name, value in connection.headers.items():
            if name not in request.headers:
                request.headers[name] = value
        self._protocol.send_request(request)
        self._parts: list[bytes] = []
        self._complete: list[bytes] = []
        self._send()

    @property
    def refused(self) -> Exception | None:
        return self._protocol.handshake_exc

    @property
    def close_code(self) -> int | None:
        return self._protocol.close_code

    def next(self) -> bytes | None:
        """The next whole message; None at the end. Raises OSError."""
        from websockets.frames import Frame, Opcode

        while not self._complete:
            data = self._socket.recv(65536)
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            self._send()
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.CONT):
                    self._parts.append(bytes(event.data))
                    if event.fin:
                        self._complete.append(b"".join(self._parts))
                        self._parts.clear()
            if not data and not self._complete:
                return None
        return self._complete.pop(0)

    def _send(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._socket.sendall(data)
            else:
                with suppress(OSError):  # the other end may have left before us
                    self._socket.shutdown(SHUT_WR)
