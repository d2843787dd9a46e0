"""A TCP proxy on loopback that cuts or interrupts a connection at a chosen byte: a bad network, on demand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

Direction = Literal["up", "down"]


class Proxy:
    """Passes everything on to `port` until it is told otherwise. Use as a context manager."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self.passed: dict[Direction, int] = {"up": 0, "down": 0}

    def cut_after(self, direction: Direction, count: int) -> None:
        """Cuts the connection that carries byte `count` from now on in this direction; later ones live."""
        self._add(direction, count, None)

    def call_after(self, direction: Direction, count: int, act: Callable[[], None]) -> None:
        """Calls `act` when byte `count` from now on has come, before it is passed on."""
        self._add(direction, count, act)

    def _add(self, direction: Direction, count: int, act: Callable[[], None] | None) -> None:
        with self._lock:
            self._rules.append(_Rule(direction, self.passed[direction] + count, act))

    @property
    def pending(self) -> int:
        """How many cuts and calls have not happened yet."""
        return len(self._rules)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            for source, sink, direction in ((client, server, "up"), (server, client, "down")):
                threading.Thread(target=self._carry, args=(source, sink, direction), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        try:
            while data := source.recv(65536):
                keep = self._pass(direction, data)
                sink.sendall(data[:keep])
                if keep < len(data):
                    break
            else:
                sink.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def _pass(self, direction: Direction, data: bytes) -> int:
        """How many of these bytes may pass: all, or those before a cut."""
        with self._lock:
            start = self.passed[direction]
            self.passed[direction] += len(data)
            due = [r for r in self._rules if r.direction == direction and r.at <= self.passed[direction]]
            self._rules = [r for r in self._rules if r not in due]
        keep = len(data)
        for rule in due:
            if rule.act is not None:
                rule.act()
            else:
                keep = min(keep, max(0, rule.at - start))
        return keep


class _Rule:
    def __init__(self, direction: Direction, at: int, act: Callable[[], None] | None) -> None:
        self.direction = direction
        self.at = at
        self.act = act
