"""Undo: what stood at an earlier moment is put back, path by path, where nobody else was at it (docs/protocol.md, 8).

The order is that of `vaults.py`: the bodies made durable, then the metadata committed, then the others told. Everything
is judged once more inside the transaction that commits it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, NamedTuple

from store.access import Caller, check_writer
from store.allowance import Allowance
from store.base import Bodies, Bus, Metadata, Transaction, Vault
from store.bodies_confirm import confirm
from store.commit import Committed, Group
from store.counting import Counting
from store.errors import BadCursor, Purged
from store.groups import MOST_WRITES, publish
from store.offload import Offload, inline
from store.reader import Reader
from sync.judge import Verdict, Write
from sync.model import Cursor, Version

Reason = Literal["others", "conflict", "since", "path-taken", "purged", "body-missing"]

# Versions of the log that one command reads.
_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose changes after the stamp `since` are to be taken back: of this device, of this user (None: of any), to paths
    with this prefix, and not those that came after `until`."""

    since: int
    device: str | None = None
    user: str | None = None
    prefix: str = ""
    until: Cursor | None = None

    def means(self, version: Version) -> bool:
        return self.device in (None, version.device) and self.user in (None, version.user)


class Change(NamedTuple):
    """A new version, and the stamp of the one it brings back (None: the path is deleted). In a dry run it is the one
    that would come next, and its stamp means nothing."""

    version: Version
    restores: int | None


class Skipped(NamedTuple):
    """A path that is left as it is: its head, and why."""

    head: Version
    reason: Reason


@dataclass(frozen=True, slots=True)
class Undone:
    """`until`: the moment up to which changes were taken back."""

    until: Cursor
    changes: list[Change] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


@dataclass(slots=True)
class _Touched:
    """A path with changes after `since`: what its first one was made on, its newest version, and whose they were."""

    base: int | None
    head: Version
    meant: bool = False
    others: bool = False


class _Step(NamedTuple):
    """One path to put back: its head, and the put that stood there (None: nothing did)."""

    head: Version
    was: Version | None

    @property
    def body(self) -> tuple[str, int] | None:
        return (self.was.hash, self.was.size) if self.was and self.was.hash else None


class _Done(NamedTuple):
    changes: list[Change]
    skipped: list[Skipped]
    committed: Committed | None


class Undo:
    def __init__(
        self,
        metadata: Metadata,
        bodies: Bodies,
        bus: Bus,
        reader: Reader,
        *,
        offload: Offload = inline,
        allowance: Allowance | None = None,
    ) -> None:
        self._allowance = allowance or Allowance()
        self._metadata = metadata
        self._bodies = bodies
        self._bus = bus
        self._reader = reader
        self._offload = offload
        self._counting = Counting(metadata, bodies, offload)

    def preview(self, vault: Vault, asked: Asked, *, by: Caller) -> Undone:
        """What `run` would do now. Raises BadCursor, CursorExpired, Purged."""
        undone, steps = self._plan(vault, asked)
        gone: set[str] = set()  # for a file may come back where a folder would be gone by then
        for start in range(0, len(steps), MOST_WRITES):
            some = steps[start : start + MOST_WRITES]
            some = _with_bodies(some, self._offload(self._bodies.counted, vault.id, _bodies_of(some)), undone)
            if not some:
                continue
            about = {step.head.path for step in some}
            done = self._metadata.transact(vault.id, partial(_judge, some, by, frozenset(gone)), about, [by.identity])
            gone.update(one.version.path for one in done.changes if not one.version.live)
            _take(done, undone)
        return _in_order(undone)

    def run(self, vault: Vault, asked: Asked, *, by: Caller) -> Undone:
        """Puts back what stood at `asked.since`, as new versions by the caller, up to 1,000 a transaction.

        Raises BadCursor, CursorExpired, Purged, Full, SlowDown, Unavailable; Unauthorized, NotFound or Forbidden where
        the caller may not write (any more). What was committed before such an error stays, and asking again goes on
        with the rest.
        """
        self._allowance.check(by.user)
        undone, steps = self._plan(vault, asked)
        for start in range(0, len(steps), MOST_WRITES):
            self._allowance.check(by.user)
            self._put_back(vault, steps[start : start + MOST_WRITES], undone, by)
        return _in_order(undone)

    def _put_back(self, vault: Vault, steps: Sequence[_Step], undone: Undone, by: Caller) -> None:
        with self._counting.new_bodies(vault) as new:
            there = self._offload(self._bodies.reuse, vault.id, _bodies_of(steps))
            new.update(digest for digest, is_new in there.items() if is_new)
            counted = frozenset(new)
            some = _with_bodies(steps, there.keys(), undone)
            if not some:
                return
            about = {step.head.path for step in some}
            done = self._metadata.transact(vault.id, partial(_commit, some, by, counted), about, [by.identity])
            if done.committed is not None:
                self._allowance.spend(by.user, len(done.committed.versions))
                new.difference_update(done.committed.named)
                restored = {(one.hash, one.size) for one in done.committed.versions if one.hash is not None}
                confirm(self._bodies, self._offload, vault.id, restored)
                self._counting.committed(vault, {hash: size for hash, size in restored if hash not in counted})
                publish(self._bus, vault.id, done.committed)
            _take(done, undone)

    # -- what there is to do

    def _plan(self, vault: Vault, asked: Asked) -> tuple[Undone, list[_Step]]:
        """Deletes first, each kind by path: so a folder is gone before the file comes back that stood in its place."""
        until = self._until(vault, asked.until)
        undone = Undone(until)
        if asked.since < vault.purge_mark:
            raise Purged("what stood then was purged: its time to be kept was over")
        touched = {path: one for path, one in self._touched(vault, asked, until.stamp) if one.meant}
        bases = {(path, one.base) for path, one in touched.items() if one.base is not None}
        stood = self._metadata.find(vault.id, bases) if bases else {}
        steps = []
        for path, one in sorted(touched.items()):
            was = None if one.base is None else stood.get((path, one.base))
            if one.base is not None and (was is None or was.stamp > asked.since):
                undone.skipped.append(Skipped(one.head, "purged"))  # while this was reading
            elif not _same(was, one.head):
                if one.others:
                    undone.skipped.append(Skipped(one.head, "others"))
                elif one.head.stamp > until.stamp:
                    undone.skipped.append(Skipped(one.head, "since"))
                else:
                    steps.append(_Step(one.head, was if was and was.live else None))
        steps.sort(key=lambda step: step.was is not None)
        return undone, steps

    def _until(self, vault: Vault, cursor: Cursor | None) -> Cursor:
        if cursor is None:
            return self._reader.cursor(vault)
        if cursor.at_start or cursor.position is not None:
            raise BadCursor("`until` has to be the cursor that a dry run gave")
        self._reader.check(vault, cursor)
        return cursor

    def _touched(self, vault: Vault, asked: Asked, until: int) -> Iterator[tuple[str, _Touched]]:
        """Every path with the prefix that was changed after `since`, from one look through the log."""
        found: dict[str, _Touched] = {}
        page: list[Version] = []
        after = asked.since
        while after < vault.clock and (not page or len(page) == _PAGE):
            page = self._metadata.changes(vault.id, after, _PAGE)
            for version in page:
                if not version.path.startswith(asked.prefix):
                    continue
                one = found.setdefault(version.path, _Touched(version.base, version))
                one.head = version
                if version.stamp <= until:
                    meant = asked.means(version)
                    one.meant |= meant
                    one.others |= not meant
            after = page[-1].stamp if page else vault.clock
        yield from found.items()


