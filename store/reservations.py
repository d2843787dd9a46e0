"""Room that is put aside for bodies on their way, so that what comes at once is not more than what fits.

Whoever brings bodies has a file in `reserved/<name>/` that says how many bytes are put aside for it, and holds a lock
on it: other workers, and other hosts over the same folder, see both. A lock ends with its process, so what a killed
worker had put aside is free at once.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from store.bodies_incoming import remove, translated

RESERVED = "reserved"
# Held for as long as somebody looks or writes.
_LOCK = "lock"
_DIGITS = 20


class Reservation:
    """What one request has put aside under a name. It is nothing at first, and nothing again after `close`.

    Blocking, if only for moments. All methods raise Unavailable and DiskFull.
    """

    def __init__(self, root: str, name: str) -> None:
        self._folder = os.path.join(root, RESERVED, name)
        self._path = os.path.join(self._folder, secrets.token_hex(8))
        self._descriptor: int | None = None
        self.size = 0

    def set(self, size: int, room: int) -> bool:
        """Makes it `size` bytes, unless all that is put aside under the name would be more than `room` then; whether it
        is so now. Nothing is always possible."""
        if size == self.size == 0:
            return True
        with translated(), self._alone():
            if size and size + self._others() > room:
                return False
            self._write(size)
        return True

    def others(self) -> int:
        """The bytes that are put aside for others under the name."""
        with translated(), self._alone():
            return self._others()

    def close(self) -> None:
        """May be repeated. Raises nothing: what is left behind is free, for nobody holds it."""
        if self._descriptor is None:
            return
        with suppress(OSError), self._alone():
            remove(self._path)
            self._release()
            if os.listdir(self._folder) == [_LOCK]:
                os.unlink(os.path.join(self._folder, _LOCK))
                os.rmdir(self._folder)
        self._release()

    def _release(self) -> None:
        descriptor, self._descriptor, self.size = self._descriptor, None, 0
        if descriptor is not None:
            os.close(descriptor)

    def _write(self, size: int) -> None:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(self._descriptor, b"%0*d" % (_DIGITS, size), 0)
        self.size = size

    def _others(self) -> int:
        own = os.path.basename(self._path)
        return sum(self._held(name) for name in os.listdir(self._folder) if name not in (_LOCK, own))

    def _held(self, name: str) -> int:
        """What another one's file says; nothing, and the file goes, where its process has ended."""
        path = os.path.join(self._folder, name)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.pread(descriptor, _DIGITS, 0) or b"0")
        else:
            remove(path)
            return 0
        finally:
            os.close(descriptor)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The folder is there, and nobody else looks or writes meanwhile."""
        while True:
            for folder in (os.path.dirname(self._folder), self._folder):
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o700)
            try:
                lock = os.open(os.path.join(self._folder, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:  # whoever was last took the folder away
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if os.fstat(lock).st_nlink:
                    yield
                    return
            finally:
                os.close(lock)
