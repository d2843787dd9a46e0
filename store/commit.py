"""Many writes judged and committed in one transaction, each after the earlier ones of its group.

The rules are sync.judge's; this module gives them their facts. Heads are read once for the whole group, and what the
group itself changed is laid over them.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from store.access import check_writer
from store.base import Identity, Totals, Transaction
from store.errors import Forbidden, NotFound, StoreError, Unauthorized
from store.log_size import next_version, used
from sync import candidates
from sync.judge import USES_ROOM, Verdict, Write, judge
from sync.model import Candidate, Conflict, Version
from sync.paths import ancestors

# Stamps that are later than the database's time by no more than this are that time: bursts of versions take some.
MOST_AHEAD_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one write. `after` and `cursor` are the vault's stamps right before and right after it.

    `version`: the new one (STORE), or the head that makes the write needless (SAME, REPEATED). `head`: what stood there
    before. `blocker`: the version in the way (BLOCKED). `created`: the path was not live.
    """

    verdict: Verdict
    version: Version | None = None
    head: Version | None = None
    conflict: Conflict | None = None
    blocker: Version | None = None
    created: bool = False
    after: int = 0
    cursor: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes that came in one request, in order. `new`: hashes of bodies that the vault did not have before. `by`:
    whose request it is, None for what is nobody's."""

    writes: Sequence[Write]
    new: Collection[str] = ()
    by: Identity | None = None


