"""Group commit: whoever is free commits all that wait, and everyone gets an answer of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import pytest

from store.base import Identity, Message, Notice, Transaction
from store.bus import LocalBus
from store.commit import Batch, Outcome
from store.errors import DiskFull, Unavailable
from store.groups import MOST_WRITES, GroupCommit
from store.sqlite import SqliteMetadata
from sync.judge import Verdict, Write
from tests.store.world import sha256

T = TypeVar("T")
PATIENCE_S = 20


class GatedMetadata(SqliteMetadata):
    """A database whose transactions wait at a gate, and which counts them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate = threading.Event()
        self.gate.set()
        self.at_the_gate = threading.Event()
        self.transactions = 0
        self.failure: Exception | None = None
        self.committed = False

    def transact(
        self,
        vault_id: str,
        work: Callable[[Transaction], T],
        about: Collection[str] = (),
        by: Collection[Identity] = (),
    ) -> T:
        self.transactions += 1
        self.at_the_gate.set()
        assert self.gate.wait(PATIENCE_S)

        def working(tx: Transaction) -> T:
            result = work(tx)
            if self.failure:
                raise self.failure
            return result

        result = super().transact(vault_id, working, about, by)
        self.committed = True
        return result


class Office:
    """Writers before a vault's group commit."""

    def __init__(self, folder: Path) -> None:
        self.metadata = GatedMetadata(folder / "gobi.db")
        self.metadata.add_user("me", "$hash$")
        self.vaults = {name: self.metadata.create_vault(name, "me").id for name in ("notes", "other")}
        self.notices: list[Notice] = []
        self.bus = LocalBus()
        self.bus.subscribe(self.hear)
        self.groups = GroupCommit(self.metadata, self.bus)
        self.replies: dict[str, Outcome | BaseException] = {}
        self._threads: list[threading.Thread] = []

    def hear(self, message: Message) -> None:
        assert isinstance(message, Notice)
        self.notices.append(message)

    def write(self, *paths: str, vault: str = "notes", base: int | None = None) -> None:
        """One request with a write for each path, in a thread of its own."""
        writes = [Write(path, "put", base, "laptop", "me", sha256(path.encode()), 1) for path in paths]

        def run() -> None:
            try:
                outcomes, _ = self.groups.commit(self.vaults[vault], Batch(writes))
            except Unavailable as error:
                self.replies.update(dict.fromkeys(paths, error))
            else:
                self.replies.update(zip(paths, outcomes, strict=True))

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def wait_for_queue(self, count: int, vault: str = "notes") -> None:
        """Until that many requests wait behind the one that is at the gate."""
        lane = self.groups._lanes[self.vaults[vault]]
        overdue = threading.Event()
        alarm = threading.Timer(PATIENCE_S, overdue.set)
        alarm.start()
        while len(lane.waiting) < count:
            assert not overdue.is_set(), f"{len(lane.waiting)} of {count} requests wait"
            threading.Event().wait(0.001)
        alarm.cancel()

    def close_gate(self) -> None:
        self.metadata.at_the_gate.clear()
        self.metadata.gate.clear()

    def finish(self) -> None:
        self.metadata.gate.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def outcome(self, path: str) -> Outcome:
        reply = self.replies[path]
        assert isinstance(reply, Outcome)
        return reply

    def log(self, vault: str = "notes") -> list[str]:
        return [version.path for version in self.metadata.changes(self.vaults[vault], 0, 10_000)]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def queue_up(office: Office, count: int) -> None:
    """One request at the gate, and `count` that wait behind it."""
    office.close_gate()
    office.write("first")
    assert office.metadata.at_the_gate.wait(PATIENCE_S)
    for number in range(count):
        office.write(str(number))
    office.wait_for_queue(count)


def test_all_that_wait_are_committed_in_one_transaction(office: Office) -> None:
    queue_up(office, 20)
    office.finish()
    assert office.metadata.transactions == 2
    assert sorted(office.log()) == sorted(["first", *map(str, range(20))])


def test_every_writer_gets_its_own_outcome(office: Office) -> None:
    """With the vault's stamps right before and right after it: together they are the whole log, without a gap."""
    queue_up(office, 20)
    office.finish()
    before = 0
    for path in office.log():
        outcome = office.outcome(path)
        assert outcome.verdict is Verdict.STORE
        assert outcome.version is not None
        assert outcome.version.path == path
        assert (outcome.after, outcome.cursor) == (before, outcome.version.stamp)
        before = outcome.cursor
    assert len(office.replies) == 21


