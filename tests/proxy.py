"""A TCP proxy on loopback that cuts a connection at a chosen byte, or all for a while: a bad network, on demand."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

Direction = Literal["up", "down"]


class Proxy:
    """Passes everything on to `port` until it is told otherwise. Use as a context manager."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._passed: dict[Direction, int] = {"up": 0, "down": 0}
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._refusing = False
        self._flowing = threading.Event()
        self._flowing.set()
        self._forgotten: set[socket.socket] = set()
        self._held = 0

    def cut_after(self, direction: Direction, count: int) -> None:
        """Cuts the connection that carries byte `count` from now on in this direction; later ones live."""
        self._add(direction, count, None)

    def call_after(self, direction: Direction, count: int, act: Callable[[], object]) -> None:
        """Calls `act` when byte `count` from now on has come, before it is passed on."""
        self._add(direction, count, act)

    def cut(self) -> None:
        """Closes every connection, and new ones too, until `mend`."""
        with self._lock:
            self._refusing = True
            for end in self._open:
                _shut(end)

    def stall(self) -> None:
        """Nothing comes through and nobody is told, not of an end either, until `mend`: packets vanish."""
        self._flowing.clear()

    def mend(self, *, forget: bool = False) -> None:
        """What was held comes through now, as if sent again. `forget`: what was open stays silent for good instead, as
        behind a router that has lost its table; only new connections are carried.
        """
        with self._lock:
            self._refusing = False
            if forget:
                self._forgotten |= self._open
        self._flowing.set()

    @property
    def held(self) -> int:
        """How many connections have something that does not come through."""
        return self._held

    def _add(self, direction: Direction, count: int, act: Callable[[], object] | None) -> None:
        with self._lock:
            self._rules.append(_Rule(direction, self._passed[direction] + count, act))

    @property
    def pending(self) -> int:
        """How many cuts and calls have not happened yet."""
        return len(self._rules)

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._flowing.set()
        with self._lock:
            for end in self._open:
                _shut(end)
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._open):
            end.close()

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
            if self._refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            self._spawn(self._carry, client, server, "up")
            self._spawn(self._carry, server, client, "down")

    def _carry(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        try:
            while True:
                data = source.recv(65536)
                self._wait()
                if source in self._forgotten:
                    if not data:
                        return
                    continue
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                keep = self._pass(direction, data)
                sink.sendall(data[:keep])
                if keep < len(data):
                    break
        except OSError:
            pass  # the other direction was cut, or an end went away
        _shut(source)
        _shut(sink)

    def _wait(self) -> None:
        if self._flowing.is_set():
            return
        with self._lock:
            self._held += 1
        self._flowing.wait()
        with self._lock:
            self._held -= 1

    def _pass(self, direction: Direction, data: bytes) -> int:
        """How many of these bytes may pass: all, or those before a cut."""
        with self._lock:
            start = self._passed[direction]
            self._passed[direction] += len(data)
            due = [rule for rule in self._rules if rule.direction == direction and rule.at <= self._passed[direction]]
            self._rules = [rule for rule in self._rules if rule not in due]
        keep = len(data)
        for rule in due:
            if rule.act is not None:
                rule.act()
            else:
                keep = min(keep, max(0, rule.at - start))
        return keep


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, eq=False)
class _Rule:
    direction: Direction
    at: int
    act: Callable[[], object] | None
