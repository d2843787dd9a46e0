"""Folders that become empty because files are deleted or renamed elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client.direct import Server
from tests.client.machines import DiskMachine

Machines = tuple[DiskMachine, DiskMachine]


@pytest.fixture
def machines(vault: Server, tmp_path: Path) -> Iterator[Machines]:
    both = DiskMachine(vault, "laptop", tmp_path / "laptop"), DiskMachine(vault, "desktop", tmp_path / "desktop")
    yield both
    for machine in both:
        machine.close()


def folders(machine: DiskMachine) -> set[str]:
    found = (path.relative_to(machine.root) for path in machine.root.rglob("*") if path.is_dir())
    return {str(path) for path in found if path.parts[0] != ".gobi"}


def both_sync(machines: Machines) -> None:
    machines[0].sync(propagate_deletes=True, allow_mass_delete=True)
    machines[1].sync(allow_mass_delete=True)


def after(machines: Machines, files: list[str], then: Callable[[Path], object]) -> tuple[set[str], set[str]]:
    """Which folders both have once somebody has done something on one of them."""
    for path in files:
        machines[0].write(path, path)
    both_sync(machines)
    then(machines[0].root)
    both_sync(machines)
    assert machines[0].files() == machines[1].files()
    assert machines[1].sync().trail == []
    return folders(machines[0]), folders(machines[1])


GIT = ["repo/.git/HEAD", "repo/.git/refs/heads/main", "repo/.git/refs/tags/v1", "repo/.git/objects/ab/cdef"]


def test_what_git_gc_empties_and_keeps_is_kept_elsewhere(machines: Machines) -> None:
    machines[0].write(".gobiignore", "!.git\n")

    def collect(root: Path) -> None:
        git = root / "repo/.git"
        for path in ("refs/heads/main", "refs/tags/v1"):
            (git / path).unlink()
        shutil.rmtree(git / "objects/ab")
        (git / "packed-refs").write_text("all of them")

    here, there = after(machines, GIT, collect)
    assert here == there | {"repo/.git/objects"}
    assert {"repo/.git/refs/heads", "repo/.git/refs/tags"} <= there


def test_the_last_mail_that_moves_on_leaves_its_folder_in_place(machines: Machines) -> None:
    here, there = after(
        machines, ["inbox/new/1", "inbox/cur/0"], lambda root: (root / "inbox/new/1").rename(root / "inbox/cur/1:2,S")
    )
    assert here == there == {"inbox", "inbox/new", "inbox/cur"}


@pytest.mark.parametrize(
    "then",
    [
        lambda root: shutil.rmtree(root / "a"),
        lambda root: (root / "a").rename(root / "c"),
        lambda root: (root / "a/b").rename(root / "c"),
        lambda root: (root / "a/b/deep").rename(root / "a/b/other"),
    ],
    ids=["deleted", "renamed", "moved up", "renamed below"],
)
def test_folders_that_are_gone_elsewhere_leave_no_litter(machines: Machines, then: Callable[[Path], None]) -> None:
    here, there = after(machines, ["a/1", "a/b/2", "a/b/deep/3", "keep/4"], then)
    assert here == there


def test_whoever_deletes_the_last_file_by_name_removes_its_folder_everywhere(machines: Machines) -> None:
    def remove(root: Path) -> None:
        machines[0].rm("a/1", "a/2")

    assert after(machines, ["a/1", "a/2", "keep/4"], remove) == ({"keep"}, {"keep"})


def test_a_folder_goes_when_it_is_gone_with_the_last_of_its_files(machines: Machines) -> None:
    """A folder of many files is deleted; the first of them are known elsewhere before it is gone."""
    for number in range(4):
        machines[0].write(f"a/{number}", str(number))
    both_sync(machines)
    for number in range(2):
        machines[0].delete(f"a/{number}")
    machines[0].sync(propagate_deletes=True)
    shutil.rmtree(machines[0].root / "a")
    both_sync(machines)
    assert folders(machines[1]) == set()


def test_a_server_that_keeps_no_word_of_folders_leaves_it_as_it_was(vault: Server, machines: Machines) -> None:
    machines[0].write("a/1", "x")
    both_sync(machines)
    vault.delete("a/1")
    both_sync(machines)
    assert folders(machines[0]) == folders(machines[1]) == set()
