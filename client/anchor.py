"""Whether the folder that is watched is still the one at its path, and when to look at that again."""

from __future__ import annotations

import os
import select

from client.mounts import TABLE
from client.ports import Stopped

SETTINGS = 78
NOTHING = "Nothing was deleted anywhere"


class Anchor:
    """Holds on to the folder `root`. Raises Stopped where there is none.

    `descriptor`: tells of an exceptional condition when something was mounted or unmounted anywhere; None where the
    system does not tell.
    """

    events = select.POLLPRI | select.POLLERR

    def __init__(self, root: str) -> None:
        self._root = root
        try:
            self._folder = os.open(root, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Stopped(f"{root} cannot be watched ({error.strerror}). {NOTHING}", SETTINGS) from error
        try:
            self.descriptor: int | None = os.open(TABLE, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.descriptor = None

    def close(self) -> None:
        os.close(self._folder)
        if self.descriptor is not None:
            os.close(self.descriptor)

    def check(self) -> None:
        """Raises Stopped where the folder is not at its path any more: it says why, and what to do."""
        if not self._is_at(self._root):
            raise Stopped(f"{self._why()} {NOTHING}", SETTINGS)

    def _is_at(self, place: str) -> bool:
        try:
            return os.path.samestat(os.stat(place), os.fstat(self._folder))
        except OSError:
            return False

    def _why(self) -> str:
        try:
            place = os.readlink(f"/proc/self/fd/{self._folder}")
        except OSError:
            place = ""
        if place and place != self._root and self._is_at(place):
            return f"{self._root} is {place} now: it was renamed or moved. Run gobi watch {place}."
        if os.path.lexists(self._root):
            return (
                f"{self._root} is not the folder any more that was watched: its disk was unmounted, or another one is "
                "mounted over it. Start again when the right one is there."
            )
        return f"there is no folder {self._root} any more; is its disk mounted?"
