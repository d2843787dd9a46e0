"""A disk that is not mounted is no reason to delete anything: neither here nor elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import mounts
from client.options import Options
from client.ports import Mount
from tests.client.direct import Server
from tests.client.machines import MemoryMachine
from tests.client.mount_scenes import SCENES

ROOT = Path(__file__).resolve().parents[2]


KEPT = ("mounted_again", "unmounted_between_two_syncs")  # for which a disk has to keep its files


@pytest.mark.parametrize(
    ("scene", "kind"),
    [(one, kind) for one in SCENES for kind in ("bind", "tmpfs") if kind == "bind" or one not in KEPT],
)
def test_with_real_disks(scene: str, kind: str, tmp_path: Path) -> None:
    whose = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", "--mount", *whose, "--propagation", "private", sys.executable, "-m"]
    done = subprocess.run(
        [*command, "tests.client.mount_scenes", scene, kind, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# -- what is mounted where


def test_the_table_of_mounts_is_read_with_its_escapes_and_the_uppermost_counts() -> None:
    table = rb"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
41 22 8:1 / /home/me/notes rw shared:1 - ext4 /dev/sda1 rw
42 41 8:2 /a /home/me/notes/my\040photos rw - ext4 /dev/sdb1 rw
43 42 0:50 / /home/me/notes/my\040photos rw shared:7 master:1 - tmpfs none rw
44 22 8:3 / /home/me/notes-old/x rw - ext4 /dev/sdc1 rw
45 41 0:51 / /home/me/notes/net rw - autofs /etc/auto.net rw
"""
    assert mounts._below("/home/me/notes", table) == {
        "my photos": Mount("0:50 /", 43),
        "net": Mount("0:51 /", 45, automatic=True),
    }


# -- what that means for a sync


@pytest.fixture
def laptop(vault: Server) -> Iterator[MemoryMachine]:
    one = MemoryMachine(vault, "laptop")
    one.memory.mounted["photos"] = Mount("8:1 /", 40)
    for path in ("photos/1.jpg", "photos/2.jpg", "note.md"):
        one.write(path, path)
    one.sync()
    yield one
    one.close()


def unmount(laptop: MemoryMachine) -> dict[str, object]:
    """What was on the disk."""
    laptop.memory.mounted.clear()
    files = laptop.memory.files
    return {path: files.pop(path) for path in list(files) if path.startswith("photos/")}


def test_files_of_a_disk_that_is_not_mounted_are_neither_missing_nor_deleted(
    laptop: MemoryMachine, vault: Server
) -> None:
    unmount(laptop)
    laptop.write("note.md", "edited")
    for asked in (False, True):
        report = laptop.sync(propagate_deletes=asked)
        assert report.exit_code == 1
        assert [one.name for one in report.skipped if one.refused] == ["photos"]
        assert set(laptop.files()) == {"note.md"}
        assert vault.files()["photos/1.jpg"] == b"photos/1.jpg"
    assert vault.files()["note.md"] == b"edited"
    assert [one.name for one in laptop.status().skipped] == ["photos"]
    assert laptop.status().missing == []


def test_a_disk_that_is_mounted_again_goes_on_also_under_another_number(laptop: MemoryMachine, vault: Server) -> None:
    disk = unmount(laptop)
    laptop.sync()
    vault.put("photos/2.jpg", b"edited elsewhere")
    laptop.sync()
    laptop.memory.mounted["photos"] = Mount("8:17 /", 77)
    laptop.memory.files |= disk  # type: ignore[arg-type]  # what was taken from there
    assert laptop.sync().in_step
    assert laptop.files() == vault.files()
    assert laptop.files()["photos/2.jpg"] == b"edited elsewhere"
    assert laptop.index.mounts == {"photos": "8:17 /"}


def test_old_copies_below_a_disk_are_not_taken_for_its_files(laptop: MemoryMachine, vault: Server) -> None:
    for path, file in unmount(laptop).items():
        laptop.memory.write(path, file.data, file.mtime_ns)  # type: ignore[attr-defined]
    report = laptop.sync()
    assert [one.name for one in report.skipped if one.refused] == ["photos"]
    assert vault.history("photos/1.jpg") == [b"photos/1.jpg"]


def test_a_folder_whose_files_were_moved_onto_a_disk_goes_on(laptop: MemoryMachine, vault: Server) -> None:
    laptop.memory.mounted["notes"] = Mount("8:33 /", 50)
    laptop.write("notes/new.md", "new")
    laptop.memory.mounted["photos"] = Mount("8:49 /", 51)  # a larger disk, the files copied with their dates
    for path in ("photos/1.jpg", "photos/2.jpg"):
        file = laptop.memory.files[path]
        laptop.memory.delete(path)
        laptop.memory.write(path, file.data, file.mtime_ns)
    assert laptop.sync().exit_code == 0
    assert laptop.files() == vault.files()


def test_a_person_may_say_that_the_disks_are_right_as_they_are(laptop: MemoryMachine, vault: Server) -> None:
    unmount(laptop)
    laptop.sync()
    laptop.clock.forward(60)
    assert laptop.engine().sync(Options(accept_mounts=True)).exit_code == 0
    assert laptop.files() == vault.files(), "what was on it is fetched"
    assert vault.history("photos/1.jpg") == [b"photos/1.jpg"]
    assert laptop.sync().exit_code == 0


def test_what_is_ignored_needs_no_disk(laptop: MemoryMachine, vault: Server) -> None:
    laptop.write(".gobiignore", "photos/\n")
    laptop.sync()
    unmount(laptop)
    assert laptop.sync().exit_code == 0
    assert vault.files()["photos/1.jpg"] == b"photos/1.jpg"


def test_a_disk_that_is_unmounted_while_it_is_looked_at_is_not_empty(laptop: MemoryMachine, vault: Server) -> None:
    unmount(laptop)
    laptop.memory.mounted["photos"] = Mount("8:1 /", 40)
    scan = laptop.memory.scan

    def scan_and_lose_it() -> object:
        found = scan()
        laptop.memory.mounted.clear()
        return found

    laptop.memory.scan = scan_and_lose_it  # type: ignore[method-assign, assignment]
    laptop.sync(propagate_deletes=True)
    assert vault.files()["photos/1.jpg"] == b"photos/1.jpg"
