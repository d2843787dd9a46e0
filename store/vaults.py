"""What a vault does when it is written to: the body made durable, then the metadata committed, then the others told.

This is the one place with that order.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from store.access import Caller, check_writer
from store.allowance import Allowance
from store.arrival import Arrival
from store.base import Bodies, Bus, Identity, Metadata, Received, Transaction, Vault
from store.bodies_confirm import confirm
from store.bodies_verify import damaged
from store.commit import Batch, Committed, Group, Limits, Outcome
from store.counting import Counting
from store.errors import (
    BadRequest,
    BodyMissing,
    DiskFull,
    Full,
    HashMismatch,
    LengthMismatch,
    NotFound,
    PathTaken,
    Purged,
    Stale,
    TooLarge,
    TooMany,
)
from store.groups import MOST_WRITES, GroupCommit, publish
from store.intake import Intake, Item
from store.merging import Merging, settle_by_merge
from store.offload import Offload, inline
from store.quota import MIB, Quota
from store.settle import Choice, settle
from sync.candidates import MOST_ON_PATH
from sync.judge import USES_ROOM, Verdict, Write, judge
from sync.model import Candidate, Conflict, Version

log = logging.getLogger("gobi.vaults")

_STALE = "the path has changed since: look at `head`, then decide again"
_REFUSAL = {
    Verdict.STALE: "conflict",
    Verdict.GONE: "not-found",
    Verdict.BLOCKED: "path-taken",
    Verdict.NO_ROOM: "quota",
    Verdict.CROWDED: "too-many",
}
# How long a push settles conflicts by merging before its client gets an answer; the others stay open.
MERGING_S = 10.0
# Those after which something refers to the body of the write.
_USING = (Verdict.STORE, Verdict.KEEP, Verdict.SAME)
_STATUS = {Verdict.SAME: "same", Verdict.REPEATED: "deleted", Verdict.KEEP: "conflict"}


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of one pushed change: the fields of docs/protocol.md, section 6.

    `version`: the one that says so; for what was refused, the one in the way. `candidate`: what it became.
    """

    path: str
    status: str
    version: Version | None = None
    conflict: Conflict | None = None
    code: str | None = None
    head: Version | None = None
    candidate: Candidate | None = None


@dataclass(frozen=True, slots=True)
class Pushed:
    """`after` and `cursor` (stamps) are None where somebody else's version may lie between them."""

    results: list[PushResult]
    after: int | None
    cursor: int | None


