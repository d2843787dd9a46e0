"""Which bodies the disk has lost: an empty file for each, `<root>/lost/<vault id>/<hash>`, beside the bodies.

So every worker and host that shares the bodies knows, and nobody has to look for them. A body is noted by whoever
misses it (a reader, `gobi check --repair` after it has moved a rotten one away, a restore), and whoever stores it
again takes the note away. A note too many costs a client an upload, no more.
"""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Iterable
from contextlib import suppress

from store.bodies_aside import make_folder
from sync.model import HASH

LOST = "lost"
# How many a client is told of at once.
MOST = 1_000


def note_lost(root: str, vault_id: str, hashes: Iterable[str]) -> None:
    """`root`: the folder of all bodies. Raises nothing: whoever misses a body has something else to tell."""
    with suppress(OSError):
        folder = _folder(root, vault_id)
        make_folder(root, folder)
        for digest in hashes:
            os.close(os.open(f"{folder}/{digest}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def some_lost(root: str, vault_id: str) -> list[str]:
    """MOST of them at most, and others each time: those that nobody has may be as many, and would hide the rest for
    ever. Raises OSError."""
    noted = lost(root, vault_id)
    return noted if len(noted) <= MOST else sorted(random.sample(noted, MOST))


def is_lost(root: str, vault_id: str, digest: str) -> bool:
    """Raises OSError."""
    return os.path.lexists(f"{_folder(root, vault_id)}/{digest}")


def lost(root: str, vault_id: str) -> list[str]:
    """The hashes of all of them. Cheap where there are none, as there nearly always are. Raises OSError."""
    try:
        names = os.listdir(_folder(root, vault_id))
    except FileNotFoundError:
        return []
    return sorted(name for name in names if HASH.fullmatch(name))


def found(root: str, vault_id: str, hashes: Collection[str]) -> set[str]:
    """Takes the notes about these away; returns those that there was a note about. Raises OSError."""
    folder = _folder(root, vault_id)
    try:
        noted = {digest for digest in os.listdir(folder) if digest in hashes}
    except FileNotFoundError:
        return set()
    for digest in noted:
        with suppress(FileNotFoundError):  # another worker's, at the same moment
            os.unlink(f"{folder}/{digest}")
    return noted


def _folder(root: str, vault_id: str) -> str:
    return f"{root}/{LOST}/{vault_id}"
