"""Bodies that the disk has lost come back from whoever has them, and nobody else's do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from store.bodies import DiskBodies
from store.bodies_size import counted_bytes
from store.errors import BodyMissing, HashMismatch, LengthMismatch, NotFound
from store.healing import MOST, note_lost
from tests.contract.log import hash_of
from tests.store.world import World, change, parcel, sha256


def root(world: World) -> str:
    assert isinstance(world.bodies, DiskBodies)
    return world.bodies._root


def body_of(world: World, body: bytes) -> Path:
    digest = sha256(body)
    return Path(root(world)) / world.vault.id / digest[:2] / digest[2:]


def lose(world: World, body: bytes) -> None:
    """The file goes, and a reader notices."""
    body_of(world, body).unlink()
    with pytest.raises(BodyMissing):
        world.reader.open(world.vault, sha256(body))


def test_who_misses_a_body_makes_it_known_to_all(world: World) -> None:
    world.new("a.md", b"one")
    assert world.reader.lost(world.vault) == []
    lose(world, b"one")
    assert world.reader.lost(world.vault) == [sha256(b"one")]
    assert World.at(Path(root(world)).parent).reader.lost(world.vault) == [sha256(b"one")]


def test_a_body_is_given_back_also_to_an_older_version(world: World) -> None:
    first = world.new("a.md", b"one")
    world.new("a.md", b"two", first.stamp)
    lose(world, b"one")
    before = world.vault
    world.vaults.give_back(world.vault, sha256(b"one"), [b"o", b"ne"], length=3, by=world.by())
    assert world.body(first) == b"one"
    assert world.reader.lost(world.vault) == []
    assert world.vault == before
    assert counted_bytes(root(world), world.vault.id) == world.vault.stored


def test_only_what_is_lost_is_taken_and_only_whole(world: World) -> None:
    """Nobody fills the disk through this door."""
    world.new("a.md", b"one")
    with pytest.raises(NotFound):
        world.vaults.give_back(world.vault, sha256(b"one"), [b"one"], length=3, by=world.by())
    with pytest.raises(NotFound):
        world.vaults.give_back(world.vault, sha256(b"new"), [b"new"], length=3, by=world.by())
    lose(world, b"one")
    with pytest.raises(HashMismatch):
        world.vaults.give_back(world.vault, sha256(b"one"), [b"onf"], length=3, by=world.by())
    with pytest.raises(LengthMismatch):
        world.vaults.give_back(world.vault, sha256(b"one"), [b"on"], length=3, by=world.by())
    assert os.listdir(Path(root(world)) / "tmp") == []
    assert world.reader.lost(world.vault) == [sha256(b"one")]


@pytest.mark.parametrize("known", [True, False], ids=["known to be lost", "not noticed yet"])
@pytest.mark.parametrize("how", ["put", "push"])
def test_the_same_bytes_as_the_head_bring_its_body_back(world: World, how: str, known: bool) -> None:
    one = world.new("a.md", b"one")
    before = world.vault
    if known:
        lose(world, b"one")
    else:
        body_of(world, b"one").unlink()
    if how == "put":
        assert world.put("a.md", b"one", one.stamp).version == one
    else:
        assert world.statuses(parcel([change("a.md", b"one", one.stamp)])) == ["need-body"]
        assert world.statuses(parcel([change("a.md", b"one", one.stamp)], [("a.md", b"one")])) == ["same"]
    assert world.body(one) == b"one"
    assert world.reader.lost(world.vault) == []
    assert world.vault == before
    assert counted_bytes(root(world), world.vault.id) == world.vault.stored


def test_the_same_candidate_again_brings_its_body_back(world: World) -> None:
    first = world.new("a.md", b"one")
    world.new("a.md", b"two", first.stamp)
    world.keep("a.md", b"side", first.stamp)
    before = world.vault
    body_of(world, b"side").unlink()
    conflict = world.keep("a.md", b"side", first.stamp)
    with world.reader.open(world.vault, conflict.candidates[0].hash) as file:
        assert file.read() == b"side"
    assert world.vault == before
    assert counted_bytes(root(world), world.vault.id) == world.vault.stored


def test_a_rotten_body_that_was_noted_is_replaced(world: World) -> None:
    one = world.new("a.md", b"one")
    body_of(world, b"one").write_bytes(b"rot")
    note_lost(root(world), world.vault.id, [sha256(b"one")])
    world.vaults.give_back(world.vault, sha256(b"one"), [b"one"], length=3, by=world.by())
    assert world.body(one) == b"one"
    assert counted_bytes(root(world), world.vault.id) == world.vault.stored == 3


def test_a_long_list_comes_in_parts(world: World) -> None:
    hashes = [hash_of(str(number)) for number in range(MOST + 5)]
    note_lost(root(world), world.vault.id, hashes)
    (Path(root(world)) / "lost" / world.vault.id / "not a hash").touch()
    assert len(world.reader.lost(world.vault)) == MOST
    other = world.registry.create("me", "other", None)[0]
    assert world.reader.lost(other) == []
    world.bodies.remove_vault(world.vault.id)
    assert world.reader.lost(world.vault) == []


def test_what_nobody_has_does_not_hide_the_rest_of_a_long_list(world: World) -> None:
    """Or the rest would never come back, however often somebody asks who has it."""
    bodies = [str(number).encode() for number in range(MOST + 5)]
    last = max(bodies, key=sha256)
    version = world.new("a.md", last)
    body_of(world, last).unlink()
    note_lost(root(world), world.vault.id, [sha256(body) for body in bodies])
    told: set[str] = set()
    for _ in range(100):
        told |= set(world.reader.lost(world.vault))
    assert told == {sha256(body) for body in bodies}
    world.vaults.give_back(world.vault, sha256(last), [last], length=len(last), by=world.by())
    assert world.body(version) == last
    assert len(os.listdir(Path(root(world)) / "lost" / world.vault.id)) == MOST + 4
