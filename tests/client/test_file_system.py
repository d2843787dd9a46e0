"""What the engine may rely on of a file system: one suite for the real folder and the one in memory."""

from __future__ import annotations

import hashlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.clock import SystemClock
from client.disk import Disk
from client.ports import SMALL, Blocked, Entry, FileSystem, LocalChange
from tests.client.memory import ManualClock, MemoryFileSystem


class World(ABC):
    """A file system, and the person who works in the same folder."""

    fs: FileSystem

    @abstractmethod
    def write(self, path: str, data: bytes) -> None: ...

    @abstractmethod
    def delete(self, path: str) -> None: ...

    @abstractmethod
    def contents(self) -> dict[str, bytes]: ...

    @abstractmethod
    def trash(self) -> list[bytes]: ...

    def entry(self, path: str) -> Entry:
        entry = self.fs.stat(path)
        assert entry is not None
        return entry

    def install(self, path: str, data: bytes, expected: Entry | None = None, *, trash: bool = False) -> Entry:
        handle = self.fs.stage([data])
        self.fs.flush()
        return self.fs.install(handle, path, 1_700_000_000_000_000, expected, trash)


class OnDisk(World):
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / ".gobi").mkdir(parents=True)
        self.disk = Disk(root, clock=SystemClock())
        self.fs: FileSystem = self.disk

    def write(self, path: str, data: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def delete(self, path: str) -> None:
        (self.root / path).unlink()

    def contents(self) -> dict[str, bytes]:
        files = (path for path in self.root.rglob("*") if path.is_file())
        found = {str(path.relative_to(self.root)): path.read_bytes() for path in files}
        return {path: data for path, data in found.items() if not path.startswith(".gobi/")}

    def trash(self) -> list[bytes]:
        return [path.read_bytes() for path in (self.root / ".gobi/trash").rglob("*") if path.is_file()]


class InMemory(World):
    def __init__(self) -> None:
        self.memory = MemoryFileSystem(ManualClock())
        self.fs: FileSystem = self.memory

    def write(self, path: str, data: bytes) -> None:
        self.memory.clock.forward(0.01)
        self.memory.write(path, data)

    def delete(self, path: str) -> None:
        self.memory.delete(path)

    def contents(self) -> dict[str, bytes]:
        return self.memory.contents()

    def trash(self) -> list[bytes]:
        return [data for _, data in self.memory.trash]


@pytest.fixture(params=["disk", "memory"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "memory":
        yield InMemory()
        return
    one = OnDisk(tmp_path / "vault")
    with one.disk:
        yield one
    assert [path for name in ("incoming", "tmp") for path in (one.root / ".gobi" / name).glob("*")] == []
    shutil.rmtree(one.root)


def test_a_scan_shows_every_file_as_stat_shows_it(world: World) -> None:
    for path in ("a.md", "sub/b.md", "sub/deep/c.md"):
        world.write(path, path.encode())
    entries, skipped = world.fs.scan()
    assert sorted(entries) == [world.entry("a.md"), world.entry("sub/b.md"), world.entry("sub/deep/c.md")]
    assert skipped == []


def test_a_file_that_is_written_again_shows_another_entry(world: World) -> None:
    world.write("a.md", b"one")
    before = world.entry("a.md")
    world.write("a.md", b"more")
    assert world.entry("a.md") != before


def test_nothing_is_where_no_file_is(world: World) -> None:
    world.write("file", b"x")
    assert world.fs.stat("nowhere/a.md") is None
    assert world.fs.stat("file/below") is None
    for look in (world.fs.open, world.fs.read, world.fs.digest):
        with pytest.raises(LocalChange):
            look("a.md")


def test_a_file_is_read_together_with_its_entry_and_its_hash(world: World) -> None:
    world.write("a.md", b"hello")
    assert world.fs.read("a.md") == (world.entry("a.md"), b"hello")
    assert world.fs.digest("a.md") == (world.entry("a.md"), hashlib.sha256(b"hello").hexdigest())
    with world.fs.open("a.md") as file:
        assert file.read() == b"hello"


def test_a_file_too_large_for_memory_is_not_read_at_once(world: World) -> None:
    world.write("big", bytes(SMALL + 1))
    with pytest.raises(LocalChange):
        world.fs.read("big")
    assert world.fs.digest("big")[0].size == SMALL + 1


def test_an_installed_file_has_its_bytes_its_time_and_the_entry_that_a_scan_shows(world: World) -> None:
    entry = world.install("sub/deep/new.md", b"new")
    assert world.contents() == {"sub/deep/new.md": b"new"}
    assert entry.mtime_ns == 1_700_000_000_000_000_000
    assert world.fs.scan()[0] == [entry]


def test_installing_never_replaces_a_file_that_nobody_expected(world: World) -> None:
    world.write("a.md", b"mine")
    with pytest.raises(LocalChange):
        world.install("a.md", b"theirs")
    assert world.contents() == {"a.md": b"mine"}


def test_installing_never_replaces_a_file_that_was_edited_meanwhile(world: World) -> None:
    world.write("a.md", b"old")
    seen = world.entry("a.md")
    world.write("a.md", b"edited")
    with pytest.raises(LocalChange):
        world.install("a.md", b"theirs", seen)
    assert world.contents() == {"a.md": b"edited"}


def test_installing_over_a_file_that_is_gone_is_decided_again(world: World) -> None:
    world.write("a.md", b"old")
    seen = world.entry("a.md")
    world.delete("a.md")
    with pytest.raises(LocalChange):
        world.install("a.md", b"theirs", seen)
    assert world.contents() == {}


def test_a_replaced_file_goes_to_the_trash_only_where_that_is_wanted(world: World) -> None:
    world.write("a.md", b"first")
    world.install("a.md", b"second", world.entry("a.md"), trash=False)
    assert world.trash() == []
    world.install("a.md", b"third", world.entry("a.md"), trash=True)
    assert world.trash() == [b"second"]
    assert world.contents() == {"a.md": b"third"}


def test_one_path_may_go_to_the_trash_many_times(world: World) -> None:
    world.write("a", b"file")
    world.fs.remove("a", world.entry("a"), trash=True)
    world.write("a", b"another")
    world.fs.remove("a", world.entry("a"), trash=True)
    world.write("a/b", b"below")
    world.fs.remove("a/b", world.entry("a/b"), trash=True)
    assert sorted(world.trash()) == [b"another", b"below", b"file"]


def test_a_file_that_was_edited_meanwhile_is_not_removed(world: World) -> None:
    world.write("a.md", b"old")
    seen = world.entry("a.md")
    world.write("a.md", b"edited")
    with pytest.raises(LocalChange):
        world.fs.remove("a.md", seen, trash=False)
    assert world.contents() == {"a.md": b"edited"}


def test_a_file_can_take_the_place_of_the_folder_that_was_emptied(world: World) -> None:
    world.write("a/b/c.md", b"x")
    world.fs.remove("a/b/c.md", world.entry("a/b/c.md"), trash=False)
    world.install("a", b"a file now")
    assert world.contents() == {"a": b"a file now"}


def test_a_file_never_takes_the_place_of_a_folder_with_files(world: World) -> None:
    world.write("a/b.md", b"x")
    with pytest.raises(Blocked):
        world.install("a", b"a file")
    assert world.contents() == {"a/b.md": b"x"}


def test_a_folder_never_takes_the_place_of_a_file(world: World) -> None:
    world.write("a", b"a file")
    with pytest.raises(Blocked):
        world.install("a/b.md", b"x")
    assert world.contents() == {"a": b"a file"}


def test_a_rename_keeps_the_file_and_never_replaces_another(world: World) -> None:
    world.write("a.md", b"a")
    world.write("b.md", b"b")
    with pytest.raises(Blocked):
        world.fs.rename("a.md", "b.md", world.entry("a.md"))
    entry = world.fs.rename("a.md", "sub/c.md", world.entry("a.md"))
    assert entry == world.entry("sub/c.md")
    assert world.contents() == {"b.md": b"b", "sub/c.md": b"a"}


def test_a_file_that_was_edited_meanwhile_is_not_renamed(world: World) -> None:
    world.write("a.md", b"old")
    seen = world.entry("a.md")
    world.write("a.md", b"edited")
    with pytest.raises(LocalChange):
        world.fs.rename("a.md", "b.md", seen)


def test_what_breaks_off_while_it_is_staged_leaves_nothing(world: World) -> None:
    def cut() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError):
        world.fs.stage(cut())
    assert world.fs.scan()[0] == []


def test_ignored_files_are_not_shown_and_the_rules_have_a_name(world: World) -> None:
    for path in ("a.md", "a.tmp", "build/x", "sub/build/y"):
        world.write(path, b"x")
    assert len(world.fs.scan()[0]) == 4
    none = world.fs.rules
    world.write(".gobiignore", b"*.tmp\nbuild/\n")
    assert {entry.path for entry in world.fs.scan()[0]} == {"a.md", ".gobiignore"}
    assert world.fs.ignored("sub/build/y")
    assert not world.fs.ignored("a.md")
    named = world.fs.rules
    world.write(".gobiignore", b"*.tmp\n")
    world.fs.scan()
    assert world.fs.rules not in (none, named)
