"""A TCP proxy on loopback in front of a mongod: a database that is far away, throttled, full, unlucky or hung.

It reads the wire protocol, so what it does it does to commands. Compressed frames pass unread (pymongo compresses only
where the URI asks for it).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from tests import mongo_wire
from tests.mongo_wire import Frame

# What drivers send on their own account: not counted, not throttled.
HOUSEKEEPING = {"", "hello", "ismaster", "isMaster", "ping", "saslStart", "saslContinue", "endSessions"}

CODE_NAMES = {
    13: "Unauthorized",
    18: "AuthenticationFailed",
    91: "ShutdownInProgress",
    112: "WriteConflict",
    189: "PrimarySteppedDown",
    251: "NoSuchTransaction",
    8000: "AtlasError",
    10107: "NotWritablePrimary",
    11600: "InterruptedAtShutdown",
}
QUOTA_ERROR = (8000, "you are over your space quota, using 520 MB of 512 MB")


class MongoProxy:
    """Passes everything on to the mongod on `port` until it is told otherwise. Use as a context manager.

    These may be changed at any time. `delay_s` is added to every round trip, that of connecting included.
    `commands_per_s`: commands above that wait for their turn, over all connections, as on Atlas's shared tiers.
    `clock_ahead_s` is added to every date in a reply; a number that mongod makes of its clock stays.
    """

    def __init__(self, port: int) -> None:
        self.delay_s = 0.0
        self.commands_per_s: float | None = None
        self.clock_ahead_s = 0.0
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._commands: list[str] = []
        self._failures: dict[str, _Failure] = {}
        self._losses: dict[str, int] = {}
        self._turns = _Turns()
        self._flowing = threading.Event()
        self._flowing.set()
        self._closed = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    # -- what came

    @property
    def commands(self) -> list[str]:
        """The names of the commands that clients sent, in order, without the drivers' housekeeping."""
        with self._lock:
            return list(self._commands)

    @property
    def count(self) -> int:
        with self._lock:
            return len(self._commands)

    def reset(self) -> None:
        """Counts from nothing again."""
        with self._lock:
            self._commands.clear()

    # -- what goes wrong

    def fail(
        self, command: str, code: int, message: str, times: int | None = 1, labels: Sequence[str] = (), name: str = ""
    ) -> None:
        """Refuses the next `times` such commands (None: until `clear`) as a server would; mongod does not see them."""
        code_name = name or CODE_NAMES.get(code, f"Location{code}")
        with self._lock:
            self._failures[command] = _Failure(code, code_name, message, tuple(labels), times)

    def lose_reply(self, command: str, times: int = 1) -> None:
        """Lets mongod do the next `times` such commands, and closes the connection instead of passing its reply on.

        pymongo itself repeats a retryable write and a commit once: to be seen by its user, that takes two.
        """
        with self._lock:
            self._losses[command] = times

    def clear(self) -> None:
        """Nothing fails and no reply is lost from now on."""
        with self._lock:
            self._failures.clear()
            self._losses.clear()

    def stall(self) -> None:
        """Nothing passes, in either direction; connections stay, and new ones are accepted."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def carries(self, client: tuple[str, int]) -> bool:
        """Whether the connection of the client at this address has come through."""
        with self._lock:
            return any(_peer(end) == client for end in self._open)

    def cut(self) -> None:
        """Closes every connection; new ones are welcome."""
        with self._lock:
            for end in self._open:
                _shut(end)

    # -- running

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._flowing.set()
        _shut(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        """One connection, until either end closes it. mongod's replies go back on a thread of their own."""
        with client:
            self._wait(self.delay_s)
            try:
                server = socket.create_connection(self._target)
            except OSError:
                return
            with server:
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = _Connection(client, server)
                with self._lock:
                    self._open |= {client, server}
                down = threading.Thread(target=self._carry_down, args=(connection,), daemon=True)
                down.start()
                # Not before it is in the set: a proxy that closes would wait for it for ever.
                if not self._closed.is_set():
                    self._carry_up(connection)
                connection.shut()
                down.join()
                with self._lock:
                    self._open -= {client, server}

    def _carry_up(self, connection: _Connection) -> None:
        with contextlib.suppress(OSError), connection.client.makefile("rb") as stream:
            while frame := mongo_wire.read(stream):
                self._flowing.wait()
                self._wait(self.delay_s)
                if frame.command not in HOUSEKEEPING:
                    with self._lock:
                        self._commands.append(frame.command)
                    self._wait(self._turns.wait_s(self.commands_per_s))
                refusal = self._judge(frame, connection)
                if refusal is None:
                    connection.server.sendall(frame.data)
                elif frame.wants_reply:
                    connection.answer(refusal)

    def _judge(self, frame: Frame, connection: _Connection) -> Frame | None:
        """The refusal where the command is to fail; notes whether its reply is to be lost."""
        with self._lock:
            failure = self._failures.get(frame.command)
            if failure is not None and failure.left != 0:
                if failure.left is not None:
                    failure.left -= 1
                return mongo_wire.failure(frame, failure.code, failure.name, failure.message, failure.labels)
            if self._losses.get(frame.command, 0) > 0:
                self._losses[frame.command] -= 1
                connection.losing = frame.request_id
        return None

    def _carry_down(self, connection: _Connection) -> None:
        with contextlib.suppress(OSError), connection.server.makefile("rb") as stream:
            while frame := mongo_wire.read(stream):
                self._flowing.wait()
                if frame.answers == connection.losing:
                    break
                if self.clock_ahead_s:
                    frame = frame.with_dates_moved(round(self.clock_ahead_s * 1000))
                connection.answer(frame)
        connection.shut()

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._closed.wait(seconds)


class _Connection:
    """A client's connection and the one to mongod that belongs to it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.losing: int | None = None  # the request whose reply the client shall not see
        self._answering = threading.Lock()

    def answer(self, frame: Frame) -> None:
        with self._answering:
            self.client.sendall(frame.data)

    def shut(self) -> None:
        _shut(self.client)
        _shut(self.server)


@dataclass(slots=True)
class _Failure:
    code: int
    name: str
    message: str
    labels: tuple[str, ...]
    left: int | None


class _Turns:
    """A token bucket: so many turns a second, a tenth of a second's worth of which may be saved up."""

    SAVED_S = 0.1

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0

    def wait_s(self, rate: float | None) -> float:
        """Takes a turn; returns how long to wait for it."""
        if rate is None:
            return 0.0
        with self._lock:
            now = time.monotonic()
            self._next = max(self._next, now - self.SAVED_S) + 1 / rate
            return self._next - now


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _peer(end: socket.socket) -> object:
    try:
        return end.getpeername()
    except OSError:  # it went meanwhile
        return None
