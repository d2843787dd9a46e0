"""A worker's sockets as they come in: nothing falls between what was read for them and what they hear."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from handlers.live.pool import Guest, Limits, Pool
from handlers.wire import Taken
from store.base import Gap, Notice, PeopleChanged, Vault
from store.bodies import DiskBodies
from store.bus import LocalBus
from store.commit import Batch, commit
from store.reader import Reader
from store.sqlite import SqliteMetadata
from sync.judge import Write
from tests.handlers.site import sha256
from tests.live.peer import Line
from tests.live.test_channel import Counted

NEVER = Limits(sweep_s=3_600, ping_s=3_600)


class Worker:
    """A pool on a real database and bus, and those who come to it."""

    def __init__(self, folder: Path) -> None:
        self.metadata = SqliteMetadata(folder / "metadata.db")
        self.metadata.add_user("me", "secret")
        self.metadata.add_user("you", "secret")
        self.metadata.create_vault("notes", "me")
        self.metadata.set_member(self.vault().id, "you", "read")
        self.database: Any = Counted(self.metadata)
        self.bus = LocalBus()
        self.pool = Pool(self.database, Reader(self.database, DiskBodies(folder / "bodies")), self.bus, NEVER)
        self._lines: list[Line] = []

    def vault(self) -> Vault:
        found = self.metadata.vault("notes")
        assert found is not None
        return found

    def commit(self, path: str) -> Notice:
        write = Write(path, "put", None, "laptop", "me", sha256(path.encode()), 1)
        done = self.metadata.transact(self.vault().id, lambda tx: commit(tx, [Batch([write])]), {path})
        return Notice(self.vault().id, done.after, done.versions[-1].stamp, tuple(done.versions))

    def guest(self, user: str = "me") -> Guest:
        """What a handshake finds out."""
        mark, vault = self.pool.mark(), self.vault()
        return Guest(user, None, "secret", vault, vault.clock, mark)

    def admit(self, guest: Guest) -> Line:
        near, far = socket.socketpair()
        near.setblocking(False)
        self.pool.admit(Taken(near, b"", held=False), guest)
        line = Line(far)
        self._lines.append(line)
        line.hello()
        return line

    def close(self) -> None:
        for line in self._lines:
            line.close()
        while not self.pool.empty:
            gevent.sleep(0.001)
        self.metadata.close()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    one = Worker(tmp_path)
    yield one
    one.close()


def settle(worker: Worker) -> None:
    """Until everything that can happen has happened: on this database nothing takes time."""
    for _ in range(20):
        gevent.sleep(0)


def test_a_commit_that_is_heard_of_in_the_middle_of_a_handshake_is_not_missed(worker: Worker) -> None:
    guest = worker.guest()
    worker.bus.publish(worker.commit("between"))
    line = worker.admit(guest)
    settle(worker)
    assert line.paths(1) == ["between"]


def test_a_commit_that_was_lost_in_the_middle_of_a_handshake_is_not_missed(worker: Worker) -> None:
    guest = worker.guest()
    worker.commit("between")
    worker.bus.publish(Gap())
    line = worker.admit(guest)
    settle(worker)
    assert line.paths(1) == ["between"]


def test_who_is_taken_out_of_the_vault_in_the_middle_of_a_handshake_is_closed(worker: Worker) -> None:
    guest = worker.guest("you")
    worker.metadata.remove_member(worker.vault().id, "you")
    worker.bus.publish(PeopleChanged())
    line = worker.admit(guest)
    settle(worker)
    assert line.close_code() == 1008


def test_a_look_at_everything_is_two_readings_however_many_sockets_there_are(worker: Worker) -> None:
    for _ in range(50):
        worker.admit(worker.guest())
    worker.bus.publish(PeopleChanged())
    settle(worker)
    assert worker.database.asked == {"vaults": 1, "users": 1}


def test_what_a_look_finds_is_read_once(worker: Worker) -> None:
    lines = [worker.admit(worker.guest()) for _ in range(50)]
    worker.commit("lost")
    worker.bus.publish(Gap())
    settle(worker)
    assert [line.paths(1) for line in lines] == [["lost"]] * 50
    assert worker.database.asked == {"vaults": 1, "users": 1, "changes": 1}


def test_who_comes_in_while_everything_is_looked_at_stays(worker: Worker) -> None:
    worker.admit(worker.guest())
    arrived: list[Line] = []

    def arrive() -> None:
        worker.metadata.add_user("they", "secret")
        worker.metadata.set_member(worker.vault().id, "they", "read")
        arrived.append(worker.admit(worker.guest("they")))

    worker.database.meanwhile = arrive  # after the vaults were read
    worker.bus.publish(PeopleChanged())
    settle(worker)
    worker.bus.publish(worker.commit("after"))
    settle(worker)
    assert arrived[0].paths(1) == ["after"]
