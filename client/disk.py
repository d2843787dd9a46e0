"""client.ports.FileSystem for a real folder.

Everything goes through folders opened part by part (client/folders.py), so a symbolic link is never followed, also
one that is put in a folder's place while gobi runs. Files are replaced by letting two names change places: what was
there at that very moment can still be looked at, and kept.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Self

from client import moves
from client.folders import Folders, open_folder
from client.ignore import FILE as IGNORE_FILE
from client.ignore import Ignore, Nothing
from client.ports import SMALL, Blocked, Clock, Entry, LocalChange, Skipped, Stopped
from client.staging import Staging
from client.trash import Trash
from client.trouble import blocked, name_not_held, words
from client.walk import STATE, walk

FEW = 8  # up to so many, one fsync each is cheaper than flushing the whole file system
PIECE = 256 * 1024

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: a named pipe must not hold us
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.EISDIR)  # a link, a socket, a folder


class Disk:
    """The folder `root`, with its temporary files and its trash in `.gobi`. For one thread at a time.

    Raises Stopped where the folder has no `.gobi`.
    """

    def __init__(self, root: Path, *, clock: Clock) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._state = open_folder(STATE, self._root)
        except OSError as error:
            os.close(self._root)
            raise Stopped(f"{root} is not connected to a vault ({error.strerror}); run gobi connect", 78) from error
        self._folded = _exists(STATE.upper(), self._root)
        self._folders = Folders(self._root, exact=self._folded)
        self._staging = Staging(self._state)
        self._trash = Trash(self._state, clock)
        self._changing = (self._folders, self._staging.folders, self._trash.folders)
        self._ignore: Ignore | Nothing = Nothing()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for folders in self._changing:
            folders.clear()
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
        above, _, name = path.rpartition("/")
        try:
            folder = self._folders.get(above)
            entry = _entry(path, os.stat(name, dir_fd=folder, follow_symlinks=False))
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
        above, _, name = path.rpartition("/")
        try:
            descriptor = os.open(name, _READ, dir_fd=self._folders.get(above))
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
            before = _entry(path, os.fstat(descriptor))
            if before is None or (limit is not None and before.size > limit):
                raise LocalChange(f"{path!r} has become too large to be read at once")
            left = before.size + 1  # one more, to notice that it grew
            try:
                while left and (piece := os.read(descriptor, min(left, PIECE))):
                    take(piece)
                    left -= len(piece)
            except OSError as error:
                raise blocked(error) from error
            if left != 1 or _entry(path, os.fstat(descriptor)) != before:
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

    def _leads_through_link(self, path: str) -> bool:
        while path:
            above, _, name = path.rpartition("/")
            try:
                return stat.S_ISLNK(os.lstat(name, dir_fd=self._folders.get(above)).st_mode)
            except OSError:
                path = above  # the link is further up
        return False

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
        above, _, name = path.rpartition("/")
        try:
            folder = self._folders.get(above, make=True)
            if expected is None:
                self._staging.dress(handle, mtime_us, None)
                self._put_new(handle, folder, name)
            else:
                self._put_over(handle, folder, path, mtime_us, expected, trash)
            self._folders.touched.add(above)
            entry = _entry(path, os.stat(name, dir_fd=folder, follow_symlinks=False))
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
        above, _, name = path.rpartition("/")
        if self.stat(path) != expected:
            raise LocalChange(f"{path!r} has changed")
        try:
            folder = self._folders.get(above)
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
        above, _, name = path.rpartition("/")
        target_above, _, target = to.rpartition("/")
        if self.stat(path) != expected:
            raise LocalChange(f"{path!r} has changed")
        try:
            target_folder = os.dup(self._folders.get(target_above, make=True))
            try:
                moves.move_new(self._folders.get(above), name, target_folder, target)
                entry = _entry(to, os.stat(target, dir_fd=target_folder, follow_symlinks=False))
            finally:
                os.close(target_folder)
        except FileExistsError:
            raise Blocked(f"{to!r} exists") from None
        except OSError as error:
            raise blocked(error) from error
        self._folders.touched |= {above, target_above}
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
        if _entry(path, there) != expected:
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


def _entry(path: str, status: os.stat_result) -> Entry | None:
    if not stat.S_ISREG(status.st_mode):
        return None
    return Entry(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _same_file(place: tuple[int, str], expected: Entry) -> bool:
    """Whether a file that was moved is the expected one. Moving changes the ctime, so that says nothing."""
    status = os.stat(place[1], dir_fd=place[0], follow_symlinks=False)
    return (status.st_size, status.st_mtime_ns, status.st_ino) == (expected.size, expected.mtime_ns, expected.inode)


def _exists(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except OSError:
        return False
    return True


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
