"""Connections of which nobody knows yet whose they are: bounded in time and in number.

Before somebody has signed in, a request may do no more than arrive: its head and body together have one deadline. Of
those that are still arriving, or are answered without a password, only so many may be there, in all and of a network.
Where there are more, the one that has waited longest is closed. So whoever comes next, who may be somebody, always gets
in: a client that wants something sends it at once. Whoever has signed in is not counted, and has room of their own
(ops/gunicorn_conf.py).

Nothing here waits, and there are no timers: all are looked at once a second.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import termios
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from handlers.origin import Network, client_address_of
from sync.addresses import is_among, network_of, parse_address

log = logging.getLogger("gobi.http")

# Where a request's environ has its connection.
CONNECTION = "gobi.connection"

# So young, a connection is not closed for the number of its network: a machine may well open hundreds at once.
YOUNG_S = 3.0
# Between two lines in the log.
QUIET_S = 60.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """`seconds` for a request's head and body together; `connections` that may wait in a worker, and those of one
    network (an IPv4 address, an IPv6 /64)."""

    seconds: float = 10
    connections: int = 600
    per_network: int = 100


class Strangers:
    """All of a worker's. `clock` gives seconds that only go forward."""

    def __init__(
        self, bounds: Bounds, trusted_proxies: Sequence[Network] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.bounds = bounds
        self.clock = clock
        self._trusted = trusted_proxies
        self._connections: dict[socket.socket, Connection] = {}
        # Those that wait for their client, by network, each in the order in which they began to.
        self._waiting: dict[str, OrderedDict[Connection, None]] = {}
        self._count = 0
        self._quiet_until = 0.0

    @property
    def waiting(self) -> int:
        return self._count

    def arrive(self, sock: socket.socket, address: object) -> Connection:
        """A connection that was just accepted; its `leave` has to be called at its end. `address`: as accept has it."""
        host = str(address[0]) if isinstance(address, tuple) and address else ""
        ip = parse_address(host)
        connection = Connection(self, sock, host, is_proxy=ip is None or is_among(ip, self._trusted))
        self._connections[sock] = connection
        connection.wait()
        return connection

    def of(self, environ: dict[str, Any]) -> Connection:
        """The connection that a request came by."""
        connection = self._connections.get(environ["gunicorn.socket"]) if "gunicorn.socket" in environ else None
        return connection or Connection(self, None, environ.get("REMOTE_ADDR", ""), is_proxy=False)

    def address(self, environ: dict[str, Any]) -> str:
        return client_address_of(environ, self._trusted)

    def look(self) -> None:
        """To be called every second."""
        now = self.clock()
        late = [one for network in self._waiting.values() for one in network if one.deadline <= now]
        for connection in late:
            connection.cut()

    # -- for connections

    def enter(self, connection: Connection) -> None:
        network = self._waiting.setdefault(connection.network, OrderedDict())
        if connection in network:
            return
        network[connection] = None
        self._count += 1
        if self._count > self.bounds.connections:
            self._make_room(max(self._waiting.values(), key=len), connection.network)
        elif not connection.unnamed and len(network) > self.bounds.per_network:
            oldest = next(iter(network))
            if self.clock() - oldest.since >= YOUNG_S and not oldest.has_sent():
                self._make_room(network, connection.network)

    def leave(self, connection: Connection) -> None:
        network = self._waiting.get(connection.network)
        if network is not None and connection in network:
            del network[connection]
            self._count -= 1
            if not network:
                del self._waiting[connection.network]

    def forget(self, sock: socket.socket | None) -> None:
        if sock is not None:
            self._connections.pop(sock, None)

    def _make_room(self, network: OrderedDict[Connection, None], newest: str) -> None:
        """The oldest goes, unless it has sent what this worker did not get to yet."""
        idle = (one for one in network if not one.has_sent())
        oldest = next(idle, None) or next(iter(network))
        if self.clock() >= self._quiet_until:
            self._quiet_until = self.clock() + QUIET_S
            log.warning(
                "%d connections wait without having signed in, %d of them from %s, the last from %s: for each more, "
                "the one that has waited longest is closed",
                self._count,
                len(network),
                oldest.network or "a proxy",
                newest or "a proxy",
            )
        oldest.cut()


class Connection:
    """`known`: somebody has signed in by it. `network` is empty, and `unnamed`, while a proxy has not said whose it is.

    A connection waits, for its client, or works, for the server's own part; only one that waits is ever cut.
    """

    __slots__ = ("_is_proxy", "_socket", "_strangers", "deadline", "known", "network", "since")

    def __init__(self, strangers: Strangers, sock: socket.socket | None, host: str, *, is_proxy: bool) -> None:
        self._strangers = strangers
        self._socket = sock
        self._is_proxy = is_proxy
        self.network = "" if is_proxy else network_of(host)
        self.known = False
        self._begin()

    @property
    def unnamed(self) -> bool:
        return self._is_proxy and not self.network

    def ask(self, environ: dict[str, Any]) -> None:
        """A request's head is here. By a proxy's connection come the requests of many."""
        self.work()
        if self._is_proxy:
            self.known = False
            self.network = network_of(self._strangers.address(environ))
            self._begin()

    def sign_in(self) -> None:
        self.work()
        self.known = True

    def rest(self) -> None:
        """The answer is out. A proxy keeps connections for whoever comes next."""
        self.work()
        if not self._is_proxy:
            self._begin()
            self.wait()

    def wait(self) -> None:
        """For the client, to send or to take something."""
        if not self.known and self._socket is not None:
            self._strangers.enter(self)

    def work(self) -> None:
        self._strangers.leave(self)

    def answer(self) -> None:
        """For a client that takes its answer. That lasts as long as it may for anybody; only the number counts."""
        self.deadline = float("inf")
        self.wait()

    def leave(self) -> None:
        """It is closed."""
        self.work()
        self._strangers.forget(self._socket)

    def has_sent(self) -> bool:
        """Whether there is something to read that this worker did not get to yet."""
        unread = array("i", [0])
        if self._socket is not None:
            with suppress(OSError, ValueError):  # it is being closed
                fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, unread)
        return unread[0] > 0

    def cut(self) -> None:
        """Ends it for the greenlet that is waiting on it, which then closes it. By a duplicate: gevent's own way would
        be an error there, and Python's would take TLS apart."""
        self.work()
        if self._socket is None:
            return
        from gevent import monkey  # here: tests and commands never need gevent

        with suppress(OSError):  # it was gone already
            duplicate = monkey.get_original("socket", "socket")(fileno=os.dup(self._socket.fileno()))
            with duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)

    def _begin(self) -> None:
        self.since = self._strangers.clock()
        self.deadline = self.since + self._strangers.bounds.seconds
