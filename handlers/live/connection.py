"""One client's socket. It has no greenlet: while nothing happens it is a watcher of the event loop and a small record.

Everything here runs to its end without waiting, much of it in the loop's own greenlet, where nothing may wait.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from handlers.live import frames
from handlers.live.frames import Event, Frames, Violation

log = logging.getLogger("gobi.live")

# What may wait for a client that does not read as fast as others write.
MOST_MESSAGES = 100
MOST_BYTES = 256 << 10
# How long one may take nothing at all of what waits for it.
SEND_S = 10.0
# How long a client may take to close its side after the server has said goodbye.
GOODBYE_S = 2.0
# Read at a time. The loop goes round all sockets in between, so that one that floods holds up nobody: of the smallest
# frames this is some 700, or three milliseconds.
PIECE = 4 << 10

READABLE, WRITABLE = 1, 2  # libev's words

# TLS sockets say it with exceptions of their own.
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Owner(Protocol):
    """Who is told how a connection fares."""

    def now(self) -> float: ...

    def waiting(self, connection: Connection) -> None:
        """From now on `overdue` may come true, until `patient` does."""

    def leaving(self, connection: Connection) -> None:
        """It takes no more messages: somebody said goodbye, and `left` will follow."""

    def left(self, connection: Connection) -> None:
        """It is closed."""


class Connection:
    """A socket after its handshake. `at` is the stamp up to which its client knows the log.

    `password` is what was stored, when the socket was opened, of the user's, or of `device`'s own;
    `session` is the browser's. `sock` has to be non-blocking; in the end it is closed, and then `ended` is called.
    """

    __slots__ = (
        "_ended",
        "_frames",
        "_goodbye_s",
        "_loop",
        "_outbox",
        "_owner",
        "_reading",
        "_socket",
        "_writing",
        "at",
        "device",
        "heard_s",
        "password",
        "ping_s",
        "session",
        "user",
        "vault_id",
    )

    def __init__(
        self,
        sock: socket.socket,
        loop: Any,  # noqa: ANN401  # gevent's
        owner: Owner,
        *,
        user: str,
        device: str | None,
        password: str,
        session: str | None = None,
        vault_id: str,
        at: int,
        ended: Callable[[], object] | None = None,
    ) -> None:
        self.user = user
        self.device = device
        self.password = password
        self.session = session
        self.vault_id = vault_id
        self.at = at
        self.heard_s = owner.now()
        self.ping_s = 0.0  # when the next one is due: the pool's business
        self._socket: socket.socket | None = sock
        self._loop = loop
        self._owner = owner
        self._ended = ended
        self._frames: Frames | None = None  # only while something half has arrived
        self._outbox: _Outbox | None = None  # only while something waits
        self._goodbye_s: float | None = None  # when the wait for the client's own goodbye ends
        self._writing: Any = None
        self._reading = loop.io(sock.fileno(), READABLE)
        self._reading.start(self._read)

    @property
    def open(self) -> bool:
        """Whether messages are taken."""
        return self._socket is not None and self._goodbye_s is None

    # -- sending

    def send(self, message: bytes) -> bool:
        """Sends a frame, now or in its turn. False where too much waits already: then it was not taken.

        One that is closed takes everything.
        """
        if not self.open:
            return True
        if self._outbox is None:
            self._outbox = _Outbox(self._owner.now())
            self._outbox.frames.append(memoryview(message))
            self._write()
            return True
        return self._outbox.put(message)

    def replace(self, message: bytes) -> None:
        """Sends a frame instead of all that waits."""
        if self.open and self._outbox is not None:
            self._outbox.replace(message)
        else:
            self.send(message)

    def _write(self) -> None:
        sock, outbox = self._socket, self._outbox
        if sock is None or outbox is None:
            return
        try:
            while outbox.frames:
                outbox.took(sock.send(outbox.frames[0]), self._owner.now())
        except _WOULD_BLOCK:
            if self._writing is None:
                self._writing = self._loop.io(sock.fileno(), WRITABLE)
                self._writing.start(self._write)
                self._owner.waiting(self)
            return
        except OSError:
            self.drop()
            return
        self._outbox = None
        self._end(self._writing)
        self._writing = None
        if self._goodbye_s is not None:
            self._shut()

    # -- receiving

    def receive(self, data: bytes) -> None:
        """What the client has sent. Messages mean nothing in this protocol; they still have to be well-formed."""
        self.heard_s = self._owner.now()
        reader = self._frames or Frames()
        try:
            for event in reader.feed(data):
                if event.opcode == frames.PING:
                    self.send(frames.frame(frames.PONG, event.payload))
                elif event.opcode == frames.CLOSE:
                    self.close(event.code)
                elif event.opcode in (frames.TEXT, frames.BINARY):
                    self.hear(event)
                if not self.open:
                    return
        except Violation as violation:
            log.info("a live socket of %s broke the protocol: %s", self.user, violation)
            self.close(violation.code, str(violation))
            return
        self._frames = None if reader.idle else reader

    def hear(self, piece: Event) -> None:
        """A piece of a message: nothing to do here. Whoever speaks more than gobi.v1 on these frames begins here."""

    def _read(self) -> None:
        try:
            while self._socket is not None:
                data = self._socket.recv(PIECE)
                if not data:
                    self.drop()
                elif self.open:
                    self.receive(data)
                if not self._has_more():
                    return
        except _WOULD_BLOCK:
            return
        except OSError:
            self.drop()
        except Exception:  # in the loop's own greenlet, where nobody else would see to it
            log.exception("a live socket of %s failed", self.user)
            self.drop()

    def _has_more(self) -> bool:
        """TLS may have decrypted more than was asked for, of which the watcher knows nothing."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    # -- the end

    def close(self, code: int, reason: str = "") -> None:
        """Says goodbye; then the client has `GOODBYE_S` to close its side. What it still sends is thrown away: closed
        over unread bytes, the connection would be reset, and the goodbye lost on its way."""
        if not self.open:
            return
        self.replace(frames.close_frame(code, reason))
        if self._socket is None:
            return
        self._goodbye_s = self._owner.now() + GOODBYE_S
        self._frames = None
        self._owner.leaving(self)
        self._owner.waiting(self)
        if self._outbox is None:
            self._shut()

    def drop(self) -> None:
        """Ends it without a word."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        for watcher in (self._reading, self._writing):
            self._end(watcher)
        self._reading = self._writing = self._outbox = self._frames = None
        try:
            sock.close()
        except OSError:
            pass
        self._owner.left(self)
        if self._ended is not None:
            self._ended()

    @property
    def patient(self) -> bool:
        return self._outbox is None and self._goodbye_s is None

    def overdue(self, now: float) -> bool:
        """Whether it has taken nothing for too long, or not closed its side."""
        if self._goodbye_s is not None:
            return now >= self._goodbye_s
        return self._outbox is not None and now - self._outbox.since_s >= SEND_S

    def _shut(self) -> None:
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.drop()

    @staticmethod
    def _end(watcher: Any) -> None:  # noqa: ANN401  # gevent's
        if watcher is not None:
            watcher.stop()
            watcher.close()


class _Outbox:
    """Frames that wait. The first may be half sent: it is not taken back. `since_s`: when something was last taken."""

    __slots__ = ("_bytes", "frames", "since_s")

    def __init__(self, now: float) -> None:
        self.frames: deque[memoryview] = deque()
        self.since_s = now
        self._bytes = 0

    def put(self, message: bytes) -> bool:
        if len(self.frames) >= MOST_MESSAGES or self._bytes + len(message) > MOST_BYTES:
            return False
        self.frames.append(memoryview(message))
        self._bytes += len(message)
        return True

    def replace(self, message: bytes) -> None:
        first = self.frames[0]
        self.frames = deque((first, memoryview(message)))
        self._bytes = len(message)

    def took(self, count: int, now: float) -> None:
        """The first is not counted in `_bytes`."""
        first = self.frames.popleft()
        self.since_s = now
        if count < len(first):
            self.frames.appendleft(first[count:])
        elif self.frames:
            self._bytes -= len(self.frames[0])
