"""Bodies on a disk: what lies where, full disks, leftovers, flushing."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from store import flush, healing
from store.bodies import LEFTOVER_S, DiskBodies
from store.bodies_aside import put_into_trash
from store.bodies_mark import write
from store.errors import BodyMissing, DiskFull, Stale, Unavailable
from store.flush import FEW, flush_files
from tests.store.world import World, sha256

VAULT = "00000000000000aa"


@pytest.fixture
def bodies(tmp_path: Path) -> DiskBodies:
    return DiskBodies(tmp_path / "bodies")


def place(tmp_path: Path, body: bytes) -> Path:
    digest = sha256(body)
    return tmp_path / "bodies" / VAULT / digest[:2] / digest[2:]


def keep(bodies: DiskBodies, body: bytes) -> set[str]:
    incoming = bodies.receive()
    incoming.write(body)
    return bodies.keep(VAULT, [incoming.finish()])


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "bodies").rglob("*") if path.is_file()]


def test_a_body_lies_under_its_vault_and_hash_for_nobody_else_to_read(bodies: DiskBodies, tmp_path: Path) -> None:
    keep(bodies, b"body")
    path = place(tmp_path, b"body")
    assert files(tmp_path) == [path]
    assert path.read_bytes() == b"body"
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    for folder in (path.parent, path.parent.parent, tmp_path / "bodies" / "tmp"):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


def test_a_body_of_the_wrong_size_is_not_reused_and_is_healed_by_the_next(bodies: DiskBodies, tmp_path: Path) -> None:
    """A power cut on a disk that lies could leave it so."""
    keep(bodies, b"body")
    path = place(tmp_path, b"body")
    path.write_bytes(b"")
    assert bodies.reuse(VAULT, [(sha256(b"body"), 4)]) == {}
    assert bodies.counted(VAULT, [(sha256(b"body"), 4)]) == set()
    keep(bodies, b"body")
    assert path.read_bytes() == b"body"
    assert bodies.reuse(VAULT, [(sha256(b"body"), 4)]) == {sha256(b"body"): False}


def test_a_reused_body_is_safe_from_collection(bodies: DiskBodies, tmp_path: Path) -> None:
    """The collector takes only what is old: reusing makes it young."""
    keep(bodies, b"body")
    path = place(tmp_path, b"body")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    bodies.counted(VAULT, [(sha256(b"body"), 4)])
    assert path.stat().st_mtime == 1_000_000_000
    bodies.reuse(VAULT, [(sha256(b"body"), 4)])
    assert path.stat().st_mtime > 1_700_000_000


def test_a_file_system_without_hard_links_will_do(
    bodies: DiskBodies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    assert keep(bodies, b"body") == {sha256(b"body")}
    assert keep(bodies, b"body") == set()
    bodies.forsake(VAULT, [sha256(b"body")])
    assert keep(bodies, b"body") == {sha256(b"body")}
    assert files(tmp_path) == [place(tmp_path, b"body")]


def test_a_folder_that_was_removed_behind_its_back_is_made_again(bodies: DiskBodies) -> None:
    keep(bodies, b"body")
    bodies.remove_vault(VAULT)
    with pytest.raises(BodyMissing):
        bodies.open(VAULT, sha256(b"body"))
    keep(bodies, b"body")
    with bodies.open(VAULT, sha256(b"body")) as file:
        assert file.read() == b"body"


# -- failures


def failing(code: int, nth: int = 1) -> object:
    """A system call that fails the n-th time."""
    calls = 0

    def call(*_: object, **__: object) -> None:
        nonlocal calls
        calls += 1
        if calls >= nth:
            raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EIO, Unavailable),
        (errno.EROFS, Unavailable),
        (errno.EMFILE, Unavailable),
    ],
)
def test_what_the_disk_refuses_is_told_as_the_stores_own_error(
    bodies: DiskBodies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    """No temporary file is left, and what was kept before can be read."""
    keep(bodies, b"before")
    incoming = bodies.receive()
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", failing(code))
        with pytest.raises(error) as refused:
            incoming.write(b"more")
        assert isinstance(refused.value.__cause__, OSError)
        with pytest.raises(error):
            bodies.check()
    incoming.discard()
    for call in ("open", "fsync", "link", "mkdir"):
        incoming = bodies.receive()
        incoming.write(b"more")
        received = incoming.finish()
        with monkeypatch.context() as broken:
            broken.setattr(os, call, failing(code))
            if (call, code) != ("link", errno.EPERM):
                with pytest.raises(error):
                    bodies.keep(VAULT, [received])
    assert files(tmp_path) == [place(tmp_path, b"before")]
    with bodies.open(VAULT, sha256(b"before")) as file:
        assert file.read() == b"before"
    assert keep(bodies, b"more") == {sha256(b"more")}


def test_a_body_that_cannot_be_opened_is_not_said_to_be_lost(
    bodies: DiskBodies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(bodies, b"body")
    path = place(tmp_path, b"body")
    path.unlink()
    path.mkdir()
    with pytest.raises(Unavailable):
        bodies.open(VAULT, sha256(b"body"))


def test_a_full_disk_refuses_the_upload_and_the_vault_goes_on_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.at(tmp_path)
    world.new("a", b"one")
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", failing(errno.ENOSPC))
        with pytest.raises(DiskFull, match="free some"):
            world.put("b", b"two")
        assert world.files() == {"a": b"one"}
    assert os.listdir(tmp_path / "bodies" / "tmp") == []
    world.new("b", b"two")


def test_what_is_wrong_with_a_write_is_told_also_where_forsaking_its_body_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.at(tmp_path)
    first = world.new("a", b"one")
    world.new("a", b"two", first.stamp)
    opening = os.open

    def full(path: str, *arguments: int) -> int:
        if path.endswith(".forsaken"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opening(path, *arguments)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(Stale):
        world.put("a", b"six", first.stamp, announced=False)


def test_a_folder_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "bodies").write_text("a file where the folder should be")
    with pytest.raises(Unavailable, match="permissions"):
        DiskBodies(tmp_path / "bodies")


# -- leftovers


def test_the_sweep_takes_what_is_older_than_any_upload(bodies: DiskBodies, tmp_path: Path) -> None:
    """A running upload's file stays, and so do all bodies."""
    keep(bodies, b"body")
    os.utime(place(tmp_path, b"body"), (1_000_000_000, 1_000_000_000))
    running = bodies.receive()
    running.write(b"half")
    old = tmp_path / "bodies" / "tmp" / "left-by-a-crash"
    old.write_bytes(b"half")
    now = old.stat().st_mtime
    os.utime(old, (now, now - LEFTOVER_S + 60))
    bodies.sweep()
    assert old.exists()
    os.utime(old, (now, now - LEFTOVER_S - 60))
    bodies.sweep()
    assert not old.exists()
    received = running.finish()
    assert bodies.keep(VAULT, [received]) == {sha256(b"half")}
    assert place(tmp_path, b"body").exists()


