"""In which order changes are made, so that a file that was renamed is never without a name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from sync.paths import ancestors


class Names:
    """Names that are about to be taken. `folded`: also to a disk for which a name in other letters is the same."""

    def __init__(self, paths: Iterable[str], *, folded: bool = False) -> None:
        self._fold = str.casefold if folded else str
        self._files = {self._fold(path) for path in paths} if folded else set(paths)
        self._folders: dict[str, set[str]] = defaultdict(set)
        for path in paths:
            for above in ancestors(path):
                self._folders[self._fold(above)].add(above)

    def need_room_of(self, path: str) -> bool:
        """Whether the file at `path` has to go first: it lies where one of them needs a folder, or the other way round.

        With `folded` also where it differs from one of them in letters alone, itself or a folder above it.
        """
        folded = self._fold(path)
        if folded in self._folders or (folded in self._files and self._fold is not str):
            return True
        for above in ancestors(path):
            other = self._fold(above)
            if other in self._files or (other in self._folders and above not in self._folders[other]):
                return True
        return False


def pair(old: Mapping[str, str | None], new: Mapping[str, str | None]) -> dict[str, str]:
    """New path → the old path that has the same content, of the same last name where there is one. From path → hash."""
    pairs: dict[str, str] = {}
    left = dict(old)
    for by_name in (True, False):
        going: dict[tuple[str | None, str], list[str]] = defaultdict(list)
        for path, digest in left.items():
            going[digest, path.rpartition("/")[2] if by_name else ""].append(path)
        for path, digest in new.items():
            found = going.get((digest, path.rpartition("/")[2] if by_name else ""))
            if digest is not None and path not in pairs and found:
                pairs[path] = found.pop()
                del left[pairs[path]]
    return pairs
