"""Three Linux system calls that Python does not offer, through the C library. Raise OSError; ENOSYS where missing."""

from __future__ import annotations

import ctypes
import errno
import os

_libc = ctypes.CDLL(None, use_errno=True)
_renameat2 = getattr(_libc, "renameat2", None)
_syncfs = getattr(_libc, "syncfs", None)

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2


def renameat2(source_folder: int, source: str, target_folder: int, target: str, flags: int) -> None:
    """rename(2) between two open folders with RENAME_NOREPLACE or RENAME_EXCHANGE. EINVAL: not on this file system."""
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _renameat2(source_folder, os.fsencode(source), target_folder, os.fsencode(target), flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


def syncfs(descriptor: int) -> None:
    """Makes everything on the file system of `descriptor` durable."""
    if _syncfs is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _syncfs(descriptor):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
