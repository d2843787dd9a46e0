"""What a backup has, also while others write, and what comes of it in another database."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from store import backup_contents, backup_format
from store.base import User, Vault
from store.bodies import DiskBodies
from store.bodies_guard import removing
from store.collection import Collector, Limits
from store.errors import InUse, Unavailable
from tests.contract.log import append
from tests.store.backups import Backups, Meanwhile, body_of, contents, fill
from tests.store.world import USER, World

# -- undisturbed


@pytest.mark.parametrize("to", ["sqlite", "mongo"])
def test_everything_comes_back_in_either_kind_of_database(
    world: World, backups: Backups, to: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_contents, "PAGE", 2)
    monkeypatch.setattr("store.migration.PAGE", 3)
    fill(world)
    made = backups.make(world)
    assert (made.lost, made.problem, made.there) == ([], None, 0)
    assert made.counts == {"user": 2, "vault": 2, "version": 8, "conflict": 2}
    new, done = backups.restore(request.getfixturevalue("far") if to == "mongo" else None)
    assert done.lost == []
    assert contents(new.metadata) == contents(world.metadata)
    assert new.files() == world.files()
    assert new.vault.epoch != world.vault.epoch
    assert new.metadata.secret() != world.metadata.secret()
    *earlier, (clock, until) = new.vault.lapses
    assert (tuple(earlier), clock) == (world.vault.lapses, world.vault.clock), "it knows what it may have lost"
    assert clock < until <= new.metadata.aging().clock().now
    again = Backups(backups.folder.path.parent / "second")
    again.folder.path.parent.mkdir()
    again.make(new)
    assert contents(again.restore()[0].metadata) == contents(world.metadata)


def test_sessions_are_not_in_a_backup_and_somebody_who_signs_in_disturbs_none(world: World, backups: Backups) -> None:
    """Neither is the secret that signs their cookies."""
    fill(world)
    name = world.metadata.users()[0].name
    world.metadata.add_session(name, "5e55101d", None, "a browser", 3600)
    backups.make(world)
    file = backups.folder.file(backups.folder.names()[-1])
    assert all(user.sessions == () for user in backup_format.summary(file).users)
    assert "5e55101d" not in str(list(backup_format.rows(file)))


def test_whatever_a_vault_or_a_person_comes_to_have_is_in_a_backup(world: World, backups: Backups) -> None:
    """A field that is new, and that nobody thought of here, would be at its default afterwards."""
    fill(world)
    backups.make(world)
    there = backup_format.summary(backups.folder.file(backups.folder.names()[-1]))
    vault = world.vault
    assert vault in there.vaults
    assert all(getattr(vault, name) for name in Vault.__dataclass_fields__)
    assert all(getattr(there.users[0], name) for name in User.__dataclass_fields__ if name != "sessions")


def test_a_body_is_copied_once_and_read_again_only_when_that_is_asked_for(world: World, backups: Backups) -> None:
    fill(world)
    first = backups.make(world)
    one = world.new("new.md", b"new")
    world.new("copy of new.md", b"new")
    second = backups.make(world)
    assert (second.copied, second.copied_bytes, second.there) == (1, 3, first.copied)
    assert backups.body(world.vault, b"new").stat().st_ino != body_of(world, b"new").stat().st_ino
    backups.body(world.vault, b"new").write_bytes(b"rot")
    assert backups.make(world).copied == 0
    assert backups.make(world, again=True).copied == 1
    assert backups.restore()[0].body(one) == b"new"


def test_a_folder_of_backups_is_closed_to_others(world: World, backups: Backups) -> None:
    fill(world)
    before = os.umask(0o022)
    try:
        backups.make(world)
    finally:
        os.umask(before)
    for path in backups.folder.path.rglob("*"):
        hides = path.parent if path.is_file() else path
        assert not hides.stat().st_mode & 0o077 or not path.stat().st_mode & 0o077, path


def test_it_holds_the_bodies_while_it_copies(world: World, backups: Backups) -> None:
    """From before the metadata is read."""
    assert isinstance(world.bodies, DiskBodies)
    root = world.bodies._root
    tried = []

    def remove() -> None:
        with pytest.raises(Unavailable), removing(root):
            pytest.fail("it removed what the backup needs")
        tried.append(True)

    world.new("a.md", b"one")
    backups.make(world, Meanwhile(world.metadata, remove, before="vaults"))
    assert tried
    with removing(root):
        pass


# -- while others write


def test_what_is_written_meanwhile_is_not_half_there(world: World, backups: Backups) -> None:
    """New versions, a conflict that is settled, one about a file that was not there: as if they came afterwards."""
    fill(world)
    head = world.head("a.md")
    assert head is not None
    (open_one,) = world.reader.conflicts(world.vault)
    before = contents(world.metadata)

    def write() -> None:
        world.resolve(open_one, "client", head.stamp)
        world.new("later.md", b"later")
        world.keep("later.md", b"another later", None)

    backups.make(world, Meanwhile(world.metadata, write, before="versions"))
    new, done = backups.restore()
    assert _without_stored(contents(new.metadata)) == _without_stored(before)
    assert new.conflict(open_one).open
    assert [one.path for one in new.reader.conflicts(new.vault)] == ["a.md"]
    assert new.resolve(open_one, "client", head.stamp)
    assert done.lost == []


def _without_stored(contents: Any) -> Any:
    users, (empty, vault), logs, _ = contents
    return users, [empty, replace(vault, stored=0)], logs


def test_a_candidate_that_comes_meanwhile_is_kept_with_its_body(world: World, backups: Backups) -> None:
    first = world.new("a.md", b"one")
    world.new("a.md", b"two", first.stamp)
    backups.make(world, Meanwhile(world.metadata, lambda: world.keep("a.md", b"side", first.stamp), before="versions"))
    new, done = backups.restore()
    (conflict,) = new.reader.conflicts(new.vault)
    assert new.vault.conflicts == 1
    assert done.lost == []
    side = new.reader.conflict_side(new.vault, conflict.id, "client")
    with new.reader.open(new.vault, side.hash) as file:
        assert file.read() == b"side"


def test_who_is_removed_meanwhile_is_no_member_afterwards(world: World, backups: Backups) -> None:
    """Or somebody who is given the name one day would be let in."""
    fill(world)
    world.metadata.add_user("third", "$3$")
    backups.make(world, Meanwhile(world.metadata, lambda: world.metadata.remove_user("you"), before="vaults"))
    new, _ = backups.restore()
    names = {user.name for user in new.metadata.users()}
    assert names == {USER, "third"}
    assert all(set(vault.members) <= names for vault in new.metadata.vaults())


def test_a_vault_that_is_removed_meanwhile_is_left_out(world: World, backups: Backups) -> None:
    fill(world)
    other = world.registry.create(USER, "other", None)[0]
    append(world.metadata, other.id, ("a", "A"), ("b", "B"))
    made = backups.make(
        world, Meanwhile(world.metadata, lambda: world.metadata.remove_vault(other.id), before="conflicts")
    )
    assert made.lost == []
    assert [vault.name for vault in backups.restore()[0].metadata.vaults()] == ["empty", "notes"]


def test_a_purge_that_happens_meanwhile_is_known_by_its_mark(world: World, backups: Backups) -> None:
    """Or a client that has what was purged would be told that the server never heard of it."""
    first = world.new("a.md", b"one")
    world.new("a.md", b"two", first.stamp)

    def purge() -> None:
        world.metadata.set_purge_mark(world.vault.id, first.stamp)

    backups.make(world, Meanwhile(world.metadata, purge, before="versions"))
    assert backups.restore()[0].vault.purge_mark == first.stamp


def test_a_collection_that_began_before_it_takes_nothing_out_of_what_it_reads(
    world: World, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a backup had a file and not its deletion, which comes later in the log, and the file would come back."""
    assert isinstance(world.bodies, DiskBodies)
    world.registry.create(USER, "before", None)
    world.delete("gone.md", world.new("gone.md", b"gone").stamp)
    world.new("a.md", b"one")
    collection = Collector(world.metadata, world.bodies._root, Limits(0)).run()
    assert next(collection)[0] == "before"
    monkeypatch.setattr(backup_contents, "PAGE", 1)
    row = backup_format.Writer.row

    def collected_after(writer: backup_format.Writer, kind: str, fields: Any) -> None:
        row(writer, kind, fields)
        if kind == "version":
            with pytest.raises(InUse, match="backup"):
                next(collection)
            monkeypatch.undo()

    monkeypatch.setattr(backup_format.Writer, "row", collected_after)
    backups.make(world)
    new, _ = backups.restore()
    assert new.files() == {"a.md": b"one"}
    assert new.log() == world.log()
