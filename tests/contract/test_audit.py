"""Metadata against bodies, on every backend; and what a client that still has the bytes heals by sending them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from store.aging import Counters
from store.audit import Audit, Lost, Report, lost
from store.base import Vault
from store.bodies_guard import collecting
from store.bodies_verify import digest_of
from store.errors import BodyMissing, InUse
from tests.contract.backends import Backend
from tests.contract.past import Past
from tests.store.world import World, change, parcel, sha256


@pytest.fixture
def past(backend: Backend, tmp_path: Path) -> Past:
    return Past(backend, tmp_path)


def audit(past: Past, *, deep: bool = False, repair: bool = False) -> Report:
    world = past.world
    report, last = Audit(world.metadata, world.bodies, str(past.root), deep=deep, repair=repair).run()
    assert last.strays == []
    return report


def disputed(world: World) -> None:
    """Some of everything: edits, a deletion, an open conflict and a settled one."""
    a = world.new("a", b"a")
    world.new("a", b"aa", a.stamp)
    b = world.new("b", b"b")
    world.delete("b", b.stamp)
    world.new("c", b"same as a" * 9)
    world.new("d", b"a")
    world.keep("a", b"of the phone", a.stamp)
    c = world.head("c")
    assert c is not None
    newer = world.new("c", b"c", c.stamp)
    world.resolve(world.keep("c", b"settled", c.stamp), "both", newer.stamp)


def test_of_a_sound_vault_there_is_nothing_to_tell(past: Past) -> None:
    disputed(past.world)
    report = audit(past, deep=True)
    assert (report.lost, report.strays, report.counters, report.orphans) == ([], [], None, (0, 0))
    assert report.versions == len(past.world.log())
    assert list(lost(past.world.metadata, past.world.bodies, past.world.vault.id)) == []


def test_counters_are_put_right_by_as_much_as_they_were_wrong(past: Past) -> None:
    world = past.world
    disputed(world)
    sound = world.vault
    world.metadata.aging().adjust(sound.id, Counters(1, -2, 30, -1))
    found = audit(past)
    assert found.counters == Counters(sound.files, sound.bytes, sound.stored, sound.conflicts)
    assert found.counted == Counters(sound.files + 1, sound.bytes - 2, sound.stored + 30, sound.conflicts - 1)
    assert world.vault != sound
    audit(past, repair=True)
    assert world.vault == sound


def test_what_a_collection_puts_right_meanwhile_is_not_put_right_twice(past: Past) -> None:
    world = past.world
    world.new("a", b"body")
    world.metadata.aging().adjust(world.vault.id, Counters(stored=1_000))
    there = world.vault
    with collecting(str(past.root)), pytest.raises(InUse):
        audit(past, repair=True)
    assert world.vault == there
    check = Audit(world.metadata, world.bodies, str(past.root), repair=True)
    counters, calls = check._counters, iter([True, False])

    def then_collected(vault: Vault) -> tuple[Counters, Counters] | None:
        found = counters(vault)
        if next(calls):
            past.collect()
        return found

    check._counters = then_collected  # type: ignore[method-assign]
    list(check.run())
    assert world.vault.stored == 4


def test_what_is_lost_is_told_version_by_version_and_whoever_sends_it_heals_it(past: Past) -> None:
    """The head by sending the file as it is; an older version too, for it has the same bytes."""
    world = past.world
    disputed(world)
    before = world.vault
    for body in (b"aa", b"a", b"of the phone"):
        past.place(body).unlink()
    found = {(one.path, one.hash, one.size, one.head, one.candidate) for one in lost_of(world)}
    assert found == {
        ("a", sha256(b"aa"), 2, True, None),
        ("a", sha256(b"a"), 1, False, None),
        ("d", sha256(b"a"), 1, True, None),
        ("a", sha256(b"of the phone"), 12, False, 1),
    }
    assert all(one.state == "missing" for one in lost_of(world))
    with pytest.raises(BodyMissing):
        world.files()
    assert world.put("a", b"aa").verdict.name == "SAME"
    assert world.statuses(parcel([change("d", b"a")])) == ["need-body"]
    assert world.statuses(parcel([change("d", b"a")], [("d", b"a")])) == ["same"]
    world.keep("a", b"of the phone", world.metadata.open_conflicts(before.id)[0].base)
    assert list(lost_of(world)) == []
    assert world.vault == before
    for body in (b"aa", b"a", b"of the phone"):
        world.new(f"again/{len(body)}", body)
    assert world.vault.stored == before.stored
    assert audit(past, deep=True).counters is None
    past.grow_old()
    past.collect()
    assert list(lost_of(world)) == []


def lost_of(world: World) -> list[Lost]:
    return list(lost(world.metadata, world.bodies, world.vault.id))


def test_a_full_vault_is_healed_as_well(backend: Backend, tmp_path: Path) -> None:
    past = Past(backend, tmp_path)
    world = past.world
    world.new("a", b"0123456789")
    full = World(world.metadata, world.bodies, quota=10)
    past.place(b"0123456789").unlink()
    assert full.put("a", b"0123456789").verdict.name == "SAME"
    assert world.files() == {"a": b"0123456789"}


def test_where_the_disk_does_not_give_a_body_the_others_are_looked_at_and_it_is_asked_for(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = past.world
    versions = {body: world.new(body.decode(), body) for body in (b"one", b"two", b"three")}
    bad, rotten = past.place(b"one"), past.place(b"two")
    rotten.write_bytes(b"twp")

    def read(path: str) -> tuple[str, os.stat_result]:
        if path == str(bad):
            raise OSError(errno.EIO, "Input/output error", path)
        return digest_of(path)

    monkeypatch.setattr("store.audit.digest_of", read)
    report = audit(past, deep=True, repair=True)
    assert {(one.path, one.state) for one in report.lost} == {("one", "rotten"), ("two", "rotten")}
    assert (bad.exists(), rotten.exists()) == (True, False)
    assert world.reader.lost(world.vault) == sorted([sha256(b"one"), sha256(b"two")])
    world.vaults.give_back(world.vault, sha256(b"one"), [b"one"], length=3, by=world.by())
    assert world.body(versions[b"one"]) == b"one"
