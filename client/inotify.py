"""inotify(7): what Linux tells about names and files in single folders. Asks the kernel, and interprets nothing.

Our own few lines, because the well-known library holds every event back for half a second behind a file that was moved
out of the folder: longer than an edit may take to reach another machine.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

MODIFY = 0x2
ATTRIBUTES = 0x4
CLOSE_WRITE = 0x8
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
OVERFLOW = 0x4000
IGNORED = 0x8000
IS_FOLDER = 0x40000000

_ONLY_FOLDERS = 0x01000000
_NO_LINKS = 0x02000000
_NOT_UNLINKED = 0x04000000  # a temporary file that has no name any more is nobody's business
_NAMES = MODIFY | ATTRIBUTES | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF
_WATCHED = _NAMES | _ONLY_FOLDERS | _NO_LINKS | _NOT_UNLINKED

_HEADER = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_ROOM = 256 * 1024  # bytes read at once: 4,096 events and more

_libc = ctypes.CDLL(None, use_errno=True)


class Event(NamedTuple):
    """`cookie` is the same for the two halves of one move. `name`: in the watched folder, "" for the folder itself."""

    watch: int
    mask: int
    cookie: int
    name: str


class Inotify:
    """One queue of the kernel's. Raises OSError where the kernel has none to give."""

    def __init__(self) -> None:
        if not hasattr(_libc, "inotify_init1"):
            raise OSError(errno.ENOSYS, "there is no inotify on this system")
        self.descriptor = _done(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")

    def add(self, folder: str, more: int = 0) -> int:
        """Watches a folder; the same number for one that is watched already. Never through a symbolic link.

        `more`: what else to tell. Raises OSError: ENOSPC where this user may not watch any more folders.
        """
        return _done(_libc.inotify_add_watch(self.descriptor, os.fsencode(folder), _WATCHED | more), folder)

    def add_moves(self, folder: str) -> int:
        """Has only be told when the folder itself gets another name. Raises OSError."""
        return _done(_libc.inotify_add_watch(self.descriptor, os.fsencode(folder), MOVE_SELF | _ONLY_FOLDERS), folder)

    def remove(self, watch: int) -> None:
        """May be done for a folder that is gone."""
        _libc.inotify_rm_watch(self.descriptor, watch)

    def read(self) -> Iterator[Event]:
        """Everything that has happened until now, in order."""
        while True:
            try:
                data = os.read(self.descriptor, _ROOM)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                watch, mask, cookie, length = _HEADER.unpack_from(data, at)
                at += _HEADER.size
                yield Event(watch, mask, cookie, os.fsdecode(data[at : at + length].rstrip(b"\0")))
                at += length

    def close(self) -> None:
        os.close(self.descriptor)


def _done(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
    return result
