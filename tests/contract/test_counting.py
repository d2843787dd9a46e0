"""The count of stored bytes: each body once, whoever brought it, and in whatever order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from store.bodies import DiskBodies
from store.errors import BodyMissing, Stale
from tests.contract.backends import Backend
from tests.contract.past import Past
from tests.store.world import World, change, parcel, sha256

BODY = b"the same new bytes"


@pytest.fixture
def past(backend: Backend, tmp_path: Path) -> Past:
    return Past(backend, tmp_path)


@pytest.fixture
def world(past: Past) -> World:
    return past.world


def another_worker(past: Past) -> World:
    return World(past.backend.open(), DiskBodies(past.root))


def before_the_next_commit(world: World, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Once, when its bodies are there."""
    transact = world.metadata.transact

    def meanwhile(*arguments: object, **named: object) -> object:
        monkeypatch.undo()
        act()
        return transact(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(world.metadata, "transact", meanwhile)


def test_what_was_new_to_a_request_that_was_refused_is_counted_by_the_one_that_was_stored(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one is committed already when the first is refused."""
    world = past.world
    base, other = world.new("a", b"base"), another_worker(past)

    def another() -> None:
        other.new("b", BODY)
        other.new("a", b"faster", base.stamp)

    before_the_next_commit(world, monkeypatch, another)
    with pytest.raises(Stale):
        world.put("a", BODY, base.stamp)
    assert world.vault.stored == past.stored()
    world.new("c", BODY)
    assert world.vault.stored == past.stored()


def test_a_candidate_counts_what_was_new_to_a_request_that_was_refused(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = past.world
    base, other = world.new("a", b"base"), another_worker(past)

    def another() -> None:
        other.new("a", b"faster", base.stamp)
        other.keep("a", BODY, base.stamp)

    before_the_next_commit(world, monkeypatch, another)
    with pytest.raises(Stale):
        world.put("a", BODY, base.stamp)
    assert world.vault.stored == past.stored()


@pytest.mark.parametrize("how", ["put", "push", "push without its body", "keep"])
def test_who_is_stored_after_another_was_refused_counts_what_was_new_to_that_one(
    past: Past, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The first is refused after the other looked whether the body was there, and before it is committed."""
    world = past.world
    base = world.new("a", b"base")
    world.new("a", b"server", base.stamp)
    past.upload(BODY)
    before_the_next_commit(world, monkeypatch, lambda: world.bodies.forsake(world.vault.id, [sha256(BODY)]))
    if how == "put":
        world.new("b", BODY)
    elif how == "keep":
        world.keep("a", BODY, base.stamp)
    else:
        bodies = [("b", BODY)] if how == "push" else []
        assert world.statuses(parcel([change("b", BODY)], bodies)) == ["stored"]
    assert world.vault.stored == past.stored()
    world.new("c", BODY)
    assert world.vault.stored == past.stored()


def test_what_is_refused_and_nobody_else_has_is_not_counted(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    world = past.world
    base, other = world.new("a", b"base"), another_worker(past)
    before_the_next_commit(world, monkeypatch, lambda: other.new("a", b"faster", base.stamp))
    with pytest.raises(Stale):
        world.put("a", BODY, base.stamp)
    assert world.vault.stored == past.stored()
    world.new("b", BODY)
    assert world.vault.stored == past.stored()


@pytest.mark.parametrize("how", ["put", "push"])
def test_a_lost_body_that_comes_again_under_another_name_is_counted_once(past: Past, how: str) -> None:
    world = past.world
    one = world.new("a", BODY)
    past.place(BODY).unlink()
    with pytest.raises(BodyMissing):
        world.body(one)
    if how == "put":
        world.new("b", BODY)
    else:
        assert world.statuses(parcel([change("b", BODY)], [("b", BODY)])) == ["stored"]
    assert world.files() == {"a": BODY, "b": BODY}
    assert world.vault.stored == past.stored() == len(BODY)


def test_a_body_that_was_cut_off_on_the_disk_is_counted_once_when_it_comes_again(past: Past) -> None:
    world = past.world
    world.new("a", BODY)
    past.place(BODY).write_bytes(BODY[:5])
    world.new("b", BODY)
    assert world.files() == {"a": BODY, "b": BODY}
    assert world.vault.stored == past.stored()
