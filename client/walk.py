"""Listing a folder: fast, and blind to symbolic links."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from client.folders import open_folder
from client.names import printable
from client.ports import Entry, Skipped
from sync.paths import MAX_PATH_BYTES, BadPath, check_path

if TYPE_CHECKING:
    from client.ignore import Ignore

STATE = ".gobi"

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


def walk(root: int, ignore: Ignore | None) -> tuple[list[Entry], list[Skipped]]:
    """All regular files below the open folder `root` that are not ignored, and what had to be skipped."""
    found = _Walk(ignore)
    found.folder(root, "")
    return found.entries, found.skipped


def walk_to(
    paths: Iterable[str], ignored: Callable[[str], bool], status_of: Callable[[str], os.stat_result]
) -> tuple[list[Entry], list[Skipped]]:
    """The same for single paths. `status_of` raises OSError; ELOOP where a symbolic link leads there."""
    found = _Walk(None)
    for path in sorted(paths):
        if not ignored(path) and found.may_be_synced(path):
            found.look_at(path, status_of)
    return found.entries, found.skipped


class _Walk:
    def __init__(self, ignore: Ignore | None) -> None:
        self._ignore = ignore
        self.entries: list[Entry] = []
        self.skipped: list[Skipped] = []

    def folder(self, descriptor: int, prefix: str) -> None:
        """`prefix` is the folder's path and a slash, or "" for the root."""
        folders: list[str] = []
        listing: list[os.DirEntry[str]] = []
        try:
            with os.scandir(descriptor) as entries:
                listing.extend(entries)
        except OSError as error:
            self._skip(prefix[:-1], f"the folder cannot be listed: {error.strerror}", refused=True)
        if not prefix:
            listing = [entry for entry in listing if entry.name.casefold() != STATE]
        for entry in listing:
            name = entry.name
            path = prefix + name
            plain = name.isascii() and name.isprintable() and "\\" not in name and len(path) <= MAX_PATH_BYTES
            if plain or self.may_be_synced(path):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    self._skip(path, f"cannot be looked at: {error.strerror}", refused=True)
                    continue
                if stat.S_ISDIR(status.st_mode):
                    folders.append(name)
                elif self._ignore is None or not self._ignore.file(path):
                    self._file(path, status)
        for name in folders:
            path = prefix + name
            if self._ignore is None or not self._ignore.folder(path):
                self._descend(descriptor, name, path)

    def may_be_synced(self, path: str) -> bool:
        try:
            check_path(path)
        except BadPath as error:
            self.skipped.append(Skipped(printable(path), str(error), refused=True))
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

    def _descend(self, parent: int, name: str, path: str) -> None:
        try:
            descriptor = open_folder(name, parent)
        except FileNotFoundError:
            return
        except OSError as error:
            self._skip(path, f"the folder cannot be opened: {error.strerror}", refused=True)
            return
        try:
            self.folder(descriptor, path + "/")
        finally:
            os.close(descriptor)

    def _skip(self, path: str, reason: str, *, refused: bool = False) -> None:
        self.skipped.append(Skipped(printable(path or "."), reason, path, refused))
