"""Vaults inside vaults: no file belongs to two of them, and gobi's own files to none.

A folder that is connected is refused inside another that is, and around one, however one gets there: over a symbolic
link, or under the other name that a bind mount gives it. One that comes to lie inside another vault later on is left
out by that.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from client.mounts import aliases

STATE = ".gobi"
CONFIG = "config.json"
MOST_FOLDERS = 20_000  # looked into for a vault below; one that lies beyond is left out by the scan all the same

LEFT_OUT = (
    "a vault of its own lies here, which this one leaves out; if it is none (any more), run gobi disconnect on it, or "
    "remove the .gobi in it"
)


def is_state(name: str) -> bool:
    """Whether `name` is that of gobi's own folder, to this disk or to any other."""
    return name.casefold() == STATE


def has_state(path: str) -> bool:
    """Whether a vault path leads into gobi's own folder of whatever vault."""
    return STATE in path.casefold() and any(map(is_state, path.split("/")))


def is_vault(folder: str | Path, at: int | None = None) -> bool:
    """Whether the folder, or the one of that path below the open folder `at`, is connected to a vault."""
    try:
        os.stat(os.path.join(folder, STATE, CONFIG), dir_fd=at, follow_symlinks=False)
    except OSError:
        return False
    return True


def vault_above(folder: Path) -> Path | None:
    """The connected folder that `folder`, which need not exist yet, would lie in."""
    for place in aliases(os.path.realpath(folder)):
        for above in Path(place).parents:
            if is_vault(above):
                return above
    return None


def vault_below(folder: Path) -> Path | None:
    """A connected folder inside `folder`. Looks into a bounded number of folders, the nearest first."""
    waiting = deque([str(folder)])
    for _ in range(MOST_FOLDERS):
        if not waiting:
            return None
        place = waiting.popleft()
        if place != str(folder) and is_vault(place):
            return Path(place)
        try:
            with os.scandir(place) as entries:
                waiting += [one.path for one in entries if one.is_dir(follow_symlinks=False) and not is_state(one.name)]
        except OSError:
            continue  # not ours to read; nor will a sync read it
    return None