def test_no_two_servers_choose_the_same_temporary_name(tmp_path: Path) -> None:
    """Nor one and its successor: both may be running for a moment."""
    uploads = [DiskBodies(tmp_path / "bodies").receive() for _ in range(3)]
    uploads.append(DiskBodies(tmp_path / "bodies").receive())
    assert len(os.listdir(tmp_path / "bodies" / "tmp")) == 4
    for upload in uploads:
        upload.discard()


# -- flushing


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were flushed one by one, as they come."""
    seen: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        seen.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    return seen


def some_files(tmp_path: Path, count: int) -> list[str]:
    made = [tmp_path / f"{number}" for number in range(count)]
    for one in made:
        one.write_text("x")
    return [str(one) for one in made]


def test_a_few_files_are_flushed_one_by_one_and_many_at_once(tmp_path: Path, flushed: list[str]) -> None:
    few, many = some_files(tmp_path, FEW), some_files(tmp_path, FEW + 1)
    flush_files(few, on=str(tmp_path))
    assert flushed == few
    flush_files(many, on=str(tmp_path))
    assert flushed == few


def no_system_call(_: int) -> int:
    ctypes.set_errno(errno.ENOSYS)
    return -1


@pytest.mark.parametrize("syncfs", [None, no_system_call], ids=["not in the C library", "not in the kernel"])
def test_without_syncfs_many_files_are_flushed_one_by_one(
    tmp_path: Path, flushed: list[str], monkeypatch: pytest.MonkeyPatch, syncfs: object
) -> None:
    monkeypatch.setattr(flush, "_syncfs", syncfs)
    many = some_files(tmp_path, FEW + 1)
    flush_files(many, on=str(tmp_path))
    assert flushed == many


def test_a_failed_flush_of_everything_is_an_error_and_no_reason_to_try_one_by_one(
    tmp_path: Path, flushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr(flush, "_syncfs", broken)
    with pytest.raises(OSError, match="Input/output"):
        flush_files(some_files(tmp_path, FEW + 1), on=str(tmp_path))
    assert flushed == []


def test_a_new_store_flushes_the_folder_that_holds_it(tmp_path: Path, flushed: list[str]) -> None:
    DiskBodies(tmp_path / "bodies")
    assert sorted(flushed) == [str(tmp_path), str(tmp_path / "bodies")]
    DiskBodies(tmp_path / "bodies")
    assert len(flushed) == 2


# -- the folder vanishes


@pytest.fixture
def marked(tmp_path: Path) -> DiskBodies:
    """As a server opens it: the folder has a mark, and the body `body`."""
    DiskBodies(tmp_path / "bodies")
    write(str(tmp_path / "bodies"), "a" * 32, replace=False)
    bodies = DiskBodies(tmp_path / "bodies", make=False, identity="a" * 32)
    keep(bodies, b"body")
    return bodies


def unmounted(tmp_path: Path, there: str) -> None:
    """The disk went away; `there` says what is in its place."""
    (tmp_path / "bodies").rename(tmp_path / "away")
    if there != "nothing":
        (tmp_path / "bodies").mkdir()
    if there in ("what another start made", "another's"):
        (tmp_path / "bodies" / "tmp").mkdir()
    if there == "another's":
        write(str(tmp_path / "bodies"), "b" * 32, replace=False)


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "what another start made", "another's"])
def test_a_folder_that_vanishes_is_waited_for_and_not_made_anew(marked: DiskBodies, tmp_path: Path, there: str) -> None:
    arrived = marked.receive()
    arrived.write(b"more")
    received = arrived.finish()
    unmounted(tmp_path, there)
    before = sorted((tmp_path / "bodies").rglob("*"))
    digest = sha256(b"body")
    for act in (
        lambda: marked.open(VAULT, digest),
        lambda: marked.receive(),
        lambda: marked.keep(VAULT, [received]),
        lambda: marked.reuse(VAULT, [(digest, 4)]),
        lambda: marked.counted(VAULT, [(digest, 4)]),
        lambda: marked.check(),
        lambda: marked.sweep(),
    ):
        with pytest.raises(Unavailable, match="mounted"):
            act()
    assert marked.missing(VAULT, [(digest, 4)]) == {}
    assert marked.lost(VAULT) == []
    assert sorted((tmp_path / "bodies").rglob("*")) == before
    if there == "nothing":
        healing.note_lost(str(tmp_path / "bodies"), VAULT, [digest])
        with pytest.raises(FileNotFoundError):
            put_into_trash(str(tmp_path / "bodies"), VAULT, digest, 0, mark=True)
        assert not (tmp_path / "bodies").exists()


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "another's"])
def test_once_the_folder_is_back_everything_goes_on(marked: DiskBodies, tmp_path: Path, there: str) -> None:
    unmounted(tmp_path, there)
    with pytest.raises(Unavailable):
        marked.check()
    if there != "nothing":
        shutil.rmtree(tmp_path / "bodies")
    (tmp_path / "away").rename(tmp_path / "bodies")
    assert marked.open(VAULT, sha256(b"body")).read() == b"body"
    keep(marked, b"another")
    assert not (tmp_path / "bodies" / "lost").exists()


def test_a_body_that_is_lost_in_a_folder_that_is_there_is_noted_as_ever(marked: DiskBodies, tmp_path: Path) -> None:
    place(tmp_path, b"body").unlink()
    with pytest.raises(BodyMissing):
        marked.open(VAULT, sha256(b"body"))
    assert marked.lost(VAULT) == [sha256(b"body")]
    assert marked.missing(VAULT, [(sha256(b"body"), 4)]) == {sha256(b"body"): None}


def test_whoever_comes_while_the_folder_is_away_makes_none(tmp_path: Path) -> None:
    bodies = DiskBodies(tmp_path / "bodies", make=False, identity="a" * 32)
    with pytest.raises(Unavailable):
        bodies.receive()
    assert not (tmp_path / "bodies").exists()