class Vaults:
    """Every write to a vault. `max_file` and `quota` are bytes; a quota of 0 is none. `candidates`: how many the open
    conflicts on one path may have together. `allowance`: what one user may write in a day; beyond it
    comes SlowDown.

    `by`: whose request it is. Every method with it raises Unauthorized, NotFound or Forbidden where it turns out in the
    end that they may not write (any more); then nothing was stored, of a push nothing more.
    """

    def __init__(
        self,
        metadata: Metadata,
        bodies: Bodies,
        bus: Bus,
        *,
        offload: Offload = inline,
        merging: Merging | None = None,
        max_file: int = 2048 * MIB,
        quota: int = 0,
        candidates: int = MOST_ON_PATH,
        allowance: Allowance | None = None,
    ) -> None:
        self._metadata = metadata
        self._bodies = bodies
        self._bus = bus
        self._offload = offload
        self._max_file = max_file
        self._allowance = allowance or Allowance()
        self._quota = Quota(metadata, bodies, offload, quota)
        self._groups = GroupCommit(metadata, bus, Limits(quota, candidates))
        self._merging = merging or Merging(metadata, bodies, offload=offload)
        self._counting = Counting(metadata, bodies, offload)

    @property
    def max_file(self) -> int:
        """Bytes of the largest file that is taken."""
        return self._max_file

    # -- one file

    def put(
        self,
        vault: Vault,
        head: Version | None,
        write: Write,
        chunks: Iterable[bytes],
        *,
        length: int | None,
        hash: str | None,
        by: Caller,
    ) -> Outcome:
        """Stores a body as the path's newest version, or as a candidate where `write.keep` says so.

        `head` is the path's newest version as the caller found it: with it, what can be refused is refused before it
        reads `chunks`. `length` and `hash` are what was announced, None where it was not. Verdicts that come back:
        STORE, SAME, KEEP. Raises Stale, PathTaken, TooLarge, HashMismatch, LengthMismatch, Full.
        """
        self._allowance.check(by.user)
        self._check_early(vault, head, write, length, hash)
        trial = _may_be_same(head, length, hash) or self._quota.may_count(vault, hash, length)
        with self._quota.arrival(vault) as arrival:
            received = self._receive(self._quota.admitted(vault, arrival, chunks, length, trial=trial), length)
            try:
                if hash is not None and received.hash != hash:
                    raise HashMismatch("the body's SHA-256 is not the announced one: damaged on the way, send it again")
                self._allowance.spend(by.user, 0, received.size)
                write = replace(write, hash=received.hash, size=received.size)
                if head is None or head.hash != received.hash:  # or it may have been lost, and is counted already
                    self._quota.settle(vault, arrival, received.hash, received.size)
            except BaseException:
                self._offload(self._bodies.discard, [received])
                raise
            with self._counting.new_bodies(vault) as new:
                new.update(self._offload(self._bodies.keep, vault.id, [received]))
                outcome = self._commit_one(vault, write, new, by)
        return self._settled_by_merge(vault, [write], [outcome], by)[0]

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn to commit."""
        return self._groups.waiting

    def delete(self, vault: Vault, write: Write, *, by: Caller) -> Outcome:
        """Stores a tombstone. Verdicts that come back: STORE, REPEATED. Raises Stale, NotFound, SlowDown."""
        self._allowance.check(by.user)
        return self._commit_one(vault, write, set(), by)

    def restore(self, vault: Vault, path: str, stamp: int, head: int | None, *, by: Caller) -> Outcome:
        """Makes an older version's body the newest one. `head` is the head the person looked at.

        Raises NotFound, Purged, BadRequest (a tombstone), Stale, PathTaken, BodyMissing.
        """
        self._allowance.check(by.user)
        version = self._metadata.find(vault.id, [(path, stamp)]).get((path, stamp))
        if version is None:
            raise unknown_version(vault, stamp)
        if version.hash is None:
            raise BadRequest("that version is a deletion: delete the file instead")
        there = self._metadata.heads(vault.id, [path]).get(path)
        if (there.stamp if there else None) != head:
            raise Stale(_STALE, there)
        write = Write(path, "put", head, by.device, by.user, version.hash, version.size, version.mtime)
        write = replace(write, executable=version.executable)
        with self._counting.new_bodies(vault) as new:
            self._require_bodies(vault, [(version.hash, version.size)], new)
            return self._commit_one(vault, write, new, by)

    def _check_early(
        self, vault: Vault, head: Version | None, write: Write, length: int | None, hash: str | None
    ) -> None:
        """Refuses what can be refused before the body has come."""
        if length is not None and length > self._max_file:
            raise TooLarge(f"files of more than {self._max_file} bytes are not taken here")
        may_be_same = _may_be_same(head, length, hash)
        if not may_be_same and judge(write, head, blocked=False) is Verdict.STALE:
            raise Stale(_STALE, head)
        if length is not None and not self._quota.holds(vault, length):
            its_own = head is not None and head.hash == hash
            fits = its_own or self._quota.counts(vault, hash, length) if hash is not None else may_be_same
            if not fits:
                raise self._quota.exceeded(vault)

    def _receive(self, chunks: Iterable[bytes], length: int | None) -> Received:
        incoming = self._bodies.receive(self._max_file)
        try:
            for chunk in chunks:
                incoming.write(chunk)
                if incoming.flush_due:
                    self._offload(incoming.flush)
            received = incoming.finish()
        except BaseException:
            incoming.discard()
            raise
        if length is not None and received.size != length:
            self._bodies.discard([received])
            raise LengthMismatch(f"{length} bytes were announced, {received.size} came: send it again")
        return received

    def _commit(self, vault: Vault, writes: Sequence[Write], new: set[str], by: Caller) -> list[Outcome]:
        """Commits, and takes the bodies out of `new` that found a use. Raises BodyMissing."""
        counted = frozenset(new)
        outcomes, named = self._groups.commit(vault.id, Batch(writes, counted, by.identity))
        new -= named
        self._allowance.spend(by.user, sum(outcome.verdict in USES_ROOM for outcome in outcomes))
        used = [one for one, outcome in zip(writes, outcomes, strict=True) if outcome.verdict in _USING]
        sizes = {one.hash: one.size for one in used if one.hash is not None}
        confirm(self._bodies, self._offload, vault.id, set(sizes.items()))
        self._counting.committed(vault, {digest: sizes[digest] for digest in sizes.keys() - counted})
        return outcomes

    def _commit_one(self, vault: Vault, write: Write, new: set[str], by: Caller) -> Outcome:
        outcome = self._commit(vault, [write], new, by)[0]
        if outcome.verdict is Verdict.STALE:
            raise Stale(_STALE, outcome.head)
        if outcome.verdict is Verdict.NO_ROOM:
            raise self._quota.exceeded(vault)
        if outcome.verdict is Verdict.CROWDED:
            raise TooMany("as many edits of the file wait for a decision as may be: settle its conflicts first")
        if outcome.verdict is Verdict.GONE:
            raise NotFound("the file is deleted already", head=outcome.head)
        if outcome.blocker is not None:
            raise PathTaken(
                "a file stands where this path needs a folder, or the reverse: rename one of them", outcome.blocker
            )
        return outcome

    # -- many files

    def push(self, vault: Vault, chunks: Iterable[bytes], *, keep: bool, by: Caller) -> Pushed:
        """Commits the changes of a bundle, each for itself: what does not fit is refused, the rest goes on.

        Raises BadRequest, TooLarge; Full where not one change fits; SlowDown where the user may write nothing today.
        """
        self._allowance.check(by.user)
        with self._quota.arrival(vault) as arrival, self._counting.new_bodies(vault) as new:
            intake = Intake(
                self._bodies, device=by.device, user=by.user, keep=keep, max_file=self._max_file, admit=arrival.admit
            )
            try:
                for chunk in chunks:
                    self._offload(intake.feed, chunk)
                items = intake.close()
                self._spend(by.user, items)
                _check_disk(vault, items)
                self._keep_all(vault, items, new, arrival)
            except BaseException:
                self._offload(intake.discard)
                raise
            writes, outcomes, after, cursor = self._commit_all(vault, items, new, by)
        following = iter(self._settled_by_merge(vault, writes, outcomes, by))
        results = [_refused(item) if item.refusal else _result(item, next(following)) for item in items]
        return Pushed(results, after, cursor)

    def _spend(self, user: str, items: Sequence[Item]) -> None:
        """Counts the bodies that came, and refuses the changes that are more than the user may write in a day."""
        self._allowance.spend(user, 0, sum(item.received.size for item in items if item.received))
        open_items = [item for item in items if item.refusal is None]
        left = self._allowance.left(user)
        over = open_items[left:] if left is not None else []
        self._offload(self._bodies.discard, [item.received for item in over if item.received])
        for item in over:
            item.received, item.refusal = None, "slow-down"

    def _keep_all(self, vault: Vault, items: Sequence[Item], new: set[str], arrival: Arrival) -> None:
        """Every body durable before any version names it; puts without one are refused."""
        self._quota.refuse(vault, items, arrival)
        received = [item.received for item in items if item.received]
        if received:
            new |= self._offload(self._bodies.keep, vault.id, received)
        bare = [item for item in items if item.refusal is None and item.received is None]
        wanted = {(w.hash, w.size) for item in bare if (w := item.write) and w.kind == "put" and w.hash}
        there = self._offload(self._bodies.reuse, vault.id, wanted) if wanted else {}
        for item in bare:
            if item.write and item.write.kind == "put" and item.write.hash not in there:
                item.refusal = "need-body"
        new |= {digest for digest, is_new in there.items() if is_new}

    def _commit_all(
        self, vault: Vault, items: Sequence[Item], new: set[str], by: Caller
    ) -> tuple[list[Write], list[Outcome], int | None, int | None]:
        """What was committed and what became of each, and the stamps of `Pushed`."""
        open_items = [item for item in items if item.refusal is None and item.write]
        writes = [item.write for item in open_items if item.write]
        outcomes: list[Outcome] = []
        after = cursor = None
        for start in range(0, len(writes), MOST_WRITES):
            some = writes[start : start + MOST_WRITES]
            try:
                done = self._commit(vault, some, new, by)
            except Full as error:
                if not outcomes:
                    raise
                for item in open_items[start:]:
                    item.refusal = "disk-full" if isinstance(error, DiskFull) else "metadata-full"
                log.error("the rest of a push into %s was refused: %s", vault.name, error)
                break
            if start == 0:
                after, cursor = done[0].after, done[-1].cursor
            elif done[0].after != cursor:
                after = None  # somebody else's versions lie in between
            cursor = done[-1].cursor
            outcomes += done
        return writes[: len(outcomes)], outcomes, after, cursor if after is not None else None

    # -- what the disk has lost

    def give_back(self, vault: Vault, hash: str, chunks: Iterable[bytes], *, length: int | None, by: Caller) -> None:
        """Stores a body that the vault is known to have lost. Raises NotFound, HashMismatch, TooLarge, LengthMismatch,
        DiskFull."""
        if not self._offload(self._bodies.is_lost, vault.id, hash):
            raise NotFound("no such body is missing here (any more)")
        with self._quota.arrival(vault) as arrival:
            received = self._receive(self._quota.admitted(vault, arrival, chunks, length, trial=True), length)
            if received.hash != hash:
                self._offload(self._bodies.discard, [received])
                raise HashMismatch("the body's SHA-256 is another one: this is not what was lost")
            try:  # nothing is committed, so this is where it is decided
                self._metadata.transact(vault.id, lambda tx: check_writer(tx, by.identity), by=[by.identity])
            except BaseException:
                self._offload(self._bodies.discard, [received])
                raise
            # Not counted as new: it was, all the time that it was lost.
            self._offload(self._bodies.keep, vault.id, [received])

    # -- conflicts

    def resolve(self, vault: Vault, conflict_id: str, choice: Choice, *, by: Caller) -> list[Version]:
        """Settles a conflict in one transaction; returns the new versions in order.

        Raises NotFound, BadRequest (settled already, or a choice that makes no sense), Stale, PathTaken, TooLarge,
        Full.
        """
        return self._resolve(by, vault, conflict_id, choice).versions

    def _resolve(self, by: Caller, vault: Vault, conflict_id: str, choice: Choice) -> Committed:
        self._allowance.check(by.user)
        with self._quota.arrival(vault) as arrival, self._counting.new_bodies(vault) as new:
            if choice.text is not None:
                received = self._receive_text(vault, choice.text, arrival)
                new.update(self._offload(self._bodies.keep, vault.id, [received]))
                choice = replace(choice, merged=(received.hash, received.size))
            conflict = self._metadata.conflict(vault.id, conflict_id)
            if conflict is None:
                raise NotFound("there is no such conflict")
            lost = self._require_sides(vault, conflict, choice, new)
            counted = frozenset(new)
            work = partial(_resolve, by.identity, conflict_id, choice, counted)
            done = self._metadata.transact(vault.id, work, {conflict.path}, [by.identity])
            self._allowance.spend(by.user, len(done.versions))
            new.difference_update(done.named)
            wanted = {(one.hash, one.size) for one in done.versions if one.hash is not None and one.hash not in lost}
            confirm(self._bodies, self._offload, vault.id, wanted)
            self._counting.committed(vault, {hash: size for hash, size in wanted if hash not in counted})
        publish(self._bus, vault.id, done)
        return done

    def _receive_text(self, vault: Vault, text: str, arrival: Arrival) -> Received:
        try:
            body = text.encode()
        except UnicodeEncodeError:  # JSON can spell half of a surrogate pair
            raise BadRequest("`text` is no text: there is half of a surrogate pair in it") from None
        received = self._receive([body], None)
        try:
            self._quota.settle(vault, arrival, received.hash, received.size)
        except BaseException:
            self._offload(self._bodies.discard, [received])
            raise
        return received

    def _settled_by_merge(
        self, vault: Vault, writes: Sequence[Write], outcomes: list[Outcome], by: Caller
    ) -> list[Outcome]:
        """Where the vault wants that: new candidates merged, and what became of their conflicts in the outcomes."""
        if not vault.auto_merge:
            return outcomes
        deadline = time.monotonic() + MERGING_S

        def attempt(write: Write, outcome: Outcome) -> Outcome:
            if outcome.conflict is None or time.monotonic() > deadline:
                return outcome
            conflict = settle_by_merge(self._merging, partial(self._resolve_merged, by), vault, outcome.conflict, write)
            return replace(outcome, conflict=conflict)

        return [attempt(write, outcome) for write, outcome in zip(writes, outcomes, strict=True)]

    def _resolve_merged(self, by: Caller, vault: Vault, conflict_id: str, choice: Choice) -> Committed:
        if self._quota.limit:  # the vault has grown by the candidate
            there = self._metadata.vault(vault.name)
            vault = there if there is not None and there.id == vault.id else vault
        return self._resolve(by, vault, conflict_id, choice)

    # -- room and bodies

    def _require_sides(self, vault: Vault, conflict: Conflict, choice: Choice, new: set[str]) -> set[str]:
        """The hashes of candidates that the disk has lost. They are in the history with the others, and are asked for;
        only what the outcome is made of has to be there. Raises BodyMissing."""
        needed: dict[str, int] = {}
        chosen = conflict.candidate(choice.candidate)
        if chosen is not None and choice.keep in ("client", "both"):
            needed[chosen.hash] = chosen.size
        head = self._metadata.heads(vault.id, [conflict.path]).get(conflict.path)
        if head is not None and head.hash is not None and choice.keep in ("server", "both"):
            needed[head.hash] = head.size
        wanted = needed | {one.hash: one.size for one in conflict.candidates}
        there = self._offload(self._bodies.reuse, vault.id, wanted.items())
        new |= {digest for digest, is_new in there.items() if is_new}
        lost = wanted.keys() - there.keys()
        for digest in lost:
            with suppress(BodyMissing):
                self._offload(self._bodies.open, vault.id, digest).close()  # so clients hear that it is lost
        for digest in lost & needed.keys():
            raise damaged(digest)
        return lost

    def _require_bodies(self, vault: Vault, wanted: Sequence[tuple[str, int]], new: set[str]) -> None:
        there = self._offload(self._bodies.reuse, vault.id, wanted)
        new |= {digest for digest, is_new in there.items() if is_new}
        for digest, _ in wanted:
            if digest not in there:
                self._offload(self._bodies.open, vault.id, digest).close()  # so clients hear that it is lost
                raise damaged(digest)


def _resolve(who: Identity, conflict_id: str, choice: Choice, new: Collection[str], tx: Transaction) -> Committed:
    check_writer(tx, who)
    conflict = tx.conflict(conflict_id)
    if conflict is None:
        raise NotFound("there is no such conflict")
    group = Group(tx, {conflict.path}, conflicts=True, new=new)
    settle(group, tx, conflict, choice)
    return group.finish([])


def _may_be_same(head: Version | None, length: int | None, hash: str | None) -> bool:
    """Unannounced bytes may turn out to be the head's own, which is fine; of another length they cannot."""
    return head is not None and head.live and hash in (None, head.hash) and length in (None, head.size)


