"""Who may remove bodies, and when: a lock file beside them, held by processes and let go by the kernel when they die.

A backup that has read the metadata still needs the bodies named there, and while it reads the log no version may leave
that. So many may share the lock (they read bodies by what they learned earlier), and one alone takes it to remove
bodies or versions.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from store.errors import InUse

LOCK = "in-use"
# Held through a whole collection: another one would not know what this one has looked at.
COLLECTING = "collecting"


@contextmanager
def needing(root: str) -> Iterator[None]:
    """While this is held nobody removes bodies under `root`, or versions that name them. Waits for one who is at it:
    seconds, not hours."""
    try:
        descriptor = _open(root, LOCK)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        yield  # on a disk that is read-only nobody removes anything
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def removing(root: str) -> Iterator[None]:
    """Raises InUse while anybody needs the bodies, or another one removes some."""
    with _opened(root) as descriptor:
        _take(descriptor)
        yield


@contextmanager
def collecting(root: str) -> Iterator[None]:
    """Raises InUse while another collection runs. Nobody waits for this one."""
    with _opened(root, COLLECTING) as descriptor:
        _take(descriptor)
        yield


def _take(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUse(
            "a backup, or another collection, is running on these bodies: try again when it has ended", 60
        ) from None


@contextmanager
def _opened(root: str, name: str = LOCK) -> Iterator[int]:
    descriptor = _open(root, name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(root: str, name: str) -> int:
    return os.open(os.path.join(root, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
