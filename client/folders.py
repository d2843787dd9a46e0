"""Open folders: every folder below a root is opened part by part, and no symbolic link is ever followed."""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress

from client.attributes import owner_of_new

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST = 128


def open_folder(name: str, parent: int) -> int:
    """The descriptor of folder `name` in `parent`. Raises OSError: ENOTDIR also for a symbolic link."""
    return os.open(name, _OPEN, dir_fd=parent)


def split(path: str) -> tuple[str, str]:
    """The folder's path and the last name. Raises OSError for a name that leads elsewhere."""
    above, _, name = path.rpartition("/")
    if name in ("", ".", ".."):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    return above, name


def _make(name: str, parent: int) -> bool:
    """False where somebody was faster."""
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def holds(folder: int, name: str) -> bool:
    """Whether an entry of exactly this name is in the open folder."""
    return name in os.listdir(folder)


class Folders:
    """Descriptors of folders below one root, by their path ("" is the root). A bounded cache: clear it often.

    A descriptor goes on meaning the folder that was opened, also when somebody moves that away meanwhile. `exact`:
    names that differ only in case are one name to this disk, so a folder counts only under the name it really has.
    """

    def __init__(self, root: int, *, exact: bool = False) -> None:
        self._root = root
        self._exact = exact
        self._open: OrderedDict[str, int] = OrderedDict()
        self.touched: set[str] = set()  # folders whose list of names changed since the last `flushed`

    def get(self, path: str, *, make: bool = False) -> int:
        """Good until the next call. With `make` what is missing is made. Raises OSError."""
        if not path:
            return self._root
        known = self._open.get(path)
        if known is not None:  # nearly always: files are handled folder by folder
            self._open.move_to_end(path)
            return known
        missing = []  # folders may lie hundreds deep: no call for each
        while path and path not in self._open:
            missing.append(path)
            path = split(path)[0]
        descriptor = self._root
        if path:
            self._open.move_to_end(path)
            descriptor = self._open[path]
        for below in reversed(missing):
            descriptor = self._open_in(descriptor, below, make=make)
        return descriptor

    def _open_in(self, parent: int, path: str, *, make: bool) -> int:
        above, name = split(path)
        try:
            descriptor = open_folder(name, parent)
        except FileNotFoundError:
            if not make:
                raise
            made = _make(name, parent)
            self.touched.add(above)
            descriptor = open_folder(name, parent)
            if made and os.geteuid() == 0:
                with suppress(OSError):
                    os.fchown(descriptor, *owner_of_new(os.fstat(parent)))
        if self._exact and not holds(parent, name):
            os.close(descriptor)
            raise OSError(errno.EEXIST if make else errno.ENOENT, "a name that differs only in case is in the way")
        self._open[path] = descriptor
        if len(self._open) > _MOST:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def remove_empty(self, path: str, staying: Collection[str] = ()) -> None:
        """Removes the folder if nothing is in it, then those above that this leaves empty.

        Never the root, nor those in `staying`.
        """
        while path and path not in staying:
            above, name = split(path)
            try:
                os.rmdir(name, dir_fd=self.get(above))
            except OSError:
                return  # something is in it, or it is not ours to remove
            self._close(path)
            self.touched.discard(path)
            self.touched.add(above)
            path = above

    def flush(self) -> None:
        """Makes the changed lists of names durable, one by one. Raises OSError."""
        for path in self.touched:
            try:
                os.fsync(self.get(path))
            except (FileNotFoundError, NotADirectoryError):
                pass  # removed since: the folder above is in the list too

    def flushed(self) -> None:
        self.touched.clear()

    def clear(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def _close(self, path: str) -> None:
        below = path + "/"
        for one in [one for one in self._open if one == path or one.startswith(below)]:
            os.close(self._open.pop(one))
