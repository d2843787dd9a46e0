"""Which files are read again, and which are believed to be what they were."""

from __future__ import annotations

import hashlib

import pytest

from client.index import Index, Record
from client.ports import Blocked, Entry, LocalChange, Skipped
from client.report import Silent
from client.scan import View, look
from tests.client.memory import SECOND, ManualClock, MemoryFileSystem


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Folder:
    """A folder in memory, and the index of its last sync."""

    def __init__(self, tick_ns: int = 1) -> None:
        self.clock = ManualClock()
        self.fs = MemoryFileSystem(self.clock, tick_ns=tick_ns)
        self.index = Index()

    def sync(self) -> None:
        """Everything is recorded as it is now."""
        seen_ns = self.clock.now_ns
        for path, file in self.fs.files.items():
            self.index.records[path] = Record.of(file.entry(path), 1, digest(file.data), seen_ns)

    def look(self) -> View:
        return look(self.fs, self.index, self.clock, Silent())


def test_an_old_file_that_looks_the_same_is_not_read() -> None:
    folder = Folder()
    folder.fs.write("a.md", b"old")
    folder.clock.forward(3600)
    folder.sync()
    assert folder.look().hashes == {}


def test_a_file_written_twice_within_one_tick_of_a_coarse_clock_is_read_again() -> None:
    folder = Folder(tick_ns=SECOND)
    folder.fs.write("a.md", b"one")
    folder.sync()
    folder.fs.write("a.md", b"two")
    folder.clock.forward(3600)
    assert folder.look().hashes == {"a.md": digest(b"two")}


def test_a_file_as_young_as_its_record_is_read_until_it_has_aged() -> None:
    folder = Folder(tick_ns=2 * SECOND)
    folder.fs.write("a.md", b"one")
    folder.sync()
    assert folder.look().fresh == []  # read, and still too young to be believed
    folder.clock.forward(60)
    (fresh,) = folder.look().fresh
    folder.index.records["a.md"] = fresh
    assert folder.look().hashes == {}


def test_a_touched_file_with_the_same_content_only_refreshes_its_record() -> None:
    folder = Folder()
    folder.fs.write("a.md", b"same")
    folder.clock.forward(60)
    folder.sync()
    folder.index.records["a.md"] = folder.index.records["a.md"]._replace(sent=("x",), conflict="c")
    folder.clock.forward(60)
    folder.fs.write("a.md", b"same")
    folder.clock.forward(60)
    (fresh,) = folder.look().fresh
    assert (fresh.stamp, fresh.sent, fresh.conflict) == (1, ("x",), "c")
    assert fresh.mtime_ns == folder.fs.files["a.md"].mtime_ns


def test_a_clock_that_jumps_a_year_back_only_makes_more_be_read() -> None:
    folder = Folder()
    folder.fs.write("a.md", b"old")
    folder.clock.forward(60)
    folder.sync()
    folder.clock.forward(-365 * 86400)
    folder.fs.write("a.md", b"new")
    assert folder.look().hashes == {"a.md": digest(b"new")}


def test_the_moment_of_a_look_is_from_before_it() -> None:
    """A file that is saved while the others are read must not count as older than its record."""
    folder = Folder()
    folder.fs.write("a.md", b"x")
    started = folder.clock.now_ns
    folder.fs.meddle = lambda method, path: folder.clock.forward(10)
    assert folder.look().at_ns == started


def test_a_file_that_goes_while_it_is_read_is_for_the_next_look() -> None:
    folder = Folder()
    folder.fs.write("a.md", b"x")
    folder.fs.write("b.md", b"y")

    def delete(_method: str, path: str) -> None:
        if path == "a.md":
            folder.fs.delete(path)

    folder.fs.meddle = delete
    view = folder.look()
    assert view.unsteady == {"a.md"}
    assert view.hashes == {"b.md": digest(b"y")}
    assert view.why_unknown("a.md") is not None


