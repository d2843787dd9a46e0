"""Folders as deep as a path may be long, and deeper: no part of gobi calls itself once for each level."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.below import files_below, remove_empty_tree
from client.binding import release
from client.ports import Blocked
from tests.client.direct import Server
from tests.client.machines import DiskMachine, Machine

DEEP = "d/" * 511 + "f"  # 1,023 bytes


@pytest.fixture
def shallow() -> Iterator[None]:
    """Room for what calls go on anyway, and not for one a level."""
    depth, frame = 0, sys._getframe()
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 150)
    yield
    sys.setrecursionlimit(before)


def make_deep(root: Path, levels: int, name: str = "d", file: str | None = "f") -> None:
    """Level by level: no system takes so long a path at once."""
    folder = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        if name not in os.listdir(folder):
            os.mkdir(name, dir_fd=folder)
        below = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    if file is not None:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """What pytest tidies up with calls itself for each level."""
    yield
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)


@pytest.fixture
def machines(vault: Server, tmp_path: Path) -> Iterator[tuple[DiskMachine, DiskMachine]]:
    both = DiskMachine(vault, "laptop", tmp_path / "laptop"), DiskMachine(vault, "desktop", tmp_path / "desktop")
    yield both
    for one in both:
        one.close()


@pytest.mark.usefixtures("shallow")
def test_a_file_as_deep_as_can_be_travels_is_edited_and_is_removed(
    vault: Server, machines: tuple[DiskMachine, DiskMachine]
) -> None:
    laptop, desktop = machines
    make_deep(laptop.root, 511)
    assert laptop.sync().exit_code == desktop.sync().exit_code == 0
    assert vault.files().keys() == {DEEP}
    vault.put(DEEP, b"edited")
    laptop.sync()
    entry = laptop.disk.stat(DEEP)
    assert entry is not None
    assert entry.size == 6
    assert laptop.status().in_step
    laptop.rm("d")
    laptop.sync()
    desktop.sync()
    assert vault.files() == {}
    assert desktop.disk.stat(DEEP) is None


@pytest.mark.usefixtures("shallow")
def test_what_lies_deeper_than_a_path_may_be_long_is_named_and_the_rest_is_synced(
    vault: Server, machines: tuple[DiskMachine, DiskMachine]
) -> None:
    laptop, _ = machines
    make_deep(laptop.root, 1_200, "proxy")
    laptop.write("plain.md", "plain")
    report = laptop.sync()
    assert vault.files().keys() == {"plain.md"}
    (left_out,) = report.left_out
    assert left_out.name.startswith("proxy/proxy/")
    assert "longer than 1024 bytes" in left_out.reason
    assert laptop.status().left_out == report.left_out


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize("levels", [511, 1_200])
def test_a_file_takes_the_place_of_any_number_of_empty_folders(
    vault: Server, machines: tuple[DiskMachine, DiskMachine], levels: int
) -> None:
    laptop, _ = machines
    make_deep(laptop.root, levels, file=None)
    vault.put("d", b"a file")
    laptop.sync()
    assert (laptop.root / "d").read_bytes() == b"a file"


@pytest.mark.usefixtures("shallow")
def test_a_folder_with_a_file_far_down_is_not_taken_for_an_empty_one(
    vault: Server, machines: tuple[DiskMachine, DiskMachine]
) -> None:
    laptop, _ = machines
    make_deep(laptop.root, 1_200)
    root = os.open(laptop.root, os.O_RDONLY)
    assert not remove_empty_tree("d", root)
    assert [name for _, name in files_below("d", root)] == ["f"]
    os.close(root)
    with pytest.raises(Blocked):
        laptop.disk.install(stage(laptop), "d", None, None, trash=False)


def stage(machine: DiskMachine) -> str:
    handle = machine.disk.stage([b"x"])
    machine.disk.flush()
    return handle


@pytest.mark.usefixtures("shallow")
def test_the_trash_is_looked_through_at_any_depth(vault: Server, machines: tuple[DiskMachine, DiskMachine]) -> None:
    laptop, _ = machines
    make_deep(laptop.root, 511)
    laptop.rm(DEEP)  # never sent: the only copy
    assert [size for size, _ in laptop.disk.trashed()] == [0]


def test_a_pattern_about_files_far_down_is_understood(vault: Server, machine: Callable[[str], Machine]) -> None:
    laptop = machine("laptop")
    laptop.write(".gobiignore", "**/e\n")
    laptop.write("d/" * 300 + "e", "left out")
    laptop.write("d/" * 300 + "f", "synced")
    laptop.sync()
    assert vault.files().keys() == {".gobiignore", "d/" * 300 + "f"}


def test_who_lets_go_of_a_folder_keeps_what_lies_deep_in_its_trash(
    vault: Server, machines: tuple[DiskMachine, DiskMachine]
) -> None:
    laptop, _ = machines
    make_deep(laptop.root, 511)
    laptop.rm(DEEP)
    assert release(laptop.root) == laptop.state / "trash"
    assert sum(1 for _ in laptop.disk.trashed()) == 1
