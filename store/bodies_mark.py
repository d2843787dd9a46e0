"""The mark of a folder of bodies: a small file, `<root>/database`, that names the database which the bodies belong to.

An empty folder, a disk that is not mounted, and the folder of another server all look alike to whoever only looks for
files. store/belonging.py compares the mark with what the database says of itself.
"""

from __future__ import annotations

import os
import re
import secrets

from store.bodies_incoming import remove
from store.errors import Unavailable
from store.flush import flush_files

MARK = "database"
_SAYS = """\
{identity}

The bodies in this folder belong to the database with this number. gobi refuses to work on a folder without this file,
or with that of another database: leave it where it is, and copy it together with the bodies.
"""
_IDENTITY = re.compile(rb"[0-9a-f]{32}\n")

_AWAY = (
    "the folder of the bodies is not there, or another one is in its place: is its disk mounted? What is stored is "
    "safe, and the server goes on by itself once the folder is back"
)


def new_identity() -> str:
    return secrets.token_hex(16)


def read(root: str) -> str | None:
    """None where there is no mark that can be understood. Raises OSError where the disk does not say."""
    try:
        with open(_path(root), "rb") as file:
            line = file.read(33)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return line[:32].decode() if _IDENTITY.fullmatch(line) else None


def write(root: str, identity: str, *, replace: bool) -> str:
    """Makes the mark durable, in one step; returns what the mark says then: without `replace`, that which somebody else
    made at the same moment. `root` has to be there. Raises OSError."""
    temporary = os.path.join(root, f"{MARK}-{secrets.token_hex(8)}")
    try:
        with open(temporary, "x", opener=_closed_to_others) as file:
            file.write(_SAYS.format(identity=identity))
        flush_files([temporary], on=root)
        if replace or not _link(temporary, _path(root)):
            os.rename(temporary, _path(root))
        flush_files([root], on=root)
    finally:
        remove(temporary)
    return read(root) or identity


class Presence:
    """Whether a folder of bodies is the one that it was when somebody began to use it. `identity`: what its mark says;
    None for a folder without one, such as a backup's, which only has to be there."""

    def __init__(self, root: str, identity: str | None) -> None:
        self._root = root
        self._identity = identity
        self._known: tuple[int, ...] = ()  # the file that had the right words

    def check(self) -> None:
        """Cheap. Raises Unavailable where the folder is away, OSError."""
        if self._identity is None:
            if not os.path.isdir(os.path.join(self._root, "tmp")):
                raise Unavailable(_AWAY, 10)
            return
        try:
            there = os.stat(_path(self._root))
        except (FileNotFoundError, NotADirectoryError):
            raise Unavailable(_AWAY, 10) from None
        seen = (there.st_dev, there.st_ino, there.st_mtime_ns, there.st_size)
        if seen != self._known:
            if read(self._root) != self._identity:
                raise Unavailable(_AWAY, 10)
            self._known = seen


def _path(root: str) -> str:
    return os.path.join(root, MARK)


def _closed_to_others(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _link(temporary: str, path: str) -> bool:
    """False where the file system has no hard links."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another host's, at the same moment: that one is read
    except OSError:
        return False
    return True
