"""Folders on another disk, or another mount, than gobi's own: files arrive there, and leave, as everywhere."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from client import places, syscalls
from client.clock import SystemClock
from client.disk import Disk
from client.ignore import STAGING
from client.ports import Blocked, Entry, LocalChange
from tests.client.direct import Server
from tests.client.machines import DiskMachine
from tests.client.memory import ManualClock


def _path(folder: object, name: object) -> str:
    if isinstance(folder, int):
        return f"{os.readlink(f'/proc/self/fd/{folder}')}/{os.fsdecode(name)}"  # type: ignore[arg-type]
    return str(name)


class OtherDisk:
    """The folder `photos` counts as another disk, to and from which nothing can be moved or linked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.inside = f"{root}/photos/"
        self.calls = 0
        self.die_at = 0
        renameat2, link, rename = syscalls.renameat2, os.link, os.rename

        def guarded_renameat2(source: int, old: str, target: int, new: str, flags: int) -> None:
            self._check(_path(source, old), _path(target, new))
            renameat2(source, old, target, new, flags)

        def guarded_link(old: str, new: str, **folders: object) -> None:
            self._check(_path(folders.get("src_dir_fd"), old), _path(folders.get("dst_dir_fd"), new))
            link(old, new, **folders)  # type: ignore[arg-type]

        def guarded_rename(old: str, new: str, **folders: object) -> None:
            self._check(_path(folders.get("src_dir_fd"), old), _path(folders.get("dst_dir_fd"), new))
            rename(old, new, **folders)  # type: ignore[arg-type]

        monkeypatch.setattr(syscalls, "renameat2", guarded_renameat2)
        monkeypatch.setattr(os, "link", guarded_link)
        monkeypatch.setattr(os, "rename", guarded_rename)
        monkeypatch.setattr(places, "_device", self._device)

    def _device(self, folder: int) -> tuple[int, str]:
        return 1, str(self._is_inside(os.readlink(f"/proc/self/fd/{folder}") + "/"))

    def _is_inside(self, path: str) -> bool:
        return path.startswith(self.inside)

    def _check(self, source: str, target: str) -> None:
        self.calls += 1
        if self.calls == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._is_inside(source) != self._is_inside(target):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "vault"
    (root / "photos/2026").mkdir(parents=True)
    (root / ".gobi").mkdir()
    return root


@pytest.fixture(autouse=True)
def other_disk(monkeypatch: pytest.MonkeyPatch, root: Path) -> OtherDisk:
    return OtherDisk(monkeypatch, root)


@pytest.fixture
def disk(root: Path) -> Iterator[Disk]:
    with Disk(root, clock=SystemClock()) as disk:
        yield disk


def entry_of(disk: Disk, path: str) -> Entry:
    entry = disk.stat(path)
    assert entry is not None
    return entry


def receive(disk: Disk, path: str, data: bytes, *, trash: bool = False) -> Entry:
    handle = disk.stage([data])
    disk.flush()
    return disk.install(handle, path, 1_700_000_000_000_000, disk.stat(path), trash)


def in_trash(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in (root / ".gobi/trash").rglob("*") if path.is_file()]


