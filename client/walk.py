"""Listing a folder: fast, and blind to symbolic links."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from typing import NamedTuple

from client.folders import open_folder
from client.ignore import BUILT_IN, Ignore, Ignored
from client.ignore import FILE as IGNORE_FILE
from client.names import printable
from client.nesting import LEFT_OUT, is_state, is_vault
from client.ports import Entry, Skipped
from sync.paths import MAX_PATH_BYTES, BadPath, check_path

STATE = ".gobi"
GIT = "git's own files, which no copy of single files keeps sound; `!.git/` in .gobiignore takes them in"

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


def walk(root: int, ignored: Ignored) -> tuple[list[Entry], list[Skipped], list[str]]:
    """All regular files below the open folder `root` that are not ignored, what had to be skipped, and the folders that
    are vaults of their own."""
    found = _Walk(ignored)
    found.tree(root)
    return found.entries, found.skipped, found.vaults


def walk_to(
    paths: Iterable[str], ignored: Callable[[str], bool], status_of: Callable[[str], os.stat_result]
) -> tuple[list[Entry], list[Skipped]]:
    """The same for single paths. `status_of` raises OSError; ELOOP where a symbolic link leads there."""
    found = _Walk(Ignore(None))
    for path in sorted(paths):
        if not ignored(path) and found.may_be_synced(path):
            found.look_at(path, status_of)
    return found.entries, found.skipped


class _Open(NamedTuple):
    """A folder that is being walked through. `prefix`: its path and a slash; `folders`: names in it yet to be seen."""

    descriptor: int
    prefix: str
    folders: list[str]


class _Walk:
    def __init__(self, ignored: Ignored) -> None:
        self._ignored = ignored
        self.entries: list[Entry] = []
        self.skipped: list[Skipped] = []
        self.vaults: list[str] = []

    def tree(self, root: int) -> None:
        """Depth first, without a call for each level: folders may lie hundreds deep."""
        stack = [_Open(root, "", self._list(root, ""))]
        try:
            while stack:
                above = stack[-1]
                name = above.folders.pop() if above.folders else None
                path = f"{above.prefix}{name}"
                inner = self._open(above.descriptor, name, path) if name is not None else None
                if not above.folders:  # a long chain of folders holds no more than one open
                    _close(stack.pop())
                if inner is not None:
                    stack.append(_Open(inner, path + "/", []))
                    stack[-1].folders.extend(self._list(inner, path + "/"))
        finally:
            while stack:
                _close(stack.pop())

    def _list(self, descriptor: int, prefix: str) -> list[str]:
        """Notes the files in a folder. The names of the folders in it that are to be walked through, the last first."""
        folders: list[str] = []
        listing: list[os.DirEntry[str]] = []
        try:
            with os.scandir(descriptor) as entries:
                listing.extend(entries)
        except OSError as error:
            self._skip(prefix[:-1], f"the folder cannot be listed: {error.strerror}", refused=True)
        own = [entry for entry in listing if is_state(entry.name)]
        if own and prefix and is_vault("", descriptor):
            self.vaults.append(prefix[:-1])
            self.skipped.append(Skipped(printable(prefix[:-1]), LEFT_OUT))
            return []
        for entry in own:
            listing.remove(entry)
            if prefix or entry.name != STATE:
                self._skip(prefix + entry.name, "gobi keeps this name for its own folder")
        for entry in listing:
            name = entry.name
            path = prefix + name
            plain = name.isascii() and name.isprintable() and "\\" not in name and len(path) <= MAX_PATH_BYTES
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._skip(path, f"cannot be looked at: {error.strerror}", refused=True)
                continue
            is_folder = stat.S_ISDIR(status.st_mode)
            if self._ignored.folder(path) if is_folder else self._ignored.file(path):
                if name == BUILT_IN:
                    self.skipped.append(Skipped(printable(path), GIT, path, by_rule=True))
            elif plain or self.may_be_synced(path):
                if is_folder:
                    folders.append(name)
                else:
                    self._file(path, status)
        folders.reverse()
        return folders

    def may_be_synced(self, path: str) -> bool:
        try:
            check_path(path)
        except BadPath as error:
            words = str(error) if ";" in str(error) else f"{error}; rename it, or name it in {IGNORE_FILE}"
            self.skipped.append(Skipped(printable(path), words, refused=True))
            return False
        return True

    def look_at(self, path: str, status_of: Callable[[str], os.stat_result]) -> None:
        try:
            status = status_of(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            link = error.errno == errno.ELOOP
            reason = "a symbolic link is in the way" if link else f"cannot be looked at: {error.strerror}"
            self._skip(path, reason, refused=not link)
            return
        if not stat.S_ISDIR(status.st_mode):
            self._file(path, status)

    def _file(self, path: str, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode):
            self.entries.append(Entry(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
        else:
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "not a regular file")
            self._skip(path, f"{kind}; gobi syncs regular files only")

    def _open(self, parent: int, name: str, path: str) -> int | None:
        try:
            return open_folder(name, parent)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._skip(path, f"the folder cannot be opened: {error.strerror}", refused=True)
            return None

    def _skip(self, path: str, reason: str, *, refused: bool = False) -> None:
        self.skipped.append(Skipped(printable(path or "."), reason, path, refused))


def _close(folder: _Open) -> None:
    if folder.prefix:  # the root is the caller's
        os.close(folder.descriptor)
