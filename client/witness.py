"""What this client has seen in the folder with its own eyes: the only ground on which a missing file was deleted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from client.mounts import is_below
from client.scan import View


class Witness:
    """The files that a client which watches has seen, each without a moment out of its sight since.

    A file that is missing and was seen so was deleted before its eyes. Any other one vanished unseen: while it was
    ignored, in a folder that could not be looked into, before the client began. It comes back.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self.begun = False  # whether everything has been looked at once

    def __contains__(self, path: str) -> bool:
        return path in self._seen

    def saw_everything(self, view: View, busy: Collection[str]) -> None:
        """After a look at the whole folder. `busy`: whose names may be missing for a moment."""
        self._seen = set(view.entries) | self._seen.intersection(busy)
        self.begun = True

    def saw(self, view: View, paths: Iterable[str], busy: Collection[str], ignored: Callable[[str], bool]) -> None:
        """After a look at single paths."""
        for path in paths:
            if path in view.entries:
                self._seen.add(path)
            elif path not in busy and (ignored(path) or view.why_unknown(path) is not None):
                self._seen.discard(path)

    def lost_sight_of(self, places: Collection[str]) -> None:
        self._seen = {path for path in self._seen if not is_below(path, places)}

    def put(self, paths: Iterable[str]) -> None:
        """gobi itself has put files there."""
        self._seen.update(paths)
