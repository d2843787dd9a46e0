"""Whether a file may be run: what of its permissions travels, as far as the file system keeps it.

FAT keeps none: there every file shows the same, whatever it was given. `.gobi/executable` is a file that may be run,
and others beside it may not; where that does not show any more, nothing is known of any file.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from client.walk import STATE

MARK = "executable"
_OTHERS = ("config.json", "index.db")  # nobody may run these
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def kept_on(root: int, *, make: bool) -> int | None:
    """The number of the disk on which it is kept, None where it is not. `root`: the open folder.

    `make`: makes the mark where it is missing; without it nothing is known.
    """
    try:
        if make and not _exists(f"{STATE}/{MARK}", root):
            os.close(os.open(f"{STATE}/{MARK}", _CREATE, 0o700, dir_fd=root))
        status = os.stat(f"{STATE}/{MARK}", dir_fd=root, follow_symlinks=False)
        others = [os.stat(f"{STATE}/{name}", dir_fd=root) for name in _OTHERS if _exists(f"{STATE}/{name}", root)]
    except OSError:
        return None
    if not may_be_run(status) or any(may_be_run(one) for one in others):
        return None
    return status.st_dev


def may_be_run(status: os.stat_result) -> bool:
    """By its owner."""
    return bool(status.st_mode & stat.S_IXUSR)


def give(descriptor: int, on: bool) -> None:
    """Everybody who may read the file may run it too, as far as the umask says; or nobody. Raises OSError."""
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    os.fchmod(descriptor, mode | stat.S_IXUSR | ((mode & 0o444) >> 2 & ~_UMASK) if on else mode & ~0o111)


def _exists(name: str, root: int) -> bool:
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=root, follow_symlinks=False)
        return True
    return False


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_UMASK = _umask()
