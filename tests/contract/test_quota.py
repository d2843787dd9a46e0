"""A vault's quota: each change of a push is judged for itself, and in its turn (docs/protocol.md, section 6)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from store import arrival, log_size
from store.base import Metadata, Vault
from store.bodies import DiskBodies
from store.errors import MetadataFull, QuotaExceeded
from store.groups import MOST_WRITES
from store.log_size import FREE_VERSIONS, VERSION_BYTES, used
from store.quota import MIB
from store.reservations import RESERVED
from sync.judge import Verdict, Write
from sync.model import Json, Version
from tests.contract.backends import Backend
from tests.store.world import USER, World, change, parcel, removal

LIMIT = 100
PIECE = 256 << 10


@pytest.fixture
def world(backend: Backend, tmp_path: Path) -> World:
    """Its vault may hold 100 bytes."""
    return World(backend.open(), DiskBodies(tmp_path / "bodies"), quota=LIMIT)


def push(world: World, *files: tuple[str, bytes], keep: bool = False) -> list[str]:
    changes: list[Json] = [change(path, body) for path, body in files]
    return world.statuses(parcel(changes, files), keep=keep)


def test_what_does_not_fit_is_refused_and_the_rest_is_stored(world: World, tmp_path: Path) -> None:
    large = b"x" * (LIMIT + 1)
    files = [("large", large), ("a", b"tiny"), ("b", b"tinier"), ("large too", large + b"y"), ("c", b"")]
    assert push(world, *files) == ["quota", "stored", "stored", "quota", "stored"]
    assert world.files() == {"a": b"tiny", "b": b"tinier", "c": b""}
    assert world.vault.stored == 10
    assert list((tmp_path / "bodies" / "tmp").iterdir()) == []
    assert len(list((tmp_path / "bodies" / world.vault.id).rglob("*"))) == 2 * 3, "nothing is kept of what was refused"


def test_each_change_is_judged_in_its_turn(world: World) -> None:
    """What fits is taken as it comes; what is refused leaves its room to those behind it."""
    files = [("a", b"a" * 60), ("b", b"b" * 60), ("c", b"c" * 30), ("d", b"d" * 11), ("e", b"e" * 10)]
    assert push(world, *files) == ["stored", "quota", "stored", "quota", "stored"]
    assert world.vault.stored == LIMIT


def test_what_is_refused_for_another_reason_takes_no_room(world: World) -> None:
    world.new("a", b"here")
    assert push(world, ("a", b"a" * 90), ("a/below", b"b" * 90), ("c", b"c" * 90)) == [
        "conflict",
        "path-taken",
        "stored",
    ]


def test_a_body_is_paid_for_once(world: World) -> None:
    world.new("old", b"o" * 50)
    body = b"n" * 50
    assert push(world, ("a", body), ("b", body), ("c", b"o" * 50)) == ["stored"] * 3
    assert push(world, ("d", body), ("e", b"o" * 50), ("f", b"!")) == ["stored", "stored", "quota"]
    assert world.statuses(parcel([change("g", body), change("h", b"o" * 50)])) == ["stored", "stored"]
    assert world.vault.stored == LIMIT


def test_a_candidate_of_a_conflict_needs_room_as_well(world: World) -> None:
    world.new("a", b"a" * 50)
    files = [("a", b"A" * 60), ("b", b"b" * 20), ("a", b"B" * 30)]
    assert push(world, *files, keep=True) == ["quota", "stored", "conflict"]
    assert world.vault.stored == LIMIT


def test_a_vault_that_is_full_takes_deletes_and_empty_files(world: World) -> None:
    """Also one that holds more than it may by now."""
    first = world.new("a", b"a" * 90)
    small = World(world.metadata, world.bodies, quota=10)
    changes = [removal("a", first.stamp), change("b", b""), change("c", b"c")]
    pushed = small.push(parcel(changes, [("b", b""), ("c", b"c")]))
    assert [one.code or one.status for one in pushed.results] == ["deleted", "stored", "quota"]
    tombstone = pushed.results[0].version
    assert tombstone is not None
    small.vaults.restore(small.vault, "a", first.stamp, tombstone.stamp, by=small.by("d"))
    assert small.files() == {"a": b"a" * 90, "b": b""}
    small.undo(0)
    assert small.files() == {}


def test_pushes_at_the_same_time_do_not_overfill_a_vault(world: World) -> None:
    """Each of them fits where it looks first."""
    vault, statuses = world.vault, list[str]()

    def send(number: int) -> None:
        data = parcel([change(f"{number}", bytes([number]) * 40)], [(f"{number}", bytes([number]) * 40)])
        results = world.vaults.push(vault, [data], keep=False, by=world.by("d")).results
        statuses.extend(one.code or one.status for one in results)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == ["quota"] * 6 + ["stored"] * 2
    assert world.vault.stored == 80


def test_a_single_put_is_judged_once_more_as_it_is_committed(world: World) -> None:
    """Others may have filled the vault while it was on its way."""
    before = world.vault
    world.new("a", b"a" * 90)
    write = Write("b", "put", None, "d", USER)
    with pytest.raises(QuotaExceeded):
        world.vaults.put(before, None, write, [b"b" * 20], length=20, hash=None, by=world.by())
    assert (world.vault.stored, world.vault.files) == (90, 1)
    assert world.vaults.put(before, None, write, [b"b" * 10], length=10, hash=None, by=world.by()).version is not None


def waiting_for(bodies: Path) -> int:
    """Bytes on the disk of bodies that are on their way."""
    return sum(one.stat().st_size for one in (bodies / "tmp").iterdir())


class Slow:
    """A body of which some has come, and the rest comes when the test says."""

    def __init__(self, first: bytes, rest: bytes = b"") -> None:
        self.first, self.rest = first, rest
        self.arrived, self.goes_on = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield from (self.first[start : start + PIECE] for start in range(0, len(self.first), PIECE))
        self.arrived.set()
        assert self.goes_on.wait(30)
        if self.rest:
            yield self.rest


def upload(world: World, vault: Vault, path: str, body: Slow, length: int | None) -> Version:
    try:
        write = Write(path, "put", None, "d", USER)
        outcome = world.vaults.put(vault, None, write, body, length=length, hash=None, by=world.by("d"))
    finally:
        body.arrived.set()  # or it will not
    assert outcome.version is not None
    return outcome.version


def tried(uploads: Sequence[Future[Version]]) -> tuple[int, int]:
    """How many were stored, and how many were refused for want of room."""
    errors = [one.exception() for one in uploads]
    assert all(error is None or isinstance(error, QuotaExceeded) for error in errors), errors
    return errors.count(None), len(errors) - errors.count(None)


def test_of_uploads_that_come_at_once_no_more_are_taken_in_than_fit(world: World, tmp_path: Path) -> None:
    """Each of them would fit alone. The others are refused before a byte of theirs is on the disk."""
    vault, bodies = world.vault, [Slow(b"%02d" % number * 10, b"x" * 20) for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        uploads = [pool.submit(upload, world, vault, f"{n}", body, 40) for n, body in enumerate(bodies)]
        for body in bodies:
            assert body.arrived.wait(30)
        assert waiting_for(tmp_path / "bodies") == 2 * 20
        for body in bodies:
            body.goes_on.set()
    assert tried(uploads) == (2, 18)
    assert world.vault.stored == 80
    assert len(list((tmp_path / "bodies" / world.vault.id).rglob("*"))) == 2 * 2, "nothing is left of what was refused"
    assert list((tmp_path / "bodies" / RESERVED).iterdir()) == []


def test_bodies_of_unknown_length_that_are_held_open_take_no_more_of_the_disk_than_there_may_be(
    backend: Backend, tmp_path: Path
) -> None:
    """What fits, and as much again for what may turn out to be there already."""
    world = World(backend.open(), DiskBodies(tmp_path / "bodies"), quota=2 * MIB)
    vault, bodies = world.vault, [Slow(bytes([number]) * 3 * MIB) for number in range(5)]
    with ThreadPoolExecutor(5) as pool:
        uploads = [pool.submit(upload, world, vault, f"{n}", body, None) for n, body in enumerate(bodies)]
        for body in bodies:
            assert body.arrived.wait(30)
        assert waiting_for(tmp_path / "bodies") <= 4 * MIB
        for body in bodies:
            body.goes_on.set()
    assert tried(uploads) == (0, 5)
    assert waiting_for(tmp_path / "bodies") == 0


def test_pushes_that_are_held_open_take_no_more_of_the_disk_than_there_may_be(backend: Backend, tmp_path: Path) -> None:
    world = World(backend.open(), DiskBodies(tmp_path / "bodies"), quota=2 * MIB)
    vault, pushes, statuses = world.vault, list[Slow](), list[str]()
    for number in range(5):
        files = [(f"{number}/{n}", bytes([number, n]) * (MIB // 4)) for n in range(6)]
        data = parcel([change(path, body) for path, body in files], files)
        pushes.append(Slow(data[:-512], data[-512:]))

    def send(data: Slow) -> None:
        results = world.vaults.push(vault, data, keep=False, by=world.by("d")).results
        statuses.extend(one.code or one.status for one in results)

    with ThreadPoolExecutor(5) as pool:
        sent = [pool.submit(send, data) for data in pushes]
        for one in pushes:
            assert one.arrived.wait(30)
        assert waiting_for(tmp_path / "bodies") <= 4 * MIB
        for one in pushes:
            one.goes_on.set()
    assert [future.exception() for future in sent] == [None] * 5
    assert (statuses.count("stored"), statuses.count("quota")) == (4, 26)
    assert world.vault.stored == 2 * MIB
    kept = [path for path in (tmp_path / "bodies" / world.vault.id).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) == 2 * MIB, "nothing is left of what was refused"


def test_a_body_that_took_its_time_is_judged_by_the_vault_as_it_is_then(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing is kept of those that others were faster than."""
    monkeypatch.setattr(arrival, "FRESH_S", 0)
    vault, slow = world.vault, Slow(b"s" * 20)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(upload, world, vault, "slow", slow, 20)
        assert slow.arrived.wait(30)
        world.new("fast", b"f" * 80)
        other = World(world.metadata, DiskBodies(tmp_path / "bodies"))  # of another worker, with a larger quota
        other.new("other", b"o" * 10)
        slow.goes_on.set()
    assert tried([sent]) == (0, 1)
    assert len(list((tmp_path / "bodies" / vault.id).rglob("*"))) == 2 * 2


