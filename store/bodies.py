"""Bodies straight on disk: `<root>/<vault id>/ab/cdef…`, named by their SHA-256.

A body gets its name only after its bytes were flushed: named earlier, a file that a power cut emptied would pass for
a good one ever after. Temporary files lie in `<root>/tmp`, on the same file system. Beside a body of which no version
came lies an empty file, `cdef….forsaken`.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from store import healing
from store.base import Received
from store.errors import BodyMissing, DiskFull, TooLarge, Unavailable
from store.flush import flush_files

# Longer than any upload can take: its reads have a deadline, and one request has a size limit.
LEFTOVER_S = 24 * 3600
# Flushing along the way keeps the last flush of a large upload short.
FLUSH_EVERY = 32 << 20

# The vault's count of stored bytes leaves out a body with this beside it. Whoever removes it has the body counted
# again, and of several at the same moment only one can.
FORSAKEN = ".forsaken"

# The name is taken; or the file system has no hard links, or no more for this file.
_NO_LINK = (errno.EEXIST, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK)


class DiskBodies:
    """Implements base.Bodies under `root`, which it makes where it is missing."""

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)
        self._temporary = os.path.join(self._root, "tmp")
        self._known_folders: set[str] = set()
        # Unlike that of any other process, and of this one before a restart.
        self._prefix = secrets.token_hex(8)
        self._count = itertools.count()
        with _translated():
            if not os.path.isdir(self._temporary):
                _make_folders(self._root, self._temporary)
                flush_files([self._root, os.path.dirname(os.path.abspath(self._root))], on=self._root)

    def receive(self, limit: int | None = None) -> DiskIncoming:
        return DiskIncoming(f"{self._temporary}/{self._prefix}-{next(self._count)}", limit)

    def keep(self, vault_id: str, received: Sequence[Received]) -> set[str]:
        new: set[str] = set()
        try:
            with _translated():
                self._keep(vault_id, received, new)
        except BaseException:
            self.discard(received)
            self.forsake(vault_id, new)
            raise
        return new

    def _keep(self, vault_id: str, received: Sequence[Received], new: set[str]) -> None:
        flush_files([one.temporary for one in received], on=self._root)
        folders: set[str] = set()
        for one in received:
            folder, path = self._place(vault_id, one.hash)
            folders |= self._make_folder(folder)
            if _name(one, path):
                new.add(one.hash)
            folders.add(folder)
        flush_files(folders, on=self._root)
        self._known_folders |= folders
        healing.found(self._root, vault_id, {one.hash for one in received})

    def reuse(self, vault_id: str, wanted: Iterable[tuple[str, int]]) -> dict[str, bool]:
        found: dict[str, bool] = {}
        paths: set[str] = set()
        with _translated():
            for digest, size in wanted:
                folder, path = self._place(vault_id, digest)
                there = _stat(path)
                if digest in found or there is None or there.st_size != size:
                    continue
                found[digest] = False
                paths |= {path, folder}
            flush_files(paths, on=self._root)
            for digest in found:
                _, path = self._place(vault_id, digest)
                os.utime(path)
                found[digest] = _claim(path)
        return found

    def forsake(self, vault_id: str, hashes: Iterable[str]) -> None:
        for digest in hashes:
            _, path = self._place(vault_id, digest)
            try:
                if _stat(path) is not None:
                    os.close(os.open(path + FORSAKEN, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            except OSError:
                pass  # whatever made the body useless is the better thing to tell

    def counted(self, vault_id: str, wanted: Iterable[tuple[str, int]]) -> set[str]:
        found: set[str] = set()
        with _translated():
            for digest, size in wanted:
                _, path = self._place(vault_id, digest)
                there = _stat(path)
                if there is not None and there.st_size == size and _stat(path + FORSAKEN) is None:
                    found.add(digest)
        return found

    def open(self, vault_id: str, hash: str) -> BinaryIO:
        with _translated():
            try:
                return open(self._place(vault_id, hash)[1], "rb", buffering=0)
            except FileNotFoundError:
                healing.note_lost(self._root, vault_id, [hash])
                raise BodyMissing(
                    f"the server has lost the body {hash[:12]}…: a client that has the file brings it back with its "
                    "next sync, or restore a backup"
                ) from None

    def lost(self, vault_id: str) -> list[str]:
        with _translated():
            return healing.lost(self._root, vault_id)

    def discard(self, received: Iterable[Received]) -> None:
        for one in received:
            _remove(one.temporary)

    def remove_vault(self, vault_id: str) -> None:
        folder = os.path.join(self._root, vault_id)
        self._known_folders.difference_update([one for one in list(self._known_folders) if one.startswith(folder)])
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(os.path.join(self._root, "lost", vault_id), ignore_errors=True)

    def check(self) -> None:
        probe = self.receive()
        try:
            probe.write(b"gobi")
        finally:
            probe.discard()

    def sweep(self) -> None:
        """Removes what uploads left behind that were cut off by a crash."""
        oldest = time.time() - LEFTOVER_S
        with _translated(), os.scandir(self._temporary) as entries:
            for entry in entries:
                there = _stat(entry.path)  # None: another worker's, finished meanwhile
                if there is not None and there.st_mtime < oldest:
                    _remove(entry.path)

    def _place(self, vault_id: str, digest: str) -> tuple[str, str]:
        folder = f"{self._root}/{vault_id}/{digest[:2]}"
        return folder, f"{folder}/{digest[2:]}"

    def _make_folder(self, folder: str) -> set[str]:
        """Makes the folder of a hash; returns the folders whose new entries have to be flushed."""
        if folder in self._known_folders:
            return set()
        vault_folder = os.path.dirname(folder)
        _make_folders(vault_folder, folder)
        return {vault_folder, self._root}


class DiskIncoming:
    """Implements base.Incoming."""

    def __init__(self, path: str, limit: int | None) -> None:
        self._path = path
        self._limit = limit
        self._size = 0
        self._unflushed = 0
        self._hash = hashlib.sha256()
        with _translated():
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
        with _translated():
            written = os.write(self._descriptor, chunk)
            while written < len(chunk):
                written += os.write(self._descriptor, memoryview(chunk)[written:])
        self._unflushed += len(chunk)

    def flush(self) -> None:
        assert self._descriptor is not None, "flushed after finish() or discard()"
        with _translated():
            os.fdatasync(self._descriptor)
        self._unflushed = 0

    def finish(self) -> Received:
        self._close()
        return Received(self._hash.hexdigest(), self._size, self._path)

    def discard(self) -> None:
        try:
            self._close()
        finally:
            _remove(self._path)

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with _translated():
                os.close(descriptor)


def _make_folders(outer: str, inner: str) -> None:
    """Both for nobody else to look into; above them folders of the usual kind."""
    try:
        os.mkdir(inner, mode=0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(outer, mode=0o700, exist_ok=True)
        _make_folders(outer, inner)


def _name(received: Received, path: str) -> bool:
    """Gives the flushed file its name; whether the vault did not have such a body, or had not counted it.

    A link is only made where the name is free: of uploads of one body at the same moment, one finds it new.
    """
    try:
        os.link(received.temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        there = _stat(path)
        # Over what is there: equal bytes, and what was just flushed may heal a damaged file.
        os.rename(received.temporary, path)
        return _claim(path) or there is None or there.st_size != received.size
    _remove(received.temporary)
    return True


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _claim(path: str) -> bool:
    """Whether the body was forsaken; it is not any more."""
    try:
        os.unlink(path + FORSAKEN)
    except FileNotFoundError:
        return False
    return True


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # gone already, or in the way of nothing: the sweep takes it


@contextmanager
def _translated() -> Iterator[None]:
    """The disk's failures as the store's."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("no room on the server's disk: free some, then try again") from error
        raise Unavailable(
            f"the server's body folder cannot be used ({error.strerror}): see to its disk and permissions", 10
        ) from error
