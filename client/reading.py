"""The half of client.ports.FileSystem that only looks, for a real folder."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from client.executable import kept_on, may_be_run
from client.folders import Folders, holds, split
from client.ignore import FILE as IGNORE_FILE
from client.ignore import MAX_BYTES
from client.mounts import mounted_below
from client.nesting import has_state, is_state, is_vault
from client.ports import SMALL, Blocked, Clock, Entry, LocalChange, Mount, Skipped, Stopped
from client.rules import SETTLED_NS, Rules, unreadable
from client.trouble import blocked, words
from client.walk import STATE, walk, walk_to
from sync.paths import ancestors

PIECE = 256 * 1024

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: a named pipe must not hold us
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.EISDIR)  # a link, a socket, a folder


class _OnlyItsCtime(LocalChange):
    """As on FUSE, which shows a file's true ctime once it was read: then a second reading finds the same twice."""


class ReadableFolder:
    """The folder `root`. Raises Stopped where it cannot be opened."""

    _writes = False

    def __init__(self, root: Path, clock: Clock) -> None:
        self._clock = clock
        try:
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Stopped(f"{root} cannot be opened ({words(error)}); correct that and try again", 78) from error
        self._folded = _exists(STATE.upper(), self._root)  # names that differ only in case are one to this disk
        self._folders = Folders(self._root, exact=self._folded)
        self.patterns = Rules()
        self._vaults: set[str] = set()  # folders that are vaults of their own
        self._kept_ns = 0  # when its patterns were kept
        self._installed_rules: Entry | None = None  # `.gobiignore` as gobi itself put it there

    def close(self) -> None:
        self._folders.clear()
        os.close(self._root)

    def read_rules(self) -> None:
        try:
            text, status, steady = self._rules_file()
        except FileNotFoundError:
            if not (_exists(".git", self._root) and self.patterns.await_checkout()):
                self.patterns.read(None)
        except OSError as error:
            reason = "it is a symbolic link" if error.errno == errno.ELOOP else words(error)
            self.patterns.read(None, why=unreadable(reason))
        else:
            if status is None:
                self.patterns.read(None, why=unreadable("it is not a regular file"))
            elif not text and self.patterns.kept and max(self._kept_ns, status.st_mtime_ns) < self._clock.boot_ns():
                self.patterns.read(None, why=unreadable("it is empty since the machine went down"))
            else:
                received = entry_of(IGNORE_FILE, status) == self._installed_rules
                settled = steady and (received or self._has_stood(status))
                self.patterns.read(text, settled=settled, received=received)

    def scan(self) -> tuple[list[Entry], list[Skipped]]:
        self._folders.clear()
        self.read_rules()
        entries, skipped, vaults = walk(self._root, self.patterns.ignored)
        self._vaults = set(vaults)
        return entries, skipped

    def look_at(self, paths: Iterable[str]) -> tuple[list[Entry], list[Skipped]]:
        self._folders.clear()
        paths = list(paths)
        for above in {above for path in paths for above in ancestors(path)}:
            if is_vault(above, self._root):
                self._vaults.add(above)
        return walk_to(paths, self.ignored, self._status)

    def mounts(self) -> dict[str, Mount] | None:
        return mounted_below(self._root)

    @property
    def rules(self) -> str:
        patterns = self.patterns.ignored.rules
        return "\n".join([patterns, *sorted(self._vaults)])  # when a vault comes or goes, all is looked at

    def ignored(self, path: str) -> bool:
        if has_state(path) or (self._vaults and not self._vaults.isdisjoint(ancestors(path))):
            return True
        return path in self.patterns.ignored

    def ignored_folder(self, path: str) -> bool:
        """Whether everything in the folder is ignored, in a folder that is not."""
        if is_state(path.rpartition("/")[2]) or is_vault(path, self._root):
            return True
        return self.patterns.ignored.folder(path)

    def stat(self, path: str) -> Entry | None:
        above = path.rpartition("/")[0]
        try:
            folder, name = self._locate(path)
            entry = entry_of(path, os.stat(name, dir_fd=folder, follow_symlinks=False))
            return entry if not self._folded or holds(folder, name) else None
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            if self._leads_through_link(above):
                raise Blocked("a symbolic link is in the way") from None
            return None
        except OSError as error:
            raise blocked(error) from error

    def folder_mtime(self, path: str) -> int | None:
        folders = Folders(self._root, exact=self._folded)  # an open one would go on to be there after a move
        try:
            return os.fstat(folders.get(split(path)[0])).st_mtime_ns // 1000
        except OSError:
            return None
        finally:
            folders.clear()

    def executable(self, path: str) -> bool | None:
        device = self._executable_on
        if device is None:
            return None
        try:
            folder, name = self._locate(path)
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return None
        return may_be_run(status) if status.st_dev == device and stat.S_ISREG(status.st_mode) else None

    @cached_property
    def _executable_on(self) -> int | None:
        return kept_on(self._root, make=self._writes)

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
        try:
            return self._read_whole(path)
        except _OnlyItsCtime:
            return self._read_whole(path)

    def _read_whole(self, path: str) -> tuple[Entry, bytes]:
        parts: list[bytes] = []
        entry = self._read(path, parts.append, SMALL)
        return entry, b"".join(parts)

    def digest(self, path: str) -> tuple[Entry, str]:
        try:
            return self._digest(path)
        except _OnlyItsCtime:
            return self._digest(path)

    def _digest(self, path: str) -> tuple[Entry, str]:
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
            after = entry_of(path, os.fstat(descriptor))
            if (
                left == 1
                and after is not None
                and after != before
                and after == before._replace(ctime_ns=after.ctime_ns)
            ):
                raise _OnlyItsCtime(f"{path!r} changed while it was read")
            if left != 1 or after != before:
                raise LocalChange(f"{path!r} changed while it was read")
        return before

    def _rules_file(self) -> tuple[bytes, os.stat_result | None, bool]:
        """The text of `.gobiignore`, its status (None: not a regular file), and whether nobody is writing it."""
        with open(os.open(IGNORE_FILE, _READ, dir_fd=self._root), "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                return b"", None, False
            text = file.read(MAX_BYTES + 1)
            after = os.fstat(file.fileno())
            unchanged = entry_of(IGNORE_FILE, before) == entry_of(IGNORE_FILE, after)
            return text, after, unchanged and not is_being_written(file.fileno())

    def _has_stood(self, status: os.stat_result) -> bool:
        """Whether nobody has changed the file for a while. The ctime says so, whatever date a program gave it."""
        return abs(self._clock.time_ns() - status.st_ctime_ns) >= SETTLED_NS

    def _status(self, path: str) -> os.stat_result:
        try:
            folder, name = self._locate(path)
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except NotADirectoryError:
            if self._leads_through_link(path.rpartition("/")[0]):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
            raise
        if self._folded and not holds(folder, name):
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


def is_being_written(descriptor: int) -> bool:
    """Whether somebody has the file open for writing. False where this system, or the file's owner, does not say.

    A lease for reading is only given on a file that nobody writes to; it is handed back at once.
    """
    import signal  # late: most folders have no such file

    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # who opens it meanwhile shall not end us with a SIGIO
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except AttributeError:
        return False  # not on this system
    except OSError as error:
        return error.errno == errno.EAGAIN
    return False
