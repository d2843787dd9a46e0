"""A vault beside a simple model of it, through thousands of random steps: the same outcomes, counters and history."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from store.bodies import DiskBodies
from store.commit import Outcome
from store.errors import NotFound, PathTaken, Stale
from store.settle import Choice
from sync.judge import Verdict, Write
from sync.model import START, Cursor, Json, Version
from sync.paths import ancestors
from tests.contract.backends import BACKENDS, Make
from tests.store.world import USER, World, change, parcel, removal, sha256

PATHS = ("a", "a/b", "a/b/c", "ab", "b", "b/a")
BODIES = (b"", b"a", b"bb", b"ccc")


@dataclass(frozen=True)
class Step:
    """A version as the model has it; `body` is None for a tombstone."""

    path: str
    stamp: int
    body: bytes | None


@dataclass
class Dispute:
    """A conflict as the model has it: candidates as (body, device)."""

    path: str
    base: int | None
    candidates: list[tuple[bytes, str]]
    open: bool = True


@dataclass
class Model:
    """What a vault is: a log, and disputes over paths. Nothing else is remembered; all else is counted anew."""

    log: list[Step] = field(default_factory=list)
    disputes: dict[str, Dispute] = field(default_factory=dict)

    def head(self, path: str) -> Step | None:
        return next((step for step in reversed(self.log) if step.path == path), None)

    @property
    def live(self) -> dict[str, bytes]:
        last = {step.path: step.body for step in self.log}
        return {path: body for path, body in last.items() if body is not None}

    @property
    def open(self) -> int:
        return sum(dispute.open for dispute in self.disputes.values())

    @property
    def referenced(self) -> set[bytes]:
        named = {step.body for step in self.log if step.body is not None}
        return named | {body for dispute in self.disputes.values() for body, _ in dispute.candidates}

    def in_the_way(self, path: str) -> bool:
        return any(other in ancestors(path) or path in ancestors(other) for other in self.live)

    def expected(self, path: str, body: bytes | None, base: int | None, keep: bool, device: str) -> Verdict:
        """docs/protocol.md, section 4, in a few lines."""
        head, here = self.head(path), self.live.get(path)
        if body is None:
            if head is not None and head.stamp == base:
                return Verdict.GONE if here is None else Verdict.STORE
            before = next((step for step in reversed(self.log) if step.path == path and step is not head), None)
            repeated = head is not None and here is None and before is not None and before.stamp == base
            return Verdict.REPEATED if repeated and self.author[head] == device else Verdict.STALE
        if here == body:
            return Verdict.SAME
        if here is None:
            met = base is None or keep or (head is not None and head.stamp == base)
            return (Verdict.BLOCKED if self.in_the_way(path) else Verdict.STORE) if met else Verdict.STALE
        if head is not None and head.stamp == base:
            return Verdict.STORE
        return Verdict.KEEP if keep else Verdict.STALE

    author: dict[Step | None, str] = field(default_factory=dict)

    def store(self, version: Version, body: bytes | None, *, settles: bool = True) -> None:
        head = self.head(version.path)
        assert version.base == (head.stamp if head else None)
        assert version.hash == (None if body is None else sha256(body))
        assert not self.log or version.stamp > self.log[-1].stamp
        step = Step(version.path, version.stamp, body)
        self.log.append(step)
        self.author[step] = version.device
        for dispute in self.disputes.values():
            if settles and dispute.path == version.path and [one for one, _ in dispute.candidates] == [body]:
                dispute.open = False

    def dispute(self, id: str, path: str, base: int | None, body: bytes, device: str) -> None:
        here = [key for key, one in self.disputes.items() if (one.path, one.base) == (path, base)]
        if any((body, device) in self.disputes[key].candidates for key in here):
            assert id in here
            return
        open_ones = [key for key in here if self.disputes[key].open]
        assert [id] == open_ones or (not open_ones and id not in self.disputes)
        self.disputes.setdefault(id, Dispute(path, base, [])).candidates.append((body, device))


class VaultMachine(RuleBasedStateMachine):
    """One vault; two devices. `backend` and `mongo_uri` are set by the test."""

    backend: Make
    mongo_uri: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.store = self.backend(folder, self.mongo_uri)
        self.world = World(self.store.open(), DiskBodies(folder / "bodies"))
        self.model = Model()

    def teardown(self) -> None:
        self.check_history()
        self.check_snapshots()
        self.store.close()
        self._folder.cleanup()

    def base(self, path: str, which: str) -> int | None:
        """`head`: the present one; `old`: the one before it; `none`."""
        stamps = [step.stamp for step in self.model.log if step.path == path]
        if which == "none" or not stamps:
            return None
        return stamps[-2] if which == "old" and len(stamps) > 1 else stamps[-1]

    paths = st.sampled_from(PATHS)
    bodies = st.sampled_from(BODIES)
    devices = st.sampled_from(("laptop", "phone"))
    bases = st.sampled_from(("head", "head", "old", "none"))

    # -- one file

    @rule(path=paths, body=bodies, which=bases, keep=st.booleans(), device=devices, announced=st.booleans())
    def put(self, path: str, body: bytes, which: str, keep: bool, device: str, announced: bool) -> None:
        base = self.base(path, which)
        expected = self.model.expected(path, body, base, keep, device)
        try:
            outcome = self.world.put(path, body, base, keep=keep, device=device, announced=announced)
        except Stale:
            assert expected is Verdict.STALE
        except PathTaken as error:
            in_the_way = error.version.path
            assert expected is Verdict.BLOCKED
            assert in_the_way in self.model.live
        else:
            assert outcome.verdict is expected
            self.take(path, body, base, device, outcome)

    @rule(path=paths, which=bases, device=devices)
    def delete(self, path: str, which: str, device: str) -> None:
        base = self.base(path, which)
        expected = self.model.expected(path, None, base, False, device)
        try:
            outcome = self.world.vaults.delete(
                self.world.vault, Write(path, "delete", base, device, USER), by=self.world.by()
            )
        except Stale:
            assert expected is Verdict.STALE
        except NotFound:
            assert expected is Verdict.GONE
        else:
            assert outcome.verdict is expected
            self.take(path, None, base, device, outcome)

    def take(self, path: str, body: bytes | None, base: int | None, device: str, outcome: Outcome) -> None:
        """Writes into the model what the vault says it did."""
        if outcome.verdict is Verdict.STORE:
            assert outcome.version is not None
            assert outcome.created == (body is not None and path not in self.model.live)
            assert (outcome.after, outcome.cursor) == (self.clock(), outcome.version.stamp)
            self.model.store(outcome.version, body)
        elif outcome.verdict is Verdict.KEEP:
            assert outcome.conflict is not None
            assert body is not None
            self.model.dispute(outcome.conflict.id, path, base, body, device)

    def clock(self) -> int:
        return self.model.log[-1].stamp if self.model.log else 0

    @rule(path=paths, index=st.integers(0, 5), moved=st.booleans())
    def restore(self, path: str, index: int, moved: bool) -> None:
        steps = [step for step in self.model.log if step.path == path and step.body is not None]
        assume(steps)
        step = steps[index % len(steps)]
        head = self.base(path, "old" if moved else "head")
        stale = head != self.base(path, "head")
        taken = path not in self.model.live and self.model.in_the_way(path)
        same = self.model.live.get(path) == step.body
        try:
            outcome = self.world.vaults.restore(self.world.vault, path, step.stamp, head, by=self.world.by("desktop"))
        except Stale:
            assert stale
        except PathTaken:
            assert taken
        else:
            assert not stale
            assert not taken
            assert (outcome.verdict is Verdict.SAME) == same
            self.take(path, step.body, head, "desktop", outcome)

    # -- many files

    entries = st.tuples(paths, st.none() | bodies, bases, st.booleans())

    @rule(entries=st.lists(entries, min_size=1, max_size=6), keep=st.booleans(), device=devices)
    def push(self, entries: list[tuple[str, bytes | None, str, bool]], keep: bool, device: str) -> None:
        """Every change judged after the ones before it; a body that the vault has may be left out."""
        manifest: list[Json] = []
        sent: list[tuple[str, bytes]] = []
        for path, body, which, bare in entries:
            base = self.base(path, which)
            if body is None:
                manifest.append(removal(path, base if base is not None else 0))
                continue
            manifest.append(change(path, body, base))
            # Of a path that is there twice, nobody could say which of its bodies was left out.
            once = sum(other == path for other, *_ in entries) == 1
            if not (bare and once and body in self.model.referenced):
                sent.append((path, body))
        results = self.world.push(parcel(manifest, sent), keep=keep, device=device).results
        refusals = {Verdict.STALE: "conflict", Verdict.GONE: "not-found", Verdict.BLOCKED: "path-taken"}
        for (path, body, _, _), row, result in zip(entries, manifest, results, strict=True):
            verdict = self.model.expected(path, body, row["base"], keep, device)
            assert (result.path, result.code) == (path, refusals.get(verdict))
            if verdict is Verdict.STORE:
                assert result.status == ("deleted" if body is None else "stored")
                assert result.version is not None
                self.model.store(result.version, body)
            elif verdict is Verdict.KEEP:
                assert result.conflict is not None
                assert body is not None
                self.model.dispute(result.conflict.id, path, row["base"], body, device)

    @rule(path=paths)
    def push_without_a_body_that_was_never_sent(self, path: str) -> None:
        assert self.world.statuses(parcel([change(path, b"never sent")])) == ["need-body"]

    # -- conflicts

    @rule(
        index=st.integers(0, 5),
        keep=st.sampled_from(("server", "client", "both", "merged")),
        candidate=st.none() | st.integers(1, 2),
        text=bodies,
        moved=st.booleans(),
    )
    def resolve(self, index: int, keep: str, candidate: int | None, text: bytes, moved: bool) -> None:
        disputes = [(id, one) for id, one in self.model.disputes.items() if one.open]
        assume(disputes)
        id, dispute = disputes[index % len(disputes)]
        assume(candidate is None or candidate <= len(dispute.candidates))
        head = self.base(dispute.path, "old" if moved else "head")
        assert head is not None
        choice = Choice(keep, head, "desktop", USER, candidate, text.decode() if keep == "merged" else None)
        try:
            versions = self.world.vaults.resolve(self.world.vault, id, choice, by=self.world.by())
        except Stale:
            assert head != self.base(dispute.path, "head")
            return
        except PathTaken:
            assert dispute.path not in self.model.live
            assert self.model.in_the_way(dispute.path)
            return
        assert head == self.base(dispute.path, "head")
        self.take_settlement(dispute, versions, keep, candidate, text)

    def take_settlement(
        self, dispute: Dispute, versions: list[Version], keep: str, candidate: int | None, text: bytes
    ) -> None:
        server = self.model.live.get(dispute.path)
        chosen = dispute.candidates[candidate - 1 if candidate else -1][0]
        outcome = {"server": server, "both": server, "client": chosen, "merged": text}[keep]
        following = iter(versions)
        for body, _ in dispute.candidates:
            self.model.store(next(following), body, settles=False)
        self.model.store(next(following), outcome)
        if keep == "both":
            beside = next(following)
            assert beside.path not in self.model.live
            assert beside.path.startswith(dispute.path + " (conflict ")
            self.model.store(beside, chosen)
        assert next(following, None) is None
        dispute.open = False

    # -- what always holds

    @invariant()
    def counters_are_what_counting_anew_gives(self) -> None:
        vault, live = self.world.vault, self.model.live
        assert vault.clock == self.clock()
        assert vault.files == len(live)
        assert vault.bytes == sum(map(len, live.values()))
        assert vault.stored == sum(map(len, self.model.referenced))
        assert vault.conflicts == self.model.open

    @invariant()
    def no_live_path_is_a_folder_of_another(self) -> None:
        listed = self.world.files()
        assert listed == self.model.live
        assert not any(folder in listed for path in listed for folder in ancestors(path))

    @rule()
    def check_history(self) -> None:
        """The log has every version, by stamp and by path; every conflict has every candidate."""
        log = [(step.path, step.stamp) for step in self.model.log]
        assert [(version.path, version.stamp) for version in self.world.log()] == log
        for path in {step.path for step in self.model.log}:
            page, _ = self.world.reader.history(self.world.vault, path, None, 1000)
            assert [one.stamp for one in page] == [stamp for name, stamp in reversed(log) if name == path]
        there = {one.id: one for one in self.world.reader.conflicts(self.world.vault)}
        assert there.keys() == {id for id, one in self.model.disputes.items() if one.open}
        for id, dispute in self.model.disputes.items():
            conflict = self.world.reader.conflict(self.world.vault, id)
            assert [(one.hash, one.device) for one in conflict.candidates] == [
                (sha256(body), device) for body, device in dispute.candidates
            ]

    @rule(limit=st.integers(1, 3))
    def check_snapshots(self, limit: int = 2) -> None:
        """A first listing is the live heads; the pages from the beginning of the log are all of it."""
        snapshot = list(self.follow(START, limit))
        assert {one.path: one.hash for one in snapshot} == {
            path: sha256(body) for path, body in self.model.live.items()
        }
        assert len(snapshot) == len(self.model.live)
        log = list(self.follow(Cursor(self.world.vault.epoch, 0), limit))
        assert [one.stamp for one in log] == [step.stamp for step in self.model.log]

    def follow(self, cursor: Cursor, limit: int) -> Iterator[Version]:
        more = True
        while more:
            page, cursor, more = self.world.reader.changes(self.world.vault, cursor, limit)
            yield from page
        assert cursor == self.world.reader.cursor(self.world.vault)


@pytest.mark.parametrize("kind", sorted(BACKENDS))
def test_a_vault_behaves_like_the_model_of_it(kind: str, mongo_uri: Callable[[], str]) -> None:
    its = {"backend": staticmethod(BACKENDS[kind]), "mongo_uri": staticmethod(mongo_uri)}
    machine = type("Machine", (VaultMachine,), its)
    run_state_machine_as_test(
        machine,
        settings=settings(
            deadline=None, max_examples=25, stateful_step_count=40, suppress_health_check=list(HealthCheck)
        ),
    )
