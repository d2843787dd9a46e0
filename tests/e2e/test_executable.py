"""Whether a file may be run travels with it, and nothing else of its permissions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.e2e.machines import House, Machine, in_step

pytestmark = pytest.mark.parametrize("deployed", ["embedded"], indirect=True)

SCRIPT = "#!/bin/sh\necho\n"


def may_run(machine: Machine, path: str) -> bool:
    return bool((machine.folder / path).stat().st_mode & 0o100)


def mode(machine: Machine, path: str) -> int:
    return (machine.folder / path).stat().st_mode & 0o777


def chmod(machine: Machine, path: str, bits: int) -> None:
    (machine.folder / path).chmod(bits)


@pytest.fixture
def script(laptop: Machine, desktop: Machine) -> str:
    """A script that both machines have and may run."""
    laptop.write("run.sh", SCRIPT)
    chmod(laptop, "run.sh", 0o755)
    laptop.sync()
    desktop.sync()
    return "run.sh"


def test_a_script_arrives_as_one_that_may_be_run(house: House, laptop: Machine, desktop: Machine) -> None:
    for name, bits in (("run.sh", 0o755), ("mine.sh", 0o700), ("secret", 0o600), ("note.md", 0o644)):
        laptop.write(name, name)
        chmod(laptop, name, bits)
    laptop.write("large.bin", b"x" * (9 << 20))
    chmod(laptop, "large.bin", 0o755)
    laptop.sync()
    desktop.sync()
    umask = os.umask(0o022)
    os.umask(umask)
    plain = 0o666 & ~umask
    runs = 0o777 & ~umask
    arrived = {name: mode(desktop, name) for name in desktop.files()}
    assert arrived == {"run.sh": runs, "mine.sh": runs, "large.bin": runs, "secret": plain, "note.md": plain}
    for machine in (laptop, desktop):
        assert machine.sync("--json").json["uploaded"] == 0
    assert len(house.history("run.sh")) == 1


def test_it_alone_travels_without_the_content(house: House, laptop: Machine, desktop: Machine, script: str) -> None:
    """Nothing is replaced or put into the trash for it, and no conflict comes of it."""
    for bits, runs in ((0o644, False), (0o755, True)):
        inode = (desktop.folder / script).stat().st_ino
        chmod(laptop, script, bits)
        laptop.sync()
        desktop.sync()
        assert may_run(desktop, script) is runs
        assert (desktop.folder / script).stat().st_ino == inode
    assert [row.get("executable", False) for row in house.history(script)] == [True, False, True]
    assert (desktop.trash(), house.conflicts(), in_step(laptop, desktop)) == ([], [], True)
    for machine in (laptop, desktop):
        machine.sync()
    assert len(house.history(script)) == 3, "nothing more comes of it"


def test_an_edit_here_and_that_there_are_both_kept(
    house: House, laptop: Machine, desktop: Machine, script: str
) -> None:
    chmod(laptop, script, 0o644)
    laptop.sync()
    desktop.write(script, SCRIPT + "more\n")
    chmod(desktop, script, 0o755)
    desktop.sync()
    assert house.conflicts() == []
    laptop.sync()
    assert laptop.read(script) == SCRIPT + "more\n"
    assert (may_run(laptop, script), may_run(desktop, script)) == (False, False)


def test_made_so_here_and_edited_there(house: House, laptop: Machine, desktop: Machine) -> None:
    laptop.write("tool", "one\n")
    laptop.sync()
    desktop.sync()
    laptop.write("tool", "two\n")
    laptop.sync()
    chmod(desktop, "tool", 0o755)
    desktop.sync()
    laptop.sync()
    assert (laptop.read("tool"), desktop.read("tool")) == ("two\n", "two\n")
    assert (may_run(laptop, "tool"), may_run(desktop, "tool")) == (True, True)
    assert (house.conflicts(), desktop.trash()) == ([], [])


def test_the_same_file_on_both_sides_may_be_run_where_it_may_on_one(laptop: Machine, desktop: Machine) -> None:
    for machine in (laptop, desktop):
        machine.write("run.sh", SCRIPT)
    chmod(desktop, "run.sh", 0o755)
    for machine in (laptop, desktop, laptop):
        machine.sync()
    assert may_run(laptop, "run.sh")


def test_a_renamed_and_edited_script_may_still_be_run(laptop: Machine, desktop: Machine, script: str) -> None:
    laptop.rename(script, "tools/other.sh")
    laptop.write("tools/other.sh", SCRIPT + "more\n")
    chmod(laptop, "tools/other.sh", 0o755)
    laptop.sync()
    desktop.sync()
    assert may_run(desktop, "tools/other.sh")


def test_a_script_that_vanished_comes_back_as_one(house: House, laptop: Machine, desktop: Machine, script: str) -> None:
    laptop.delete(script)
    laptop.sync()
    desktop.sync()
    assert (may_run(laptop, script), may_run(desktop, script)) == (True, True)
    assert len(house.history(script)) == 1


@pytest.mark.parametrize("runs", [True, False])
def test_a_rename_and_a_change_of_it_travel_together(
    laptop: Machine, desktop: Machine, script: str, runs: bool
) -> None:
    chmod(laptop, script, 0o755 if runs else 0o644)
    laptop.rename(script, "other.sh")
    laptop.sync()
    desktop.sync()
    for machine in (laptop, desktop, laptop):
        machine.sync()
    assert (may_run(laptop, "other.sh"), may_run(desktop, "other.sh")) == (runs, runs)


@pytest.mark.parametrize("runs", [True, False])
def test_a_change_of_it_elsewhere_does_not_bring_a_renamed_file_back(
    house: House, laptop: Machine, desktop: Machine, script: str, runs: bool
) -> None:
    if runs:
        chmod(laptop, script, 0o644)
        laptop.sync()
        desktop.sync()
    chmod(desktop, script, 0o755 if runs else 0o644)
    desktop.sync()
    laptop.rename(script, "tools/other.sh")
    for machine in (laptop, desktop, laptop):
        machine.sync()
    assert laptop.files().keys() == desktop.files().keys() == house.live() == {"tools/other.sh"}
    assert (may_run(laptop, "tools/other.sh"), may_run(desktop, "tools/other.sh")) == (runs, runs)


def test_a_change_of_it_here_does_not_bring_back_what_was_renamed_elsewhere(
    house: House, laptop: Machine, desktop: Machine, script: str
) -> None:
    laptop.rename(script, "other.sh")
    laptop.sync()
    chmod(desktop, script, 0o644)
    for machine in (desktop, laptop, desktop):
        machine.sync()
    assert laptop.files().keys() == desktop.files().keys() == house.live() == {"other.sh"}
    assert not may_run(laptop, "other.sh")


def test_a_change_of_it_elsewhere_does_not_bring_a_deleted_file_back(
    house: House, laptop: Machine, desktop: Machine, script: str
) -> None:
    chmod(desktop, script, 0o644)
    desktop.sync()
    laptop.rm(script)
    for machine in (laptop, desktop):
        machine.sync()
    assert (laptop.files(), desktop.files(), house.live()) == ({}, {}, set())


def test_an_older_version_comes_back_with_it(house: House, laptop: Machine, desktop: Machine, script: str) -> None:
    laptop.write(script, "no script\n")
    chmod(laptop, script, 0o644)
    laptop.sync()
    desktop.sync()
    assert not may_run(desktop, script)
    first = house.history(script)[-1]["stamp"]
    laptop.gobi("restore", str(laptop.folder), script, "--stamp", str(first))
    desktop.sync()
    assert (desktop.read(script), may_run(desktop, script), may_run(laptop, script)) == (SCRIPT, True, True)


def test_an_older_version_that_differs_in_it_alone_comes_back_too(
    house: House, laptop: Machine, desktop: Machine, script: str
) -> None:
    first = str(house.history(script)[0]["stamp"])
    chmod(laptop, script, 0o644)
    laptop.sync()
    desktop.sync()
    assert not may_run(desktop, script)
    laptop.gobi("restore", str(laptop.folder), script, "--stamp", first)
    desktop.sync()
    assert (may_run(desktop, script), may_run(laptop, script)) == (True, True)


def test_a_version_that_is_written_elsewhere_may_be_run_as_it_might(house: House, laptop: Machine, script: str) -> None:
    laptop.write(script, "no script\n")
    chmod(laptop, script, 0o644)
    laptop.sync()
    for version in house.history(script):
        copy = laptop.home / f"{version['stamp']}"
        laptop.gobi("restore", str(laptop.folder), script, "--stamp", f"{version['stamp']}", "--to", str(copy))
        assert bool(copy.stat().st_mode & 0o100) == (copy.read_text() == SCRIPT)


def without_bits(machine: Machine) -> None:
    """As on a FAT disk: what is not kept does not show."""
    chmod(machine, ".gobi/executable", 0o600)


def all_bits(machine: Machine) -> None:
    chmod(machine, ".gobi/config.json", 0o755)


@pytest.mark.parametrize("disk", [without_bits, all_bits])
def test_a_disk_that_does_not_keep_it_changes_it_nowhere(
    house: House, laptop: Machine, desktop: Machine, script: str, disk: Callable[[Machine], None]
) -> None:
    disk(desktop)
    chmod(desktop, script, 0o644)
    desktop.write("other.md", "text")
    chmod(desktop, "other.md", 0o755)
    desktop.sync()
    desktop.write(script, SCRIPT + "from a stick\n")
    chmod(desktop, script, 0o644)
    desktop.sync()
    laptop.sync()
    assert laptop.read(script) == SCRIPT + "from a stick\n"
    assert (may_run(laptop, script), may_run(laptop, "other.md")) == (True, False)
    chmod(laptop, script, 0o644)
    laptop.sync()
    desktop.sync()
    assert len(house.history(script)) == 3


def test_what_an_earlier_gobi_synced_is_sent_once(house: House, laptop: Machine, desktop: Machine) -> None:
    """It knew nothing of it, on either side. Where a file may be run on one machine it then may on all."""
    laptop.write("run.sh", SCRIPT)
    laptop.write("note.md", "text")
    laptop.sync()
    desktop.sync()
    chmod(laptop, "run.sh", 0o755)
    status = (laptop.folder / "run.sh").stat()
    for machine in (laptop, desktop):
        (machine.folder / ".gobi" / "executable").unlink(missing_ok=True)
        with closing(sqlite3.connect(machine.folder / ".gobi" / "index.db", isolation_level=None)) as db:
            db.execute("ALTER TABLE files DROP COLUMN executable")
            db.execute("PRAGMA user_version = 2")
            if machine is laptop:
                db.execute("UPDATE files SET ctime_ns = ? WHERE path = 'run.sh'", (status.st_ctime_ns,))
    for machine in (desktop, laptop, desktop):
        machine.sync()
    assert may_run(desktop, "run.sh")
    assert [len(house.history(path)) for path in ("run.sh", "note.md")] == [2, 1]