def unknown_version(vault: Vault, stamp: int) -> NotFound | Purged:
    """The right error for a version that the log does not have."""
    if 0 < stamp <= vault.purge_mark:
        return Purged("that version was purged: its time to be kept was over")
    return NotFound("there is no such version of this path")


def _check_disk(vault: Vault, items: Sequence[Item]) -> None:
    """Tells of bodies that the disk had no room for. Raises DiskFull where nothing else was sent."""
    over = [item for item in items if item.refusal == "disk-full"]
    if over and len(over) == len(items):
        raise DiskFull("no room on the server's disk: free some, then try again")
    if over:
        log.error("no room on the disk for %d of %d changes of a push into %s", len(over), len(items), vault.name)


def _refused(item: Item) -> PushResult:
    if item.refusal == "need-body":
        return PushResult(item.path, "need-body")
    return PushResult(item.path, "rejected", code=item.refusal)


def _result(item: Item, outcome: Outcome) -> PushResult:
    if outcome.verdict in _REFUSAL:
        head = outcome.blocker or outcome.head
        return PushResult(item.path, "rejected", outcome.blocker, code=_REFUSAL[outcome.verdict], head=head)
    stored = "stored" if item.write and item.write.kind == "put" else "deleted"
    status = _STATUS.get(outcome.verdict, stored)
    head = outcome.head if outcome.verdict is Verdict.KEEP else None
    own = _candidate(outcome.conflict, item.write)
    return PushResult(item.path, status, outcome.version, outcome.conflict, head=head, candidate=own)


def _candidate(conflict: Conflict | None, write: Write | None) -> Candidate | None:
    """What the write is in its conflict."""
    there = conflict.candidates if conflict is not None and write is not None else ()
    return next((one for one in reversed(there) if write is not None and one.hash == write.hash), None)