def test_a_request_is_judged_after_the_ones_before_it_in_its_group(office: Office) -> None:
    """Of writers that all believe the file new, one is first; the others hear of its version."""
    office.close_gate()
    office.write("first")
    assert office.metadata.at_the_gate.wait(PATIENCE_S)
    results: list[Outcome] = []

    def run(letter: bytes) -> None:
        write = Write("wanted", "put", None, "laptop", "me", sha256(letter), 1)
        results.extend(office.groups.commit(office.vaults["notes"], Batch([write]))[0])

    threads = [threading.Thread(target=run, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    office.wait_for_queue(3)
    office.finish()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert office.metadata.transactions == 2
    assert sorted(result.verdict.name for result in results) == ["STALE", "STALE", "STORE"]
    (winner,) = [result.version for result in results if result.verdict is Verdict.STORE]
    assert [result.head for result in results if result.verdict is Verdict.STALE] == [winner, winner]
    assert office.log() == ["first", "wanted"]


def test_a_failure_reaches_every_writer_and_nothing_of_the_group_is_stored(office: Office) -> None:
    office.write("before")
    office.finish()
    queue_up(office, 5)
    office.metadata.failure = Unavailable("the database is away")
    office.finish()
    failed = [path for path, reply in office.replies.items() if isinstance(reply, Unavailable)]
    assert sorted(failed) == sorted(["first", *map(str, range(5))])
    assert office.log() == ["before"]
    assert [notice.changes[0].path for notice in office.notices] == ["before"]
    office.metadata.failure = None
    office.write("after")
    office.finish()
    assert office.log() == ["before", "after"]


def test_others_are_told_after_the_commit(office: Office) -> None:
    seen: list[tuple[bool, bool]] = []

    def reader(notice: Message) -> None:
        assert isinstance(notice, Notice)
        there = office.metadata.has_stamp(notice.vault_id, notice.changes[0].stamp)
        seen.append((office.metadata.committed, there))

    office.bus.subscribe(reader)
    office.write("a")
    office.finish()
    assert seen == [(True, True)]


def test_a_group_is_told_of_once_with_all_its_versions(office: Office) -> None:
    queue_up(office, 5)
    office.finish()
    first, group = office.notices
    assert [version.path for version in first.changes] == ["first"]
    assert [version.path for version in group.changes] == office.log()[1:]
    assert (group.after, group.cursor) == (first.cursor, group.changes[-1].stamp)


def test_a_group_that_stored_nothing_is_not_told_of(office: Office) -> None:
    office.write("a")
    office.finish()
    office.write("a")  # the same bytes again
    office.finish()
    assert office.outcome("a").verdict is Verdict.SAME
    assert len(office.notices) == 1


def test_a_reader_of_notices_that_fails_fails_no_writer(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    def broken(notice: Message) -> None:
        raise DiskFull("of no interest to the writer")

    office.bus.subscribe(broken)
    office.bus.subscribe(office.hear)
    office.write("a")
    office.finish()
    assert office.outcome("a").verdict is Verdict.STORE
    assert len(office.notices) == 2
    assert "a reader of notices failed" in caplog.text


class StuckMetadata(SqliteMetadata):
    """A database before which one vault's transactions wait."""

    stuck_vault = ""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.stuck, self.free = threading.Event(), threading.Event()

    def transact(
        self,
        vault_id: str,
        work: Callable[[Transaction], T],
        about: Collection[str] = (),
        by: Collection[Identity] = (),
    ) -> T:
        if vault_id == self.stuck_vault:
            self.stuck.set()
            assert self.free.wait(PATIENCE_S)
        return super().transact(vault_id, work, about, by)


def test_vaults_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """While one vault's transaction is stuck before the database, another vault's goes through."""
    office = Office(tmp_path)
    metadata = StuckMetadata(tmp_path / "gobi.db")
    metadata.stuck_vault = office.vaults["notes"]
    office.groups = GroupCommit(metadata, office.bus)
    office.write("a")
    assert metadata.stuck.wait(PATIENCE_S)
    office.write("b", vault="other")
    office._threads[-1].join(PATIENCE_S)
    assert office.log("other") == ["b"]
    assert office.log("notes") == []
    metadata.free.set()
    office.finish()
    assert office.log("notes") == ["a"]


def test_a_group_is_bounded_and_a_request_is_never_split(office: Office) -> None:
    office.close_gate()
    office.write("first")
    assert office.metadata.at_the_gate.wait(PATIENCE_S)
    half = MOST_WRITES // 2
    for name in ("a", "b", "c"):
        office.write(*(f"{name}{number}" for number in range(half)))
    office.wait_for_queue(3)
    office.finish()
    assert office.metadata.transactions == 3
    assert len(office.log()) == 1 + 3 * half
    sizes = [len(notice.changes) for notice in office.notices]
    assert sizes == [1, 2 * half, half]
