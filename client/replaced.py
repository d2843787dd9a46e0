"""Files that were taken out of the folder, in `.gobi/tmp`, until it is sure that nobody misses them.

A file may be saved in the very moment in which it is replaced, and a program that has it open may go on writing to it
afterwards. So the name that a file has here says what it was expected to be. What is still that, and what nobody can
write to any more, goes for good; everything else is somebody's work and goes to the trash.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import NamedTuple

from client import moves
from client.folders import Folders
from client.names import printable
from client.ports import Clock, Entry
from client.trash import Trash

FOLDER = "tmp"
SETTLED_NS = 10_000_000_000  # how long a file is kept where the system does not say who has it open
_MOST_BYTES = 255  # in a name
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Expected(NamedTuple):
    """What tells a file from another one. Moving it changes its ctime, so that says nothing."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Expected:
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class Kept(NamedTuple):
    """`path`: where it was. `only_copy`: the server does not have its bytes. `since_ns`: when it was taken out."""

    path: str
    expected: Expected
    only_copy: bool
    since_ns: int

    def name(self) -> str:
        """A new name that says all that matters, also to the next run."""
        kind = "only" if self.only_copy else "copy"
        start = f"{os.urandom(8).hex()}.{kind}.{self.expected.size}.{self.expected.mtime_ns}.{self.expected.inode}."
        last = self.path.rpartition("/")[2]
        return start + last if len(os.fsencode(start + last)) <= _MOST_BYTES else start

    @classmethod
    def from_name(cls, name: str) -> Kept:
        """A name that gobi's first versions gave says nothing: then the file is nothing that was expected."""
        try:
            _, kind, size, mtime_ns, inode, last = name.split(".", 5)
            return cls(last or "file", Expected(int(size), int(mtime_ns), int(inode)), kind == "only", 0)
        except ValueError:
            return cls(name, Expected(-1, -1, -1), True, 0)


class Replaced:
    """`base` is the open folder that `tmp` lies in, `apart` whether the trash is on another disk.

    Methods raise OSError unless they say otherwise.
    """

    def __init__(self, base: int, trash: Trash, clock: Clock, *, apart: bool) -> None:
        self.folders = Folders(base)
        self._trash = trash
        self._clock = clock
        self._apart = apart
        self._kept: dict[str, Kept] = {}
        self._open: set[str] = set()  # names of files that a program has open
        self._said: set[str] = set()
        self._notes: list[str] = []
        self._leases: bool | None = None  # whether this file system says who has a file open

    @property
    def folder(self) -> int:
        """Good until the next call."""
        return self.folders.get(FOLDER, make=True)

    def reserve(self, entry: Entry, only_copy: bool) -> str:
        """The name under which this file may come here."""
        expected = Expected(entry.size, entry.mtime_ns, entry.inode)
        kept = Kept(entry.path, expected, only_copy, self._clock.time_ns())
        name = kept.name()
        self._kept[name] = kept
        return name

    def forget(self, name: str) -> None:
        """Nothing is under this name any more."""
        self._kept.pop(name, None)

    def take(self, folder: int, source: str, name: str) -> None:
        """Moves a file here, to a name that was reserved for it."""
        moves.move_new(folder, source, self.folder, name)

    def is_expected(self, name: str) -> bool:
        return Expected.of(self._status(name)) == self._kept[name].expected

    def is_same(self, name: str, entry: Entry) -> bool:
        """Whether the file here is that one, whatever was written into it."""
        return self._status(name).st_ino == entry.inode

    def remove(self, name: str) -> None:
        """Of what is surely nobody's work."""
        os.unlink(name, dir_fd=self.folder)
        self.forget(name)

    def keep(self, name: str) -> str:
        """Moves the file to the trash, and returns its place there."""
        taken = self._trash.take(self.folder, name, self._kept[name].path)
        self.forget(name)
        return taken.path

    def dismiss(self, name: str) -> None:
        """The file was the expected one. An only copy goes to the trash, any other for good.

        One that somebody has open for writing stays until that ends. Raises nothing: what cannot be done now is tried
        again.
        """
        kept = self._kept[name]
        with suppress(OSError):
            writing = self._is_written_to(name)
            if not kept.only_copy or (writing and self._apart):
                self._release(name, kept)
                return
            place = self.keep(name)
            if writing:
                self._notes.append(
                    f"{printable(kept.path)} was replaced or removed while a program had it open. What that still "
                    f"writes goes to {printable(place)}; let it open the file again"
                )

    def look_again(self) -> None:
        """At whatever is still here. Raises nothing."""
        for name, kept in list(self._kept.items()):
            with suppress(OSError):
                self._release(name, kept)

    def report(self) -> tuple[list[str], bool]:
        """What a person ought to know, one sentence each, and whether a file is held that has to be looked at again."""
        notes, self._notes = self._notes, []
        for name, kept in self._kept.items():
            if name in self._open - self._said:
                self._said.add(name)
                notes.append(
                    f"{printable(kept.path)} was replaced or removed while a program had it open. gobi keeps what that "
                    "still writes, and says where; let it open the file again"
                )
        return notes, bool(self._kept)

    def sweep(self) -> None:
        """Looks at what an earlier run left, of which nothing is known but its names."""
        with suppress(FileNotFoundError):
            for name in os.listdir(self.folders.get(FOLDER)):
                self._kept[name] = Kept.from_name(name)
        self.look_again()

    def _release(self, name: str, kept: Kept) -> None:
        try:
            writing = self._is_written_to(name)  # first: nobody can begin to afterwards, the file has no other name
            touched = Expected.of(self._status(name)) != kept.expected
        except FileNotFoundError:
            self.forget(name)
            return
        if writing and self._apart:
            self._open.add(name)  # what is copied to the trash now would not have what comes
        elif touched:
            place = self.keep(name)
            self._notes.append(
                f"{printable(kept.path)} was written to just when gobi replaced or removed it, or later by a program "
                f"that had it open. What was written is in {printable(place)}"
            )
        elif writing:
            self._open.add(name)
        elif writing is False or self._clock.time_ns() - kept.since_ns >= SETTLED_NS:
            if kept.only_copy:
                self.keep(name)
            else:
                self.remove(name)

    def _status(self, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=self.folder, follow_symlinks=False)

    def _is_written_to(self, name: str) -> bool | None:
        """Whether a program has the file open for writing. None where the system does not say."""
        writing = _has_writers(self.folder, name)
        if writing and self._leases is None:
            self._leases = self._can_tell()
        return writing if self._leases is not False else None

    def _can_tell(self) -> bool:
        """Whether the file system gives a lease at all: some refuse always as if somebody were writing."""
        probe = os.urandom(8).hex()
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self.folder))
        try:
            return _has_writers(self.folder, probe) is False
        finally:
            os.unlink(probe, dir_fd=self.folder)


def _has_writers(folder: int, name: str) -> bool | None:
    """By asking for a read lease, which is not given where anybody may write. None where there are no leases."""
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError:
        return None
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except (OSError, AttributeError):
        return None
    finally:
        os.close(descriptor)
    return False
