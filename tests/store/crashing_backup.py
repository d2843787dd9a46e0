"""A backup, or a restore, whose n-th system call kills it or fails: `python -m tests.store.crashing_backup WHAT FOLDER
FAULT`, with what tests.store.crashing says about folder and fault.

The template has a server's data and one backup of an older state. A backup makes another one in the place of that; a
restore takes such a one to the data folder `new`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from store.backup import back_up
from store.backup_folder import BackupFolder
from store.base import Vault
from store.bodies import DiskBodies
from store.errors import StoreError
from store.restore import restore
from sync.judge import Write
from tests.store.crashing import Disk, WatchedMetadata, at_every_call
from tests.store.world import USER, World

OLD = {f"folder {n}/note.md": b"note %d" % n * 20 for n in range(4)}
NEW = {f"folder {n}/note.md": b"new %d" % n * 20 for n in range(2, 7)}
GONE = b"in a vault that was removed"
NEW_DATA = "new"


def prepare(folder: Path) -> None:
    world = World.at(folder)
    for path, body in OLD.items():
        world.new(path, body)
    other = world.registry.create(USER, "other", None)[0]
    store(world, other, "a.md", GONE)
    save(world, folder)
    world.metadata.remove_vault(other.id)
    world.bodies.remove_vault(other.id)
    for path, body in NEW.items():
        head = world.head(path)
        world.new(path, body, head.stamp if head else None)
    world.keep("folder 1/note.md", b"another side", 1)
    world.metadata.close()
    (folder / NEW_DATA).mkdir()
    WatchedMetadata(folder / NEW_DATA / "gobi.db").close()


def store(world: World, vault: Vault, path: str, body: bytes) -> None:
    write = Write(path, "put", None, "laptop", USER, mtime=5)
    world.vaults.put(vault, None, write, [body], length=len(body), hash=None, by=world.by())


def backups(folder: Path) -> BackupFolder:
    there = BackupFolder(folder / "backups")
    there.prepare()
    return there


def save(world: World, folder: Path, *, keep: int = 1, now: float = 1_800_000_000) -> None:
    there = backups(folder)
    with there.locked(alone=True):
        bodies = DiskBodies(folder / "bodies")
        back_up(world.metadata, bodies, str(folder / "bodies"), there, keep=keep, program="test", clock=lambda: now)


def back_up_again(folder: Path, disk: Disk) -> None:
    metadata = WatchedMetadata(folder / "gobi.db")
    world = World(metadata, DiskBodies(folder / "bodies"))
    metadata.disk = disk
    disk.arm()
    try:
        save(world, folder)
        disk.told["done"] = True
    except StoreError as error:
        disk.told["done"] = type(error).__name__
    disk.leave(0)


def put_back(folder: Path, *, disk: Disk | None = None) -> None:
    """The newest snapshot to the new data folder. Raises StoreError."""
    metadata = WatchedMetadata(folder / NEW_DATA / "gobi.db")
    bodies = DiskBodies(folder / NEW_DATA / "bodies")
    there = BackupFolder(folder / "backups")
    if disk is not None:
        metadata.disk = disk
        disk.arm()
    try:
        restore(metadata, bodies, folder / NEW_DATA / "bodies", there, there.names()[-1], place="name another one")
    finally:
        metadata.close()


def restore_newest(folder: Path, disk: Disk) -> None:
    try:
        put_back(folder, disk=disk)
        disk.told["done"] = True
    except StoreError as error:
        disk.told["done"] = type(error).__name__
    disk.leave(0)


def prepare_restore(folder: Path) -> None:
    prepare(folder)
    world = World.at(folder)
    save(world, folder)
    world.metadata.close()


if __name__ == "__main__":
    first, work = {"backup": (prepare, back_up_again), "restore": (prepare_restore, restore_newest)}[sys.argv[1]]
    at_every_call(Path(sys.argv[2]), sys.argv[3], first, work)
