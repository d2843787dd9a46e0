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
from pathlib import Path
from typing import BinaryIO, Self

from client import moves
from client.folders import open_folder
from client.ports import Blocked, Clock, Entry, LocalChange, Stopped
from client.reading import ReadableFolder, entry_of
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
        super().__init__(root)
        try:
            self._state = open_folder(STATE, self._root)
        except OSError as error:
            super().close()
            raise Stopped(f"{root} is not connected to a vault ({words(error)}); run gobi connect", 78) from error
        self._staging = Staging(self._state)
        self._trash = Trash(self._state, clock)
        self._changing = (self._folders, self._staging.folders, self._trash.folders)

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
        """Removes what an earlier run left staged. Only for the client that holds the folder's lock."""
        try:
            self._staging.sweep()
        except OSError as error:
            raise Stopped(f"gobi's own folder {STATE} cannot be tidied ({words(error)}); correct that", 78) from error

    def trashed(self) -> Iterator[tuple[int, BinaryIO]]:
        return trashed(self._state)

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
            if expected is None:
                self._staging.dress(handle, mtime_us, None)
                self._put_new(handle, folder, name)
            else:
                self._put_over(handle, folder, path, mtime_us, expected, trash)
            self._folders.touched.add(above)
            entry = entry_of(path, os.stat(name, dir_fd=folder, follow_symlinks=False))
        except OSError as error:
            self.unstage(handle)
            if error.errno == errno.ENOENT:
                raise LocalChange(f"{path!r} is gone") from None
            raise blocked(error) from error
        except BaseException:
            self.unstage(handle)
            raise
        self._staging.moved(handle)
        if entry is None:
            raise LocalChange(f"{path!r} was changed as soon as it was written")
        return entry

    def remove(self, path: str, expected: Entry, trash: bool) -> None:
        above = path.rpartition("/")[0]
        if self.stat(path) != expected:
            raise LocalChange(f"{path!r} has changed")
        try:
            folder, name = self._locate(path)
            if trash:
                place = self._trash.take(folder, name, path)
            else:
                place = self._staging.folder, self._staging.new_name()
                moves.move_new(folder, name, *place)
            self._folders.touched.add(above)
            if not _same_file(place, expected):
                self._put_back(place, folder, path)
                raise LocalChange(f"{path!r} has changed")
            if not trash:
                os.unlink(place[1], dir_fd=place[0])
            self._folders.remove_empty(above)
        except FileNotFoundError:
            raise LocalChange(f"{path!r} is gone") from None
        except OSError as error:
            raise blocked(error) from error

    def rename(self, path: str, to: str, expected: Entry) -> Entry:
        if self.stat(path) != expected:
            raise LocalChange(f"{path!r} has changed")
        try:
            found, target = self._locate(to, make=True)
            target_folder = os.dup(found)
            try:
                moves.move_new(*self._locate(path), target_folder, target)
                entry = entry_of(to, os.stat(target, dir_fd=target_folder, follow_symlinks=False))
            finally:
                os.close(target_folder)
        except FileExistsError:
            raise Blocked(f"{to!r} exists") from None
        except OSError as error:
            raise blocked(error) from error
        self._folders.touched |= {path.rpartition("/")[0], to.rpartition("/")[0]}
        self._folders.remove_empty(path.rpartition("/")[0])
        if entry is None:
            raise LocalChange(f"{path!r} has changed")
        return entry

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

    def _put_over(
        self, handle: str, folder: int, path: str, mtime_us: int | None, expected: Entry, trash: bool
    ) -> None:
        name = path.rpartition("/")[2]
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if entry_of(path, there) != expected:
            raise LocalChange(f"{path!r} has changed")
        self._staging.dress(handle, mtime_us, there.st_mode)
        if trash and not self._trash.link(folder, name, path):
            self._trash.take(folder, name, path)
            self._put_new(handle, folder, name)
            return
        temporary = self._staging.folder
        ours = os.stat(handle, dir_fd=temporary).st_ino
        if not moves.try_exchange(temporary, handle, folder, name):
            os.rename(handle, name, src_dir_fd=temporary, dst_dir_fd=folder)
            return
        if _same_file((temporary, handle), expected):
            os.unlink(handle, dir_fd=temporary)
            return
        try:  # it was saved anew in the very last moment: back with it
            moves.try_exchange(temporary, handle, folder, name)
        except FileNotFoundError:
            pass  # and is gone by now
        if os.stat(handle, dir_fd=temporary).st_ino != ours:
            self._trash.take(temporary, handle, path)
        raise LocalChange(f"{path!r} has changed")

    def _put_back(self, place: tuple[int, str], folder: int, path: str) -> None:
        """What was taken away is not what was expected: to its place again, or to the trash where that is taken."""
        try:
            moves.move_new(*place, folder, path.rpartition("/")[2])
        except FileExistsError:
            self._trash.take(*place, path)


def _same_file(place: tuple[int, str], expected: Entry) -> bool:
    """Whether a file that was moved is the expected one. Moving changes the ctime, so that says nothing."""
    status = os.stat(place[1], dir_fd=place[0], follow_symlinks=False)
    return (status.st_size, status.st_mtime_ns, status.st_ino) == (expected.size, expected.mtime_ns, expected.inode)


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
