"""A backup put back into an empty database and a folder of bodies, of either kind, whatever it was made from.

The database says from the first step to the last that it is not complete, so no server starts on it. Bodies come
first, then the metadata. Cut off anywhere, it begins anew; bodies that are there already are only read.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from store import backup_contents, backup_format, belonging, healing, migration
from store.backup_folder import BackupFolder, translated
from store.base import Metadata, Vault
from store.bodies import DiskBodies
from store.bodies_size import counted_bytes
from store.body_copies import BodyCopies, Lost, Tell, check_room
from store.errors import Refused, StoreError, Unavailable
from store.findings import span
from store.migration import Moved
from store.moving import Move, Moving

RESTORING = (
    "what was restored to this database is not complete: wait for `gobi restore-backup`, or run it again where it was "
    "cut off"
)
# How far above all known stamps those of a restored vault begin where they run ahead of the clock. Since the backup
# was made each version took one microsecond there, so this is more than any server has written.
_BEYOND_US = 3_600_000_000
# How the mark of one that was cut off is told from that of a move.
_ID = "restore-"


@dataclass(frozen=True, slots=True)
class Restored:
    """`there`: bodies that were in the data folder already, whole."""

    moved: Moved
    copied: int
    there: int
    lost: list[Lost]


def check_clock(there: backup_format.Summary, now: float) -> None:
    """Stamps that the server gives from now on have to be later than those that clients know; for that this clock has
    to be later than the backup. Raises Refused. A vault's own clock says nothing: it may have run ahead."""
    behind_s = there.made / 1_000_000 - now
    if behind_s > 0:
        made = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(there.made / 1_000_000))
        raise Refused(
            f"this machine's clock is {span(behind_s)} before {made}, when the backup was made by the clock of that "
            "time: if this one is wrong, set it (timedatectl set-ntp true), or files will be taken for older than they "
            "are; if it is right, add --force"
        )


def check_empty(metadata: Metadata, place: str) -> None:
    """Raises Refused where something would be overwritten. `place`: how to have another database, in words."""
    _may_take(metadata.moving(), place)


def restore(
    metadata: Metadata,
    bodies: DiskBodies,
    root: Path,
    folder: BackupFolder,
    snapshot: str,
    *,
    place: str,
    above: int = 0,
    tell: Tell = lambda _: None,
) -> Restored:
    """`root`: the folder of `bodies`. `above`: a stamp that clients may know, and new ones have to be later than.

    Raises Refused, Full, Unavailable; then the database is empty, and it can be run again.
    """
    file = folder.file(snapshot)
    there = backup_format.summary(file)
    moving = metadata.moving()
    before = _may_take(moving, place)
    mark = Move(_ID + secrets.token_hex(8), "arriving", RESTORING)
    moving.mark(before, mark)
    if (before is None or not before.frozen) and not moving.is_empty():
        moving.mark(mark, before)
        raise _overtaken()
    try:
        moving.clear()
        source, vault_ids = folder.bodies(), {vault.id for vault in there.vaults}
        check_room(bodies, root, file, vault_ids)
        copies = BodyCopies(source, bodies, root, again=True, tell=tell)
        copies.copy_all(file, vault_ids)
        with translated(root):
            stored = {vault_id: counted_bytes(os.fspath(root), vault_id) for vault_id in vault_ids}
        there = replace(there, vaults=_put_back(there.vaults, above, metadata.aging().clock().now))
        moved = migration.copy(backup_contents.Contents(file, there, stored), metadata, lambda *_: None)
        if moving.state() != mark:
            raise _overtaken()
        belonging.adopt(metadata, os.fspath(root))  # whatever database they belonged to before
        moving.mark(mark, None)
    except BaseException:
        with suppress(StoreError):
            if moving.state() == mark:  # where it is complete all the same, that is left alone
                moving.clear()
                moving.mark(mark, None)
        raise
    for one in copies.lost:
        healing.note_lost(os.fspath(root), one.vault_id, [one.hash])  # clients have most of them
    return Restored(moved, copies.copied, copies.there, copies.lost)


def _put_back(vaults: list[Vault], above: int, now: int) -> list[Vault]:
    """The vaults as they are from now on. Time sees to it that new stamps are later than all that clients know. Where
    stamps ran ahead of it, the vault's clock has to: clients may know later ones than the backup has."""
    restored = []
    for vault in vaults:
        latest = max(vault.clock, above)
        clock = latest + _BEYOND_US if latest > now else vault.clock
        restored.append(replace(vault, clock=clock, lapses=(*vault.lapses, (vault.clock, max(clock, now)))))
    return restored


def _may_take(moving: Moving, place: str) -> Move | None:
    """The state that the database has, if it may take a backup in."""
    state = moving.state()
    if state is not None and state.state == "arriving":
        if state.id.startswith(_ID):
            return state
        raise Refused(f"a `gobi migrate` to this database was cut off: finish that first, or {place}")
    if (state is not None and state.frozen) or not moving.is_empty():
        raise Refused(f"the database has users or vaults already, which a backup would overwrite: {place}")
    return state


def _overtaken() -> Unavailable:
    return Unavailable("somebody else began to use this database meanwhile: see what is there, then run this again")
