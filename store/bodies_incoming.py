"""A body on its way to the disk: a temporary file that is hashed as it is written."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from store.base import Received
from store.errors import DiskFull, TooLarge, Unavailable

# Flushing along the way keeps the last flush of a large upload short.
FLUSH_EVERY = 32 << 20


class DiskIncoming:
    """Implements base.Incoming."""

    def __init__(self, path: str, limit: int | None) -> None:
        self._path = path
        self._limit = limit
        self._size = 0
        self._unflushed = 0
        self._hash = hashlib.sha256()
        with translated():
            self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    @property
    def flush_due(self) -> bool:
        return self._unflushed >= FLUSH_EVERY

    def write(self, chunk: bytes | memoryview) -> None:
        assert self._descriptor is not None, "written to after finish() or discard()"
        self._size += len(chunk)
        if self._limit is not None and self._size > self._limit:
            raise TooLarge(f"the body is larger than the {self._limit} bytes that fit here")
        self._hash.update(chunk)
        with translated():
            written = os.write(self._descriptor, chunk)
            while written < len(chunk):
                written += os.write(self._descriptor, memoryview(chunk)[written:])
        self._unflushed += len(chunk)

    def flush(self) -> None:
        assert self._descriptor is not None, "flushed after finish() or discard()"
        with translated():
            os.fdatasync(self._descriptor)
        self._unflushed = 0

    def finish(self) -> Received:
        self._close()
        return Received(self._hash.hexdigest(), self._size, self._path)

    def discard(self) -> None:
        try:
            self._close()
        finally:
            remove(self._path)

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with translated():
                os.close(descriptor)


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # gone already, or in the way of nothing: the sweep takes it


@contextmanager
def translated() -> Iterator[None]:
    """The disk's failures as the store's."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("no room on the server's disk: free some, then try again") from error
        raise Unavailable(
            f"the server's body folder cannot be used ({error.strerror}): see to its disk and permissions", 10
        ) from error
