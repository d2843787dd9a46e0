"""What a file has here that does not travel: owner, group, permissions, ACL, extended attributes, holes."""

from __future__ import annotations

import os
import stat
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import client.syscalls  # noqa: F401  now: a user who may not read where gobi lies cannot
from client.attributes import ACL, DEFAULT_ACL
from client.clock import SystemClock
from client.disk import Disk
from client.staging import HOLE
from tests.client.direct import Server
from tests.client.machines import Machine

ALICE, TEAM, OTHERS = 1234, 4321, 4322  # a user, a group that she is in, a group that she is not in

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")


def receive(disk: Disk, path: str, data: bytes = b"from elsewhere") -> None:
    handle = disk.stage([data])
    disk.flush()
    disk.install(handle, path, 1_700_000_000_000_000, disk.stat(path), False)


def facts(path: Path) -> tuple[int, int, str]:
    status = path.stat()
    return status.st_uid, status.st_gid, oct(stat.S_IMODE(status.st_mode))


def acl(user: int, permissions: int, group: int = 4, mask: int = 7) -> bytes:
    """An ACL of the owner (all), a named user, the group, and nobody else."""
    nobody = 0xFFFFFFFF
    entries = [(1, 7, nobody), (2, permissions, user), (4, group, nobody), (0x10, mask, nobody), (0x20, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.fixture
def alice(root: Path) -> Callable[[Callable[[], None]], None]:
    """Does something as a user who is in one group beside her own."""
    for path in (root, root / ".gobi"):
        os.chown(path, ALICE, ALICE)
    for above in root.parents:
        if above.stat().st_uid == 0 and len(above.parts) > 2:
            above.chmod(0o755)

    def do(work: Callable[[], None]) -> None:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.setgroups([TEAM])
                os.setresgid(ALICE, ALICE, ALICE)
                os.setresuid(ALICE, ALICE, ALICE)
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                raise
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    return do


# -- a file that is replaced


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o755, 0o664])
def test_a_replaced_file_keeps_its_permissions(disk: Disk, root: Path, mode: int) -> None:
    (root / "a").write_text("old")
    (root / "a").chmod(mode)
    receive(disk, "a")
    assert stat.S_IMODE((root / "a").stat().st_mode) == mode


def test_a_replaced_file_keeps_its_extended_attributes(disk: Disk, root: Path) -> None:
    (root / "a").write_text("old")
    os.setxattr(root / "a", "user.tag", b"red")
    receive(disk, "a")
    assert os.getxattr(root / "a", "user.tag") == b"red"


def test_a_replaced_file_keeps_its_acl_and_gets_none_that_it_did_not_have(disk: Disk, root: Path) -> None:
    os.setxattr(root / ".gobi", DEFAULT_ACL, acl(ALICE, 6))
    (root / "shared").write_text("old")
    os.setxattr(root / "shared", ACL, acl(ALICE, 6))
    before = (root / "shared").stat().st_mode
    receive(disk, "shared")
    assert os.getxattr(root / "shared", ACL) == acl(ALICE, 6)
    assert (root / "shared").stat().st_mode == before
    (root / "plain").write_text("old")
    receive(disk, "plain")
    assert ACL not in os.listxattr(root / "plain")


@as_root
def test_root_keeps_owner_and_group_of_a_replaced_file(disk: Disk, root: Path) -> None:
    (root / "a").write_text("old")
    os.chown(root / "a", ALICE, TEAM)
    (root / "a").chmod(0o660)
    receive(disk, "a")
    assert facts(root / "a") == (ALICE, TEAM, "0o660")


@as_root
def test_a_user_keeps_a_group_that_she_is_in(root: Path, alice: Callable[[Callable[[], None]], None]) -> None:
    (root / "plan").write_text("old")
    os.chown(root / "plan", 0, TEAM)
    (root / "plan").chmod(0o660)
    alice(lambda: receive(Disk(root, clock=SystemClock()), "plan"))
    assert facts(root / "plan") == (ALICE, TEAM, "0o660")


@as_root
def test_where_the_group_cannot_be_kept_no_other_group_gets_what_it_could(
    root: Path, alice: Callable[[Callable[[], None]], None]
) -> None:
    (root / "secret").write_text("old")
    os.chown(root / "secret", ALICE, OTHERS)
    (root / "secret").chmod(0o664)
    alice(lambda: receive(Disk(root, clock=SystemClock()), "secret"))
    assert facts(root / "secret") == (ALICE, ALICE, "0o644")


@as_root
def test_a_replaced_file_keeps_the_group_of_its_folder_also_where_the_user_is_not_in_it(
    root: Path, alice: Callable[[Callable[[], None]], None]
) -> None:
    """As web servers have it: the folder is the user's, its group is www-data."""
    (root / "www").mkdir()
    (root / "www/index.html").write_text("old")
    os.setxattr(root / "www/index.html", "user.tag", b"red")
    for path in (root / "www", root / "www/index.html"):
        os.chown(path, ALICE, OTHERS)
    (root / "www/index.html").chmod(0o640)
    (root / "www").chmod(0o2770)
    alice(lambda: receive(Disk(root, clock=SystemClock()), "www/index.html"))
    alice(lambda: receive(Disk(root, clock=SystemClock()), "www/new/page.html"))
    assert facts(root / "www/index.html") == (ALICE, OTHERS, "0o640")
    assert os.getxattr(root / "www/index.html", "user.tag") == b"red"
    assert (root / "www/index.html").read_bytes() == b"from elsewhere"
    assert (root / "www/index.html").stat().st_mtime == 1_700_000_000
    assert (root / "www/new/page.html").stat().st_gid == OTHERS
    assert (root / "www/new").stat().st_gid == OTHERS
    assert list((root / ".gobi/incoming").iterdir()) == []


