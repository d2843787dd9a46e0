"""A collection whose n-th system call or statement kills it or fails, for every n:
`python -m tests.store.crashing_collection FOLDER FAULT`. What is where is as in tests/store/crashing.py.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from store.base import Metadata
from store.bodies import DiskBodies
from store.collection import Collector, Limits
from store.errors import StoreError
from store.sqlite import SqliteMetadata
from tests.store.crashing import NEVER_REACHED, Disk, WatchedMetadata
from tests.store.world import USER, World, sha256

DAY_US = 24 * 3600 * 1_000_000
OLD_S = 1_000_000_000
LIVE = {"kept.md": b"kept", "edited.md": b"edited 3", "back.md": b"in the trash, and needed", "new.md": b"new"}
NEVER_COMMITTED, THROWN_AWAY = b"never committed", b"thrown away weeks ago"


def prepare(folder: Path) -> None:
    """Something of everything that a collection does."""
    days = 800
    folder.mkdir()
    metadata = SqliteMetadata(folder / "gobi.db", now=lambda: time.time_ns() // 1000 - days * DAY_US)
    world = World(metadata, DiskBodies(folder / "bodies"))
    world.new("kept.md", LIVE["kept.md"])
    edited, gone = world.new("edited.md", b"edited 1"), world.new("gone.md", b"gone")
    days = 700
    edited = world.new("edited.md", b"edited 2", edited.stamp)
    world.delete("gone.md", gone.stamp)
    days = 600
    world.new("edited.md", LIVE["edited.md"], edited.stamp)
    days = 1
    for path in ("back.md", "new.md"):
        world.new(path, LIVE[path])
    other, _ = world.registry.create(USER, "other", None)
    for vault_id, body in ((world.vault.id, NEVER_COMMITTED), (world.vault.id, THROWN_AWAY), (other.id, b"other's")):
        incoming = world.bodies.receive()
        incoming.write(body)
        world.bodies.keep(vault_id, [incoming.finish()])
    metadata.remove_vault(other.id)
    for body in (THROWN_AWAY, LIVE["back.md"]):
        place, trashed = (at(folder / "bodies" / aside, world.vault.id, body) for aside in ("", "trash"))
        trashed.parent.mkdir(parents=True, exist_ok=True)
        place.rename(trashed)
    for one in (folder / "bodies").rglob("*"):
        if one.is_file():
            os.utime(one, (OLD_S, OLD_S))
    metadata.close()


def at(root: Path, vault_id: str, body: bytes) -> Path:
    return root / vault_id / sha256(body)[:2] / sha256(body)[2:]


def collect(metadata: Metadata, folder: Path) -> None:
    for _ in Collector(metadata, str(folder / "bodies"), Limits(365)).run():
        pass


class Writes(Disk):
    """Without the statements that change nothing: a stop there is one before the next that does."""

    def point(self, name: str, argument: str = "") -> bool:
        if name == "sql" and argument not in ("UPDATE", "DELETE", "INSERT", "COMMIT"):
            return False
        return super().point(name, argument)


def run(folder: Path, nth: int, fault: str) -> None:
    os.chdir(folder)
    metadata = WatchedMetadata(folder / "gobi.db")
    DiskBodies(folder / "bodies")
    disk = Writes(nth, fault)
    metadata.disk = disk
    disk.arm()
    try:
        collect(metadata, folder)
        disk.told["end"] = "done"
    except StoreError as error:
        disk.told["end"] = type(error).__name__
    disk.leave(0)


def main() -> None:
    folder, fault = Path(sys.argv[1]), sys.argv[2]
    prepare(folder / "template")
    nth = status = 0
    while os.waitstatus_to_exitcode(status) != NEVER_REACHED:
        shutil.copytree(folder / "template", folder / str(nth))
        child = os.fork()
        if not child:
            run(folder / str(nth), nth or 1 << 30, fault)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) in (0, 9, NEVER_REACHED), f"call {nth} ended the process"
        if not nth:
            status = 0
        nth += 1
    shutil.rmtree(folder / str(nth - 1))


if __name__ == "__main__":
    main()
