"""gobi's own folder `.gobi`: nobody else's, and nothing in it leads elsewhere.

Whoever can write there decides what gobi overwrites, where it sends files, and what it deletes. An archive, a disk or
another user may have prepared it.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from client.owner import ALLOW, name_of
from client.ports import Stopped

STATE = ".gobi"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_REMOVE = "remove that folder (if there is a trash in it, look into that first), and run gobi connect"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Own(NamedTuple):
    """What a file that this user makes there is like. `loose`: others may write to it, whatever it is made with."""

    users: frozenset[int]
    loose: bool


def check_state(folder: Path) -> None:
    """Raises Stopped where the `.gobi` in `folder` is a link, not this user's own, writable for others, or holds a link
    or anything of somebody else's. None at all is well."""
    state = folder / STATE
    try:
        status = os.lstat(state)
    except OSError:
        return
    if stat.S_ISLNK(status.st_mode) or not stat.S_ISDIR(status.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no folder"
        raise _no(f"{state} is {what}, and gobi's own folder has to lie in the folder itself", f"remove it ({state})")
    try:
        descriptor = os.open(state, _FOLDER)
    except OSError as error:
        raise _no(f"{state} cannot be opened ({error.strerror})", "see whose it is, and remove or mend it") from None
    try:
        _check(state, descriptor, os.stat(folder))
    finally:
        os.close(descriptor)


def read_own(path: Path) -> bytes:
    """A file in `.gobi`. Raises OSError, also for a link."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.read()


def write_own(state: Path, name: str, text: str) -> None:
    """Writes a file in the folder `state` in place. Raises OSError, also for a link."""
    folder = os.open(state, _FOLDER)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, 0o600, dir_fd=folder), "w") as file:
            file.write(text)
    finally:
        os.close(folder)


def _check(state: Path, descriptor: int, above: os.stat_result) -> None:
    status = os.fstat(descriptor)
    own = _Own(frozenset((os.geteuid(),)), loose=False)
    if os.geteuid() == 0 and os.environ.get(ALLOW) == "1":
        own = own._replace(users=own.users | {above.st_uid})
    if status.st_uid not in own.users or status.st_mode & _OTHERS_WRITE:
        own = _as_made_there(descriptor) or own
    if status.st_uid not in own.users:
        raise _no(f"{state} belongs to {name_of(status.st_uid)}, and not to the user that gobi runs as", _REMOVE)
    if status.st_mode & _OTHERS_WRITE and not own.loose:
        raise _no(
            f"others may write to {state}, and could have gobi overwrite other files of yours",
            f"if nobody but you can have put anything there, chmod go-w {state}; else {_REMOVE}",
        )
    for name in sorted(os.listdir(descriptor)):
        _check_entry(state / name, os.lstat(name, dir_fd=descriptor), own)


def _check_entry(place: Path, status: os.stat_result, own: _Own) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise _no(f"{place} is a symbolic link, and gobi makes none", f"see who made it, and remove it ({place})")
    if status.st_uid not in own.users:
        raise _no(
            f"{place} belongs to {name_of(status.st_uid)}, and not to the user that gobi runs as",
            "see who put it there, and remove it or become its owner",
        )


def _as_made_there(descriptor: int) -> _Own | None:
    """Some disks have one owner and one set of permissions for everything (FAT, network disks). None: nobody can tell,
    for nothing can be made there."""
    name = f"own-{os.urandom(8).hex()}"
    try:
        made = os.open(name, _NEW, 0o600, dir_fd=descriptor)
    except OSError:
        return None
    try:
        status = os.fstat(made)
    finally:
        os.close(made)
        with suppress(OSError):
            os.unlink(name, dir_fd=descriptor)
    return _Own(frozenset((status.st_uid,)), loose=bool(status.st_mode & _OTHERS_WRITE))


def _no(what: str, then: str) -> Stopped:
    return Stopped(f"{what}. Nothing was changed; {then}", 78)
