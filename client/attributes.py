"""Owner, group, permissions, ACL and extended attributes: what a file has here that does not travel.

A file that takes the place of another one gets what that had; a new one what the system gives to whoever makes a file
in that folder. All of it as far as the user that gobi runs as may: root may everything, and gives a new file to the
owner of its folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

ACL, DEFAULT_ACL = "system.posix_acl_access", "system.posix_acl_default"
# Said of the content that was there, or kept by the system itself.
_NOT_KEPT = ("security.capability", "security.ima", "security.evm", "trusted.overlay.")


class Attributes(NamedTuple):
    """`mode`: None for the one that a new file has anyway. `extended`: with the ACL, by name."""

    owner: int
    group: int
    mode: int | None
    extended: Mapping[str, bytes]


class GroupRefused(Exception):
    """Only a file that is made in that folder can have its group."""


def of_file(folder: int, name: str, status: os.stat_result) -> Attributes:
    """Those of the file `name`, with its status."""
    extended: dict[str, bytes] = {}
    path = f"/proc/self/fd/{folder}/{name}"  # of these calls there is none by an open folder
    with suppress(OSError):
        for key in os.listxattr(path, follow_symlinks=False):
            if not key.startswith(_NOT_KEPT):
                with suppress(OSError):
                    extended[key] = os.getxattr(path, key, follow_symlinks=False)
    return Attributes(status.st_uid, status.st_gid, status.st_mode & 0o777, extended)


def of_new_file(folder: int) -> Attributes:
    """Those of a file that somebody makes in the open folder."""
    status = os.fstat(folder)
    owner, group = owner_of_new(status)
    plain = Attributes(owner, group, None, {})
    try:
        os.getxattr(folder, DEFAULT_ACL)
        probe = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=folder)
    except (OSError, AttributeError):
        return plain  # no default ACL, which is usual; or no way to see what comes of it
    try:
        mode = stat.S_IMODE(os.fstat(probe).st_mode)
        acl = {ACL: os.getxattr(probe, ACL)} if ACL in os.listxattr(probe) else {}
        return plain._replace(mode=mode, extended=acl)
    finally:
        os.close(probe)


def owner_of_new(folder: os.stat_result) -> tuple[int, int]:
    """Owner and group of what is made in the folder with this status."""
    if os.geteuid() == 0 and folder.st_uid != 0:
        return folder.st_uid, folder.st_gid
    return os.geteuid(), folder.st_gid if folder.st_mode & stat.S_ISGID else os.getegid()


def give(descriptor: int, wanted: Attributes) -> None:
    """Gives them to the open file, as far as that may be.

    Raises GroupRefused where the file cannot have the group: then it has no more permissions than everybody has.
    """
    status = os.fstat(descriptor)
    refused = (status.st_uid, status.st_gid) != (wanted.owner, wanted.group) and not _chown(descriptor, wanted)
    mode, extended = wanted.mode, wanted.extended
    if refused:
        mode = stat.S_IMODE(status.st_mode) if mode is None else mode
        mode &= ~0o070 | (mode & 0o007) << 3  # what its group may, another group is not to get
        extended = {key: value for key, value in extended.items() if key != ACL}
    _set_extended(descriptor, extended)
    if mode is not None and mode != stat.S_IMODE(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, mode)
    if refused:
        raise GroupRefused


def _chown(descriptor: int, wanted: Attributes) -> bool:
    """Whether at least the group is what is wanted."""
    for owner in (wanted.owner, -1):
        try:
            os.fchown(descriptor, owner, wanted.group)
            return True
        except OSError:
            pass  # only root may give files away, and others only have their own groups
    return os.fstat(descriptor).st_gid == wanted.group


def _set_extended(descriptor: int, extended: Mapping[str, bytes]) -> None:
    with suppress(OSError):  # a file system that has none
        present = os.listxattr(descriptor)
        if ACL in present and ACL not in extended:
            os.removexattr(descriptor, ACL)
        for key, value in extended.items():
            with suppress(OSError):
                if key not in present or os.getxattr(descriptor, key) != value:
                    os.setxattr(descriptor, key, value)