def test_what_the_vault_has_may_come_again_however_full_it_is(world: World) -> None:
    body = b"a" * LIMIT
    first = world.new("a", body)
    assert world.put("a", body, first.stamp).verdict is Verdict.SAME
    assert world.put("a", body, first.stamp, announced=False).verdict is Verdict.SAME
    assert push(world, ("b", body)) == ["stored"]


# -- what versions cost


def test_versions_count_as_well_and_each_change_is_refused_alone(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vault that takes no bodies to speak of does not fill the database."""
    monkeypatch.setattr(log_size, "FREE_VERSIONS", 300)
    world = World(backend.open(), DiskBodies(tmp_path / "bodies"), quota=200 * VERSION_BYTES)
    statuses = list[str]()
    for start in range(0, 900, 300):
        changes = [change(f"{number}", b"") for number in range(start, start + 300)]
        statuses += world.statuses(parcel(changes, [(f"{start}", b"")]))
    assert statuses == ["stored"] * 500 + ["quota"] * 400
    assert (world.vault.versions, world.vault.stored) == (500, 0)
    with pytest.raises(QuotaExceeded):
        world.new("another", b"")
    assert world.delete("0", world.log()[0].stamp).kind == "delete"
    assert world.vault.versions == 501 == len(world.log())
    with pytest.raises(QuotaExceeded):
        world.new("0", b"", world.log()[-1].stamp)


def test_fifty_thousand_empty_versions_do_not_fit_into_a_megabyte() -> None:
    vault = Vault("", "", "", 0, 0, {})
    assert used(replace(vault, versions=FREE_VERSIONS)) == 0, "those of most vaults cost nothing"
    assert used(replace(vault, versions=FREE_VERSIONS + 2_048)) == MIB
    assert used(replace(vault, versions=50_000, stored=7)) == 7 + 40_000 * VERSION_BYTES


class Filling:
    """A database that is full after so many transactions."""

    def __init__(self, metadata: Metadata, transactions: int) -> None:
        self._metadata = metadata
        self.left = transactions

    def __getattr__(self, name: str) -> object:
        return getattr(self._metadata, name)

    def transact(self, vault_id: str, work: Callable[..., object], about: object = (), by: object = ()) -> object:
        self.left -= 1
        if self.left < 0:
            raise MetadataFull("the database is full")
        return self._metadata.transact(vault_id, work, about, by)  # type: ignore[arg-type]


def test_where_the_database_is_full_on_the_way_what_was_committed_is_said(backend: Backend, tmp_path: Path) -> None:
    full: Metadata = Filling(backend.open(), 1)  # type: ignore[assignment]
    world = World(full, DiskBodies(tmp_path / "bodies"))
    world.new("first", b"x")
    full.left = 1  # type: ignore[attr-defined]
    statuses = world.statuses(parcel([change(f"{number}", b"x") for number in range(MOST_WRITES + 2)]))
    assert statuses == ["stored"] * MOST_WRITES + ["metadata-full"] * 2
    with pytest.raises(MetadataFull):
        world.push(parcel([change("z", b"x")]))
