"""The folders of one synced folder under watch: what the kernel says of single folders, as news of vault paths."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import NamedTuple

from client import inotify
from client.inotify import Event, Inotify
from client.ports import Stopped
from client.walk import STATE


class How(Enum):
    WRITTEN = auto()  # closed by somebody who wrote
    MOVED = auto()  # it has this name now; its bytes are what they were
    OPEN = auto()  # made or written to, and not closed yet
    FOUND = auto()  # in a folder that is new to us: written, or still being written
    GONE = auto()  # no file has this name any more
    GONE_BELOW = auto()  # a folder was moved away, with all its files


class News(NamedTuple):
    """`source`: where it was before, for a move within the folder."""

    path: str
    how: How
    source: str | None = None


class Tree:
    """Watches `root` and the folders in it, but for gobi's own and those that `ignored` says to leave out.

    `lost`: the kernel's queue ran over, so that anything may have happened. `blind`: there are folders that cannot be
    watched, and why.
    """

    def __init__(self, root: str, ignored: Callable[[str], bool]) -> None:
        """Raises Stopped where the kernel does not give anything to watch with."""
        self._root = root
        self._ignored = ignored
        self._folders: dict[int, str] = {}
        self._watches: dict[str, int] = {}
        self._moved: tuple[int, str] = (0, "")  # cookie and path of the latest move away
        self.lost = False
        self.blind = ""
        try:
            self._inotify = Inotify()
        except OSError as error:
            raise Stopped(
                f"nothing can be watched here ({error.strerror}); raise fs.inotify.max_user_instances (sysctl), or run "
                "gobi sync now and then instead",
                78,
            ) from error

    @property
    def descriptor(self) -> int:
        """Readable when there is news."""
        return self._inotify.descriptor

    def close(self) -> None:
        self._inotify.close()

    def look_around(self) -> None:
        """Watches whatever is not watched yet. Raises Stopped where the folder is gone."""
        self.blind = ""
        self.lost = False
        for _ in self._watch(""):
            pass

    def news(self) -> Iterator[News]:
        """Everything since the last time, in order. Raises Stopped where the folder itself is gone."""
        for event in self._inotify.read():
            if event.mask & inotify.OVERFLOW:
                self.lost = True
                continue
            folder = self._folders.get(event.watch)
            if folder is None:
                continue  # of a folder that was moved away meanwhile
            if event.mask & (inotify.IGNORED | inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT):
                self._ended(event, folder)
                continue
            path = f"{folder}/{event.name}" if folder else event.name
            if not folder and event.name.casefold() == STATE:
                if event.mask & (inotify.DELETE | inotify.MOVED_FROM):
                    raise Stopped(f"{self._root} is not connected any more; run gobi connect", 78)
            elif event.mask & inotify.IS_FOLDER:
                yield from self._folder(event, path)
            else:
                yield self._file(event, path)

    def _file(self, event: Event, path: str) -> News:
        if event.mask & inotify.CLOSE_WRITE:
            return News(path, How.WRITTEN)
        if event.mask & inotify.MOVED_TO:
            return News(path, How.MOVED, self._source(event))
        if event.mask & inotify.MOVED_FROM:
            self._moved = (event.cookie, path)
        return News(path, How.GONE if event.mask & (inotify.MOVED_FROM | inotify.DELETE) else How.OPEN)

    def _folder(self, event: Event, path: str) -> Iterator[News]:
        if event.mask & inotify.MOVED_FROM:
            self._moved = (event.cookie, path)
            self._leave(path)
            yield News(path, How.GONE_BELOW)
        elif event.mask & inotify.MOVED_TO:
            source = self._source(event)
            for file in self._watch(path):
                yield News(file, How.MOVED, source + file[len(path) :] if source else None)
        elif event.mask & inotify.CREATE:
            for file in self._watch(path):
                yield News(file, How.FOUND)

    def _source(self, event: Event) -> str | None:
        cookie, path = self._moved
        return path if cookie == event.cookie else None

    def _watch(self, top: str) -> Iterator[str]:
        """Watches a folder and all below; the files in them. Watched first, then read: nothing falls between."""
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            if folder and self._ignored(folder):
                continue
            place = os.path.join(self._root, folder)
            if not self._add(folder, place):
                continue
            try:
                with os.scandir(place) as entries:
                    for entry in entries:
                        path = f"{folder}/{entry.name}" if folder else entry.name
                        if entry.is_dir(follow_symlinks=False):
                            if folder or entry.name.casefold() != STATE:
                                waiting.append(path)
                        else:
                            yield path
            except OSError:
                continue  # gone again, or not ours to read: the next sync says so

    def _add(self, folder: str, place: str) -> bool:
        try:
            watch = self._inotify.add(place, 0 if folder else inotify.MOVE_SELF)
        except OSError as error:
            if not folder:
                raise self._gone() from error
            if error.errno == errno.ENOSPC:
                self.blind = "this user may not watch so many folders; raise fs.inotify.max_user_watches (sysctl)"
            return False
        before = self._folders.get(watch)
        if before is not None and before != folder:
            self._watches.pop(before, None)
        self._folders[watch] = folder
        self._watches[folder] = watch
        return True

    def _leave(self, path: str) -> None:
        below = path + "/"
        for folder in [one for one in self._watches if one == path or one.startswith(below)]:
            watch = self._watches.pop(folder)
            del self._folders[watch]
            self._inotify.remove(watch)

    def _ended(self, event: Event, folder: str) -> None:
        if event.mask & inotify.UNMOUNT:
            raise Stopped(
                f"a disk in {self._root} was unmounted. Nothing was deleted anywhere; mount it, start again", 78
            )
        if not folder:
            raise self._gone()
        if event.mask & inotify.IGNORED:
            del self._folders[event.watch]
            if self._watches.get(folder) == event.watch:
                del self._watches[folder]

    def _gone(self) -> Stopped:
        return Stopped(
            f"there is no folder {self._root} any more; is its disk mounted? Nothing was deleted anywhere", 78
        )
