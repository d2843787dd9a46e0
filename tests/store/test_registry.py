"""Vaults and who may do what in them."""

from __future__ import annotations

import pytest

from store.errors import BadRequest, Forbidden, LastOwner, NameTaken, NotFound
from tests.store.world import World, sha256


@pytest.fixture
def world(world: World) -> World:
    for name in ("reader", "writer", "stranger"):
        world.metadata.add_user(name, "$hash$")
    world.registry.set_member(world.vault, "reader", "read", None)
    world.registry.set_member(world.vault, "writer", "write", None)
    return world


ALLOWED = {
    ("reader", "read"): True,
    ("reader", "write"): False,
    ("reader", "owner"): False,
    ("writer", "read"): True,
    ("writer", "write"): True,
    ("writer", "owner"): False,
    ("me", "read"): True,
    ("me", "write"): True,
    ("me", "owner"): True,
}


@pytest.mark.parametrize(("user", "need"), ALLOWED)
def test_a_role_opens_what_it_opens(world: World, user: str, need: str) -> None:
    if ALLOWED[user, need]:
        assert world.registry.enter(user, "notes", need).name == "notes"  # type: ignore[arg-type]  # a Role, above
    else:
        with pytest.raises(Forbidden, match=f"this needs {need}"):
            world.registry.enter(user, "notes", need)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("need", ["read", "write", "owner"])
def test_a_foreign_vault_answers_exactly_like_a_missing_one(world: World, need: str) -> None:
    answers = set()
    for user, name in (("stranger", "notes"), ("stranger", "missing"), ("me", "missing"), ("nobody", "notes")):
        with pytest.raises(NotFound) as refused:
            world.registry.enter(user, name, need)  # type: ignore[arg-type]  # a Role, above
        answers.add((str(refused.value), refused.value.head, refused.value.missing))
    assert len(answers) == 1


def test_a_member_creates_again_and_finds_what_is_there(world: World) -> None:
    vault, made = world.registry.create("me", "fresh", None)
    assert made
    assert world.registry.create("me", "fresh", None) == (vault, False)
    assert world.registry.create("reader", "notes", None) == (world.vault, False)


def test_a_name_that_is_somebody_elses_is_taken(world: World) -> None:
    with pytest.raises(NameTaken):
        world.registry.create("stranger", "notes", None)
    assert world.registry.of("stranger") == []


@pytest.mark.parametrize("name", ["", "Notes", "a b", ".notes", "é", "a/b", "..", "n" * 65, "notes\n"])
def test_a_vaults_name_has_the_protocols_form(world: World, name: str) -> None:
    with pytest.raises(BadRequest, match="cannot be a vault's name"):
        world.registry.create("me", name, None)
    assert [vault.name for vault in world.registry.all()] == ["notes"]


def test_everyone_sees_the_vaults_they_are_in(world: World) -> None:
    world.registry.create("writer", "drafts", None)
    assert [vault.name for vault in world.registry.of("writer")] == ["drafts", "notes"]
    assert [vault.name for vault in world.registry.of("me")] == ["notes"]
    assert [vault.name for vault in world.registry.all()] == ["drafts", "notes"]


def test_a_role_is_one_of_three(world: World) -> None:
    for role in ("admin", "", "Owner", "READ"):
        with pytest.raises(BadRequest, match="read, write or owner"):
            world.registry.set_member(world.vault, "reader", role, None)
    assert world.vault.members["reader"] == "read"


def test_the_last_owner_stays_owner(world: World) -> None:
    with pytest.raises(LastOwner):
        world.registry.remove_member(world.vault, "me", None)
    with pytest.raises(LastOwner):
        world.registry.set_member(world.vault, "me", "write", None)
    world.registry.set_member(world.vault, "writer", "owner", None)
    world.registry.remove_member(world.vault, "me", None)
    assert world.registry.enter("writer", "notes", "owner").members == {"reader": "read", "writer": "owner"}


def test_who_is_no_member_any_more_finds_nothing(world: World) -> None:
    world.registry.remove_member(world.vault, "writer", None)
    with pytest.raises(NotFound):
        world.registry.enter("writer", "notes")
    with pytest.raises(NotFound):
        world.registry.remove_member(world.vault, "writer", None)
    with pytest.raises(NotFound):
        world.registry.set_member(world.vault, "nobody", "read", None)


def test_a_removed_vault_takes_its_bodies_along(world: World) -> None:
    """What is made again under the name knows nothing of them."""
    world.new("a", b"secret")
    old = world.vault
    world.registry.remove(old, None)
    with pytest.raises(NotFound):
        world.registry.enter("me", "notes")
    new, made = world.registry.create("stranger", "notes", None)
    assert made
    assert new.id != old.id
    for vault in (old, new):
        assert world.bodies.reuse(vault.id, [(sha256(b"secret"), 6)]) == {}
    with pytest.raises(NotFound):
        world.registry.remove(old, None)


def test_everybody_hears_when_somebody_may_enter_no_more(world: World) -> None:
    """Whoever is connected may have to go. What was refused is not told."""
    told = world.news_of_people
    world.registry.set_member(world.vault, "writer", "read", None)
    assert world.news_of_people == told + 1
    with pytest.raises(LastOwner):
        world.registry.remove_member(world.vault, "me", None)
    assert world.news_of_people == told + 1
    world.registry.remove_member(world.vault, "writer", None)
    assert world.news_of_people == told + 2
    world.registry.remove(world.vault, None)
    assert world.news_of_people == told + 3
