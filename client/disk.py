"""client.ports.FileSystem for a real folder.

Everything goes through folders opened part by part (client/folders.py), so a symbolic link is never followed, also
one that is put in a folder's place while gobi runs. Files are replaced by an exchange of names, so that whatever was
there last can still be looked at, and kept, after the fact.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Self

from client.folders import Folders, open_folder
from client.ignore import FILE as IGNORE_FILE
from client.ignore import Ignore, Nothing
from client.ports import SMALL, Blocked, Clock, Entry, LocalChange, NoRoom, Skipped, Stopped
from client.scan import walk
from client.trash import Trash

STATE = ".gobi"
FEW = 8  # up to so many, one fsync each is cheaper than flushing the whole file system
PIECE = 256 * 1024

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: a FIFO must not hold us
_STAGE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)

_WORDS = {
    errno.EACCES: "no permission; check who owns the file and its folder",
    errno.EPERM: "not permitted; check who owns the file and its folder",
    errno.EROFS: "this folder is read-only",
    errno.ENOTDIR: "something that is not a folder is in the way",
    errno.ELOOP: "a symbolic link is in the way",
    errno.EISDIR: "a folder is in the way",
    errno.ENOTEMPTY: "a folder is in the way",
    errno.EXDEV: "the folder is on another disk than .gobi",
    errno.EINVAL: "this disk cannot hold a file of that name",
    errno.ENAMETOOLONG: "this disk cannot hold a name as long as that",
    errno.EILSEQ: "this disk cannot hold a file of that name",
    errno.EFBIG: "this disk cannot hold a file as large as that",
}


class Disk:
    """The folder `root`, with temporary files and the trash in its `.gobi`. Not for several threads at once."""

    def __init__(self, root: Path, *, clock: Clock) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._state = open_folder(STATE, self._root)
        except OSError as error:
            os.close(self._root)
            raise Stopped(f"{root} is not connected to a vault: {error.strerror}; run gobi connect", 78) from error
        self._folders = Folders(self._root)
        self._temporary = Folders(self._state)
        self._trash = Trash(self._state, clock)
        self._ignore: Ignore | Nothing = Nothing()
        self._staged: set[str] = set()  # written, not yet flushed
        self._touched: set[str] = set()  # folders with names that are not yet durable
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._folders, self._temporary, self._trash):
            one.clear()
        os.close(self._state)
        os.close(self._root)

    # -- looking

    def scan(self) -> tuple[list[Entry], list[Skipped]]:
        self._folders.clear()
        self._ignore = self._read_rules()
        return walk(self._root, self._ignore if isinstance(self._ignore, Ignore) else None)

    @property
    def rules(self) -> str:
        return self._ignore.rules

    def ignored(self, path: str) -> bool:
        return path in self._ignore

    def stat(self, path: str) -> Entry | None:
        folder, _, name = path.rpartition("/")
        try:
            return _entry(path, os.stat(name, dir_fd=self._folders.get(folder), follow_symlinks=False))
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            if self._leads_through_link(path):
                raise Blocked(_WORDS[errno.ELOOP]) from None
            return None
        except OSError as error:
            raise _blocked(error) from error

    def open(self, path: str) -> BinaryIO:
        folder, _, name = path.rpartition("/")
        try:
            descriptor = os.open(name, _READ, dir_fd=self._folders.get(folder))
        except (FileNotFoundError, NotADirectoryError):
            raise LocalChange(f"{path!r} is gone") from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):  # a link or a socket by now
                raise LocalChange(f"{path!r} is no regular file any more") from None
            raise _blocked(error) from error
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
            before = _entry(path, os.fstat(file.fileno()))
            if before is None or (limit is not None and before.size > limit):
                raise LocalChange(f"{path!r} has become too large to be read at once")
            left = before.size + 1  # one more, to notice that it grew
            try:
                while left and (piece := os.read(file.fileno(), min(left, PIECE))):
                    take(piece)
                    left -= len(piece)
            except OSError as error:
                raise _blocked(error) from error
            if left != 1 or _entry(path, os.fstat(file.fileno())) != before:
                raise LocalChange(f"{path!r} changed while it was read")
        return before

    def _read_rules(self) -> Ignore | Nothing:
        try:
            with open(os.open(IGNORE_FILE, _READ, dir_fd=self._root), "rb") as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return Ignore(file.read())
            reason = "it is no regular file"
        except FileNotFoundError:
            return Nothing()
        except OSError as error:
            reason = _words(error)
        raise Stopped(f"{IGNORE_FILE} cannot be read ({reason}); correct that and sync again", 78)

    def _leads_through_link(self, path: str) -> bool:
        above, _, _ = path.rpartition("/")
        while above:
            folder, _, name = above.rpartition("/")
            try:
                return stat.S_ISLNK(os.lstat(name, dir_fd=self._folders.get(folder)).st_mode)
            except OSError:  # further up, then
                above = folder
        return False

    # -- writing

    def stage(self, chunks: Iterable[bytes]) -> str:
        self._count += 1
        handle = f"{os.getpid():x}-{self._count:x}"
        try:
            descriptor = os.open(handle, _STAGE, 0o666, dir_fd=self._temporary.get("tmp", make=True))
        except OSError as error:
            raise _blocked(error) from error
        try:
            with open(descriptor, "wb", buffering=0) as file:
                for chunk in chunks:
                    _write(file, chunk)
        except BaseException as error:
            self.unstage(handle)
            if isinstance(error, OSError):
                raise _blocked(error) from error
            raise
        self._staged.add(handle)
        return handle

    def unstage(self, handle: str) -> None:
        self._staged.discard(handle)
        try:
            os.unlink(handle, dir_fd=self._temporary.get("tmp", make=True))
        except FileNotFoundError:
            pass

    def sweep(self) -> None:
        """Removes what an earlier run left staged. Only for the one client that holds the folder's lock."""
        folder = self._temporary.get("tmp", make=True)
        for name in os.listdir(folder):
            os.unlink(name, dir_fd=folder)

    def flush(self) -> None:
        self._touched |= self._folders.made
        self._folders.made.clear()
        touched = [self._folders, self._touched], [self._trash.folders, self._trash.folders.made]
        try:
            if len(self._staged) + sum(len(paths) for _, paths in touched) > FEW and self._flush_all():
                return
            for handle in self._staged:
                _fsync(handle, self._temporary.get("tmp"))
            for folders, paths in touched:
                for path in paths:
                    _fsync_folder(folders, path)
        except OSError as error:
            raise _blocked(error) from error
        finally:
            self._staged.clear()
            self._touched.clear()
            self._trash.folders.made.clear()
            self._folders.clear()

    def _flush_all(self) -> bool:
        from client import syscalls  # late: ctypes costs more than the rest of a sync with nothing to do

        try:
            syscalls.syncfs(self._root)
        except OSError as error:
            if error.errno == errno.ENOSYS:
                return False
            raise
        return True
