"""client.ports.FileSystem for a real folder.

Everything goes through folders opened part by part (client/folders.py), so a symbolic link is never followed, also
one that is put in a folder's place while gobi runs. Files are replaced by letting two names change places: what was
there at that very moment can still be looked at, and kept.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

from client import moves
from client.attributes import Attributes, of_file, of_new_file
from client.folders import open_folder
from client.ignore import FILE as IGNORE_FILE
from client.ports import Blocked, Clock, Entry, LocalChange, Stopped
from client.reading import ReadableFolder, entry_of
from client.replaced import Replaced
from client.rules import Rules
from client.rules_kept import keep_rules, kept_rules
from client.staging import Staging
from client.trash import Trash, trashed
from client.trouble import blocked, name_not_held, words
from client.walk import STATE

FEW = 8  # up to so many, one fsync each is cheaper than flushing the whole file system


class Disk(ReadableFolder):
    """The folder `root`, with its temporary files and its trash in `.gobi`. For one thread at a time.

    Raises Stopped where the folder has no `.gobi`.
    """

    def __init__(self, root: Path, *, clock: Clock) -> None:
        super().__init__(root, clock)
        try:
            self._state = open_folder(STATE, self._root)
        except OSError as error:
            super().close()
            raise Stopped(f"{root} is not connected to a vault ({words(error)}); run gobi connect", 78) from error
        self._staging = Staging(self._state)
        self._trash = Trash(self._state, clock)
        self._new_files: dict[str, Attributes] = {}  # by folder, until the next flush
        self._replaced = Replaced(self._state, self._trash, clock)
        kept, self._kept_ns = kept_rules(self._state)
        self.patterns = Rules(kept)
        self._changing = (self._folders, self._staging.folders, self._trash.folders, self._replaced.folders)

    def close(self) -> None:
        for folders in self._changing:
            folders.clear()
        os.close(self._state)
        super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing

    def stage(self, chunks: Iterable[bytes]) -> str:
        return self._staging.write(chunks)

    def unstage(self, handle: str) -> None:
        self._staging.remove(handle)

    def sweep(self) -> None:
        """Tidies up after an earlier run that was cut off. Only for the client that holds the folder's lock.

        What may be a person's goes to the trash; `release` says so.
        """
        try:
            self._staging.sweep()
            self._replaced.sweep()
        except OSError as error:
            raise Stopped(f"gobi's own folder {STATE} cannot be tidied ({words(error)}); correct that", 78) from error

    def trashed(self) -> Iterator[tuple[int, BinaryIO]]:
        return trashed(self._state)

    def keep_rules(self) -> None:
        if self.patterns.good != self.patterns.kept:
            self._kept_ns = self._clock.time_ns()
            keep_rules(self._state, self.patterns.good, self._kept_ns)
            self.patterns.kept = self.patterns.good

    def forget_rules(self) -> None:
        self.patterns.forget()
        keep_rules(self._state, None, 0)

    def flush(self) -> None:
        waiting = len(self._staging) + sum(len(folders.touched) for folders in self._changing)
        try:
            if waiting <= FEW or not self._flush_everything():
                self._staging.flush()
                for folders in self._changing:
                    folders.flush()
        except OSError as error:
            raise blocked(error) from error
        self._staging.flushed()
        self._new_files.clear()
        for folders in self._changing:
            folders.flushed()
            folders.clear()

    def _flush_everything(self) -> bool:
        from client import syscalls  # late: ctypes costs more than the rest of a sync with nothing to do

        try:
            syscalls.syncfs(self._root)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            return False
        return True

    # -- changing what the folder shows

    def install(self, handle: str, path: str, mtime_us: int | None, expected: Entry | None, trash: bool) -> Entry:
        above = path.rpartition("/")[0]
        try:
            folder, name = self._locate(path, make=True)
            replaced = None if expected is None else os.stat(name, dir_fd=folder, follow_symlinks=False)
            if replaced is not None and entry_of(path, replaced) != expected:
                raise LocalChange(f"{path!r} has changed")
            wanted = of_file(folder, name, replaced) if replaced is not None else self._new_in(above, folder)
            self._staging.dress(handle, mtime_us, wanted, folder)
            ours = self._staging.entry(handle, path)
            if expected is None:
                self._put_new(handle, folder, name)
            else:
                self._put_over(handle, (folder, name), expected, trash)
            self._folders.touched.add(above)
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise LocalChange(f"{path!r} is gone") from None
            raise blocked(error) from error
        finally:
            self._staging.remove(handle)
        entry = _entry(path, ours, folder, name)
        if path == IGNORE_FILE:
            self._installed_rules = entry
        return entry

    def remove(self, path: str, expected: Entry, trash: bool) -> None:
        if self.stat(path) != expected:
            raise LocalChange(f"{path!r} has changed")
        try:
            folder, name = self._locate(path)
            aside = self._take_aside(folder, name, expected, trash)
            self._replaced.dismiss(aside)
            above = path.rpartition("/")[0]
            self._folders.touched.add(above)
            self._folders.remove_empty(above)
        except FileNotFoundError:
            raise LocalChange(f"{path!r} is gone") from None
        except OSError as error:
            raise blocked(error) from error

    def rename(self, path: str, to: str, expected: Entry, mtime_us: int | None = None) -> Entry:
        if self.stat(path) != expected:
            raise LocalChange(f"{path!r} has changed")
        try:
            found, target = self._locate(to, make=True)
            target_folder = os.dup(found)
            try:
                moves.move_new(*self._locate(path), target_folder, target)
                if not stat.S_ISREG(os.lstat(target, dir_fd=target_folder).st_mode):
                    moves.move_new(target_folder, target, *self._locate(path))
                    raise LocalChange(f"{path!r} is no regular file any more")
                entry = _entry(to, expected._replace(path=to), target_folder, target)
                entry = _dated(entry, mtime_us, target_folder, target)
            finally:
                os.close(target_folder)
        except FileExistsError:
            raise Blocked(f"{to!r} exists") from None
        except OSError as error:
            raise blocked(error) from error
        self._folders.touched |= {path.rpartition("/")[0], to.rpartition("/")[0]}
        self._folders.remove_empty(path.rpartition("/")[0])
        return entry

    def release(self) -> tuple[list[str], bool]:
        self._replaced.look_again()
        return self._replaced.report()

    def _new_in(self, path: str, folder: int) -> Attributes:
        """The attributes of a new file in a folder, looked up once for many."""
        if path not in self._new_files:
            self._new_files[path] = of_new_file(folder)
        return self._new_files[path]

    def _put_new(self, handle: str, folder: int, name: str) -> None:
        try:
            moves.move_new(self._staging.folder, handle, folder, name)
        except FileExistsError:
            mode = os.lstat(name, dir_fd=folder).st_mode
            if not self._folders.holds(folder, name):
                raise name_not_held(name) from None
            if stat.S_ISREG(mode):
                raise LocalChange(f"{name!r} has appeared") from None
            if not stat.S_ISDIR(mode):
                raise Blocked("something that is not a regular file is in the way") from None
            if not _remove_empty_tree(folder, name):
                raise Blocked("a folder is in the way") from None
            moves.move_new(self._staging.folder, handle, folder, name)
        if name[-1] in ". " and not self._folders.holds(folder, name):
            os.unlink(name, dir_fd=folder)  # some disks drop a last dot or blank without a word
            raise name_not_held(name)

    def _put_over(self, handle: str, place: tuple[int, str], expected: Entry, trash: bool) -> None:
        """Lets the staged file and the one at `place` change places, or does the same in two steps."""
        replaced, staged = self._replaced, self._staging
        ours = staged.entry(handle, expected.path)
        aside = replaced.reserve(expected, trash)
        moves.move_new(staged.folder, handle, replaced.folder, aside)  # first: the name may become a person's file's
        try:
            exchanged = moves.try_exchange(replaced.folder, aside, *place)
        except OSError:
            replaced.remove(aside)
            raise
        if not exchanged:
            moves.move_new(replaced.folder, aside, staged.folder, handle)
            replaced.forget(aside)
            self._put_in_two_steps(handle, place, expected, trash)
        elif replaced.is_expected(aside):
            replaced.dismiss(aside)
        else:
            self._exchange_back(aside, place, ours)
            raise LocalChange(f"{expected.path!r} has changed")

    def _put_in_two_steps(self, handle: str, place: tuple[int, str], expected: Entry, trash: bool) -> None:
        """Where the file system cannot exchange names. For a moment there is no file."""
        aside = self._take_aside(*place, expected, trash)
        try:
            self._put_new(handle, *place)
        except (OSError, LocalChange, Blocked):
            self._put_back(aside, *place)
            raise
        self._replaced.dismiss(aside)

    def _exchange_back(self, aside: str, place: tuple[int, str], ours: Entry) -> None:
        """The file was saved anew in the very last moment."""
        replaced = self._replaced
        with suppress(FileNotFoundError):  # and is gone by now
            moves.try_exchange(replaced.folder, aside, *place)
        if replaced.is_same(aside, ours):
            replaced.remove(aside)
        else:
            replaced.keep(aside)

    def _take_aside(self, folder: int, name: str, expected: Entry, trash: bool) -> str:
        """Takes the file out of the folder. Raises LocalChange where it is not what was expected; then it is back."""
        aside = self._replaced.reserve(expected, trash)
        try:
            self._replaced.take(folder, name, aside)
        except OSError:
            self._replaced.forget(aside)
            raise
        if not self._replaced.is_expected(aside):
            self._put_back(aside, folder, name)
            raise LocalChange(f"{expected.path!r} has changed")
        return aside

    def _put_back(self, aside: str, folder: int, name: str) -> None:
        """What was taken aside goes to its place again, or to the trash where that is taken."""
        try:
            moves.move_new(self._replaced.folder, aside, folder, name)
            self._replaced.forget(aside)
        except FileExistsError:
            self._replaced.keep(aside)


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


def _remove_empty_tree(folder: int, name: str) -> bool:
    """Removes a folder that holds nothing but empty folders. False where it holds anything else."""
    descriptor = open_folder(name, folder)
    try:
        with os.scandir(descriptor) as entries:
            inner = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        if not all(is_folder and _remove_empty_tree(descriptor, one) for one, is_folder in inner):
            return False
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=folder)
    return True
