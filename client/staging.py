"""Temporary files in `.gobi/incoming`: what is on its way into the folder.

A file of the folder never has a name here (client/replaced.py), so whatever is left is gobi's own.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO

from client.attributes import DEFAULT_ACL, Attributes, GroupRefused, give
from client.folders import Folders
from client.ports import Entry
from client.trouble import blocked

FOLDER = "incoming"
HOLE = 64 * 1024
"""Bytes: zeros that fill a piece of this size are not written, so that sparse files arrive sparse."""

_ZEROS = bytes(HOLE)
_PIECE = 1024 * 1024
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """`state` is the open `.gobi`. Every method but `write` raises OSError."""

    def __init__(self, state: int) -> None:
        self.folders = Folders(state)
        self._written: set[str] = set()  # not yet durable
        self._plain = False
        self._usual: Attributes | None = None  # of a new file, where nothing has to be done for it

    @property
    def folder(self) -> int:
        """Good until the next call."""
        folder = self.folders.get(FOLDER, make=True)
        if not self._plain:
            self._plain = True
            with suppress(OSError, AttributeError):
                os.removexattr(folder, DEFAULT_ACL)  # that of the folder a file is going to counts
        return folder

    def __len__(self) -> int:
        """How many files are not yet durable."""
        return len(self._written)

    @staticmethod
    def new_name() -> str:
        return os.urandom(8).hex()

    def write(self, chunks: Iterable[bytes]) -> str:
        """The new file's name. Raises Blocked, and what `chunks` raises; then it leaves nothing."""
        name = self.new_name()
        try:
            file = FileIO(os.open(name, _CREATE, 0o666, dir_fd=self.folder), "w")
            with file:
                for chunk in chunks:
                    _write(file, chunk)
                file.truncate()  # where it ends with a hole
        except BaseException as error:
            self.remove(name)
            if isinstance(error, OSError):
                raise blocked(error) from error
            raise
        self._written.add(name)
        return name

    def dress(self, name: str, mtime_us: int | None, attributes: Attributes, folder: int) -> None:
        """Gives the file what it is to have in `folder`, as far as that may be."""
        if attributes != self._usual:
            with suppress(OSError):  # a courtesy; what counts is looked at again once the file is there
                self._give(name, attributes, folder)
        if mtime_us is not None:
            try:
                os.utime(name, ns=(mtime_us * 1000, mtime_us * 1000), dir_fd=self.folder)
            except (OSError, OverflowError):
                pass  # the same

    def _give(self, name: str, attributes: Attributes, folder: int) -> None:
        status = os.stat(name, dir_fd=self.folder, follow_symlinks=False)
        owned = (status.st_uid, status.st_gid)
        if not attributes.extended and owned == attributes[:2]:
            if attributes.mode is None:
                self._usual = attributes  # every file that is staged here has that
            elif attributes.mode != stat.S_IMODE(status.st_mode):
                os.chmod(name, attributes.mode, dir_fd=self.folder)
            return
        descriptor = os.open(name, _READ, dir_fd=self.folder)
        try:
            give(descriptor, attributes)
        except GroupRefused:
            if os.fstat(folder).st_gid == attributes.group:
                self._make_anew_in(folder, name, descriptor, attributes)
        finally:
            os.close(descriptor)

    def _make_anew_in(self, folder: int, name: str, source: int, attributes: Attributes) -> None:
        """A file that is made in a folder with the setgid bit has that folder's group, whoever makes it."""
        copy = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=folder)
        try:
            give(copy, attributes)
            copy_bytes(source, copy)
            new = self.new_name()
            os.link(f"/proc/self/fd/{copy}", new, dst_dir_fd=self.folder, follow_symlinks=True)
            os.rename(new, name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        except GroupRefused:
            pass
        finally:
            os.close(copy)

    def adopt(self, folder: int, source: str) -> str:
        """A durable copy of a file that lies in another open folder, with its time and permissions."""
        return copy_file(folder, source, self.folder, self.new_name())

    def entry(self, name: str, path: str) -> Entry:
        """What the file at `path` will show once this one is there, but for its ctime."""
        status = os.stat(name, dir_fd=self.folder, follow_symlinks=False)
        return Entry(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def moved(self, name: str) -> None:
        """It is in its place, under this name no more."""
        self._written.discard(name)

    def remove(self, name: str) -> None:
        self._written.discard(name)
        try:
            os.unlink(name, dir_fd=self.folder)
        except OSError:
            pass  # gone already; or else the next run's sweep takes it

    def sweep(self) -> None:
        """Removes what an earlier run left half written."""
        with suppress(FileNotFoundError):
            folder = self.folders.get(FOLDER)  # not made for this: there may be no room
            for name in os.listdir(folder):
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)

    def flush(self) -> None:
        """Makes the written files durable, one by one."""
        for name in self._written:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.folder)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def flushed(self) -> None:
        self._written.clear()


def copy_file(folder: int, source: str, to: int, new: str) -> str:
    """Copies a file to a name that must be free in another open folder, durably. The new name. Raises OSError."""
    reading = os.open(source, _READ | os.O_NONBLOCK, dir_fd=folder)
    try:
        status = os.fstat(reading)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source)
        writing = os.open(new, _CREATE, 0o600, dir_fd=to)
        try:
            copy_bytes(reading, writing)
            with suppress(OSError):  # a disk that has no permissions
                os.fchmod(writing, stat.S_IMODE(status.st_mode) & 0o777)
            os.utime(writing, ns=(status.st_atime_ns, status.st_mtime_ns))
        except BaseException:
            os.unlink(new, dir_fd=to)
            raise
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    return new


def copy_bytes(source: int, target: int) -> None:
    """Copies an open file into an empty one, durably. Raises OSError."""
    with open(os.dup(source), "rb") as reading:
        reading.seek(0)
        with FileIO(os.dup(target), "w") as writing:
            while piece := reading.read(_PIECE):
                _write(writing, piece)
            writing.truncate()
    os.fsync(target)


def _write(file: FileIO, data: bytes) -> None:
    """All of it, but for the zeros between."""
    written = 0
    for start in range(0, len(data) - HOLE + 1, HOLE):
        if data[start] == 0 and data[start : start + HOLE] == _ZEROS:
            _write_all(file, memoryview(data)[written:start])
            file.seek(HOLE, os.SEEK_CUR)
            written = start + HOLE
    _write_all(file, memoryview(data)[written:])


def _write_all(file: FileIO, left: memoryview) -> None:
    while left:
        left = left[file.write(left) :]
