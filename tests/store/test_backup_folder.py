"""The folder of backups: which are kept in it, and what is refused."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from store.backup_folder import Busy
from store.base import Vault
from store.errors import DiskFull, Refused, Unavailable
from sync.judge import Write
from tests.store.backups import NOW, Backups, fill
from tests.store.world import USER, World

# -- which are kept


def test_the_last_few_are_kept_and_the_bodies_that_they_need(world: World, backups: Backups) -> None:
    others = []
    for number in range(4):
        other = world.registry.create(USER, f"other-{number}", None)[0]
        others.append(other)
        _put(world, other, f"body {number}".encode())
        _put(world, other, b"of all")
        world.new(f"{number}.md", b"note %d" % number)
        backups.make(world, keep=2, now=NOW + number)
        world.metadata.remove_vault(other.id)
        world.bodies.remove_vault(other.id)
    assert len(backups.folder.names()) == 2
    assert backups.bodies() == {b"body 2", b"body 3", b"of all", *(b"note %d" % number for number in range(4))}
    for name, last in zip(backups.folder.names(), (2, 3), strict=True):
        new, done = backups.restore(snapshot=name)
        assert done.lost == []
        assert set(new.files()) == {f"{number}.md" for number in range(last + 1)}


def _put(world: World, vault: Vault, body: bytes) -> None:
    write = Write(body.decode(), "put", None, "laptop", USER, mtime=5)
    world.vaults.put(vault, None, write, [body], length=len(body), hash=None, by=world.by())


def test_too_many_bodies_to_be_remembered_are_looked_at_in_rounds(
    world: World, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.backup_folder._AT_ONCE", 3)
    monkeypatch.setattr("store.body_copies._REMEMBERED", 2)
    test_the_last_few_are_kept_and_the_bodies_that_they_need(world, backups)


def test_a_snapshot_that_cannot_be_read_is_told_and_nothing_is_cleared_away(world: World, backups: Backups) -> None:
    """Nobody knows any more which bodies it needs."""
    other = world.registry.create(USER, "other", None)[0]
    _put(world, other, b"the other's")
    backups.make(world)
    world.metadata.remove_vault(other.id)
    backups.make(world)
    backups.folder.file(backups.folder.names()[-1]).write_bytes(b"")
    made = backups.make(world, keep=2)
    assert made.problem is not None
    assert backups.folder.names()[0] in made.problem
    assert b"the other's" in backups.bodies()


def test_a_clock_that_was_put_back_makes_no_backup_older_than_the_last(world: World, backups: Backups) -> None:
    first, second = backups.make(world), backups.make(world, now=5)
    assert first.snapshot < second.snapshot
    assert backups.folder.names() == [first.snapshot, second.snapshot]


# -- what is refused


def test_the_backups_of_another_server_are_left_alone(world: World, backups: Backups, tmp_path: Path) -> None:
    """An empty server in the place of one that died would soon have pushed all of them out."""
    fill(world)
    backups.make(world)
    stranger = World.at(tmp_path / "stranger")
    with pytest.raises(Refused, match="another server"):
        backups.make(stranger)
    assert len(backups.folder.names()) == 1
    new, _ = backups.restore()
    assert backups.make(new).lost == []


def test_a_folder_with_something_else_in_it_is_left_alone(world: World, backups: Backups) -> None:
    backups.folder.path.mkdir()
    (backups.folder.path / "letter.txt").write_text("not a backup")
    with pytest.raises(Refused, match="something else"):
        backups.make(world)
    assert os.listdir(backups.folder.path) == ["letter.txt"]
    with pytest.raises(Refused, match="no backups"):
        backups.folder.check()


def test_a_disk_that_is_not_there_is_not_made(world: World, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="mount"):
        Backups(tmp_path / "not mounted").make(world)


def test_of_two_at_once_the_second_is_refused(world: World, backups: Backups) -> None:
    backups.make(world)
    with backups.folder.locked(alone=False), backups.folder.locked(alone=False), pytest.raises(Busy):
        backups.make(world)
    with backups.folder.locked(alone=True), pytest.raises(Busy):
        backups.make(world)


class Usage(NamedTuple):
    free: int


def test_what_will_not_fit_is_refused_before_it_is_copied(
    world: World, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.new("a.md", b"x" * 1000)
    backups.make(world)
    world.new("b.md", b"y" * 1000)
    world.new("c.md", b"y" * 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(999))
    with pytest.raises(DiskFull, match="free some"):
        backups.make(world)
    assert len(backups.folder.names()) == 1
    assert backups.bodies() == {b"x" * 1000}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000))
    assert backups.make(world).copied == 1


def test_a_disk_that_fails_is_named_as_the_one_it_is(
    world: World, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as the server's own."""
    world.new("a.md", b"one")
    backups.make(world)
    world.new("b.md", b"two")

    def fail(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as broken:
        broken.setattr(os, "link", fail)
        with pytest.raises(Unavailable, match=f"{backups.folder.path} cannot be used") as refused:
            backups.make(world)
    assert "server" not in str(refused.value)
    assert backups.make(world).copied == 1


def test_what_has_a_name_of_its_own_pushes_no_backup_out_and_is_not_pushed_out(world: World, backups: Backups) -> None:
    """Somebody renamed a snapshot to keep it. By its name it would come last, and be all that is left."""
    world.new("a.md", b"of then")
    there = backups.folder.file(backups.make(world, keep=1).snapshot)
    there.rename(there.with_name(f"before the upgrade{there.name[len('2026-11-28T13-51-33Z') :]}"))
    head = world.head("a.md")
    assert head is not None
    world.delete("a.md", head.stamp)
    world.metadata.aging().purge(world.vault.id, world.log(), world.vault.clock + 1)
    world.new("b.md", b"of now")
    names = [backups.make(world, keep=1, now=NOW + day).snapshot for day in (1, 2, 3)]
    assert backups.folder.names() == ["before the upgrade", names[-1]]
    assert backups.restore()[0].files() == {"b.md": b"of now"}
    assert backups.restore(snapshot="before the upgrade")[0].files() == {"a.md": b"of then"}
