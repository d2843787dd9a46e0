"""What lies aside: `<root>/trash`, from where a body comes back that turns out to be needed, and `<root>/quarantine`.

Both have a folder a vault and two letters of the hash, as the bodies themselves have. Moving is renaming: a body is in
one place or the other whenever the process is killed, or the power goes.
"""

from __future__ import annotations

import os
import secrets

TRASH, QUARANTINE = "trash", "quarantine"
# Beside a body of which no version came, or which was put into the trash: see store/bodies.py.
FORSAKEN = ".forsaken"


def place(root: str, vault_id: str, digest: str) -> str:
    return f"{root}/{vault_id}/{digest[:2]}/{digest[2:]}"


def trash_place(root: str, vault_id: str, digest: str) -> str:
    return place(f"{root}/{TRASH}", vault_id, digest)


def bring_back(root: str, vault_id: str, digest: str, *, referenced: bool = False) -> bool:
    """Moves a body from the trash to its place. Whether there is one in its place then. Raises OSError.

    `referenced`: something names it, so that it is not forsaken.
    """
    path, trashed = place(root, vault_id, digest), trash_place(root, vault_id, digest)
    if not os.path.lexists(trashed) or os.path.lexists(path):  # as nearly always
        return os.path.lexists(path)
    try:
        # In one step: of two names, one at a time, the wrong one could be removed by who was interrupted in between.
        os.rename(trashed, path)
    except FileNotFoundError:
        return os.path.lexists(path)  # somebody else was faster
    if referenced:
        unlink(path + FORSAKEN)
    return True


def put_into_trash(root: str, vault_id: str, digest: str, youngest: float, *, mark: bool) -> bool:
    """False where it is gone, or was touched since the moment `youngest` (seconds). Raises OSError.

    `mark`: as forsaken, before it goes, so that whoever wants it again has it counted as new. Its time becomes that of
    being trashed.
    """
    path, trashed = place(root, vault_id, digest), trash_place(root, vault_id, digest)
    make_folder(root, os.path.dirname(trashed))
    try:
        if os.stat(path).st_mtime > youngest:
            return False
        if mark:
            os.close(os.open(path + FORSAKEN, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.utime(path)
        os.rename(path, trashed)
    except FileNotFoundError:
        return False
    return True


def quarantine(root: str, vault_id: str, digest: str, inode: int) -> bool:
    """Moves a damaged body out of the way, for a person to look at; nobody ever deletes it. Raises OSError.

    Only the very file that was found damaged (`inode`): a good one may have come in its place meanwhile.
    """
    path = place(root, vault_id, digest)
    kept = place(f"{root}/{QUARANTINE}", vault_id, digest)
    make_folder(root, os.path.dirname(kept))
    if os.path.lexists(kept):
        kept += f".{secrets.token_hex(4)}"
    try:
        if os.stat(path).st_ino != inode:
            return False
        os.rename(path, kept)
        if os.stat(kept).st_ino != inode:  # replaced in this very moment
            os.rename(kept, path)
            return False
    except FileNotFoundError:
        return False
    return True


def make_folder(root: str, path: str) -> None:
    """With what is missing between it and `root`, for nobody else to look into. Raises OSError; FileNotFoundError where
    `root` is missing: a disk that is away is not to be made anew where it was mounted."""
    try:
        os.mkdir(path, mode=0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        outer = os.path.dirname(path)
        if len(outer) <= len(root):
            raise
        make_folder(root, outer)
        make_folder(root, path)


def unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
