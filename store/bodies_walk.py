"""What lies in the folder of bodies, as it is found there. Whatever does not look like gobi's own is a stray: it is
told of, and never touched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from store.bodies_aside import FORSAKEN, QUARANTINE, TRASH
from store.bodies_guard import COLLECTING, LOCK
from store.bodies_mark import MARK
from store.healing import LOST
from store.reservations import RESERVED

# Beside the vaults' folders.
_OWN = frozenset({"tmp", TRASH, QUARANTINE, LOST, LOCK, COLLECTING, MARK, RESERVED})
_VAULT = re.compile(r"[0-9a-f]{16}")
_LETTERS = re.compile(r"[0-9a-f]{2}")
_REST = re.compile(r"[0-9a-f]{62}")


class Found(NamedTuple):
    """A body's file: its hash by its name, bytes, when it was written or last touched (seconds), and which file it
    is."""

    digest: str
    size: int
    mtime: float
    inode: int


class Folder(NamedTuple):
    """What lies in one folder of a vault. `forsaken`: hashes with a mark, and when that was made."""

    bodies: list[Found]
    forsaken: dict[str, float]
    strays: list[str]


def vault_ids(root: str) -> list[str]:
    """Of the vaults that have a folder under `root`, which may be the trash."""
    return sorted(one.name for one in _entries(root) if _VAULT.fullmatch(one.name) and _is_folder(one))


def letters(root: str, vault_id: str) -> list[str]:
    """The first two letters of hashes for which there is a folder."""
    there = _entries(f"{root}/{vault_id}")
    return sorted(one.name for one in there if _LETTERS.fullmatch(one.name) and _is_folder(one))


def has_bodies(root: str, vault_id: str) -> bool:
    return any(folder(root, vault_id, two).bodies for two in letters(root, vault_id))


def folder(root: str, vault_id: str, two: str) -> Folder:
    found = Folder([], {}, [])
    for entry in _entries(f"{root}/{vault_id}/{two}"):
        name = entry.name.removesuffix(FORSAKEN)
        try:
            there = entry.stat(follow_symlinks=False)
            plain = entry.is_file(follow_symlinks=False)
        except FileNotFoundError:
            continue  # moved while we looked
        if not (plain and _REST.fullmatch(name)):
            found.strays.append(entry.path)
        elif name == entry.name:
            found.bodies.append(Found(two + name, there.st_size, there.st_mtime, there.st_ino))
        else:
            found.forsaken[two + name] = there.st_mtime
    return found


def strays(root: str) -> Iterator[str]:
    """Paths of whatever is nobody's, but for what lies among the bodies (see `folder`)."""
    for entry in _entries(root):
        if _VAULT.fullmatch(entry.name) and _is_folder(entry):
            for inner in _entries(entry.path):
                if not (_LETTERS.fullmatch(inner.name) and _is_folder(inner)):
                    yield inner.path
        elif entry.name not in _OWN:
            yield entry.path


def remove_empty(root: str, vault_id: str) -> None:
    """Removes the folders of a vault that nobody has any more, as far as nothing lies in them."""
    for two in letters(root, vault_id):
        _remove_folder(f"{root}/{vault_id}/{two}")
    _remove_folder(f"{root}/{vault_id}")


def _remove_folder(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError:
        pass  # something lies in it


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)
