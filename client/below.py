"""What is below a folder, however deep it lies: without a call, or a folder held open, for each level."""

from __future__ import annotations

import os
from collections.abc import Iterator

from client.folders import Folders, split


def files_below(path: str, root: int) -> Iterator[tuple[int, str]]:
    """Whatever is no folder: the open folder it is in (until the next one), and its name.

    A folder that cannot be read is passed over.
    """
    folders = Folders(root)
    waiting = [path]
    try:
        while waiting:
            place = waiting.pop()
            try:
                folder = folders.get(place)
                inner, files = _listed(folder)
            except OSError:
                continue
            waiting += [f"{place}/{name}" for name in inner]
            for name in files:
                yield folder, name
    finally:
        folders.clear()


def remove_empty_tree(name: str, parent: int) -> bool:
    """Removes a folder that holds nothing but empty folders. False where it holds anything else. Raises OSError."""
    folders = Folders(parent)
    places = [name]
    try:
        for place in places:
            inner, files = _listed(folders.get(place))
            if files:
                return False
            places += [f"{place}/{one}" for one in inner]
        for place in reversed(places):
            above, last = split(place)
            os.rmdir(last, dir_fd=folders.get(above))
    finally:
        folders.clear()
    return True


def _listed(folder: int) -> tuple[list[str], list[str]]:
    """The names of the folders, and of everything else."""
    with os.scandir(folder) as entries:
        kinds = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    return [name for name, is_folder in kinds if is_folder], [name for name, is_folder in kinds if not is_folder]
