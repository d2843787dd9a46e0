"""The local trash, `.gobi/trash/<UTC time>/<path>`: for what gobi replaces or removes and the server does not have."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, NamedTuple

from client import moves
from client.below import files_below
from client.folders import Folders
from client.ports import Clock
from client.staging import FOLDER as INCOMING
from client.staging import copy_file

_MOST = 1000  # files of one path in the trash of one run


def trashed(state: int) -> Iterator[tuple[int, BinaryIO]]:
    """Every file in the trash, with its size, open until the next; `state` is the folder `.gobi`."""
    for folder, name in files_below("trash", state):
        with suppress(OSError):
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            with open(descriptor, "rb", buffering=0) as file:
                there = os.fstat(descriptor)
                if stat.S_ISREG(there.st_mode):
                    yield there.st_size, file


class Taken(NamedTuple):
    """A file in the trash: its open folder (until the next call) and its name, and its path in the synced folder."""

    folder: int
    name: str
    path: str


class Trash:
    """Keeps the files of one run together, under the time of its first. All methods raise OSError."""

    def __init__(self, state: int, clock: Clock) -> None:
        self.folders = Folders(state)
        self._clock = clock
        self._moment = ""
        self._number = 0

    def take(self, folder: int, name: str, path: str) -> Taken:
        """Moves the file here that was at `path`."""
        try:
            return self._take(folder, name, path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        # From another disk: a whole copy is here, and durable, before the file goes there.
        incoming = self.folders.get(INCOMING, make=True)
        copy = copy_file(folder, name, incoming, os.urandom(8).hex())
        taken = self._take(self.folders.get(INCOMING), copy, path)
        os.fsync(taken.folder)
        os.unlink(name, dir_fd=folder)
        return taken

    def _take(self, folder: int, name: str, path: str) -> Taken:
        while True:
            place = f"{self._batch()}/{path}"
            above, _, new = place.rpartition("/")
            try:
                to = self.folders.get(above, make=True)
                moves.move_new(folder, name, to, new)
            except (FileExistsError, NotADirectoryError):
                if self._number == _MOST:
                    raise
                self._number += 1  # the path, or a file where it needs a folder, came here before: one more beside it
            else:
                self.folders.touched.add(above)
                return Taken(to, new, f".gobi/{place}")

    def _batch(self) -> str:
        if not self._moment:
            now = self._clock.time_ns()
            second = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 1_000_000_000))
            self._moment = f"{second}.{now % 1_000_000_000 // 1000:06}Z"
        return f"trash/{self._moment}" + (f"-{self._number}" if self._number else "")
