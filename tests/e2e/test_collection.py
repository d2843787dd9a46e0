"""A device that was off for two years, and a server that collected meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

from store.base import Metadata
from store.bodies import DiskBodies
from store.sqlite import SqliteMetadata
from tests.e2e.machines import House
from tests.server import GobiServer
from tests.store.world import World

DAY_US = 24 * 3600 * 1_000_000


def test_a_device_that_was_off_for_two_years_gets_nothing_deleted_back_and_loses_nothing_living(
    server: GobiServer, tmp_path: Path
) -> None:
    """Its own edits and new files of that time come through as well, and so does what it deleted itself."""
    house = House([server], "notes", tmp_path)
    off = house.machine("off")
    days = 900.0
    metadata: Metadata = SqliteMetadata(
        server.data_dir / "metadata.db", now=lambda: time.time_ns() // 1000 - round(days * DAY_US)
    )
    world = World(metadata, DiskBodies(server.data_dir / "bodies"))
    paths = ("as-ever.md", "edited.md", "deleted.md", "deleted-and-edited.md", "replaced.md", "folder/deleted.md")
    first = {path: world.new(path, f"{path} 1".encode()) for path in paths}
    assert off.sync().code == 0
    assert set(off.files()) == set(paths)

    days = 700
    edited = world.new("edited.md", b"edited.md 2", first["edited.md"].stamp)
    for path in ("deleted.md", "deleted-and-edited.md", "replaced.md", "folder/deleted.md"):
        world.delete(path, first[path].stamp)
    world.new("folder", b"a file where the folder was")
    days = 500
    world.new("edited.md", b"edited.md 3", edited.stamp)
    world.new("replaced.md", b"replaced.md, anew")
    days = 1
    world.new("new.md", b"new")
    metadata.close()

    done = server.gobi("gc")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("notes: 6 old versions, 4 old deletions;")
    log = house.api("GET", "/files?limit=100")["files"]
    assert {one["path"] for one in log} == {"as-ever.md", "edited.md", "replaced.md", "folder", "new.md"}

    off.write("deleted-and-edited.md", "edited while it was off")
    off.write("mine.md", "written while it was off")
    off.sync()
    alive = {
        "as-ever.md": b"as-ever.md 1",
        "edited.md": b"edited.md 3",
        "replaced.md": b"replaced.md, anew",
        "folder": b"a file where the folder was",
        "new.md": b"new",
        "deleted-and-edited.md": b"edited while it was off",
        "mine.md": b"written while it was off",
    }
    assert off.files() == alive
    assert house.live() == set(alive)
    other = house.machine("other")
    other.sync()
    assert other.files() == alive
    assert off.sync().code == 0
    assert house.conflicts() == []
