"""A vault's quota: each change of a push is judged for itself, and in its turn (docs/protocol.md, section 6)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from store.base import Metadata
from store.bodies import DiskBodies
from store.errors import MetadataFull, QuotaExceeded
from store.groups import MOST_WRITES
from sync.judge import Write
from sync.model import Json
from tests.contract.backends import Backend
from tests.store.world import USER, World, change, parcel, removal

LIMIT = 100


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
