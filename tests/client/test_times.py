"""Whatever a file system calls a time or a number: one odd file never stops the others, and is synced like them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from client.save import save
from sync.model import MOST
from tests.client.direct import Server
from tests.client.machines import DiskMachine, Machine, MemoryMachine, settle

NEW_YEAR_1601 = -11_644_473_600
LAST_OF_9999 = 253_402_214_400
BEYOND_MICROSECONDS = 10**13  # seconds: more µs than 64 bits hold


def date(machine: Machine, path: str, seconds: int) -> None:
    """Gives a file a time of modification, as far as its disk can hold it."""
    if isinstance(machine, DiskMachine):
        os.utime(machine.root / path, ns=(seconds * 10**9, seconds * 10**9))
    else:
        assert isinstance(machine, MemoryMachine)
        old = machine.memory.files[path]
        machine.memory.files[path] = replace(old, mtime_ns=seconds * 10**9, ctime_ns=machine.clock.now_ns)


@pytest.mark.parametrize("seconds", [NEW_YEAR_1601, LAST_OF_9999, -BEYOND_MICROSECONDS, BEYOND_MICROSECONDS])
def test_a_file_of_any_time_travels_with_its_neighbours(
    vault: Server, laptop: Machine, desktop: Machine, seconds: int
) -> None:
    laptop.write("odd.md", "odd")
    date(laptop, "odd.md", seconds)
    laptop.write("plain.md", "plain")
    settle([laptop, desktop], 1)
    assert desktop.files() == {"odd.md": b"odd", "plain.md": b"plain"}
    desktop.write("plain.md", "edited")
    settle([desktop, laptop], 1)
    assert laptop.files()["plain.md"] == b"edited"
    for machine in (laptop, desktop):
        machine.restart()
        assert machine.sync().exit_code == 0
        assert machine.transport.reported == []
        assert machine.status().in_step


def test_a_file_of_any_time_is_edited_renamed_and_deleted_like_others(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    laptop.write("odd.md", "odd")
    date(laptop, "odd.md", LAST_OF_9999)
    settle([laptop, desktop], 1)
    laptop.move("odd.md", "renamed.md")
    settle([laptop, desktop], 1)
    assert desktop.files() == {"renamed.md": b"odd"}
    desktop.write("renamed.md", "edited")
    date(desktop, "renamed.md", NEW_YEAR_1601)
    settle([desktop, laptop], 1)
    assert laptop.files() == {"renamed.md": b"edited"}
    laptop.rm("renamed.md")
    settle([laptop, desktop], 1)
    assert desktop.files() == vault.files() == {}


def test_inode_numbers_of_64_bits_are_as_good_as_small_ones(vault: Server) -> None:
    """As mergerfs and other FUSE disks number files: by hashes."""
    pool = MemoryMachine(vault, "pool")
    for number in range(4):
        path = f"{number}.md"
        pool.write(path, f"{number}")
        pool.memory.files[path] = replace(pool.memory.files[path], inode=(1 << 64) - 1 - number)
    assert pool.sync().uploaded == 4
    assert (pool.sync().exit_code, pool.transport.reported) == (0, [])
    pool.move("0.md", "moved.md")
    assert pool.sync().renamed == 1
    pool.close()


def test_what_a_server_says_of_a_time_never_stops_a_machine(vault: Server, laptop: Machine) -> None:
    """Every disk clamps or refuses what it cannot hold; the file comes all the same, and once."""
    for name, mtime in (("late.md", MOST), ("early.md", -MOST)):
        vault.put(name, name.encode(), mtime=mtime)
    assert laptop.sync().downloaded == 2
    laptop.sync()
    report = laptop.sync()
    assert (report.exit_code, report.downloaded, report.uploaded) == (0, 0, 0)


def test_a_version_of_an_impossible_time_is_written_where_it_is_asked_for(
    vault: Server, laptop: Machine, tmp_path: Path
) -> None:
    version = vault.put("late.md", b"late", mtime=MOST)._replace(mtime=1 << 90)
    save(laptop.transport, version, tmp_path / "copy.md", tmp_path / "laptop")  # type: ignore[arg-type]  # it only gets
    assert (tmp_path / "copy.md").read_bytes() == b"late"
