"""One vault's sockets: what is passed on, what is read, and what of it happens once for all. On a real log."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from handlers.live.channel import MOST_MISSED, Channel, Log
from handlers.live.connection import Connection
from store.base import Notice, Vault
from store.bodies import DiskBodies
from store.commit import Batch, Committed, commit
from store.errors import Unavailable
from store.reader import Reader
from store.sqlite import SqliteMetadata
from sync.judge import Write
from tests.handlers.site import sha256
from tests.live.peer import Line

READING = "changes"


class Counted:
    """The database, with what it was asked. It may be told to fail, or to do something while it is asked."""

    def __init__(self, inner: SqliteMetadata) -> None:
        self._inner = inner
        self.asked: Counter[str] = Counter()
        self.meanwhile: Callable[[], None] | None = None
        self.failures = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def ask(*arguments: Any, **named: Any) -> Any:
            self.asked[name] += 1
            if self.failures:
                self.failures -= 1
                raise Unavailable("away")
            answer = method(*arguments, **named)
            meanwhile, self.meanwhile = self.meanwhile, None
            if meanwhile is not None:
                meanwhile()
            return answer

        return ask


class Room:
    """A vault, its channel, and sockets in it. What the channel spawns runs at once."""

    def __init__(self, folder: Path) -> None:
        self._metadata = SqliteMetadata(folder / "metadata.db")
        self._metadata.add_user("me", "")
        self._metadata.create_vault("notes", "me")
        self.database: Any = Counted(self._metadata)
        reader = Reader(self.database, DiskBodies(folder / "bodies"))
        self.channel = Channel(self.vault(), Log(self.database, reader, lambda work: work()))
        self._connections: list[Connection] = []
        self._lines: list[Line] = []

    def vault(self) -> Vault:
        found = self._metadata.vault("notes")
        assert found is not None
        return found

    def commit(self, *paths: str) -> Notice:
        """What everybody is told of it; whether they hear is the test's business."""
        writes = [Write(path, "put", None, "laptop", "me", sha256(path.encode()), 1) for path in paths]
        done: Committed = self._metadata.transact(self.vault().id, lambda tx: commit(tx, [Batch(writes)]), set(paths))
        return Notice(self.vault().id, done.after, done.versions[-1].stamp, tuple(done.versions))

    def join(self, at: int | None = None, *, vault: Vault | None = None, heard: int = 0) -> Line:
        vault = vault or self.vault()
        near, far = socket.socketpair()
        near.setblocking(False)
        line = Line(far)
        stamp = vault.clock if at is None else at
        connection = Connection(
            near, gevent.get_hub().loop, self, user="me", device=None, password="", vault_id=vault.id, at=stamp
        )
        self._connections.append(connection)
        self._lines.append(line)
        self.channel.join(connection, vault, heard, wake=False)
        line.hello()
        return line

    def now(self) -> float:
        return time.monotonic()

    def waiting(self, connection: Connection) -> None: ...

    def leaving(self, connection: Connection) -> None: ...

    def left(self, connection: Connection) -> None: ...

    def close(self) -> None:
        for connection in self._connections:
            connection.drop()
        for line in self._lines:
            line.close()
        self._metadata.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    one = Room(tmp_path)
    yield one
    one.close()


def silent(line: Line) -> bool:
    """Whether nothing has been sent: all that is sent here is there at once."""
    line.socket.setblocking(False)
    try:
        line.socket.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        line.socket.settimeout(30)
    return False


def test_the_next_notice_is_passed_on_without_a_look_at_the_database(room: Room) -> None:
    lines = [room.join() for _ in range(10)]
    for path in ("a", "b"):
        room.channel.hear(room.commit(path))
    for line in lines:
        assert line.paths(2) == ["a", "b"]
    assert not room.database.asked


