"""Metadata against bodies: what is missing, damaged, too much, or miscounted. It works beside running servers.

What is found to be lost is what clients may still have: `lost` tells it version by version.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from store import bodies_walk as walk
from store import healing
from store.aging import Counters
from store.base import Bodies, Metadata, Vault
from store.bodies_aside import QUARANTINE, TRASH, place, quarantine
from store.bodies_guard import collecting
from store.bodies_incoming import translated
from store.bodies_verify import digest_of
from store.references import PAGE, References
from sync.model import Version

State = Literal["missing", "truncated", "rotten"]

# A body that nothing refers to and that is younger may belong to a write that is under way.
YOUNG_S = 24 * 3600
_TRIES = 5


class Lost(NamedTuple):
    """A version without a good body. `head`: it is the newest of its path, so that the file itself is lost here.

    `candidate`: its number, where it is no version but waits in an open conflict, whose id is `conflict`.
    """

    path: str
    stamp: int
    hash: str
    size: int
    head: bool
    state: State
    conflict: str | None = None
    candidate: int | None = None


@dataclass(slots=True)
class Report:
    """One vault. `orphans` and `trashed`: how many bodies nothing refers to, in their places and in the trash, and
    their bytes. `counters` are what they ought to be, where that is not what `counted` says."""

    vault: str
    versions: int = 0
    read: int = 0
    lost: list[Lost] = field(default_factory=list)
    orphans: tuple[int, int] = (0, 0)
    trashed: tuple[int, int] = (0, 0)
    quarantined: int = 0
    strays: list[str] = field(default_factory=list)
    counted: Counters | None = None
    counters: Counters | None = None


def lost(metadata: Metadata, bodies: Bodies, vault_id: str) -> Iterator[Lost]:
    """Every version, and every candidate of an open conflict, whose body is not there whole. Cheap: bodies are looked
    at and not read (see Audit for that); what is in the collector's trash comes back."""
    yield from _lost(metadata, bodies, vault_id, {}, Report(""))