def _commit(steps: Sequence[_Step], by: Caller, new: frozenset[str], tx: Transaction) -> _Done:
    check_writer(tx, by.identity)
    group = Group(tx, {step.head.path for step in steps}, conflicts=False, new=new)
    changes, skipped, _ = _judge_in(group, steps, by.device, by.user)
    return _Done(changes, skipped, group.finish([]))


def _judge(steps: Sequence[_Step], by: Caller, gone: frozenset[str], tx: Transaction) -> _Done:
    """What `_commit` would do, of which nothing is written."""
    check_writer(tx, by.identity)
    group = Group(tx, {step.head.path for step in steps}, conflicts=False, gone=gone)
    return _judge_in(group, steps, by.device, by.user)


def _judge_in(group: Group, steps: Sequence[_Step], device: str, user: str) -> _Done:
    changes: list[Change] = []
    skipped: list[Skipped] = []
    for planned, was in steps:
        path = planned.path
        head = group.head(path)
        assert head is not None, "a path that has versions keeps its head"
        if head.stamp != planned.stamp:
            if not _same(was, head):
                skipped.append(Skipped(head, "since"))
            continue
        if group.disputed(path):
            skipped.append(Skipped(head, "conflict"))
            continue
        if was is None:
            write = Write(path, "delete", head.stamp, device, user)
        else:
            write = Write(path, "put", head.stamp, device, user, was.hash, was.size, was.mtime)
            write = replace(write, executable=was.executable)
        outcome = group.add(write)
        if outcome.verdict is Verdict.BLOCKED:
            skipped.append(Skipped(head, "path-taken"))
        else:
            assert outcome.verdict is Verdict.STORE, "it is made on the head, and differs from it"
            assert outcome.version is not None
            changes.append(Change(outcome.version, was.stamp if was else None))
    return _Done(changes, skipped, None)


def _same(was: Version | None, head: Version) -> bool:
    """Whether the path is as it was already."""
    if was is None or not was.live:
        return not head.live
    return head.live and (head.hash, head.executable) == (was.hash, was.executable)


def _bodies_of(steps: Sequence[_Step]) -> set[tuple[str, int]]:
    return {step.body for step in steps if step.body is not None}


def _with_bodies(steps: Sequence[_Step], there: Collection[str], undone: Undone) -> list[_Step]:
    """The steps that can be done; those of which the body is lost are noted."""
    some = []
    for step in steps:
        if step.body is None or step.body[0] in there:
            some.append(step)
        else:
            undone.skipped.append(Skipped(step.head, "body-missing"))
    return some


def _take(done: _Done, undone: Undone) -> None:
    undone.changes.extend(done.changes)
    undone.skipped.extend(done.skipped)


def _in_order(undone: Undone) -> Undone:
    undone.skipped.sort(key=lambda one: one.head.path)
    return undone
