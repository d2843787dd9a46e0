"""Collecting: versions and tombstones that are too old to be kept, and bodies that nothing refers to any more.

Servers may run meanwhile, and it may be killed anywhere: the next one goes on. Of versions, the vault's purge mark is
raised first, then they go, each path's oldest first and its tombstone last. A body that nothing refers to, and nobody
has touched for a day, goes to the trash; then there is another look, for somebody may have committed on it meanwhile;
and a week later it is removed, after one more look. Whoever misses a body before that looks into the trash as well.

Whatever is done with bodies by this is undone by whoever needs them, until they have been in the trash for a week.
"""

from __future__ import annotations

import os
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, fields, replace
from itertools import islice

from store import bodies_walk as walk
from store.aging import Collected, Counters
from store.base import Metadata, Vault
from store.bodies_aside import FORSAKEN, TRASH, bring_back, place, put_into_trash, trash_place, unlink
from store.bodies_guard import COLLECTING, collecting, removing
from store.bodies_incoming import translated
from store.bodies_walk import Found
from store.collection_checks import check_clock, check_disk_clock, check_vaults, newest_change
from store.expiry import expired
from store.references import References

DAY_S = 24 * 3600
WEEK_S = 7 * DAY_S
DAY_US = DAY_S * 1_000_000
# Bodies that leave the trash after one look.
_AT_ONCE = 1_000
# How often a vault's counters are read until nobody changed them while they were.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """How old something is before it goes: `keep_days` for versions; for bodies seconds, until they are put into the
    trash and until they leave it."""

    keep_days: int
    grace_s: float = DAY_S
    trash_s: float = WEEK_S


class Collector:
    """One collection. `root`: the folder of bodies. `dry`: nothing is changed, and the same is told.

    `now`: this host's time in seconds, by which files are dated.
    """

    def __init__(
        self,
        metadata: Metadata,
        root: str,
        limits: Limits,
        *,
        dry: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._metadata = metadata
        self._aging = metadata.aging()
        self._root = root
        self._limits = limits
        self._dry = dry
        self._now = now

    def run(self, *, force: bool = False) -> Iterator[tuple[str, Collected]]:
        """What went, vault by vault, as it is done; last the sum, under an empty name. Bodies of vaults that are not
        there any more have their id as a name.

        `force`: work although the time is doubtful, where the database has none of its own. Raises WrongClock,
        Misconfigured, InUse, Unavailable.
        """
        if self._dry and not os.path.isdir(self._root):
            yield "", Collected()  # no server has started yet, and whoever only looks makes nothing
            return
        with translated(), collecting(self._root):
            with removing(self._root):
                pass  # rather now than with half of it done
            check_disk_clock(f"{self._root}/{COLLECTING}", self._now())
            yield from self._run(force)

    def _run(self, force: bool) -> Iterator[tuple[str, Collected]]:
        # The folders first: of a vault that is made now there is no folder yet when the vaults are read.
        folders = set(walk.vault_ids(self._root)) | set(walk.vault_ids(self._trash))
        vaults = self._metadata.vaults()
        now = self._aging.clock().now
        check_clock(self._aging, newest_change(self._metadata, vaults), self._now(), force)
        check_vaults(vaults, folders, lambda vault_id: walk.has_bodies(self._root, vault_id))
        total = Collected()
        for vault in vaults:
            one = self._collect(vault, now - self._limits.keep_days * DAY_US)
            total = _sum(total, one)
            yield vault.name, one
        for vault_id in sorted(folders - {vault.id for vault in vaults}):
            one = self._collect_bodies(vault_id, None)
            total = _sum(total, one)
            if not self._dry:
                walk.remove_empty(self._root, vault_id)
            if one != Collected():
                yield vault_id, one
        total = replace(total, at=self._aging.clock().now)
        if not self._dry:
            self._aging.note_collection(total)
        yield "", total

    # -- versions

    def _collect(self, vault: Vault, before: int) -> Collected:
        stamps = array("q")
        counted = Collected()
        for found, mark in expired(self._metadata, vault.id, before):
            versions = found
            if self._dry:
                stamps.extend(version.stamp for version in found)
            else:
                # A backup reads the log page by page: it would have a file and miss its deletion.
                with removing(self._root):
                    self._metadata.set_purge_mark(vault.id, mark)
                    versions = self._aging.purge(vault.id, found, before)
            live = sum(version.live for version in versions)
            counted = _sum(counted, Collected(versions=live, tombstones=len(versions) - live))
        references = self._referred(vault, _Sorted(stamps))
        if references is None:
            return counted  # somebody removed the vault
        return _sum(counted, self._collect_bodies(vault.id, references))

    def _referred(self, vault: Vault, leaving_out: Container[int]) -> References | None:
        """Everything that is referred to; None where somebody removed the vault."""
        references = References(self._metadata, vault.id, leaving_out)
        there = self._metadata.vault(vault.name)
        if there is None or there.id != vault.id:
            return None
        if not self._dry:
            self._count(there, references)
        references.read()
        return references

    def _count(self, vault: Vault, references: References) -> None:
        """Puts the count of stored bytes right. What nothing refers to is not in it: it goes to the trash, marked as
        forsaken. By as much as it was wrong, so that what is committed meanwhile counts as well."""
        for _ in range(_TRIES):
            references.read(vault.clock)
            again = self._metadata.vault(vault.name)
            if again is None or again.id != vault.id:
                return
            if again == vault:
                break
            vault = again
        else:
            return  # too much is going on; another time
        if references.bytes != vault.stored:
            self._aging.adjust(vault.id, Counters(stored=references.bytes - vault.stored))

    # -- bodies

    @property
    def _trash(self) -> str:
        return f"{self._root}/{TRASH}"

    def _collect_bodies(self, vault_id: str, references: References | None) -> Collected:
        """`references` is None for a vault that is not there any more."""
        counted = self._empty_trash(vault_id, references)
        for two in walk.letters(self._root, vault_id):
            counted = _sum(counted, self._throw_away(vault_id, two, references))
        if counted.bodies and references is not None and not self._dry:
            references.read()
            counted = _sum(counted, self._bring_back(vault_id, references))
        if not self._dry:
            walk.remove_empty(self._trash, vault_id)
        return counted

    def _throw_away(self, vault_id: str, two: str, references: References | None) -> Collected:
        there = walk.folder(self._root, vault_id, two)
        youngest = self._now() - self._limits.grace_s
        old = [one for one in there.bodies if one.mtime <= youngest and not _in(one, references)]
        if self._dry:
            return Collected(bodies=len(old), bytes=sum(one.size for one in old))
        bodies = size = 0
        with removing(self._root):
            for one in old:
                if put_into_trash(self._root, vault_id, one.digest, youngest, mark=references is not None):
                    bodies += 1
                    size += one.size
            self._clear_marks(vault_id, there, references, youngest)
        return Collected(bodies=bodies, bytes=size)

    def _clear_marks(self, vault_id: str, there: walk.Folder, references: References | None, youngest: float) -> None:
        """Marks of bodies that are counted after all, and of none."""
        bodies = {one.digest for one in there.bodies}
        for digest, marked in there.forsaken.items():
            counts = references is not None and digest in references
            lost = digest not in bodies and not os.path.lexists(trash_place(self._root, vault_id, digest))
            if marked <= youngest and (counts or lost or references is None):
                unlink(place(self._root, vault_id, digest) + FORSAKEN)

    def _bring_back(self, vault_id: str, references: References) -> Collected:
        """Whatever in the trash something refers to."""
        found = (one for one in self._trashed(vault_id) if _in(one, references) and not self._is_there(vault_id, one))
        return Collected(restored=sum(self._restore(vault_id, one) for one in found))

    def _empty_trash(self, vault_id: str, references: References | None) -> Collected:
        counted = Collected()
        oldest = self._now() - self._limits.trash_s
        trashed = self._trashed(vault_id)
        while some := list(islice(trashed, _AT_ONCE)):
            if references is not None:
                references.read()
            needed, going = self._judge(vault_id, some, references, oldest)
            if self._dry:
                restored = len(needed)
            else:
                restored = sum(self._restore(vault_id, one) for one in needed)
                self._remove(vault_id, going)
            size = sum(one.size for one in going)
            counted = _sum(counted, Collected(removed=len(going), removed_bytes=size, restored=restored))
        return counted

    def _judge(
        self, vault_id: str, trashed: list[Found], references: References | None, oldest: float
    ) -> tuple[list[Found], list[Found]]:
        """What has to come back out of the trash, and what has been in it for long enough."""
        needed, going = [], []
        for one in trashed:
            if _in(one, references) and not self._is_there(vault_id, one):
                needed.append(one)
            elif one.mtime <= oldest:
                going.append(one)
        return needed, going

    def _is_there(self, vault_id: str, one: Found) -> bool:
        """Whether somebody sent it again meanwhile."""
        try:
            return os.lstat(place(self._root, vault_id, one.digest)).st_size == one.size
        except FileNotFoundError:
            return False

    def _restore(self, vault_id: str, one: Found) -> bool:
        return bring_back(self._root, vault_id, one.digest, referenced=True)

    def _remove(self, vault_id: str, going: list[Found]) -> None:
        if not going:
            return
        with removing(self._root):
            for one in going:
                unlink(trash_place(self._root, vault_id, one.digest))
                # If somebody sent it again in this moment, it is new to the count all the same.
                if not os.path.lexists(path := place(self._root, vault_id, one.digest)):
                    unlink(path + FORSAKEN)

    def _trashed(self, vault_id: str) -> Iterator[Found]:
        for two in walk.letters(self._trash, vault_id):
            yield from walk.folder(self._trash, vault_id, two).bodies


class _Sorted:
    """Many stamps in little room."""

    def __init__(self, stamps: array[int]) -> None:
        self._stamps = array("q", sorted(stamps))

    def __contains__(self, stamp: object) -> bool:
        assert isinstance(stamp, int)
        at = bisect_left(self._stamps, stamp)
        return at < len(self._stamps) and self._stamps[at] == stamp


def _in(one: Found, references: References | None) -> bool:
    return references is not None and one.digest in references


def _sum(one: Collected, other: Collected) -> Collected:
    names = [field.name for field in fields(Collected)]
    return Collected(**{name: getattr(one, name) + getattr(other, name) for name in names})