@dataclass(slots=True)
class Committed:
    """Everything a transaction did: outcomes batch by batch, and what to tell the others. `refused`: why, by the
    batch's number, where whoever sent it may not write any more.

    `named`: hashes of the bodies that its versions and candidates name, and of those that were not needed because
    something named them before: where the disk had lost one, it is back.
    """

    outcomes: list[list[Outcome]]
    named: frozenset[str]
    after: int
    versions: list[Version]
    conflicts: list[Conflict]
    refused: dict[int, StoreError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """`quota`: what a vault may hold in bytes; 0 is no limit. `candidates`: how many the open conflicts on one path may
    have together."""

    quota: int = 0
    candidates: int = candidates.MOST_ON_PATH


NO_LIMITS = Limits()


def commit(tx: Transaction, batches: Sequence[Batch], limits: Limits = NO_LIMITS) -> Committed:
    """Judges every write of those who may, and appends what is to be stored."""
    refused = {number: why for number, batch in enumerate(batches) if (why := _refusal(tx, batch)) is not None}
    batches = [Batch(()) if number in refused else batch for number, batch in enumerate(batches)]
    writes = [write for batch in batches for write in batch.writes]
    new = {digest for batch in batches for digest in batch.new}
    conflicts = any(write.keep for write in writes)
    group = Group(tx, {write.path for write in writes}, conflicts=conflicts, new=new, limits=limits)
    done = group.finish([[group.add(write) for write in batch.writes] for batch in batches])
    done.refused = refused
    return done


def _refusal(tx: Transaction, batch: Batch) -> StoreError | None:
    try:
        if batch.by is not None:
            check_writer(tx, batch.by)
    except (Unauthorized, NotFound, Forbidden) as error:
        return error
    return None


class Group:
    """The state of a vault inside one transaction. Whatever commits goes through here, so that counters,
    path-taken and the settling of conflicts hold for every kind of write.

    `conflicts`: look for the paths' conflicts even where the vault has no open one. `new`: hashes of bodies that the
    vault did not have before the group. `gone`: paths that are live and to be taken for deleted, for whoever looks only
    at what would be.
    """

    def __init__(
        self,
        tx: Transaction,
        paths: set[str],
        *,
        conflicts: bool,
        new: Collection[str] = (),
        limits: Limits = NO_LIMITS,
        gone: Collection[str] = (),
    ) -> None:
        self._tx = tx
        self._heads: dict[str, Version | None] = dict.fromkeys(paths)
        self._heads.update(tx.heads(paths))
        above = {folder for path in paths if not self._is_live(path) for folder in ancestors(path)} - paths
        self._heads.update(dict.fromkeys(above))
        self._heads.update(tx.heads(above))
        self._below = tx.live_below([path for path in paths if not self._is_live(path)])
        self._dead: set[str] = set(gone)  # live before the group, deleted by it
        self._folders: dict[str, dict[str, None]] = {}  # folders that the group's own new files need
        self._versions: list[Version] = []
        self._conflicts: dict[str, Conflict] = {}
        self._known: dict[str, list[Conflict]] = {}
        if conflicts or tx.vault.conflicts:
            self._learn(paths)
        self._totals = Totals()
        self._new = frozenset(new)
        self._room = limits.quota - used(tx.vault) if limits.quota else None
        self._most_candidates = limits.candidates
        self._referenced: dict[str, int] = {}  # bodies that the group's versions and candidates name, with their sizes
        self._had: set[str] = set()  # bodies that something named before
        self._stamp = tx.vault.clock
        self._next = tx.first_stamp
        self._at = tx.now if tx.first_stamp - tx.now > MOST_AHEAD_US else None

    @property
    def now(self) -> int:
        """The database's time, µs: the stamp that the next version gets."""
        return self._next

    def head(self, path: str) -> Version | None:
        """The newest version of a path the group was made for."""
        return self._heads[path]

    def disputed(self, path: str) -> bool:
        """Whether there is an open conflict on a path the group was made for."""
        return any(conflict.open for conflict in self._on(path))

    def include(self, path: str) -> None:
        """Makes `store` possible for one more path, of which the caller knows that nothing is in its way."""
        self._heads.setdefault(path, self._tx.heads([path]).get(path))
        self._learn({path})

    def add(self, write: Write) -> Outcome:
        """Judges one write and does what the verdict says."""
        head = self._heads[write.path]
        blocker = None if write.kind == "delete" or (head and head.live) else self.blocker(write.path)
        verdict = judge(write, head, blocker is not None)
        if verdict in USES_ROOM and not self._fits(write):
            verdict = Verdict.NO_ROOM
        if verdict is Verdict.KEEP and self._crowded(write):
            verdict = Verdict.CROWDED
        before = self._stamp
        if verdict is Verdict.STORE:
            version = self.store(write)
            created = write.kind == "put" and not (head and head.live)
            return Outcome(verdict, version, head, created=created, after=before, cursor=self._stamp)
        if verdict is Verdict.KEEP:
            conflict = self._keep_candidate(write)
            return Outcome(verdict, None, self._heads[write.path], conflict, after=before, cursor=self._stamp)
        same = head if verdict in (Verdict.SAME, Verdict.REPEATED) else None
        if verdict is Verdict.SAME and head is not None and head.hash is not None:
            self._had.add(head.hash)
        return Outcome(verdict, same, head, blocker=blocker, after=before, cursor=before)

    def store(self, write: Write, *, passing: bool = False) -> Version:
        """Appends a version on top of the path's head, whatever that is.

        `passing`: another one comes on top of it at once, so that it settles nothing.
        """
        head = self._heads[write.path]
        version = Version(
            write.path,
            write.kind,
            self._next,
            head.stamp if head else None,
            write.hash if write.kind == "put" else None,
            write.size if write.kind == "put" else 0,
            write.mtime,
            write.device,
            write.user,
            write.kind == "put" and write.executable_on(head),
            self._at,
        )
        self._refer(write)
        self._count(head, -1)
        self._count(version, +1)
        self._place(version, was_live=bool(head and head.live))
        self._heads[write.path] = version
        self._versions.append(version)
        self._stamp, self._next = self._next, self._next + 1
        if not passing:
            self._settle_by(version)
        return version

    def blocker(self, path: str) -> Version | None:
        """A live file where `path` needs a folder, or a live file below `path`."""
        for folder in ancestors(path):
            above = self._heads.get(folder)
            if above and above.live and folder not in self._dead:
                return above
        if self._folders.get(path):
            return self._heads[next(iter(self._folders[path]))]
        below = self._below.get(path)
        if below is not None and below.path in self._dead:
            below = self._tx.live_below([path], excluding=self._dead).get(path)
        return below

    def settle(self, conflict: Conflict) -> None:
        """Records what became of a conflict. It is written once, at the end, however often it changes in the group."""
        self._conflicts[conflict.id] = conflict

    def finish(self, outcomes: list[list[Outcome]]) -> Committed:
        """Writes everything."""
        for conflict in self._conflicts.values():
            self._tx.save_conflict(conflict)
        self._totals.stored = sum(size for digest, size in self._referenced.items() if digest in self._new)
        if self._versions or self._totals.stored:
            self._tx.append(self._versions, self._totals)
        named = frozenset(self._referenced) | self._had
        return Committed(outcomes, named, self._tx.vault.clock, self._versions, list(self._conflicts.values()))

    def _learn(self, paths: set[str]) -> None:
        for conflict in self._tx.conflicts_on(paths):
            self._known.setdefault(conflict.path, []).append(conflict)

    def _is_live(self, path: str) -> bool:
        head = self._heads.get(path)
        return head is not None and head.live

    def _fits(self, write: Write) -> bool:
        cost = self._cost(write)
        return self._room is None or cost == 0 or cost <= self._room

    def _cost(self, write: Write) -> int:
        """By how many bytes of its quota the vault would grow. A delete is free: of what takes room there is less."""
        if write.kind == "delete":
            return 0
        body = write.size if write.hash in self._new and write.hash not in self._referenced else 0
        return body + next_version(self._tx.vault, len(self._versions))

    def _refer(self, write: Write) -> None:
        if write.hash is not None:
            if self._room is not None:
                self._room -= self._cost(write)
            self._referenced[write.hash] = write.size

    def _count(self, version: Version | None, sign: int) -> None:
        if version is not None and version.live:
            self._totals.files += sign
            self._totals.bytes += sign * version.size

    def _place(self, version: Version, was_live: bool) -> None:
        """Keeps account of which files the group made and removed, for `blocker`."""
        path = version.path
        if version.live and not was_live:
            self._dead.discard(path)
            for folder in ancestors(path):
                self._folders.setdefault(folder, {})[path] = None
        elif was_live and not version.live:
            self._dead.add(path)
            for folder in ancestors(path):
                self._folders.get(folder, {}).pop(path, None)

    def _keep_candidate(self, write: Write) -> Conflict:
        """All candidates on one path and base share a record. A repeated request adds nothing."""
        known = [one for one in self._on(write.path) if one.base == write.base]
        repeated = next((one for one in known if self._is_repeated(one, write)), None)
        if repeated is not None:
            assert write.hash is not None, "a candidate has a body"
            self._had.add(write.hash)
            return repeated
        there = candidates.room_in((one for one in known if one.open), write)
        self._refer(write)
        write = replace(write, executable=write.executable_on(self._heads[write.path]))
        if there is None:
            first = candidates.candidate(write, 1, self._at or self.now)
            conflict = Conflict(secrets.token_hex(8), write.path, write.base, self.now, (first,))
        else:
            self._shelve(write.path, candidates.superseded(there, write))
            conflict = candidates.add(there, write, self._at or self.now)
        self._remember(conflict)
        return conflict

    def _crowded(self, write: Write) -> bool:
        on_path = self._on(write.path)
        known = (one for one in on_path if one.base == write.base)
        return candidates.crowded(on_path, write, self._most_candidates) and not any(
            self._is_repeated(one, write) for one in known
        )

    def _is_repeated(self, conflict: Conflict, write: Write) -> bool:
        """Whether the write came before and needs nothing more. A settled conflict answers as long as one of its
        versions has the bytes: once that was purged nothing would keep them."""
        if conflict.open:
            return candidates.is_newest(conflict, write)
        if not candidates.holds(conflict, write):
            return False
        settled = conflict.resolution or {}
        stamps = [*settled.get("versions", ()), *([settled["at"]] if "at" in settled else ())]
        versions = self._tx.find({(conflict.path, stamp) for stamp in stamps})
        return any(version.hash == write.hash for version in versions.values())

    def _shelve(self, path: str, superseded: Sequence[Candidate]) -> None:
        """Puts candidates into the history, and on top once more what stood there: nothing is decided by it."""
        head = self._heads[path]
        if superseded and head is not None:
            for one in superseded:
                self.store(candidates.as_write(path, one), passing=True)
            again = Write(path, head.kind, None, head.device, head.user, head.hash, head.size, head.mtime)
            self.store(replace(again, executable=head.executable), passing=True)

    def _settle_by(self, version: Version) -> None:
        """A conflict settles itself when the head has its only candidate's bytes."""
        for conflict in self._on(version.path):
            only = len(conflict.candidates) == 1 and conflict.candidates[0].hash == version.hash
            if conflict.open and only:
                self._remember(conflict.settled({"keep": "client", "at": version.stamp, "by": version.user}))

    def _on(self, path: str) -> list[Conflict]:
        return self._known.get(path, [])

    def _remember(self, conflict: Conflict) -> None:
        others = [one for one in self._on(conflict.path) if one.id != conflict.id]
        self._known[conflict.path] = [*others, conflict]
        self.settle(conflict)