def litter(root: Path) -> list[str]:
    staged = [str(path.relative_to(root)) for path in root.rglob(f"{STAGING}*")]
    return staged + [path.name for name in ("incoming", "tmp") for path in (root / ".gobi" / name).glob("*")]


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "two steps"])
def test_files_are_received_replaced_and_removed_on_another_disk(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr("client.moves.try_exchange", lambda *_: False)
    for path in ("photos/1.jpg", "photos/2026/2.jpg", "photos/new/3.jpg", "note.md"):
        assert receive(disk, path, b"first") == entry_of(disk, path)
        os.chmod(root / path, 0o640)
        assert receive(disk, path, b"second") == entry_of(disk, path)
        assert (root / path).stat().st_mode & 0o777 == 0o640
        assert (root / path).stat().st_mtime == 1_700_000_000
        receive(disk, path, b"third", trash=True)
        assert (root / path).read_bytes() == b"third"
    assert in_trash(root) == [b"second"] * 4
    disk.flush()
    disk.remove("photos/1.jpg", entry_of(disk, "photos/1.jpg"), trash=True)
    disk.remove("photos/2026/2.jpg", entry_of(disk, "photos/2026/2.jpg"), trash=False)
    assert sorted(in_trash(root)) == [*[b"second"] * 4, b"third"]
    disk.flush()
    assert disk.release() == ([], False)
    assert litter(root) == []
    assert {entry.path for entry in disk.scan()[0]} == {"photos/new/3.jpg", "note.md"}


def test_a_file_in_the_trash_from_another_disk_is_the_one_that_was_there(disk: Disk, root: Path) -> None:
    (root / "photos/1.jpg").write_bytes(b"mine")
    os.chmod(root / "photos/1.jpg", 0o600)
    os.utime(root / "photos/1.jpg", (1_500_000_000, 1_500_000_000))
    disk.remove("photos/1.jpg", entry_of(disk, "photos/1.jpg"), trash=True)
    (kept,) = (root / ".gobi/trash").glob("*/photos/1.jpg")
    assert (kept.read_bytes(), kept.stat().st_mtime, kept.stat().st_mode & 0o777) == (b"mine", 1_500_000_000, 0o600)


def test_what_was_saved_there_in_the_last_moment_comes_back(disk: Disk, root: Path) -> None:
    (root / "photos/1.jpg").write_bytes(b"old")
    seen = entry_of(disk, "photos/1.jpg")
    (root / "photos/1.jpg").write_bytes(b"saved")
    handle = disk.stage([b"theirs"])
    disk.flush()
    with pytest.raises(LocalChange):
        disk.install(handle, "photos/1.jpg", None, seen, False)
    with pytest.raises(LocalChange):
        disk.remove("photos/1.jpg", seen, False)
    assert (root / "photos/1.jpg").read_bytes() == b"saved"
    disk.release()
    assert litter(root) == []


def test_what_a_program_still_writes_there_is_kept(disk: Disk, root: Path) -> None:
    (root / "photos/log").write_bytes(b"line 1, ")
    with open(root / "photos/log", "ab", buffering=0) as program:
        receive(disk, "photos/log", b"from elsewhere")
        assert disk.release()[1]
        receive(disk, "photos/1.jpg", b"while that is held")
        program.write(b"line 2, ")
        assert disk.release()[1]
        program.write(b"line 3")
    notes, held = disk.release()
    assert not held
    assert ".gobi/trash/" in notes[0]
    assert in_trash(root) == [b"line 1, line 2, line 3"]
    assert litter(root) == []


def test_the_place_where_files_wait_is_never_synced(disk: Disk, root: Path) -> None:
    receive(disk, "photos/1.jpg", b"x")
    (root / f"photos/{STAGING}/incoming/half").write_bytes(b"half")
    assert {entry.path for entry in disk.scan()[0]} == {"photos/1.jpg"}
    assert disk.scan()[1] == []
    assert disk.look_at([f"photos/{STAGING}/incoming/half"]) == ([], [])
    assert disk.ignored(f"photos/{STAGING}/incoming/half")
    assert disk.ignored_folder(f"photos/{STAGING}")
    assert not disk.ignored("photos/1.jpg")


def test_where_gobi_may_not_write_at_the_top_of_the_disk_it_uses_a_folder_below(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir

    def mkdir(name: str, *arguments: object, dir_fd: int) -> None:
        if name == STAGING and os.readlink(f"/proc/self/fd/{dir_fd}").endswith("/photos"):
            raise PermissionError(errno.EACCES, "Permission denied")
        real(name, *arguments, dir_fd=dir_fd)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "mkdir", mkdir)
    receive(disk, "photos/2026/2.jpg", b"x")
    assert (root / "photos/2026/2.jpg").read_bytes() == b"x"
    with pytest.raises(Blocked, match="permission"):
        receive(disk, "photos/1.jpg", b"x")
    disk.release()
    assert litter(root) == []


def _operations() -> list[Callable[[Disk], object]]:
    def replace(disk: Disk) -> None:
        receive(disk, "photos/1.jpg", b"new")

    def replace_only_copy(disk: Disk) -> None:
        receive(disk, "photos/1.jpg", b"new", trash=True)

    def remove_only_copy(disk: Disk) -> None:
        disk.remove("photos/1.jpg", entry_of(disk, "photos/1.jpg"), trash=True)

    return [replace, replace_only_copy, remove_only_copy]


@pytest.mark.parametrize("operation", _operations(), ids=lambda one: one.__name__)
def test_a_run_that_was_killed_leaves_nothing_there_and_loses_nothing(
    root: Path, other_disk: OtherDisk, operation: Callable[[Disk], object]
) -> None:
    for moment in range(1, 100):
        (root / "photos/1.jpg").write_bytes(b"old")
        for trash in (root / ".gobi/trash").rglob("1.jpg"):
            trash.unlink()
        pid = os.fork()
        if pid == 0:
            other_disk.calls, other_disk.die_at = 0, moment
            with suppress(BaseException):
                operation(Disk(root, clock=SystemClock()))
            os._exit(0)
        killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        with Disk(root, clock=SystemClock()) as disk:
            disk.sweep()
            disk.release()
        assert litter(root) == []
        left = [path.read_bytes() for path in (root / "photos").glob("*.jpg")] + in_trash(root)
        assert b"old" in left or (operation.__name__ == "replace" and left == [b"new"])
        if not killed:
            assert moment > 3
            return
    raise AssertionError("it never ended")


def test_a_disk_that_is_not_mounted_is_tidied_up_when_it_is(disk: Disk, root: Path) -> None:
    receive(disk, "photos/1.jpg", b"x")
    (root / f"photos/{STAGING}/incoming/half").write_bytes(b"half")
    (root / "photos").rename(root.with_name("unmounted"))
    (root / "photos").mkdir()
    for mounted in (False, True):
        if mounted:
            (root / "photos").rmdir()
            root.with_name("unmounted").rename(root / "photos")
        with Disk(root, clock=SystemClock()) as again:
            again.sweep()
    assert litter(root) == []


def test_machines_are_in_step_where_one_has_a_folder_on_another_disk(vault: Server, tmp_path: Path, root: Path) -> None:
    (root / "photos/2026").rmdir()
    (root / ".gobi").rmdir()
    (root / "photos").rmdir()
    root.rmdir()
    here, elsewhere = DiskMachine(vault, "here", root), DiskMachine(vault, "elsewhere", tmp_path / "elsewhere")
    for path in ("photos/1.jpg", "photos/2.jpg", "photos/3.jpg", "note.md"):
        here.write(path, path)
    here.sync()
    elsewhere.sync()
    elsewhere.write("photos/1.jpg", "edited")
    elsewhere.delete("photos/2.jpg")
    elsewhere.move("photos/3.jpg", "three.jpg")
    elsewhere.move("note.md", "photos/note.md")
    elsewhere.sync(propagate_deletes=True)
    assert here.sync().in_step
    assert here.files() == elsewhere.files()
    assert here.sync().trail == []
    assert litter(root) == []
    for machine in (here, elsewhere):
        machine.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("what", ["tmpfs", "bind"])
def test_the_same_on_a_disk_that_is_really_mounted(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.undo()
    (tmp_path / "source/2026").mkdir(parents=True)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _mount(what, tmp_path / "source", root / "photos")
            with Disk(root, clock=ManualClock()) as disk:
                (root / "photos/1.jpg").write_bytes(b"old")
                receive(disk, "photos/2026/2.jpg", b"new")
                receive(disk, "photos/1.jpg", b"new", trash=True)
                disk.remove("photos/2026/2.jpg", entry_of(disk, "photos/2026/2.jpg"), trash=False)
                disk.flush()
                assert disk.release() == ([], False)
            assert (root / "photos/1.jpg").read_bytes() == b"new"
            assert in_trash(root) == [b"old"]
            assert litter(root) == []
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _mount(what: str, source: Path, target: Path) -> None:
    """In a mount namespace of this process's own, which ends with it."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x00020000):  # CLONE_NEWNS
        os._exit(0)  # not allowed in this container
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    if what == "bind":
        subprocess.run(["mount", "--bind", source, target], check=True)
    else:
        subprocess.run(["mount", "-t", "tmpfs", "none", target], check=True)
        (target / "2026").mkdir()