class Audit:
    """One look at everything. `deep`: every body is read and compared with its hash. `repair`: what is damaged goes to
    the quarantine, clients are asked for what is lost, counters are put right. `tell` hears of every folder of bodies
    that was looked through: the vault, how many are done, and of how many."""

    def __init__(
        self,
        metadata: Metadata,
        bodies: Bodies,
        root: str,
        *,
        deep: bool = False,
        repair: bool = False,
        now: Callable[[], float] = time.time,
        tell: Callable[[str, int, int], None] = lambda _vault, _done, _all: None,
    ) -> None:
        self._metadata = metadata
        self._bodies = bodies
        self._root = root
        self._deep = deep
        self._repair = repair
        self._now = now
        self._tell = tell

    def run(self) -> Iterator[Report]:
        """One report a vault; those without a vault that the database knows under their ids, and a last one under an
        empty name, for what belongs to none. Raises Unavailable; InUse where a collection runs and counters are wrong.
        """
        with translated():
            folders = walk.vault_ids(self._root)
            vaults = self._metadata.vaults()
            for vault in vaults:
                yield self._vault(vault)
            for vault_id in sorted(set(folders) - {vault.id for vault in vaults}):
                yield self._look(Report(vault_id), vault_id, None, {})
            yield Report("", strays=list(walk.strays(self._root)))

    def _vault(self, vault: Vault) -> Report:
        report = Report(vault.name)
        references = References(self._metadata, vault.id)
        references.read()
        damaged: dict[str, int] = {}
        self._look(report, vault.id, references, damaged)
        for one in _lost(self._metadata, self._bodies, vault.id, damaged, report):
            report.lost.append(one)
            if one.state == "truncated" and self._repair:
                self._put_aside(vault.id, one.hash)
        if self._repair:
            self._tell_clients(vault.id, {one.hash for one in report.lost})
        self._count(vault, report)
        return report

    def _tell_clients(self, vault_id: str, lost: set[str]) -> None:
        """Clients bring back what is noted as lost; what is noted and is not, or nothing refers to, they need not."""
        healing.note_lost(self._root, vault_id, lost)
        healing.found(self._root, vault_id, set(healing.lost(self._root, vault_id)) - lost)

    def _look(self, report: Report, vault_id: str, references: References | None, damaged: dict[str, int]) -> Report:
        """Goes through the bodies on the disk. `damaged` learns the hashes of those that are, with their sizes."""
        letters = walk.letters(self._root, vault_id)
        young = self._now() - YOUNG_S
        orphans: list[int] = []
        for done, two in enumerate(letters, 1):
            there = walk.folder(self._root, vault_id, two)
            report.strays += there.strays
            for one in there.bodies:
                if references is not None and one.digest in references:
                    if self._deep and self._is_damaged(vault_id, one.digest):
                        damaged[one.digest] = one.size
                    report.read += self._deep
                elif one.mtime < young:
                    orphans.append(one.size)
            self._tell(report.vault, done, len(letters))
        report.orphans = (len(orphans), sum(orphans))
        aside = f"{self._root}/{TRASH}"
        trash = [one.size for two in walk.letters(aside, vault_id) for one in walk.folder(aside, vault_id, two).bodies]
        report.trashed = (len(trash), sum(trash))
        kept = f"{self._root}/{QUARANTINE}"
        for two in walk.letters(kept, vault_id):
            found = walk.folder(kept, vault_id, two)
            report.quarantined += len(found.bodies) + len(found.strays)
        return report

    def _is_damaged(self, vault_id: str, digest: str) -> bool:
        try:
            found, there = digest_of(place(self._root, vault_id, digest))
        except FileNotFoundError:
            return False  # the log's turn comes after this
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return True  # left where it is, for it may be whole: who sends it again replaces it
        if found == digest:
            return False
        if self._repair:
            quarantine(self._root, vault_id, digest, there.st_ino)
        return True

    def _put_aside(self, vault_id: str, digest: str) -> None:
        try:
            found, there = digest_of(place(self._root, vault_id, digest))
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return  # see _is_damaged
        if found != digest:
            quarantine(self._root, vault_id, digest, there.st_ino)

    # -- counters

    def _count(self, vault: Vault, report: Report) -> None:
        if (found := self._counters(vault)) is None:
            return
        report.counted, report.counters = found
        if self._repair:
            # A collection puts them right as well. Once more, for it may have, and by as much as they were wrong.
            with collecting(self._root):
                if (found := self._counters(vault)) is not None:
                    counted, right = found
                    change = Counters(*(wanted - is_ for wanted, is_ in zip(right, counted, strict=True)))
                    self._metadata.aging().adjust(vault.id, change)

    def _counters(self, vault: Vault) -> tuple[Counters, Counters] | None:
        """What is counted and what ought to be, if that is not the same. At one moment, which the log still tells
        later. What is put right is added, so that commits at the same time count as well."""
        for _ in range(_TRIES):
            there = self._metadata.vault(vault.name)
            if there is None or there.id != vault.id:
                return None
            disputes = len(self._metadata.open_conflicts(vault.id))
            references = References(self._metadata, vault.id)
            references.read(there.clock)
            if self._metadata.vault(vault.name) == there:
                break
        else:
            return None  # too much is going on to say
        files, size = self._live(there)
        right = Counters(files, size, references.bytes, disputes)
        counted = Counters(there.files, there.bytes, there.stored, there.conflicts)
        return None if right == counted else (counted, right)

    def _live(self, vault: Vault) -> tuple[int, int]:
        files = size = 0
        after: str | None = ""
        while after is not None:
            page = self._metadata.live(vault.id, at=vault.clock, after=after, limit=PAGE)
            files += len(page)
            size += sum(version.size for version in page)
            after = page[-1].path if len(page) == PAGE else None
        return files, size


def _lost(metadata: Metadata, bodies: Bodies, vault_id: str, damaged: dict[str, int], report: Report) -> Iterator[Lost]:
    """`damaged`: hashes of bodies that are known to be, with the sizes they have."""
    after = 0
    while page := metadata.changes(vault_id, after, PAGE):
        after = page[-1].stamp
        report.versions += len(page)
        puts = [version for version in page if version.hash is not None]
        bad = _missing(bodies, vault_id, damaged, {(str(one.hash), one.size) for one in puts})
        concerned = [version for version in puts if (version.hash, version.size) in bad]
        heads = metadata.heads(vault_id, {version.path for version in concerned}) if concerned else {}
        for version in concerned:
            yield _lost_version(version, heads.get(version.path), bad[str(version.hash), version.size])
    for conflict in metadata.open_conflicts(vault_id):
        sides = {(one.hash, one.size) for one in conflict.candidates}
        bad = _missing(bodies, vault_id, damaged, sides)
        for one in conflict.candidates:
            if state := bad.get((one.hash, one.size)):
                yield Lost(conflict.path, one.at, one.hash, one.size, False, state, conflict.id, one.n)


def _lost_version(version: Version, head: Version | None, state: State) -> Lost:
    assert version.hash is not None
    newest = head is not None and head.stamp == version.stamp
    return Lost(version.path, version.stamp, version.hash, version.size, newest, state)


def _missing(
    bodies: Bodies, vault_id: str, damaged: dict[str, int], wanted: set[tuple[str, int]]
) -> dict[tuple[str, int], State]:
    """Which of these are not there whole, and what is wrong with them."""
    gone = bodies.missing(vault_id, wanted)
    found: dict[tuple[str, int], State] = {}
    for digest, size in wanted:
        there = damaged.get(digest, gone.get(digest))
        if digest in gone or digest in damaged:
            found[digest, size] = "missing" if there is None else "truncated" if there != size else "rotten"
    return found
