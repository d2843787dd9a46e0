"""Moving a file between two open folders without ever replacing anything unseen.

All functions take (source folder, source name, target folder, target name) and raise OSError.
"""

from __future__ import annotations

import errno
import os

_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)


def move_new(source_folder: int, source: str, target_folder: int, target: str) -> None:
    """Moves to a name that must be free: FileExistsError where it is not.

    On a file system that has neither RENAME_NOREPLACE nor hard links, a name taken in the same instant loses.
    """
    from client import syscalls  # late: ctypes costs more than the rest of a sync with nothing to do

    try:
        syscalls.renameat2(source_folder, source, target_folder, target, syscalls.RENAME_NOREPLACE)
        return
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    if try_link(source_folder, source, target_folder, target):
        os.unlink(source, dir_fd=source_folder)
        return
    try:
        os.lstat(target, dir_fd=target_folder)
    except FileNotFoundError:
        os.rename(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder)
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)


def try_exchange(source_folder: int, source: str, target_folder: int, target: str) -> bool:
    """Lets two names change places in one step. False where the file system cannot."""
    from client import syscalls

    try:
        syscalls.renameat2(source_folder, source, target_folder, target, syscalls.RENAME_EXCHANGE)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def try_link(source_folder: int, source: str, target_folder: int, target: str) -> bool:
    """Gives the file a second name, which must be free. False where the file system has no hard links."""
    try:
        os.link(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True
