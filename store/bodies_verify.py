"""Rotten bytes are never served: what a process reads of a body for the first time is compared with its hash.

A body of up to 1 MiB before its first byte goes out. A larger one as it goes: its last piece is held back until the
hash is right, so nobody gets a whole one that is damaged. Whoever wants only a part waits for all of it to be read
first, if it is not larger than `WAITED_FOR`; what is larger is served as it is. Call these where blocking is allowed.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
from collections.abc import Callable
from io import FileIO
from typing import BinaryIO, NoReturn, cast

from store.errors import BodyDamaged

log = logging.getLogger("gobi.bodies")

SMALL = 1 << 20
WAITED_FOR = 64 << 20
# Bodies that are remembered as good, at some 100 bytes each.
REMEMBERED = 16_384
_PIECE = 1 << 20

Damaged = Callable[[str, str, int], None]


class Verified:
    """What this process has found to be good. `damaged` is told the vault, the hash and the inode of what is not."""

    def __init__(self, damaged: Damaged) -> None:
        self._damaged = damaged
        # Of a file that was written or touched since, nothing is known. Only what identifies them is kept, in the order
        # they came: there is no lock here, for native threads and greenlets share this.
        self._good: dict[int, None] = {}

    def open(self, vault_id: str, digest: str, file: BinaryIO) -> BinaryIO:
        """The body for reading, perhaps another object than `file`, which it closes then. Raises BodyMissing."""
        there = os.fstat(file.fileno())
        known = hash((vault_id, digest, there.st_ino, there.st_mtime_ns, there.st_size))
        if known in self._good:
            return file
        if there.st_size > SMALL:
            one = Verifying(file, there.st_size, lambda right: self._learn(right, known, vault_id, digest, there))
            return cast(BinaryIO, one)
        with file:
            body = _read(file, there.st_size + 1)
        self._learn(hashlib.sha256(body).hexdigest(), known, vault_id, digest, there)
        return io.BytesIO(body)

    def _learn(self, right: str, known: int, vault_id: str, digest: str, there: os.stat_result) -> None:
        if right != digest:
            log.error("the body %s of vault %s is damaged on the disk: it is not served", digest, vault_id)
            self._damaged(vault_id, digest, there.st_ino)
            raise damaged(digest)
        self._good[known] = None
        while len(self._good) > REMEMBERED:
            try:
                self._good.pop(next(iter(self._good)), None)
            except (RuntimeError, StopIteration):  # another thread is at it
                break


class Watched(io.RawIOBase):
    """A body's file. `unreadable` is called where the disk does not give a part, and raises what that comes to."""

    def __init__(self, file: FileIO, unreadable: Callable[[OSError], NoReturn]) -> None:
        self._file = file
        self._unreadable = unreadable

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size) or b""
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._unreadable(error)

    def close(self) -> None:
        self._file.close()
        super().close()


class Verifying(io.RawIOBase):
    """A large body whose hash is taken as it is read. Reading may raise BodyMissing.

    `learn` is called with the hash once all of it was read, and raises where that is wrong.
    """

    def __init__(self, file: BinaryIO, size: int, learn: Callable[[str], None]) -> None:
        self._file = file
        self._size = size
        self._learn = learn
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._position = 0
        self._learning = True
        self._partly = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = self._file.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        return self._position

    def fileno(self) -> int:
        return self._file.fileno()

    def partly(self) -> None:
        """Says that it is not going to be read to its end."""
        self._partly = True

    def read(self, size: int = -1) -> bytes:
        wanted = self._size if size < 0 else size
        if self._learning and (self._partly or self._position != self._hashed):
            self._read_ahead()
        piece = self._file.read(wanted)
        self._position += len(piece)
        if self._learning:
            self._hash.update(piece)
            self._hashed += len(piece)
            # What ends early is damaged, too.
            if self._hashed >= self._size or (wanted and not piece):
                self._ended()
        return piece

    def close(self) -> None:
        self._file.close()
        super().close()

    def _read_ahead(self) -> None:
        """All of it, before a part of it."""
        self._learning = False
        if self._size <= WAITED_FOR:
            self._file.seek(0)
            self._hash = hashlib.sha256()
            while piece := self._file.read(_PIECE):
                self._hash.update(piece)
            self._ended()
            self._file.seek(self._position)

    def _ended(self) -> None:
        self._learning = False
        self._learn(self._hash.hexdigest())


def partly(file: BinaryIO) -> None:
    """Says of an opened body that only a part of it is wanted."""
    if isinstance(file, Verifying):
        file.partly()


def digest_of(path: str) -> tuple[str, os.stat_result]:
    """The hash of a file's bytes, and what it is. Raises OSError."""
    found = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        there = os.fstat(file.fileno())
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest(), there


def damaged(digest: str) -> BodyDamaged:
    return BodyDamaged(
        f"the body {digest[:12]}… is damaged on the server's disk: restore it from a backup, or send the file "
        "again from a machine that has it"
    )


def _read(file: BinaryIO, size: int) -> bytes:
    """What a raw file gives in one go may be less than there is."""
    parts = []
    while size > 0 and (piece := file.read(size)):
        parts.append(piece)
        size -= len(piece)
    return b"".join(parts)
