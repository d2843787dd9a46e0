"""Temporary files in `.gobi/incoming`: what is on its way into the folder.

A file of the folder never has a name here (client/replaced.py), so whatever is left is gobi's own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO

from client.folders import Folders
from client.ports import Entry
from client.trouble import blocked

FOLDER = "incoming"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """`state` is the open `.gobi`. Every method but `write` raises OSError."""

    def __init__(self, state: int) -> None:
        self.folders = Folders(state)
        self._written: set[str] = set()  # not yet durable

    @property
    def folder(self) -> int:
        """Good until the next call."""
        return self.folders.get(FOLDER, make=True)

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
                    left = memoryview(chunk)
                    while left:
                        left = left[file.write(left) :]
        except BaseException as error:
            self.remove(name)
            if isinstance(error, OSError):
                raise blocked(error) from error
            raise
        self._written.add(name)
        return name

    def dress(self, name: str, mtime_us: int | None, mode: int | None) -> None:
        """Gives the file a modification time and permissions, as far as the disk can hold them."""
        try:
            if mode is not None:
                os.chmod(name, stat.S_IMODE(mode) & 0o777, dir_fd=self.folder)
            if mtime_us is not None:
                os.utime(name, ns=(mtime_us * 1000, mtime_us * 1000), dir_fd=self.folder)
        except (OSError, OverflowError):
            pass  # both are a courtesy; what counts is looked at again once the file is in its place

    def entry(self, name: str, path: str) -> Entry:
        """What the file at `path` will show once this one is there, but for its ctime."""
        status = os.stat(name, dir_fd=self.folder, follow_symlinks=False)
        return Entry(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def remove(self, name: str) -> None:
        self._written.discard(name)
        try:
            os.unlink(name, dir_fd=self.folder)
        except OSError:
            pass  # gone already; or else the next run's sweep takes it

    def sweep(self) -> None:
        """Removes what an earlier run left half written."""
        folder = self.folder
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
