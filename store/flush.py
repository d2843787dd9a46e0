"""Making many files durable at once: syncfs(2) where the system has it, else fsync(2) one by one."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Collection

# Below this many, one fsync each is cheaper than flushing the whole file system.
FEW = 8

_libc = ctypes.CDLL(None, use_errno=True)
_syncfs = getattr(_libc, "syncfs", None)


def flush_files(paths: Collection[str], *, on: str) -> None:
    """Flushes these files or folders, all on the file system of `on`, to the disk. Raises OSError.

    After an error nothing is known about any of them: never try again on the same file, write it anew.
    """
    if len(paths) <= FEW or not _flush_file_system(on):
        for path in paths:
            _fsync(path)


def _fsync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_file_system(path: str) -> bool:
    if _syncfs is None:
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _syncfs(descriptor) == 0:
            return True
        code = ctypes.get_errno()
        if code == errno.ENOSYS:
            return False
        raise OSError(code, os.strerror(code), path)
    finally:
        os.close(descriptor)
