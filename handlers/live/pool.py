"""All live sockets of this worker, by vault: one subscription to what was committed, one clock for all of them."""

from __future__ import annotations

import logging
import random
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from handlers.live.channel import RETRIES_S, Channel, Log
from handlers.live.connection import Connection
from handlers.live.frames import GOING_AWAY, PING, TRY_LATER, frame
from handlers.wire import Taken
from store.base import Bus, Gap, Message, Metadata, Notice, PeopleChanged, SessionsChanged, Vault
from store.errors import StoreError
from store.reader import Reader

log = logging.getLogger("gobi.live")

# File descriptors that are kept for everything else.
SPARE_FILES = 256
# How often it looks whether something is due.
TICK_S = 1.0
# This many intervals between pings without a sign of life, and a client is gone.
SILENT_PINGS = 3

_PING = frame(PING, b"")


@dataclass(frozen=True, slots=True)
class Limits:
    """`sweep_s`: how often lost notices are looked for. `ping_s`: how often sockets are pinged. `sockets`: how many.

    `held`: how many may be of those that keep a request; gunicorn has 1,000 (ops/gunicorn_conf.py), and answers nobody
    when all are taken.
    """

    sweep_s: float = 30
    ping_s: float = 30
    sockets: int = 10_000
    held: int = 800


@dataclass(frozen=True, slots=True)
class Guest:
    """Who comes with a socket: `password` as it is stored, the user's or `device`'s own, the `session` of a browser,
    the vault as it was read after `mark`, and the stamp up to which the log is known (None: it is not).
    """

    user: str
    device: str | None
    password: str
    vault: Vault
    at: int | None
    mark: int
    session: str | None = None


