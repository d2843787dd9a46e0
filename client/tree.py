"""The folders of one synced folder under watch: what the kernel says of single folders, as news of vault paths."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import NamedTuple

from client import inotify
from client.anchor import Anchor
from client.inotify import Event, Inotify
from client.ports import Stopped
from client.walk import STATE

_NO_MORE = (errno.ENOSPC, errno.ENOMEM)


class How(Enum):
    WRITTEN = auto()  # closed by somebody who wrote
    MOVED = auto()  # it has this name now; its bytes are what they were
    OPEN = auto()  # made or written to, and not closed yet
    FOUND = auto()  # in a folder that is new to us: written, or still being written
    ATTRIBUTES = auto()  # its date, its owner, its permissions: mostly nothing that travels
    GONE = auto()  # no file has this name any more
    GONE_BELOW = auto()  # a folder was moved away, with all its files


class News(NamedTuple):
    """`source`: where it was before, for a move within the folder."""

    path: str
    how: How
    source: str | None = None


class Tree:
    """Watches `root` and the folders in it, but for gobi's own and those that `ignored` says to leave out.

    `lost`: anything may have happened, as where the kernel's queue ran over. `blind`: there are folders that cannot be
    watched, and why.
    """

    def __init__(self, root: str, ignored: Callable[[str], bool]) -> None:
        """Raises Stopped where there is no such folder."""
        self._root = root
        self.anchor = Anchor(root)
        self._ignored = ignored
        self._folders: dict[int, str] = {}
        self._watches: dict[str, int] = {}
        self._above: set[int] = set()  # watches of the folders above the root
        self._moved: tuple[int, str] = (0, "")  # cookie and path of the latest move away
        self.lost = False
        self.blind = ""
        self._inotify: Inotify | None = None
        self._start()

    @property
    def descriptor(self) -> int | None:
        """Readable when there is news; None while nothing can be watched."""
        return self._inotify.descriptor if self._inotify else None

    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()
        self.anchor.close()

    def look_around(self) -> None:
        """Watches whatever is not watched yet, and nothing that is not there any more.

        Raises Stopped where the folder is gone.
        """
        self.anchor.check()
        self.blind = ""
        self.lost = False
        if not self._start():
            return
        before, self._folders, self._watches = set(self._folders), {}, {}
        for _ in self._watch(""):
            pass
        for watch in before - self._folders.keys():
            self._forget(watch)
        self._watch_above()

    def _start(self) -> bool:
        try:
            self._inotify = self._inotify or Inotify()
        except OSError as error:
            more = "; raise fs.inotify.max_user_instances (sysctl)" if error.errno == errno.EMFILE else ""
            self.blind = f"the system gives nothing to watch with ({error.strerror}){more}"
        return self._inotify is not None

    def _watch_above(self) -> None:
        """Of the folders above, only whether they get another name."""
        above = os.path.dirname(self._root)
        while self._inotify is not None:
            try:
                self._above.add(self._inotify.add_moves(above))
            except OSError:
                pass  # not ours to watch: it is noticed a little later
            if above == os.path.dirname(above):
                return
            above = os.path.dirname(above)

    def news(self) -> Iterator[News]:
        """Everything since the last time, in order. Raises Stopped where the folder itself is gone."""
        for event in self._inotify.read() if self._inotify else ():
            if event.mask & inotify.OVERFLOW:
                self.lost = True
                continue
            if event.watch in self._above:
                self.anchor.check()
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
        if event.mask & inotify.ATTRIBUTES:
            return News(path, How.ATTRIBUTES)
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
        assert self._inotify is not None, "there is something to watch with"
        try:
            watch = self._inotify.add(place, 0 if folder else inotify.MOVE_SELF)
        except OSError as error:
            if error.errno in _NO_MORE:
                self.blind = "this user may not watch so many folders; raise fs.inotify.max_user_watches (sysctl)"
            elif not folder:
                self.anchor.check()
                self.blind = f"the folder cannot be watched ({error.strerror})"
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
            self._forget(watch)

    def _forget(self, watch: int) -> None:
        if self._inotify is not None:
            self._inotify.remove(watch)

    def _ended(self, event: Event, folder: str) -> None:
        if not folder:
            self.anchor.check()
        if event.mask & inotify.UNMOUNT:
            self.lost = True  # whoever looks at everything sees that a disk is gone
        if event.mask & inotify.IGNORED:
            del self._folders[event.watch]
            if self._watches.get(folder) == event.watch:
                del self._watches[folder]