def test_a_notice_that_is_missing_is_read_once_for_all(room: Room) -> None:
    lines = [room.join() for _ in range(10)]
    room.commit("lost")
    room.channel.hear(room.commit("heard"))
    for line in lines:
        assert line.paths(2) == ["lost", "heard"]
    assert room.database.asked == {READING: 1}


def test_notices_in_the_wrong_order_come_out_in_the_right_one_and_once(room: Room) -> None:
    line = room.join()
    notices = [room.commit(path) for path in ("a", "b", "c")]
    for notice in reversed(notices):
        room.channel.hear(notice)
    assert line.paths(3) == ["a", "b", "c"]
    assert silent(line)


def test_a_notice_that_is_repeated_is_passed_on_once(room: Room) -> None:
    line = room.join()
    notice = room.commit("a")
    for _ in range(3):
        room.channel.hear(notice)
    assert line.paths(1) == ["a"]
    assert silent(line)


def test_a_notice_without_its_changes_is_looked_up(room: Room) -> None:
    line = room.join()
    whole = room.commit("a", "b")
    room.channel.hear(Notice(whole.vault_id, whole.after, whole.cursor))
    assert line.paths(2) == ["a", "b"]
    assert room.database.asked == {READING: 1}


def test_sockets_that_stand_at_different_places_are_served_by_one_reading(room: Room) -> None:
    stamps = [room.commit(path).cursor for path in ("a", "b", "c")]
    lines = [room.join() for _ in stamps]
    for connection, stamp in zip(room.channel.connections, stamps, strict=True):
        connection.at = stamp
    room.channel.catch_up()
    assert room.database.asked == {READING: 1}
    heard = sorted([row["path"] for row in line.message()["changes"]] for line in lines if not silent(line))
    assert heard == [["b", "c"], ["c"]]


def test_what_is_committed_between_a_look_at_the_vault_and_the_greeting_is_heard(room: Room) -> None:
    before = room.vault()
    notice = room.commit("between")
    line = room.join(vault=before, heard=notice.cursor)
    assert line.paths(1) == ["between"]


def test_a_commit_that_is_heard_of_while_the_log_is_read_is_not_sent_twice(room: Room) -> None:
    line = room.join()
    notices = [room.commit(path) for path in ("a", "b")]

    def hear() -> None:
        for notice in notices:
            room.channel.hear(notice)

    room.database.meanwhile = hear
    room.channel.catch_up()
    assert line.paths(2) == ["a", "b"]
    assert silent(line)


def test_whoever_joins_while_the_log_is_read_gets_all_that_they_missed(room: Room) -> None:
    start = room.vault().clock
    room.commit("a")
    room.join()
    room.commit("b")
    joined: list[Line] = []
    room.database.meanwhile = lambda: joined.append(room.join(start))
    room.channel.catch_up()
    assert joined[0].paths(2) == ["a", "b"]


def test_whoever_missed_too_much_is_told_to_ask_and_the_others_are_not(room: Room) -> None:
    far = room.join()
    room.commit(*(f"{number}" for number in range(MOST_MISSED)))
    room.commit("more")
    near = room.join(room.vault().clock)
    room.commit("last")
    room.channel.catch_up()
    assert far.message()["type"] == "wake"
    assert near.paths(1) == ["last"]
    room.channel.hear(room.commit("after"))
    assert far.paths(1) == near.paths(1) == ["after"]


def test_a_database_that_is_away_for_a_moment_is_asked_again(room: Room) -> None:
    line = room.join()
    room.commit("a")
    room.database.failures = 1
    room.channel.catch_up()
    assert line.paths(1) == ["a"]
    assert room.database.asked == {READING: 2}


def test_a_database_that_does_not_show_yet_what_was_told_is_asked_again(room: Room) -> None:
    """As right after an election."""
    line = room.join()
    later = room.vault().clock + 1
    room.database.meanwhile = lambda: room.commit("a")  # right after the first look
    room.channel.hear(Notice(room.vault().id, 0, later))
    assert line.paths(1) == ["a"]
    assert room.database.asked == {READING: 2}
