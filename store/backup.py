"""A backup: the metadata first and then the bodies, so that every body that the metadata names is there or reported.

What was there before stays whole until the new one is: its metadata gets its name as the last step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from store import backup_contents, backup_format, healing
from store.backup_folder import BackupFolder, translated
from store.base import Metadata
from store.bodies import DiskBodies
from store.bodies_guard import needing
from store.body_copies import BodyCopies, Lost, Tell, check_room
from store.errors import Refused
from store.findings import MOST_AHEAD_S


@dataclass(frozen=True, slots=True)
class BackedUp:
    """`counts` by kind of row. `there`: bodies that an earlier backup had copied. `problem`: what else a person has to
    see to, in words. `ahead`: vaults whose stamps run ahead of the clock, and by how many seconds."""

    snapshot: str
    counts: dict[str, int]
    copied: int
    copied_bytes: int
    there: int
    lost: list[Lost]
    dropped: list[str] = field(default_factory=list)
    problem: str | None = None
    ahead: dict[str, float] = field(default_factory=dict)


def back_up(
    metadata: Metadata,
    bodies: DiskBodies,
    root: str,
    folder: BackupFolder,
    *,
    keep: int,
    program: str,
    clock: Callable[[], float],
    again: bool = False,
    tell: Tell = lambda _: None,
) -> BackedUp:
    """Makes one snapshot in a folder that is prepared and locked, and removes those before the newest `keep`.

    `root`: the folder of `bodies`. `again`: bodies that are in the backup already are read again. `clock` gives seconds
    since 1970. Raises Refused, Full, Unavailable; then the snapshots that were there are whole.
    """
    folder.sweep()
    problem = _check_known(metadata, folder)
    target = folder.bodies()
    with translated(Path(root)), needing(root):
        made = clock()
        with translated(folder.path), folder.part().open("xb") as file:
            writer = backup_format.Writer(file, program=program, made=int(made * 1_000_000))
            backup_contents.write(metadata, writer)
        there = backup_format.summary(folder.part())
        vault_ids = {vault.id for vault in there.vaults}
        check_room(target, folder.path, folder.part(), vault_ids)
        copies = BodyCopies(bodies, target, folder.path, again=again, tell=tell)
        copies.copy_all(folder.part(), vault_ids)
        for one in copies.lost:
            healing.note_lost(root, one.vault_id, [one.hash])  # clients have most of them
    name = folder.publish(made)
    dropped: list[str] = []
    try:
        dropped = folder.keep(keep)
    except Refused as error:
        problem = f"{error}; until it is gone, nothing is cleared away"
    ahead = {vault.name: apart for vault in there.vaults if (apart := vault.clock / 1e6 - clock()) > MOST_AHEAD_S}
    copied = (copies.copied, copies.copied_bytes, copies.there, copies.lost)
    return BackedUp(name, there.counts, *copied, dropped, problem, ahead)


def _check_known(metadata: Metadata, folder: BackupFolder) -> str | None:
    """Another server's backups are not to be pushed out by this one's: nor its own, by those of the empty one that
    was put in its place. Raises Refused; returns what is wrong with the newest snapshot."""
    names = folder.names()
    if not names:
        return None
    try:
        before = backup_format.summary(folder.file(names[-1]))
    except Refused as error:
        return str(error)
    known = {vault.id for vault in before.vaults}
    if known and not known & {vault.id for vault in metadata.vaults()}:
        raise Refused(
            f"{folder.path} has backups of another server: none of their vaults is here. Restore them with `gobi "
            "restore-backup`, or name another folder for this server's"
        )
    return None
