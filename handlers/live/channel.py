"""The sockets of one vault, and how they come to know its log.

A notice is passed on as it is to whoever stands right before it. Whatever else happens (a notice is missing, or came
without its changes; messages were lost; somebody joins who has missed something), the log is read once for all who are
behind. So the order in which notices come does not matter, nor does losing some.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from handlers.live import messages
from handlers.live.connection import Connection
from handlers.live.frames import NOT_ALLOWED
from store.base import Metadata, Notice, User, Vault
from store.errors import StoreError
from store.reader import Reader
from sync.model import Conflict, Version

log = logging.getLogger("gobi.live")

# Whoever has missed more is told to come and ask.
MOST_MISSED = 500
# The waits before the database is asked again, where it is away or does not show yet what a notice has told. After
# them it is left to the sweep.
RETRIES_S = (0.1, 0.5, 2.0, 5.0, 10.0, 30.0)
# Conflicts whose messages are made together.
CONFLICTS = 50
# Sockets that are served before others have their turn.
IN_ONE_GO = 100


@dataclass(frozen=True, slots=True)
class Log:
    """What channels read. `spawn` runs work in a greenlet of its own."""

    metadata: Metadata
    reader: Reader
    spawn: Callable[[Callable[[], None]], object]


class Channel:
    """`vault` is the vault as it was last seen."""

    def __init__(self, vault: Vault, log: Log) -> None:
        self.connections: set[Connection] = set()
        self._vault = vault
        self._log = log
        self._newest = vault.clock  # how far the log is known to go
        self._behind = False
        self._conflicts: dict[str, Conflict] = {}
        self._reading = False

    # -- what happens; nothing of this waits for the database

    def join(self, connection: Connection, vault: Vault, heard: int, *, wake: bool) -> None:
        """Greets a socket. `wake`: it has to ask, for its cursor is no good.

        `heard`: how far notices say that the log goes, so that nothing falls between the reading of `vault` and this.
        """
        self._renew(vault)
        self.connections.add(connection)
        connection.send(messages.hello(vault.epoch, vault.clock))
        if wake:
            connection.send(messages.wake(vault.epoch, vault.clock))
        self._newest = max(self._newest, vault.clock, heard)
        if connection.at < self._newest:
            self.catch_up()

    def hear(self, notice: Notice) -> None:
        if notice.changes and len(notice.changes) <= MOST_MISSED:
            there = [one for one in self.connections if one.at == notice.after]
            self._pass_on(there, notice.after, notice.changes)
        self._newest = max(self._newest, notice.cursor)
        if any(one.at < notice.cursor for one in self.connections):
            self.catch_up()
        if notice.conflicts:
            self._conflicts |= {one.id: one for one in notice.conflicts}
            self._start_reading()

    def check(
        self, connections: Iterable[Connection], vault: Vault | None, users: Mapping[str, User], now: int
    ) -> None:
        """Compares with what the database says at `now` (µs): `vault`, None where it is gone, and everybody by name.

        `connections`: those that were here before it was asked.
        """
        for one in connections:
            if vault is None or one.user not in vault.members:
                one.close(NOT_ALLOWED, "you are not a member of this vault any more")
            elif one.user not in users or users[one.user].stored(one.device) != one.password:
                one.close(NOT_ALLOWED, "the password was changed or revoked: sign in anew")
            elif one.session is not None and users[one.user].session(one.session, now) is None:
                one.close(NOT_ALLOWED, "the session has ended: sign in anew")
        if vault is not None:
            self._renew(vault)
            self._newest = max(self._newest, vault.clock)
            if any(one.at < vault.clock for one in self.connections):
                self.catch_up()

    def catch_up(self) -> None:
        """Has the log read for whoever is behind, if anybody is."""
        self._behind = True
        self._start_reading()

    def _renew(self, vault: Vault) -> None:
        restored = vault.epoch != self._vault.epoch
        self._vault = vault
        if restored:  # from a backup: no cursor of before is any good, and stamps may begin below them
            self._newest = vault.clock
            self._wake(self.connections, vault.clock)

    # -- what is sent

    def _pass_on(self, connections: Iterable[Connection], after: int, versions: tuple[Version, ...]) -> None:
        """To those of `connections` that still stand right before these versions when their turn comes."""
        waiting = list(connections)
        if not waiting:
            return
        for message in messages.changes(self._vault.epoch, after, versions):
            for number, one in enumerate(waiting, 1):
                if one.at == message.after:
                    one.at = message.stamp
                    if not one.send(message.frame):
                        self._wake([one], message.stamp)
                if number % IN_ONE_GO == 0:
                    time.sleep(0)

    def _wake(self, connections: Iterable[Connection], stamp: int) -> None:
        """Instead of all that waits for them."""
        frame = messages.wake(self._vault.epoch, stamp)
        for one in list(connections):
            one.at = stamp
            one.replace(frame)

    # -- what is read, by one greenlet at a time

    def _start_reading(self) -> None:
        if not self._reading and self.connections:
            self._reading = True
            self._log.spawn(self._read)

    def _read(self) -> None:
        waits = iter(RETRIES_S)
        try:
            while self.connections and (self._behind or self._conflicts):
                try:
                    self._read_log()
                    self._read_conflicts()
                except StoreError as error:
                    log.warning("cannot read vault %s for its live sockets: %s", self._vault.name, error)
                else:
                    if self._behind or all(one.at >= self._newest for one in self.connections):
                        continue
                wait_s = next(waits, None)
                if wait_s is None:
                    return
                time.sleep(wait_s)
                self._behind = True
        finally:
            self._reading = False

    def _read_log(self) -> None:
        if not self._behind:
            return
        self._behind = False
        lowest, versions = self._read_after_lowest()
        while len(versions) > MOST_MISSED:
            vault = self._log.metadata.vault(self._vault.name)
            newest = max(vault.clock if vault else 0, versions[-1].stamp)
            self._wake([one for one in self.connections if one.at < versions[-1].stamp], newest)
            lowest, versions = self._read_after_lowest()
        places = defaultdict(list)
        for one in self.connections:
            if one.at >= lowest:  # not one who joined meanwhile, further back: that takes another look
                places[one.at].append(one)
        for at, connections in places.items():
            self._pass_on(connections, at, tuple(version for version in versions if version.stamp > at))
            time.sleep(0)

    def _read_after_lowest(self) -> tuple[int, list[Version]]:
        lowest = min((one.at for one in self.connections), default=self._newest)
        return lowest, self._log.metadata.changes(self._vault.id, lowest, MOST_MISSED + 1)

    def _read_conflicts(self) -> None:
        while self._conflicts:
            some = list(self._conflicts.values())[:CONFLICTS]
            for row in self._log.reader.conflict_json(self._vault, some):
                frame = messages.conflict(row)
                for one in list(self.connections):
                    if not one.send(frame):
                        self._wake([one], one.at)
            told = {id(one) for one in some}
            self._conflicts = {key: one for key, one in self._conflicts.items() if id(one) not in told}
            time.sleep(0)
