"""What a write meets: the rules of docs/protocol.md, section 4, case by case."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.judge import Verdict, Write, judge
from sync.model import Version
from tests.sync.one_path import PATH, Log, hash_of, version


def put(letter: str, base: int | None, *, keep: bool = False) -> Write:
    return Write(PATH, "put", base, "laptop", "me", hash_of(letter), 1, keep=keep)


def delete(base: int | None, *, device: str = "laptop", user: str = "me") -> Write:
    return Write(PATH, "delete", base, device, user)


@dataclass(frozen=True)
class Case:
    name: str
    log: str
    write: Write
    verdict: Verdict
    blocked: bool = False

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


CASES = [
    # A write without a base never replaces anything.
    Case("a new file", "", put("A", None), Verdict.STORE),
    Case("no base on a live head", "10:A", put("B", None), Verdict.STALE),
    Case("no base on a tombstone", "10:A 20:-", put("B", None), Verdict.STORE),
    Case("no base on a live head, to be kept", "10:A", put("B", None, keep=True), Verdict.KEEP),
    # If-Match.
    Case("the base is the head", "10:A", put("B", 10), Verdict.STORE),
    Case("the base is an older version", "10:A 20:B", put("C", 10), Verdict.STALE),
    Case("the base is an older version, to be kept", "10:A 20:B", put("C", 10, keep=True), Verdict.KEEP),
    Case("the base is the tombstone", "10:A 20:-", put("B", 20), Verdict.STORE),
    Case("the base was deleted", "10:A 20:-", put("B", 10), Verdict.STALE),
    Case(
        "the base was deleted, to be kept: an edit beats a delete", "10:A 20:-", put("B", 10, keep=True), Verdict.STORE
    ),
    Case("a base where nothing ever was", "", put("A", 10), Verdict.STALE),
    Case("a base where nothing is any more, to be kept", "", put("A", 10, keep=True), Verdict.STORE),
    Case("a base that is still to come", "10:A", put("B", 99), Verdict.STALE),
    # The same bytes as the live head.
    Case("the head's bytes on the head", "10:A", put("A", 10), Verdict.SAME),
    Case("the head's bytes without a base", "10:A", put("A", None), Verdict.SAME),
    Case("the head's bytes on another base", "10:A 20:B", put("B", 10), Verdict.SAME),
    Case("the head's bytes on another base, to be kept", "10:A 20:B", put("B", 10, keep=True), Verdict.SAME),
    Case("the bytes that were deleted", "10:A 20:-", put("A", None), Verdict.STORE),
    # A file where a folder is, or the reverse.
    Case("a new file in the way of a folder", "", put("A", None), Verdict.BLOCKED, blocked=True),
    Case("a deleted file whose place is taken", "10:A 20:-", put("A", 20), Verdict.BLOCKED, blocked=True),
    Case("to be kept, but its place is taken", "10:A 20:-", put("B", 10, keep=True), Verdict.BLOCKED, blocked=True),
    Case("stale comes before taken", "10:A 20:-", put("B", 10), Verdict.STALE, blocked=True),
    Case("a live file is in nobody's way", "10:A", put("B", 10), Verdict.STORE, blocked=True),
    # Deletes.
    Case("deleting the head", "10:A", delete(10), Verdict.STORE),
    Case("deleting what has changed", "10:A 20:B", delete(10), Verdict.STALE),
    Case("deleting without a base", "10:A", delete(None), Verdict.STALE),
    Case("deleting what never was", "", delete(10), Verdict.STALE),
    Case("the delete's reply was lost", "10:A 20:-", delete(10, device="desktop"), Verdict.REPEATED),
    Case("deleted by another device", "10:A 20:-", delete(10, device="phone"), Verdict.STALE),
    Case("deleted by another person", "10:A 20:-", delete(10, device="desktop", user="you"), Verdict.STALE),
    Case("deleting the tombstone", "10:A 20:-", delete(20), Verdict.GONE),
    Case("deleting what was deleted later", "10:A 20:B 30:-", delete(10, device="desktop"), Verdict.STALE),
    Case("a delete is never blocked", "10:A", delete(10), Verdict.STORE, blocked=True),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_write_meets_what_the_protocol_says(case: Case) -> None:
    assert judge(case.write, Log.of(case.log).head, case.blocked) is case.verdict


heads = st.none() | st.builds(version, st.integers(1, 9), st.sampled_from("AB-"), st.none() | st.integers(1, 9))
bases = st.none() | st.integers(1, 9)
writes = st.one_of(
    st.builds(put, st.sampled_from("ABC"), bases, keep=st.booleans()),
    st.builds(delete, bases, device=st.sampled_from(("desktop", "phone"))),
)


@given(writes, heads, st.booleans())
@settings(deadline=None)
def test_nothing_is_overwritten_unseen(write: Write, head: Version | None, blocked: bool) -> None:
    """A live head is only ever replaced by a write whose base it is."""
    if judge(write, head, blocked) is Verdict.STORE and head is not None and head.live:
        assert write.base == head.stamp


@given(writes, heads, st.booleans())
@settings(deadline=None)
def test_a_put_that_asks_to_be_kept_is_never_refused_but_for_its_place(
    write: Write, head: Version | None, blocked: bool
) -> None:
    if write.kind == "put":
        verdict = judge(replace(write, keep=True), head, blocked)
        assert verdict in (Verdict.STORE, Verdict.SAME, Verdict.KEEP) or (verdict is Verdict.BLOCKED and blocked)
