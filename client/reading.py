"""The half of client.ports.FileSystem that only looks, for a real folder."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from client.folders import Folders, split
from client.ignore import FILE as IGNORE_FILE
from client.ignore import Ignore, Nothing
from client.mounts import mounted_below
from client.ports import SMALL, Blocked, Entry, LocalChange, Mount, Skipped, Stopped
from client.trouble import blocked, words
from client.walk import STATE, walk, walk_to

PIECE = 256 * 1024

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: a named pipe must not hold us
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.EISDIR)  # a link, a socket, a folder


class ReadableFolder:
    """The folder `root`. Raises Stopped where it cannot be opened."""

    def __init__(self, root: Path) -> None:
        try:
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Stopped(f"{root} cannot be opened ({words(error)}); correct that and try again", 78) from error
        self._folded = _exists(STATE.upper(), self._root)  # names that differ only in case are one to this disk
        self._folders = Folders(self._root, exact=self._folded)
        self._ignore: Ignore | Nothing = Nothing()

    def close(self) -> None:
        self._folders.clear()
        os.close(self._root)

    def read_rules(self) -> None:
        """Reads `.gobiignore` anew, as `scan` does. Raises Stopped."""
        self._ignore = self._read_rules()

    def scan(self) -> tuple[list[Entry], list[Skipped]]:
        self._folders.clear()
        self.read_rules()
        return walk(self._root, self._ignore if isinstance(self._ignore, Ignore) else None)

    def look_at(self, paths: Iterable[str]) -> tuple[list[Entry], list[Skipped]]:
        self._folders.clear()
        return walk_to(paths, self.ignored, self._status)

    def mounts(self) -> dict[str, Mount] | None:
        return mounted_below(self._root)

    @property
    def rules(self) -> str:
        return self._ignore.rules

    def ignored(self, path: str) -> bool:
        return path in self._ignore

    def ignored_folder(self, path: str) -> bool:
        """Whether everything in the folder is ignored, in a folder that is not."""
        return isinstance(self._ignore, Ignore) and self._ignore.folder(path)

    def stat(self, path: str) -> Entry | None:
        above = path.rpartition("/")[0]
        try:
            folder, name = self._locate(path)
            entry = entry_of(path, os.stat(name, dir_fd=folder, follow_symlinks=False))
            return entry if not self._folded or self._folders.holds(folder, name) else None
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            if self._leads_through_link(above):
                raise Blocked("a symbolic link is in the way") from None
            return None
        except OSError as error:
            raise blocked(error) from error

    def open(self, path: str) -> BinaryIO:
        try:
            folder, name = self._locate(path)
            descriptor = os.open(name, _READ, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            raise LocalChange(f"{path!r} is gone") from None
        except OSError as error:
            if error.errno in _NO_FILE:
                raise LocalChange(f"{path!r} is no regular file any more") from None
            raise blocked(error) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise LocalChange(f"{path!r} is no regular file any more")
        return open(descriptor, "rb")

    def read(self, path: str) -> tuple[Entry, bytes]:
        parts: list[bytes] = []
        entry = self._read(path, parts.append, SMALL)
        return entry, b"".join(parts)

    def digest(self, path: str) -> tuple[Entry, str]:
        digest = hashlib.sha256()
        entry = self._read(path, digest.update, None)
        return entry, digest.hexdigest()

    def _read(self, path: str, take: Callable[[bytes], object], limit: int | None) -> Entry:
        with self.open(path) as file:
            descriptor = file.fileno()
            before = entry_of(path, os.fstat(descriptor))
            if before is None or (limit is not None and before.size > limit):
                raise LocalChange(f"{path!r} has become too large to be read at once")
            left = before.size + 1  # one more, to notice that it grew
            try:
                while left and (piece := os.read(descriptor, min(left, PIECE))):
                    take(piece)
                    left -= len(piece)
            except OSError as error:
                raise blocked(error) from error
            if left != 1 or entry_of(path, os.fstat(descriptor)) != before:
                raise LocalChange(f"{path!r} changed while it was read")
        return before

    def _read_rules(self) -> Ignore | Nothing:
        try:
            with open(os.open(IGNORE_FILE, _READ, dir_fd=self._root), "rb") as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return Ignore(file.read())
            reason = "it is not a regular file"
        except FileNotFoundError:
            return Nothing()
        except OSError as error:
            reason = "it is a symbolic link" if error.errno == errno.ELOOP else words(error)
        raise Stopped(f"{IGNORE_FILE} cannot be read ({reason}); correct that and sync again", 78)

    def _status(self, path: str) -> os.stat_result:
        try:
            folder, name = self._locate(path)
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except NotADirectoryError:
            if self._leads_through_link(path.rpartition("/")[0]):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
            raise
        if self._folded and not self._folders.holds(folder, name):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return status

    def _leads_through_link(self, path: str) -> bool:
        while path:
            above, _, name = path.rpartition("/")
            try:
                return stat.S_ISLNK(os.lstat(name, dir_fd=self._folders.get(above)).st_mode)
            except OSError:
                path = above  # the link is further up
        return False

    def _locate(self, path: str, *, make: bool = False) -> tuple[int, str]:
        """The open folder (until the next call) and the name in it. Raises OSError, also for gobi's own files."""
        if path.partition("/")[0].casefold() == STATE:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), path)
        above, name = split(path)
        return self._folders.get(above, make=make), name


def entry_of(path: str, status: os.stat_result) -> Entry | None:
    if not stat.S_ISREG(status.st_mode):
        return None
    return Entry(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _exists(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except OSError:
        return False
    return True