def test_a_file_that_cannot_be_read_is_listed_and_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder()
    folder.fs.write("a.md", b"x")

    def deny(path: str) -> tuple[Entry, str]:
        raise Blocked("no permission")

    monkeypatch.setattr(folder.fs, "digest", deny)
    view = folder.look()
    assert view.skipped == [Skipped("a.md", "cannot be read: no permission", "a.md", refused=True)]
    assert view.why_unknown("a.md") == "cannot be read: no permission"


def test_everything_below_a_hidden_folder_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder()
    monkeypatch.setattr(folder.fs, "scan", lambda: ([], [Skipped("sub", "a symbolic link", "sub")]))
    view = folder.look()
    assert view.why_unknown("sub") == view.why_unknown("sub/deep/a.md") == "a symbolic link"
    assert view.why_unknown("subway/a.md") is None


def test_a_root_that_cannot_be_listed_leaves_everything_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder()
    monkeypatch.setattr(folder.fs, "scan", lambda: ([], [Skipped(".", "cannot be listed", "")]))
    assert folder.look().why_unknown("any/thing") == "cannot be listed"


def test_a_file_that_a_power_cut_emptied_is_held() -> None:
    folder = Folder()
    folder.fs.write("a.md", b"content")
    folder.sync()
    folder.clock.forward(60)
    folder.fs.write("a.md", b"")
    folder.clock.forward(60)
    folder.clock.booted_ns = folder.clock.now_ns
    view = folder.look()
    assert list(view.held) == ["a.md"]
    assert view.hashes == {}


def test_a_file_that_a_person_emptied_since_the_machine_started_is_an_edit() -> None:
    folder = Folder()
    folder.fs.write("a.md", b"content")
    folder.sync()
    folder.clock.forward(60)
    folder.fs.write("a.md", b"")
    view = folder.look()
    assert view.held == {}
    assert view.hashes == {"a.md": digest(b"")}


def test_an_old_empty_file_that_a_person_restored_since_the_machine_started_is_an_edit() -> None:
    folder = Folder()
    folder.fs.write("a.md", b"content")
    folder.sync()
    folder.clock.forward(60)
    folder.clock.booted_ns = folder.clock.now_ns
    folder.clock.forward(60)
    folder.fs.write("a.md", b"", mtime_ns=folder.clock.now_ns - 365 * 86400 * SECOND)
    view = folder.look()
    assert view.held == {}
    assert view.hashes == {"a.md": digest(b"")}


def test_an_old_empty_file_that_a_person_restored_before_the_machine_started_is_an_edit() -> None:
    folder = Folder()
    folder.fs.write("a.md", b"content")
    folder.sync()
    folder.clock.forward(60)
    folder.fs.write("a.md", b"", mtime_ns=folder.clock.now_ns - 365 * 86400 * SECOND)
    folder.clock.forward(60)
    folder.clock.booted_ns = folder.clock.now_ns
    view = folder.look()
    assert view.held == {}
    assert view.hashes == {"a.md": digest(b"")}


def test_a_file_dated_in_the_future_is_read_once_and_then_believed() -> None:
    folder = Folder()
    folder.fs.write("a.mov", b"from a camera with a wrong clock")
    folder.clock.forward(60)
    folder.sync()
    folder.fs.write("a.mov", b"from a camera with a wrong clock", mtime_ns=folder.clock.now_ns + 86400 * SECOND)
    folder.clock.forward(60)
    (fresh,) = folder.look().fresh
    folder.index.put(fresh)
    folder.clock.forward(60)
    assert folder.look().hashes == {}


def test_a_file_dated_in_the_future_and_written_within_a_tick_is_read_again() -> None:
    folder = Folder(tick_ns=SECOND)
    later = folder.clock.now_ns + 86400 * SECOND
    folder.fs.write("a.mov", b"one", mtime_ns=later)
    folder.sync()
    folder.fs.write("a.mov", b"two", mtime_ns=later)
    folder.clock.forward(60)
    assert folder.look().hashes == {"a.mov": digest(b"two")}


def test_a_file_that_changes_under_the_reader_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder()
    folder.fs.write("a.md", b"x")

    def change(path: str) -> tuple[Entry, str]:
        raise LocalChange(path)

    monkeypatch.setattr(folder.fs, "digest", change)
    assert folder.look().unsteady == {"a.md"}
