"""Backups of a world, and what they are compared by."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from store.backup import BackedUp, back_up
from store.backup_folder import BackupFolder
from store.base import Metadata, Vault
from store.bodies import DiskBodies
from store.restore import Restored, restore
from store.sqlite import SqliteMetadata
from tests.store.world import USER, World, sha256

NOW = 1_900_000_000


def contents(metadata: Metadata) -> object:
    """All that is kept of a database: everything but epochs, what signs sessions, and that it was restored."""
    vaults = metadata.vaults()
    logs = [metadata.changes(one.id, 0, 100_000) for one in vaults]
    disputes = [metadata.moving().conflicts(one.id, "", 1_000) for one in vaults]
    return metadata.users(), [replace(one, epoch="", lapses=()) for one in vaults], logs, disputes


class Backups:
    """A folder of backups of a world, and where to restore them."""

    def __init__(self, root: Path) -> None:
        self.folder = BackupFolder(root / "backups")
        self._root = root
        self._numbers = itertools.count()

    def make(
        self, world: World, metadata: Any = None, *, keep: int = 7, now: float = NOW, again: bool = False
    ) -> BackedUp:
        bodies = world.bodies
        assert isinstance(bodies, DiskBodies)
        self.folder.prepare()
        with self.folder.locked(alone=True):
            return back_up(
                metadata or world.metadata,
                bodies,
                bodies._root,
                self.folder,
                keep=keep,
                program="test",
                clock=lambda: now,
                again=again,
            )

    def restore(
        self, metadata: Metadata | None = None, snapshot: str | None = None, *, above: int = 0
    ) -> tuple[World, Restored]:
        place = self._root / f"restored {next(self._numbers)}"
        there = metadata or SqliteMetadata(_made(place) / "gobi.db")
        bodies = DiskBodies(place / "bodies")
        name = snapshot or self.folder.names()[-1]
        done = restore(there, bodies, place / "bodies", self.folder, name, place="name another one", above=above)
        return World(there, bodies), done

    def bodies(self) -> set[bytes]:
        found = (self.folder.path / "bodies").glob("*/??/*")
        return {path.read_bytes() for path in found}

    def body(self, vault: Vault, body: bytes) -> Path:
        digest = sha256(body)
        return self.folder.path / "bodies" / vault.id / digest[:2] / digest[2:]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def body_of(world: World, body: bytes) -> Path:
    assert isinstance(world.bodies, DiskBodies)
    digest = sha256(body)
    return Path(world.bodies._root) / world.vault.id / digest[:2] / digest[2:]


def fill(world: World) -> None:
    """Histories, a deletion, open and settled conflicts, another person, a purge mark, a setting."""
    first = world.new("a.md", b"one")
    world.new("a.md", b"two", first.stamp)
    world.delete("gone.md", world.new("gone.md", b"gone").stamp)
    world.new("Bücher/日記.md", b"text")
    world.keep("a.md", b"another side", first.stamp)
    settled = world.keep("Bücher/日記.md", b"yet another", first.stamp)
    head = world.head("Bücher/日記.md")
    assert head is not None
    world.resolve(settled, "both", head.stamp)
    world.metadata.add_user("you", "$hash of you$")
    world.metadata.add_device(USER, "laptop", "hash of the laptop")
    world.metadata.set_member(world.vault.id, "you", "read")
    world.metadata.set_auto_merge(world.vault.id, True)
    world.metadata.set_purge_mark(world.vault.id, 5)
    world.metadata.renew_epoch(world.vault.id)
    world.registry.create(USER, "empty", None)


class Meanwhile:
    """A database in which something else happens right before it is first asked for something."""

    def __init__(self, real: Any, act: Callable[[], object], *, before: str) -> None:
        self._real = real
        self._act = act
        self._before = before

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if name == "moving":
            return lambda: Meanwhile(value(), self._once, before=self._before)
        if name == self._before:
            self._once()
        return value

    def _once(self) -> None:
        act, self._act = self._act, lambda: None
        act()
