"""Where files wait on their way into the folder and out of it: in `.gobi`, and on every other disk in the folder.

A file can only be put in its place in one step from the same file system, and from the same mount of it. So where the
system says that a folder is on another one (a mounted disk, a bind mount, a subvolume), what is received for it is
copied to a folder `.gobi-staging` there first: in the uppermost folder of that file system in which gobi may write. It
is never synced, is there only while a sync puts something in its place, and `.gobi/elsewhere` says where it is, so that
a run that was cut off can be tidied up after.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from client.folders import Folders, open_folder
from client.ignore import STAGING
from client.place import Place
from client.ports import Clock
from client.replaced import FOLDER as OUT
from client.staging import FOLDER as IN
from client.trash import Trash

T = TypeVar("T")

LIST = "elsewhere"


class Places:
    """`state` is the open `.gobi`, `folders` are those of the synced folder. Methods raise OSError."""

    def __init__(self, state: int, folders: Folders, clock: Clock) -> None:
        self._state = state
        self._folders = folders
        self._clock = clock
        self._trash = Trash(state, clock)
        self.home = Place(state, self._trash, clock, apart=False)
        self._elsewhere: dict[str, Place] = {}  # by the folder that `.gobi-staging` is in
        self._known: dict[str, Place] = {}  # by folder

    @property
    def folders(self) -> tuple[Folders, ...]:
        """All that may have changed in them."""
        return (self._trash.folders, *(folders for place in self._all() for folders in place.folders))

    @property
    def elsewhere_open(self) -> list[int]:
        """An open folder on each other disk that is at work."""
        return [place.base for place in self._elsewhere.values()]

    def do(self, folder: str, work: Callable[[Place], T]) -> T:
        """Does something to a file of that folder at the place that is on the same disk."""
        place = self._known.get(folder, self.home)
        try:
            return work(place)
        except OSError as error:
            if error.errno != errno.EXDEV or place is not self.home:
                raise
        return work(self._find(folder))

    def release(self) -> tuple[list[str], bool]:
        """As client.ports.FileSystem has it."""
        notes: list[str] = []
        held = False
        for place in self._all():
            place.replaced.look_again()
            more, holds = place.replaced.report()
            notes += more
            held |= holds
        self.tidy()
        return notes, held

    def _all(self) -> list[Place]:
        return [self.home, *self._elsewhere.values()]

    def _find(self, folder: str) -> Place:
        above = [folder]
        device = _device(self._folders.get(folder))
        if device != _device(self._folders.get("")):
            while folder:
                folder = folder.rpartition("/")[0]
                if not folder or _device(self._folders.get(folder)) != device:
                    break
                above.append(folder)
        for one in reversed(above):
            place = self._elsewhere.get(one) or self._make(one)
            if place is not None:
                self._known[above[0]] = place
                return place
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), above[0])

    def forget(self) -> None:
        """Any folder may be on another disk by now."""
        self._known.clear()

    def tidy(self) -> None:
        """Removes what is not needed any more. Raises nothing."""
        for folder, place in list(self._elsewhere.items()):
            with suppress(OSError):
                self._remove(folder, place)

    def sweep(self) -> None:
        """Tidies up after a run that was cut off. What is on a disk that is not mounted waits for that."""
        self.home.staging.sweep()
        self.home.replaced.sweep()
        for folder in self._listed():
            with suppress(OSError):
                place = self._open(folder)
                place.staging.sweep()
                place.replaced.sweep()
        self.tidy()

    def close(self) -> None:
        self.tidy()
        for place in self._all():
            for folders in place.folders:
                folders.clear()
        for place in self._elsewhere.values():
            os.close(place.base)
        self._elsewhere.clear()
        self._known.clear()
        self._trash.folders.clear()

    def _make(self, folder: str) -> Place | None:
        """None where gobi may not write."""
        try:
            listed = self._listed()
            if folder not in listed:
                self._list([*listed, folder])
            with suppress(FileExistsError):
                os.mkdir(STAGING, 0o700, dir_fd=self._folders.get(folder))
            return self._open(folder)
        except PermissionError:
            return None

    def _open(self, folder: str) -> Place:
        base = open_folder(STAGING, self._folders.get(folder))
        place = self._elsewhere[folder] = Place(base, self._trash, self._clock, apart=True)
        return place

    def _remove(self, folder: str, place: Place) -> None:
        for folders in place.folders:
            folders.clear()
        for name in (OUT, IN):  # something may be held in the first
            with suppress(FileNotFoundError):
                os.rmdir(name, dir_fd=place.base)
        os.rmdir(STAGING, dir_fd=self._folders.get(folder))
        for folders in place.folders:
            folders.flushed()
        os.close(place.base)
        del self._elsewhere[folder]
        self._known.clear()
        self._list([one for one in self._listed() if one != folder])

    def _listed(self) -> list[str]:
        try:
            with open(os.open(LIST, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._state), "rb") as file:
                return [line.decode("utf-8", "surrogateescape") for line in file.read().splitlines()]
        except FileNotFoundError:
            return []

    def _list(self, folders: list[str]) -> None:
        """Durably: it is the only thing that knows of them."""
        new = f"{LIST}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(new, flags, 0o600, dir_fd=self._state), "wb") as file:
            file.write("".join(f"{one}\n" for one in dict.fromkeys(folders)).encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, LIST, src_dir_fd=self._state, dst_dir_fd=self._state)
        os.fsync(self._state)


def _device(folder: int) -> tuple[int, str]:
    """Names the file system and the mount of it that an open folder is on."""
    mount = ""
    with suppress(OSError), open(f"/proc/self/fdinfo/{folder}") as file:
        mount = next((line for line in file if line.startswith("mnt_id:")), "")
    return os.fstat(folder).st_dev, mount