class Pool:
    """Starts its greenlets with the first socket. `clock` gives seconds that only go forward."""

    def __init__(
        self, metadata: Metadata, reader: Reader, bus: Bus, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._metadata = metadata
        self._log = Log(metadata, reader, _spawn)
        self._limits = limits
        self._clock = clock
        self._channels: dict[str, Channel] = {}
        self._pinged: deque[Connection] = deque()  # those pinged longest ago first
        self._waiting: set[Connection] = set()  # those that may become overdue
        self._count = 0
        self._heard: dict[str, int] = {}  # by vault: the highest cursor of its notices
        self._unsure = 0  # goes up with whatever makes a look at everything necessary
        self._messages: deque[Message] = deque()
        self._news: Any = None  # set where messages wait
        self._sweep_due = False
        self._sweeping = False
        self._stopping = False
        self._most = limits.sockets
        bus.subscribe(self._hear)

    # -- coming and going

    @property
    def silence_s(self) -> float:
        """After how long without a sign of life a client is gone."""
        return SILENT_PINGS * self._limits.ping_s

    def mark(self) -> int:
        """To be taken before anything is read about a guest."""
        return self._unsure

    def admit(self, taken: Taken, guest: Guest) -> None:
        """Takes a socket in and greets it, or sends it away. Returns at once; where it is held, when it has ended."""
        from gevent import get_hub
        from gevent.event import Event

        self._start()
        ended = Event() if taken.held else None
        connection = Connection(
            taken.socket,
            get_hub().loop,
            self,
            user=guest.user,
            device=guest.device,
            password=guest.password,
            session=guest.session,
            vault_id=guest.vault.id,
            at=guest.vault.clock if guest.at is None else guest.at,
            ended=ended.set if ended else None,
        )
        self._join(connection, guest, self._limits.held if taken.held else self._most)
        if taken.unread and connection.open:
            connection.receive(taken.unread)
        if ended is not None:
            ended.wait()

    def _join(self, connection: Connection, guest: Guest, most: int) -> None:
        self._count += 1
        connection.ping_s = self._clock() + self._limits.ping_s
        self._pinged.append(connection)
        if self._stopping:
            connection.close(GOING_AWAY)
        elif self._count > most:
            connection.close(TRY_LATER, "too many sockets: come back later")
            connection.drop()  # without a wait, for that needs room too
        else:
            channel = self._channels.get(guest.vault.id)
            if channel is None:
                channel = self._channels[guest.vault.id] = Channel(guest.vault, self._log)
            channel.join(connection, guest.vault, self._heard.get(guest.vault.id, 0), wake=guest.at is None)
            if guest.mark != self._unsure:  # that look may have come too early for this one
                self._sweep_now()

    def now(self) -> float:
        return self._clock()

    def waiting(self, connection: Connection) -> None:
        self._waiting.add(connection)

    def left(self, connection: Connection) -> None:
        self._count -= 1
        self._waiting.discard(connection)
        self.leaving(connection)

    def leaving(self, connection: Connection) -> None:
        channel = self._channels.get(connection.vault_id)
        if channel is not None:
            channel.connections.discard(connection)
            if not channel.connections:
                del self._channels[connection.vault_id]

    def stop(self) -> None:
        """Says goodbye to everybody, whoever comes from now on included. Waits for nothing."""
        self._stopping = True
        for channel in list(self._channels.values()):
            for connection in list(channel.connections):
                connection.close(GOING_AWAY)

    @property
    def empty(self) -> bool:
        return not self._count

    @property
    def count(self) -> int:
        """Sockets that are here, those that are being closed included."""
        return self._count

    # -- what was committed

    def _hear(self, message: Message) -> None:
        """Called by whoever committed something, or by what listens to Redis: neither is to be kept."""
        if isinstance(message, Notice):
            self._heard[message.vault_id] = max(message.cursor, self._heard.get(message.vault_id, 0))
            if message.vault_id not in self._channels:
                return
        else:
            self._unsure += 1
        if self._channels:
            self._messages.append(message)
            self._news.set()

    def _tell(self) -> None:
        """A greenlet: hands messages to the channels that they are for."""
        while True:
            self._news.wait()
            self._news.clear()
            while self._messages:
                message = self._messages.popleft()
                try:
                    self._handle(message)
                except Exception:  # this greenlet has to go on
                    log.exception("live sockets were not told of a message")

    def _handle(self, message: Message) -> None:
        match message:
            case Notice():
                channel = self._channels.get(message.vault_id)
                if channel is not None:
                    channel.hear(message)
            case Gap() | PeopleChanged() | SessionsChanged():
                self._sweep_now()

    # -- what is done from time to time

    def _start(self) -> None:
        if self._news is None:
            from gevent.event import Event

            self._most = min(self._limits.sockets, _file_limit() - SPARE_FILES)
            self._news = Event()
            _spawn(self._tell)
            _spawn(self._keep)

    def _keep(self) -> None:
        """A greenlet: pings, drops who is silent or does not read, sweeps."""
        from gevent import sleep

        sweep_due = self._clock() + self._next_sweep_s()
        while True:
            sleep(TICK_S)
            now = self._clock()
            try:
                self._ping(now)
                self._hurry(now)
                if now >= sweep_due:
                    sweep_due = now + self._next_sweep_s()
                    self._sweep_now()
            except Exception:  # this greenlet has to go on
                log.exception("live sockets were not looked after")

    def _ping(self, now: float) -> None:
        while self._pinged and (self._pinged[0].ping_s <= now or not self._pinged[0].open):
            connection = self._pinged.popleft()
            if not connection.open:
                continue
            if now - connection.heard_s >= self.silence_s:
                connection.drop()
                continue
            connection.send(_PING)
            connection.ping_s = now + self._limits.ping_s
            self._pinged.append(connection)

    def _hurry(self, now: float) -> None:
        for connection in list(self._waiting):
            if connection.patient:
                self._waiting.discard(connection)
            elif connection.overdue(now):
                connection.drop()

    def _next_sweep_s(self) -> float:
        """Not all workers in one moment."""
        return self._limits.sweep_s * random.uniform(0.7, 1.0)  # noqa: S311  # no secret

    def _sweep_now(self) -> None:
        self._sweep_due = True
        if not self._sweeping:
            self._sweeping = True
            _spawn(self._sweep)

    def _sweep(self) -> None:
        """A greenlet, one at a time: finds whatever no message told."""
        waits = iter(RETRIES_S)
        try:
            while self._sweep_due and self._channels:
                self._sweep_due = False
                try:
                    self._compare()
                except StoreError as error:
                    log.warning("cannot look after live sockets: %s", error)
                    wait_s = next(waits, None)
                    if wait_s is not None:
                        time.sleep(wait_s)
                        self._sweep_due = True
        finally:
            self._sweeping = False

    def _compare(self) -> None:
        """What sockets know with what there is: in two reads, however many sockets and vaults there are."""
        before = {vault_id: list(channel.connections) for vault_id, channel in self._channels.items()}
        vaults = {vault.id: vault for vault in self._metadata.vaults()}
        users = {user.name: user for user in self._metadata.users()}
        for vault_id, connections in before.items():  # whoever came meanwhile was let in by a later look than this one
            channel = self._channels.get(vault_id)
            if channel is not None:
                channel.check(connections, vaults.get(vault_id), users, time.time_ns() // 1000)


def _spawn(work: Callable[[], None]) -> None:
    import gevent  # here: where the application is only called, and no server runs it, nothing of this is needed

    gevent.spawn(work)


def _file_limit() -> int:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else sys.maxsize
