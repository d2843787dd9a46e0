"""The real folder: links, special files, names, permissions, and what lies in `.gobi` afterwards."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client import moves, syscalls
from client.clock import SystemClock
from client.disk import FEW, Disk
from client.ports import Blocked, Entry, LocalChange, NoRoom, Stopped


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    return outside


def entry_of(disk: Disk, path: str) -> Entry:
    entry = disk.stat(path)
    assert entry is not None
    return entry


def install(disk: Disk, path: str, data: bytes, expected: Entry | None = None, *, trash: bool = False) -> Entry:
    handle = disk.stage([data])
    disk.flush()
    return disk.install(handle, path, 1_700_000_000_000_000, expected, trash)


def skipped(disk: Disk) -> dict[str, str]:
    return {one.name: one.reason for one in disk.scan()[1]}


def in_trash(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in (root / ".gobi/trash").rglob("*") if path.is_file()]


def left_in_state(root: Path) -> list[str]:
    """Files on their way into the folder, or out of it."""
    return [path.name for name in ("incoming", "tmp") for path in (root / ".gobi" / name).glob("*")]


# -- what is shown


def test_links_pipes_and_sockets_are_listed_and_not_followed(disk: Disk, root: Path, outside: Path) -> None:
    (outside / "secret").write_text("x")
    (root / "link").symlink_to(outside / "secret")
    (root / "folder-link").symlink_to(outside)
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        assert disk.scan()[0] == []
        found = skipped(disk)
    assert found.keys() == {"link", "folder-link", "pipe", "socket"}
    assert "symbolic link" in found["link"]
    assert "named pipe" in found["pipe"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"latin-\xe9.md", "latin-\\xe9.md"),
        (b"two\nlines.md", "two\\nlines.md"),
        (b"bell\x07.md", "bell\\x07.md"),
        (b"back\\slash.md", "back\\slash.md"),
        ("decomposed-e\u0301.md".encode(), "decomposed-e\u0301.md"),
    ],
)
def test_a_name_that_the_protocol_refuses_is_listed_on_one_line(
    disk: Disk, root: Path, name: bytes, shown: str
) -> None:
    (root / "good.md").write_text("x")
    os.close(os.open(os.fsencode(root) + b"/" + name, os.O_CREAT | os.O_WRONLY))
    assert [entry.path for entry in disk.scan()[0]] == ["good.md"]
    assert list(skipped(disk)) == [shown]


def test_names_with_blanks_and_emoji_are_ordinary_names(disk: Disk, root: Path) -> None:
    for name in ("a b.md", "🌱 ünï.md", " leading"):
        (root / name).write_text("x")
    assert {entry.path for entry in disk.scan()[0]} == {"a b.md", "🌱 ünï.md", " leading"}


def test_gobis_own_folder_is_never_shown_in_any_case(disk: Disk, root: Path) -> None:
    (root / ".gobi/config.json").write_text("{}")
    assert disk.scan() == ([], [])


def test_what_has_the_name_of_gobis_own_folder_is_left_out_by_name(disk: Disk, root: Path) -> None:
    (root / ".GoBi").mkdir()
    (root / ".GoBi/x").write_text("x")
    (root / "sub/.gobi").mkdir(parents=True)
    (root / "sub/.gobi/x").write_text("x")
    entries, skipped = disk.scan()
    assert entries == []
    assert sorted(one.name for one in skipped) == [".GoBi", "sub/.gobi"]


def test_a_folder_that_cannot_be_listed_is_named_so_that_nothing_below_counts_as_missing(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "locked").mkdir()
    (root / "locked/a.md").write_text("x")
    real = os.scandir

    def scandir(folder: int) -> object:
        if os.readlink(f"/proc/self/fd/{folder}").endswith("/locked"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    entries, found = disk.scan()
    assert entries == []
    assert [one.path for one in found] == ["locked"]


@pytest.mark.parametrize("text", [b"\xff\xfea\0", b"a" * 300_000])
def test_an_ignore_file_that_cannot_be_understood_stops_the_scan(disk: Disk, root: Path, text: bytes) -> None:
    (root / ".gobiignore").write_bytes(text)
    with pytest.raises(Stopped, match="gobiignore"):
        disk.scan()


def test_an_ignore_file_that_is_a_link_stops_the_scan(disk: Disk, root: Path) -> None:
    (root / ".gobiignore").symlink_to("/dev/null")
    with pytest.raises(Stopped, match="symbolic link"):
        disk.scan()


# -- links in the way


def test_nothing_is_written_removed_or_read_through_a_link_in_a_folders_place(
    disk: Disk, root: Path, outside: Path
) -> None:
    (outside / "a.md").write_text("outside")
    (root / "sub").symlink_to(outside)
    fake = Entry("sub/a.md", 7, 0, 0, 0)
    with pytest.raises(Blocked):
        disk.stat("sub/a.md")
    with pytest.raises(LocalChange):
        disk.open("sub/a.md")
    with pytest.raises(Blocked):
        install(disk, "sub/new.md", b"x")
    with pytest.raises(Blocked):
        disk.remove("sub/a.md", fake, trash=False)
    assert os.listdir(outside) == ["a.md"]
    assert (outside / "a.md").read_text() == "outside"


def test_a_folder_that_is_swapped_for_a_link_while_gobi_runs_is_not_followed(
    disk: Disk, root: Path, outside: Path
) -> None:
    (root / "sub").mkdir()
    (root / "sub/a.md").write_text("inside")
    disk.scan()
    (root / "sub").rename(root / "moved")
    (root / "sub").symlink_to(outside)
    with pytest.raises(Blocked):
        install(disk, "sub/deep/new.md", b"x")
    assert os.listdir(outside) == []


def test_a_file_that_is_swapped_for_a_link_is_not_read(disk: Disk, root: Path, outside: Path) -> None:
    (outside / "secret").write_text("x")
    (root / "a.md").symlink_to(outside / "secret")
    for look in (disk.open, disk.read, disk.digest):
        with pytest.raises(LocalChange):
            look("a.md")
    assert disk.stat("a.md") is None


@pytest.mark.parametrize("reading", [Disk.read, Disk.digest])
def test_a_file_whose_true_ctime_shows_when_it_is_read_is_read_once_more(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch, reading: Callable[[Disk, str], tuple[Entry, object]]
) -> None:
    """As on FUSE right after a rename. If it goes on like that, somebody changes it."""
    (root / "a.md").write_text("a")
    _show_another_ctime_by_reading(monkeypatch, times=1)
    assert reading(disk, "a.md")[0] == disk.stat("a.md")
    _show_another_ctime_by_reading(monkeypatch, times=4)
    with pytest.raises(LocalChange, match="changed while it was read"):
        reading(disk, "a.md")


def _show_another_ctime_by_reading(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    read = os.read
    left = [times]

    def late(descriptor: int, size: int) -> bytes:
        ctime_ns = os.fstat(descriptor).st_ctime_ns
        while left[0] and os.fstat(descriptor).st_ctime_ns == ctime_ns:  # the clock of files ticks slowly
            os.fchmod(descriptor, 0o600)
        left[0] = max(0, left[0] - 1)
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", late)


def test_a_pipe_does_not_hold_the_reader(disk: Disk, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(LocalChange):
        disk.read("pipe")


@pytest.mark.parametrize(
    "path", ["../outside/secret", "sub/../../outside/secret", ".gobi/index.db", ".GOBI/x", "a//b", "."]
)
def test_a_path_that_leads_elsewhere_is_refused_by_everything(disk: Disk, root: Path, outside: Path, path: str) -> None:
    (outside / "secret").write_text("x")
    (root / ".gobi/index.db").write_text("x")
    (root / "sub").mkdir()
    (root / "a.md").write_text("x")
    fake = Entry(path, 1, 0, 0, 0)
    for look in (disk.stat, disk.open, disk.read, disk.digest):
        with pytest.raises(Blocked):
            look(path)
    with pytest.raises(Blocked):
        install(disk, path, b"new")
    with pytest.raises(Blocked):
        install(disk, path, b"new", fake)
    with pytest.raises(Blocked):
        disk.remove(path, fake, trash=False)
    with pytest.raises(Blocked):
        disk.rename("a.md", path, entry_of(disk, "a.md"))
    assert (outside / "secret").read_text() == (root / ".gobi/index.db").read_text() == "x"


def test_a_link_in_a_files_place_is_not_replaced(disk: Disk, root: Path, outside: Path) -> None:
    (root / "a.md").symlink_to(outside / "nowhere")
    with pytest.raises(Blocked, match="regular file"):
        install(disk, "a.md", b"x")
    assert (root / "a.md").is_symlink()
    assert os.listdir(outside) == []


# -- replacing


def test_a_replaced_file_keeps_its_permissions(disk: Disk, root: Path) -> None:
    (root / "run.sh").write_text("old")
    (root / "run.sh").chmod(0o750)
    install(disk, "run.sh", b"new", entry_of(disk, "run.sh"))
    assert stat.S_IMODE((root / "run.sh").stat().st_mode) == 0o750


def test_a_file_saved_in_the_last_instant_before_it_is_replaced_comes_back(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.md").write_text("old")
    seen = entry_of(disk, "a.md")
    _save_before(monkeypatch, root / "a.md", "renameat2")
    with pytest.raises(LocalChange):
        install(disk, "a.md", b"theirs", seen)
    assert (root / "a.md").read_text() == "saved in the last instant"
    assert left_in_state(root) == []


@pytest.mark.parametrize("trash", [True, False])
def test_a_file_saved_in_the_last_instant_before_it_is_removed_comes_back(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch, trash: bool
) -> None:
    (root / "a.md").write_text("old")
    seen = entry_of(disk, "a.md")
    _save_before(monkeypatch, root / "a.md", "renameat2")
    with pytest.raises(LocalChange):
        disk.remove("a.md", seen, trash)
    assert (root / "a.md").read_text() == "saved in the last instant"


def test_a_file_saved_in_the_last_instant_before_it_is_renamed_keeps_its_name(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.md").write_text("old")
    seen = entry_of(disk, "a.md")
    _save_before(monkeypatch, root / "a.md", "renameat2")
    with pytest.raises(LocalChange):
        disk.rename("a.md", "b.md", seen)
    assert [entry.path for entry in disk.scan()[0]] == ["a.md"]
    assert (root / "a.md").read_text() == "saved in the last instant"


def _save_before(monkeypatch: pytest.MonkeyPatch, path: Path, call: str) -> None:
    """An editor saves by rename, right between the last look at the file and the system call that moves it."""
    real = getattr(syscalls, call)
    todo = [True]

    def late(*arguments: object) -> None:
        if todo:
            todo.clear()
            new = path.with_name("editor.tmp")
            new.write_text("saved in the last instant")
            new.rename(path)
        real(*arguments)

    monkeypatch.setattr(syscalls, call, late)


def _without(name: str) -> Callable[..., None]:
    def missing(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSYS, f"no {name} here")

    return missing


@pytest.mark.parametrize("links", [True, False], ids=["with hard links", "without hard links"])
def test_an_older_file_system_gets_the_same_care_by_other_means(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    monkeypatch.setattr(syscalls, "renameat2", _without("renameat2"))
    monkeypatch.setattr(syscalls, "syncfs", _without("syncfs"))
    if not links:
        monkeypatch.setattr(os, "link", _without("link"))
    (root / "a.md").write_text("mine")
    with pytest.raises(LocalChange):
        install(disk, "a.md", b"theirs")
    install(disk, "a.md", b"second", entry_of(disk, "a.md"), trash=True)
    install(disk, "a.md", b"third", entry_of(disk, "a.md"), trash=False)
    install(disk, "new.md", b"new")
    disk.remove("a.md", entry_of(disk, "a.md"), trash=True)
    disk.remove("new.md", entry_of(disk, "new.md"), trash=False)
    assert sorted(in_trash(root)) == [b"mine", b"third"]
    assert [entry.path for entry in disk.scan()[0]] == []


def test_moving_to_a_name_that_is_taken_never_replaces_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "renameat2", _without("renameat2"))
    monkeypatch.setattr(os, "link", _without("link"))
    (root / "a").write_text("a")
    (root / "b").write_text("b")
    folder = os.open(root, os.O_RDONLY)
    try:
        with pytest.raises(FileExistsError):
            moves.move_new(folder, "a", folder, "b")
    finally:
        os.close(folder)
    assert (root / "b").read_text() == "b"


def test_removing_the_last_file_removes_its_folders_but_not_those_that_hold_more(disk: Disk, root: Path) -> None:
    for path in ("a/b/c/x", "a/keep"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    disk.remove("a/b/c/x", entry_of(disk, "a/b/c/x"), trash=False)
    assert sorted(os.listdir(root / "a")) == ["keep"]
    install(disk, "a/b/again", b"x")
    assert (root / "a/b/again").read_text() == "x"


def test_moving_the_last_file_away_removes_its_folder(disk: Disk, root: Path) -> None:
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/x").write_text("x")
    disk.rename("a/b/x", "c/x", entry_of(disk, "a/b/x"))
    assert sorted(os.listdir(root)) == [".gobi", "c"]


def test_a_file_takes_the_place_of_empty_folders(disk: Disk, root: Path) -> None:
    (root / "a/b/c").mkdir(parents=True)
    install(disk, "a", b"file")
    assert (root / "a").read_text() == "file"


# -- trouble


def test_a_full_disk_is_said_to_be_full_and_leaves_nothing(disk: Disk, root: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"begin"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NoRoom):
        disk.stage(chunks())
    assert left_in_state(root) == []


def test_a_name_that_the_disk_cannot_hold_is_blocked_with_words(disk: Disk) -> None:
    with pytest.raises(Blocked, match="name"):
        install(disk, "x" * 256, b"x")


def test_what_an_earlier_run_left_staged_is_swept(disk: Disk, root: Path) -> None:
    disk.stage([b"half"])
    disk.sweep()
    assert left_in_state(root) == []


def test_a_full_disk_does_not_keep_gobi_from_tidying_up(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "mkdir", full)
    disk.sweep()
    assert disk.release() == ([], False)
    with pytest.raises(NoRoom):
        disk.stage([b"x"])


def test_many_files_are_flushed_at_once_and_few_one_by_one(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def noted(module: object, name: str) -> None:
        real = getattr(module, name)

        def call(descriptor: int) -> None:
            calls.append(name)
            real(descriptor)

        monkeypatch.setattr(module, name, call)

    noted(os, "fsync")
    noted(syscalls, "syncfs")
    disk.stage([b"x"])
    disk.flush()
    assert calls == ["fsync", "fsync"]  # the file, and the folder that got the folder `tmp`
    calls.clear()
    for _ in range(FEW + 1):
        disk.stage([b"x"])
    disk.flush()
    assert calls == ["syncfs"]


def test_a_folder_without_gobis_own_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="gobi connect"):
        Disk(tmp_path, clock=SystemClock())


def test_gobis_own_folder_may_not_be_a_link(tmp_path: Path, outside: Path) -> None:
    (tmp_path / ".gobi").symlink_to(outside)
    with pytest.raises(Stopped):
        Disk(tmp_path, clock=SystemClock())


def test_a_deep_tree_works_with_few_open_folders(disk: Disk, root: Path) -> None:
    deep = "/".join(["d"] * 300) + "/file"
    install(disk, deep, b"x")
    disk.flush()
    assert [entry.path for entry in disk.scan()[0]] == [deep]
    disk.remove(deep, entry_of(disk, deep), trash=True)
    assert os.listdir(root) == [".gobi"]
    assert in_trash(root) == [b"x"]


def test_a_folder_that_was_moved_away_is_not_taken_for_one_that_is_still_there(disk: Disk, root: Path) -> None:
    (root / "new").mkdir()
    (root / "new/1").write_text("x")
    disk.digest("new/1")
    assert disk.folder_mtime("new/1") == (root / "new").stat().st_mtime_ns // 1000
    (root / "new").rename(root / "old")
    assert disk.folder_mtime("new/1") is None