# -- a new file


def test_a_new_file_is_as_the_umask_wants_it(disk: Disk, root: Path) -> None:
    before = os.umask(0o027)
    try:
        receive(disk, "sub/a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "sub/a").stat().st_mode) == 0o640
    assert stat.S_IMODE((root / "sub").stat().st_mode) == 0o750


def test_a_new_file_gets_the_default_acl_of_its_folder_as_any_other(disk: Disk, root: Path) -> None:
    (root / "shared").mkdir()
    os.setxattr(root / "shared", DEFAULT_ACL, acl(ALICE, 6))
    (root / "shared/by-hand").write_text("x")
    receive(disk, "shared/new")
    receive(disk, "shared/deeper/new")
    (root / "shared/deeper/by-hand").write_text("x")
    for folder in (root / "shared", root / "shared/deeper"):
        assert os.getxattr(folder / "new", ACL) == os.getxattr(folder / "by-hand", ACL)
        assert facts(folder / "new") == facts(folder / "by-hand")


@as_root
def test_a_new_file_in_a_setgid_folder_has_the_group_of_the_folder(disk: Disk, root: Path) -> None:
    (root / "team").mkdir()
    os.chown(root / "team", 0, TEAM)
    (root / "team").chmod(0o2770)
    receive(disk, "team/plan")
    receive(disk, "team/deeper/plan")
    for path in ("team/plan", "team/deeper", "team/deeper/plan"):
        assert (root / path).stat().st_gid == TEAM
    assert (root / "team/deeper").stat().st_mode & stat.S_ISGID


@as_root
def test_what_root_receives_in_a_users_folder_is_the_users(disk: Disk, root: Path) -> None:
    os.chown(root, ALICE, TEAM)
    receive(disk, "new/deeper/a")
    for path in ("new", "new/deeper", "new/deeper/a"):
        assert facts(root / path)[:2] == (ALICE, TEAM)


@as_root
def test_what_another_folder_inherits_comes_to_no_file(disk: Disk, root: Path) -> None:
    """Files are received in `.gobi`, which may have a group and an ACL of its own."""
    os.setxattr(root / ".gobi", DEFAULT_ACL, acl(ALICE, 6))
    os.chown(root / ".gobi", 0, TEAM)
    (root / ".gobi").chmod(0o2770)
    receive(disk, "a")
    (root / "by-hand").write_text("x")
    assert facts(root / "a") == facts(root / "by-hand")
    assert os.listxattr(root / "a") == os.listxattr(root / "by-hand")


# -- a file that was renamed elsewhere


def test_a_file_that_was_touched_and_renamed_elsewhere_is_renamed_here(
    machine: Callable[[str], Machine], vault: Server
) -> None:
    laptop, desktop = machine("laptop"), machine("desktop")
    laptop.write("s/2.sh", "#!/bin/sh")
    laptop.sync()
    desktop.sync()
    before = desktop.fs.stat("s/2.sh")
    laptop.delete("s/2.sh")
    laptop.clock.forward(60)
    laptop.write("s/two.sh", "#!/bin/sh")
    laptop.sync(propagate_deletes=True)
    report = desktop.sync()
    after, there = desktop.fs.stat("s/two.sh"), laptop.fs.stat("s/two.sh")
    assert before is not None
    assert after is not None
    assert there is not None
    assert after.inode == before.inode
    assert after.mtime_ns // 1000 == there.mtime_ns // 1000
    assert report.renamed == 1
    assert desktop.sync().trail == []


def test_an_empty_file_is_not_taken_for_another_empty_one(machine: Callable[[str], Machine]) -> None:
    laptop, desktop = machine("laptop"), machine("desktop")
    laptop.write("old.lock", "")
    laptop.sync()
    desktop.sync()
    laptop.delete("old.lock")
    laptop.clock.forward(60)
    laptop.write("new.md", "")
    laptop.sync(propagate_deletes=True)
    assert desktop.sync().renamed == 0
    assert desktop.files() == {"new.md": b""}


# -- holes


def test_a_sparse_file_arrives_sparse(disk: Disk, root: Path) -> None:
    data = b"head" + bytes(40 * HOLE) + b"tail" + bytes(30 * HOLE + 5)
    pieces = [data[start : start + 3 * HOLE + 17] for start in range(0, len(data), 3 * HOLE + 17)]
    handle = disk.stage(pieces)
    disk.flush()
    disk.install(handle, "disk.img", None, None, False)
    assert (root / "disk.img").read_bytes() == data
    assert (root / "disk.img").stat().st_blocks * 512 < len(data) / 2
