"""client.ports.FileSystem for a real folder.

Everything goes through folders opened part by part (client/folders.py), so a symbolic link is never followed, also
one that is put in a folder's place while gobi runs. Files are replaced by letting two names change places: what was
there at that very moment can still be looked at, and kept.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

from client import executable, moves
from client.attributes import Attributes, of_file, of_new_file
from client.folders import open_folder
from client.ignore import FILE as IGNORE_FILE
from client.place import Place
from client.places import Places
from client.ports import Blocked, Clock, Entry, LocalChange, Stopped
from client.reading import ReadableFolder, entry_of
from client.rules import Rules
from client.rules_kept import THEIRS, is_kept, keep_rules, kept_rules
from client.trash import trashed
from client.trouble import blocked, words
from client.walk import STATE

FEW = 8  # up to so many, one fsync each is cheaper than flushing the whole file system


class Disk(ReadableFolder):
    """The folder `root`, with its temporary files and its trash in `.gobi`. For one thread at a time.

    Raises Stopped where the folder has no `.gobi`.
    """

    _writes = True

    def __init__(self, root: Path, *, clock: Clock) -> None:
        super().__init__(root, clock)
        try:
            self._state = open_folder(STATE, self._root)
        except OSError as error:
            super().close()
            raise Stopped(f"{root} is not connected to a vault ({words(error)}); run gobi connect", 78) from error
        self._places = Places(self._state, self._folders, clock)
        self._new_files: dict[str, Attributes] = {}  # by folder, until the next flush
        kept, self._kept_ns = kept_rules(self._state)
        self._rules_are_kept = kept is not None  # on the disk
        self.patterns = Rules(kept, kept_rules(self._state, THEIRS)[0])

    def close(self) -> None:
        self._places.close()
        os.close(self._state)
        super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing

    def stage(self, chunks: Iterable[bytes]) -> str:
        return self._places.home.staging.write(chunks)

    def unstage(self, handle: str) -> None:
        self._places.home.staging.remove(handle)

    def sweep(self) -> None:
        """Tidies up after an earlier run that was cut off. Only for the client that holds the folder's lock.

        What may be a person's goes to the trash; `release` says so.
        """
        try:
            self._places.sweep()
        except OSError as error:
            raise Stopped(f"gobi's own folder {STATE} cannot be tidied ({words(error)}); correct that", 78) from error

    def set_executable(self, path: str, expected: Entry, on: bool) -> Entry:
        with suppress(OSError):
            folder, name = self._locate(path)
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                there = entry_of(path, os.fstat(descriptor))
                if there is not None and there._replace(ctime_ns=expected.ctime_ns) == expected:
                    executable.give(descriptor, on)
                    return entry_of(path, os.fstat(descriptor)) or expected
            finally:
                os.close(descriptor)
        return expected

    def trashed(self) -> Iterator[tuple[int, BinaryIO]]:
        return trashed(self._state)

    def read_rules(self) -> None:
        if self._rules_are_kept and not is_kept(self._state):  # `gobi rm`, beside a client that watches
            self._rules_are_kept = False
            self.patterns.forget()
        super().read_rules()

    def keep_rules(self) -> None:
        if self.patterns.good != self.patterns.kept:
            self._kept_ns = self._clock.time_ns()
            if keep_rules(self._state, self.patterns.good, self._kept_ns):
                self._rules_are_kept = self.patterns.good is not None
            self.patterns.kept = self.patterns.good

    def dispute_rules(self, theirs: bytes | None) -> None:
        if theirs != self.patterns.theirs:
            self.patterns.theirs = theirs
            keep_rules(self._state, theirs, self._clock.time_ns(), THEIRS)

    def forget_rules(self) -> None:
        self.patterns.forget()
        self._rules_are_kept = not keep_rules(self._state, None, 0) and self._rules_are_kept

    def flush(self) -> None:
        changing = (self._folders, *self._places.folders)
        staging = self._places.home.staging
        waiting = len(staging) + sum(len(folders.touched) for folders in changing)
        try:
            if waiting <= FEW or not self._flush_everything():
                staging.flush()
                for folders in changing:
                    folders.flush()
        except OSError as error:
            raise blocked(error) from error
        staging.flushed()
        self._new_files.clear()
        self._places.forget()
        for folders in changing:
            folders.flushed()
            folders.clear()

    def _flush_everything(self) -> bool:
        from client import syscalls  # late: ctypes costs more than the rest of a sync with nothing to do

        try:
            for descriptor in (self._root, *self._places.elsewhere_open):
                syscalls.syncfs(descriptor)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            return False
        return True

    # -- changing what the folder shows

    def install(self, handle: str, path: str, mtime_us: int | None, expected: Entry | None, trash: bool) -> Entry:
        above = path.rpartition("/")[0]
        staging = self._places.home.staging
        try:
            folder, name = self._locate(path, make=True)
            replaced = None if expected is None else os.stat(name, dir_fd=folder, follow_symlinks=False)
            if replaced is not None and entry_of(path, replaced) != expected:
                raise LocalChange(f"{path!r} has changed")
            wanted = of_file(folder, name, replaced) if replaced is not None else self._new_in(above, folder)

            def put(place: Place) -> Entry:
                folder = self._folders.get(above)  # again: to find the place others were opened
                with place.holding(staging, handle) as here:
                    place.staging.dress(here, mtime_us, wanted, folder)
                    ours = place.staging.entry(here, path)
                    if expected is None:
                        place.put_new(here, folder, name)
                    else:
                        place.put_over(here, (folder, name), expected, trash)
                return _entry(path, ours, folder, name)

            entry = self._places.do(above, put)
            self._folders.touched.add(above)
        except OSError as error:
            staging.remove(handle)
            if error.errno == errno.ENOENT:
                raise LocalChange(f"{path!r} is gone") from None
            raise blocked(error) from error
        except BaseException:
            staging.remove(handle)
            raise
        staging.moved(handle)
        if path == IGNORE_FILE:
            self._installed_rules = entry
        return entry

    def remove(self, path: str, expected: Entry, trash: bool, staying: Collection[str] = ()) -> None:
        if self.stat(path) != expected:
            raise LocalChange(f"{path!r} has changed")
        above = path.rpartition("/")[0]

        def take(place: Place) -> None:
            aside = place.take_aside(*self._locate(path), expected, trash)
            place.replaced.dismiss(aside)

        try:
            self._places.do(above, take)
            self._folders.touched.add(above)
            self._folders.remove_empty(above, staying)
        except FileNotFoundError:
            raise LocalChange(f"{path!r} is gone") from None
        except OSError as error:
            raise blocked(error) from error

    def rename(
        self, path: str, to: str, expected: Entry, mtime_us: int | None = None, staying: Collection[str] = ()
    ) -> Entry:
        if self.stat(path) != expected:
            raise LocalChange(f"{path!r} has changed")
        try:
            found, target = self._locate(to, make=True)
            target_folder = os.dup(found)
            try:
                moves.move_new(*self._locate(path), target_folder, target)
                self._return_an_edit(path, expected, (target_folder, target))
                entry = _entry(to, expected._replace(path=to), target_folder, target)
                entry = _dated(entry, mtime_us, target_folder, target)
            finally:
                os.close(target_folder)
        except FileExistsError:
            raise Blocked(f"{to!r} exists") from None
        except OSError as error:
            raise blocked(error) from error
        self._folders.touched |= {path.rpartition("/")[0], to.rpartition("/")[0]}
        self._folders.remove_empty(path.rpartition("/")[0], staying)
        return entry

    def release(self) -> tuple[list[str], bool]:
        return self._places.release()

    def _return_an_edit(self, path: str, expected: Entry, place: tuple[int, str]) -> None:
        """What was saved at `path` in the very last moment, and so was moved from there, goes back: it is an edit of
        `path`. Raises LocalChange then."""
        moved = entry_of(path, os.lstat(place[1], dir_fd=place[0]))
        if moved is not None and moved._replace(ctime_ns=expected.ctime_ns) == expected:
            return
        with suppress(FileExistsError):  # saved once more: each of the two shows as an edit where it is
            moves.move_new(*place, *self._locate(path))
        raise LocalChange(f"{path!r} has changed")

    def _new_in(self, path: str, folder: int) -> Attributes:
        """The attributes of a new file in a folder, looked up once for many."""
        if path not in self._new_files:
            self._new_files[path] = of_new_file(folder)
        return self._new_files[path]


def _entry(path: str, ours: Entry, folder: int, name: str) -> Entry:
    """The entry of the file that gobi put there, whatever lies there by now: another one is somebody's edit."""
    with suppress(OSError):
        there = entry_of(path, os.stat(name, dir_fd=folder, follow_symlinks=False))
        if there is not None and there._replace(ctime_ns=ours.ctime_ns) == ours:
            return there  # moving it changed its ctime
    return ours


def _dated(entry: Entry, mtime_us: int | None, folder: int, name: str) -> Entry:
    """Gives that file, and no other one that lies there by now, its modification time."""
    if mtime_us is None or entry.mtime_ns // 1000 == mtime_us:
        return entry
    with suppress(OSError, OverflowError):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            if entry_of(entry.path, os.fstat(descriptor)) == entry:
                os.utime(descriptor, ns=(mtime_us * 1000, mtime_us * 1000))
                return entry_of(entry.path, os.fstat(descriptor)) or entry
        finally:
            os.close(descriptor)
    return entry
