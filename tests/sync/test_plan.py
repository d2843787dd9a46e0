"""What a client needs to do: the table of docs/protocol.md, section 5, case by case."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.model import Change, ChangeKind, Verb, Version
from sync.plan import TABLE, Facts, Head, Lapse, Local, _head, _local, plan
from tests.sync.one_path import PATH, Log, report, version


@dataclass(frozen=True)
class Case:
    """With this log and this report the client is told to do `do`, and to name `base` with what it sends."""

    name: str
    log: str
    change: Change | None
    do: Verb | None
    base: int | None = None
    purged: int = 0
    lapses: tuple[Lapse, ...] = ()

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


NOTHING_LOCALLY = [
    Case("nothing was reported and there is no such path", "", None, None),
    Case("new on the server", "10:A", None, "download"),
    Case("deleted on the server, not reported here", "10:A 20:-", None, "delete_local"),
    Case("touched but not changed", "10:A", report("put", "A", base=10), None),
    Case("touched here, changed on the server", "10:A 20:B", report("put", "A", base=10), "download"),
    Case("touched here, deleted on the server", "10:A 20:-", report("put", "A", base=10), "delete_local"),
    Case("touched here, changed and changed back there", "10:A 20:B 30:A", report("put", "A", base=10), "adopt"),
    Case("touched here, changed back there and on", "10:A 20:A 30:B", report("put", "A", base=10), "download"),
    Case("touched here, made again after a delete", "10:A 20:- 30:B", report("put", "A", base=10), "download"),
]

PUT = [
    Case("added here", "", report("put", "B"), "upload"),
    Case("edited here", "10:A", report("put", "B", base=10), "upload", 10),
    Case("made again on the tombstone it knows", "10:A 20:-", report("put", "B", base=20), "upload", 20),
    Case("the same new file on both sides", "10:A", report("put", "A"), "adopt"),
    Case("the same edit on both sides", "10:A 20:B", report("put", "B", base=10), "adopt"),
    Case("both edited", "10:A 20:B", report("put", "C", base=10), "conflict", 10),
    Case("two new files under one name", "10:A", report("put", "B"), "conflict"),
    Case("edited here, deleted there", "10:A 20:-", report("put", "B", base=10), "upload", 20),
    Case("new here, long deleted there", "10:A 20:-", report("put", "B"), "upload", 20),
    Case("edited on a purged base, changed there", "20:B", report("put", "C", base=10), "conflict", 10, purged=10),
    Case("edited on a purged base, purged there", "", report("put", "C", base=10), "upload", purged=10),
    Case("edited on a purged base, deleted there", "20:-", report("put", "C", base=10), "upload", 20, purged=10),
    Case("edited on a purged base as there", "20:C", report("put", "C", base=10), "adopt", purged=10),
]

DELETE = [
    Case("deleted here", "10:A", report("delete", base=10), "delete_remote"),
    Case("deleted here, edited there", "10:A 20:B", report("delete", base=10), "download"),
    Case("deleted on both sides", "10:A 20:-", report("delete", base=10), "adopt"),
    Case("deleted here, never sent", "", report("delete"), "adopt"),
    Case("deleted here, new there", "10:A", report("delete"), "download"),
    Case("deleted here, purged there", "", report("delete", base=10), "adopt", purged=10),
    Case("deleted here on a purged base, live there", "20:B", report("delete", base=10), "download", purged=10),
    Case("deleted here, the server was restored", "10:A", report("delete", base=50), "download"),
    Case("its tombstone is the base", "10:A 20:-", report("delete", base=20), "adopt"),
]

MISSING = [
    Case("vanished while the client was off", "10:A", report("missing", base=10), "download"),
    Case("vanished here, edited there", "10:A 20:B", report("missing", base=10), "download"),
    Case("vanished here, deleted there", "10:A 20:-", report("missing", base=10), "adopt"),
    Case("vanished here, purged there", "", report("missing", base=10), "adopt", purged=10),
    Case("vanished here, the server was restored", "10:A", report("missing", base=50), "download"),
    Case("vanished here, its tombstone is the base", "10:A 20:-", report("missing", base=20), "adopt"),
]

SAME = [
    Case("unchanged on both sides", "10:A", report("same", "A", base=10), "adopt"),
    Case("unchanged here, changed back there", "10:A 20:B 30:A", report("same", "A", base=10), "adopt"),
    Case("unchanged here, changed there", "10:A 20:B", report("same", "A", base=10), "download"),
    Case("unchanged here, deleted there", "10:A 20:-", report("same", "A", base=10), "delete_local"),
    Case("unchanged here, deleted and purged there", "", report("same", "A", base=10), "delete_local", purged=20),
    Case("purged up to this very base", "", report("same", "A", base=10), "delete_local", purged=10),
    Case("the base was purged, deleted there", "20:-", report("same", "A", base=10), "delete_local", purged=10),
    Case("the base was purged, changed there", "20:B", report("same", "A", base=10), "download", purged=10),
    Case("the base was purged, equal there", "20:A", report("same", "A", base=10), "adopt", purged=10),
]

# What was restored ends with 10, and that was at 60.
LAPSE = ((10, 60),)

RESTORED = [
    Case("the server never saw the file", "", report("put", "B", base=50), "upload"),
    Case("the server never saw the unchanged file", "", report("same", "B", base=50), "upload"),
    Case("the server has an older version", "10:A", report("same", "B", base=50), "upload", 10),
    Case("the server has an older version than this edit's base", "10:A", report("put", "C", base=50), "upload", 10),
    Case("the server has an older, equal version", "10:B", report("same", "B", base=50), "upload", 10),
    Case("the server has an older tombstone", "10:A 20:-", report("same", "B", base=50), "upload", 20),
    Case("somebody wrote since the restore", "10:A 60:C", report("same", "B", base=50), "conflict", 50),
    Case("somebody brought these bytes since", "10:A 60:B", report("same", "B", base=50), "adopt"),
    Case("somebody deleted it since", "10:A 60:-", report("same", "B", base=50), "conflict", 50),
    Case("purged since, with an older version", "10:A", report("same", "B", base=50), "upload", 10, purged=70),
    Case("purged since, edited here", "10:A", report("put", "C", base=50), "upload", 10, purged=70),
    Case("purged since, never there", "", report("same", "B", base=50), "upload", purged=70, lapses=LAPSE),
    Case("purged since, never there, edited", "", report("put", "C", base=50), "upload", purged=70, lapses=LAPSE),
    Case("purged since, written there since", "80:C", report("same", "B", base=50), "conflict", 50, 70, LAPSE),
    Case("purged since, brought there since", "80:B", report("same", "B", base=50), "adopt", None, 70, LAPSE),
    Case("purged since, before the lapse", "", report("same", "B", base=10), "delete_local", None, 70, LAPSE),
    Case("purged since, after the lapse", "", report("same", "B", base=61), "delete_local", None, 70, LAPSE),
    Case("purged since, changed after the lapse", "80:C", report("same", "B", base=61), "download", None, 70, LAPSE),
    Case("the mark is below the lost base", "10:A", report("same", "B", base=50), "upload", 10, purged=49),
]


def _mode(base: int, letter: str, executable: bool) -> Change:
    return report("put", letter, base=base)._replace(executable=executable)


# `x` behind a letter: that version may be run.
EXECUTABLE = [
    Case("made executable here", "10:A", _mode(10, "A", True), "upload", 10),
    Case("made plain here", "10:Ax", _mode(10, "A", False), "upload", 10),
    Case("made executable on both sides", "10:A 20:Ax", _mode(10, "A", True), "adopt"),
    Case("made executable here, settled on a head that is plain", "10:A 20:A", _mode(10, "A", True), "upload", 20),
    Case("made executable here, edited there", "10:A 20:B", _mode(10, "A", True), "download"),
    Case("made executable here, deleted there", "10:A 20:-", _mode(10, "A", True), "delete_local"),
    Case("made executable there", "10:A 20:Ax", None, "download"),
    Case("edited here, made executable there", "10:A 20:Ax", report("put", "B", base=10), "upload", 20),
    Case("edited here, changed and changed back there", "10:A 20:B 30:A", report("put", "C", base=10), "upload", 30),
    Case("deleted here, made executable there", "10:A 20:Ax", report("delete", base=10), "delete_remote"),
    Case("deleted here, changed and changed back there", "10:A 20:B 30:A", report("delete", base=10), "download"),
    Case("deleted here, made executable and edited there", "10:A 20:Ax 30:B", report("delete", base=10), "download"),
    Case("deleted here, deleted and put back there", "10:A 20:- 30:A", report("delete", base=10), "download"),
    Case("vanished here, made executable there", "10:A 20:Ax", report("missing", base=10), "download"),
    Case("edited here as well, made executable", "10:A", _mode(10, "B", True), "upload", 10),
    Case("both edited, one made executable", "10:A 20:B", _mode(10, "C", True), "conflict", 10),
]

SENT = [
    Case("the reply to the upload was lost", "10:A 20:B", report("put", "B", base=10, sent="B"), "adopt"),
    Case("edited on after the lost reply", "10:A 20:B", report("put", "C", base=10, sent="B"), "upload", 20),
    Case("sent twice, the first arrived", "10:A 20:B", report("put", "C", base=10, sent="BC"), "upload", 20),
    Case("sent, then changed back", "10:A 20:B", report("put", "A", base=10, sent="B"), "upload", 20),
    Case("sent, lost, and edited by another", "10:A 20:B 30:C", report("put", "B", base=10, sent="B"), "download"),
    Case("both edited after the lost reply", "10:A 20:B 30:D", report("put", "C", base=10, sent="B"), "conflict", 20),
    Case("deleted after the lost reply", "10:A 20:B", report("delete", base=10, sent="B"), "delete_remote"),
    Case("deleted after it, edited there", "10:A 20:B 30:C", report("delete", base=10, sent="B"), "download"),
    Case("the new file's reply was lost", "10:A", report("put", "A", sent="A"), "adopt"),
    Case("the candidate lost", "10:A 20:B 30:C 40:B", report("put", "C", base=10, sent="C"), "download"),
    Case("the candidate won", "10:A 20:B 30:C 40:C", report("put", "C", base=10, sent="C"), "adopt"),
    Case("the candidate lost, edited on", "10:A 20:B 30:C 40:B", report("put", "D", base=10, sent="C"), "conflict", 30),
    Case(
        "the candidate lost to a delete", "10:A 20:- 30:C 40:-", report("put", "C", base=10, sent="C"), "delete_local"
    ),
    Case("an earlier candidate won", "10:A 20:B 30:C 40:D 50:C", report("put", "D", base=10, sent="CD"), "download"),
    Case("a later candidate won", "10:A 20:B 30:C 40:D 50:D", report("put", "C", base=10, sent="DC"), "download"),
    Case("neither candidate won", "10:A 20:B 30:C 40:D 50:B", report("put", "D", base=10, sent="CD"), "download"),
    Case(
        "an earlier candidate won, edited on",
        "10:A 20:B 30:C 40:D 50:C",
        report("put", "E", base=10, sent="CD"),
        "conflict",
        40,
    ),
    Case(
        "an earlier candidate won, deleted here",
        "10:A 20:B 30:C 40:D 50:C",
        report("delete", base=10, sent="CD"),
        "download",
    ),
    Case("both arrived, then changed back", "10:A 20:B 30:C", report("put", "B", base=10, sent="BC"), "upload", 30),
    Case(
        "both arrived, then changed back, edited there",
        "10:A 20:B 30:C 40:D",
        report("put", "B", base=10, sent="BC"),
        "conflict",
        30,
    ),
    Case("the last one sent alone arrived", "10:A 20:C", report("put", "D", base=10, sent="BC"), "upload", 20),
    Case("never arrived", "10:A", report("put", "B", base=10, sent="B"), "upload", 10),
    Case("a restored server got the upload", "60:B", report("put", "C", base=50, sent="B"), "upload", 60),
]

IMPOSSIBLE = [
    Case("same, but never synced", "", report("same", "A"), "upload"),
    Case("same, but never synced, and deleted there", "10:A 20:-", report("same", "B"), "upload", 20),
    Case("same, but never synced, and other bytes there", "10:A", report("same", "B"), "conflict"),
    Case("same, but never synced, and equal there", "10:A", report("same", "A"), "adopt"),
    Case("same, with bytes that are not the base's", "10:A", report("same", "B", base=10), "upload", 10),
    Case("same, not the base's, and deleted there", "10:A 20:-", report("same", "B", base=10), "upload", 20),
    Case("same, not the base's, and changed there", "10:A 20:C", report("same", "B", base=10), "conflict", 10),
    Case("same, on a tombstone", "10:A 20:-", report("same", "A", base=20), "upload", 20),
    Case(
        "same, but another body was sent and arrived", "10:A 20:B", report("same", "A", base=10, sent="B"), "upload", 20
    ),
    Case("same, without its hash", "10:A 20:-", report("same", base=10), "upload", 20),
    Case("a delete that brings the head's hash", "10:A 20:B", report("delete", "A", base=10), "download"),
    Case("a missing file that brings a hash", "10:A 20:B", report("missing", "B", base=10), "download"),
]

CASES = [*NOTHING_LOCALLY, *PUT, *DELETE, *MISSING, *SAME, *RESTORED, *EXECUTABLE, *SENT, *IMPOSSIBLE]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_client_is_told_what_the_table_says(case: Case) -> None:
    """One named case a row of the protocol's table, and the ones that a good client never sends."""
    log = Log.of(case.log, case.purged, case.lapses)
    action = plan(case.change, log.facts(case.change))
    if case.do is None:
        assert action is None
        return
    assert action is not None
    assert (action.do, action.base, action.head, action.path) == (case.do, case.base, log.head, PATH)


def test_no_case_is_there_twice() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({(case.log, case.change, case.purged, case.lapses) for case in CASES}) == len(CASES)


# ------------------------------------------------------------------------------------------------- the table is whole

# Bytes equal to a live head's settle the base on that head, so that the pair is (…, BASE) instead; and a path with a
# known base has a head. These rows make the table total: whatever facts come, the answer is a safe one.
NEVER_MET = {
    (Local.NOTHING, Head.SAME_BYTES),
    (Local.PUT, Head.SAME_BYTES),
    (Local.DELETE, Head.SAME_BYTES),
    (Local.MISSING, Head.SAME_BYTES),
    (Local.SAME, Head.NONE),
    (Local.SAME, Head.SAME_BYTES),
    (Local.RESTORED, Head.SAME_BYTES),
}


def small_worlds() -> list[tuple[Change | None, Facts]]:
    """Every report on every log of up to three versions: whole, purged from the front, or without its newest."""
    worlds: list[tuple[Change | None, Facts]] = []
    for length in range(4):
        for letters in product("AB-", repeat=length):
            whole = tuple(version(10 * (i + 1), letter) for i, letter in enumerate(letters))
            for first in range(length + 1):
                log = Log(whole[first:], purged=whole[first - 1].stamp if first else 0)
                worlds += [(change, log.facts(change)) for change in every_report()]
    return worlds


def every_report() -> list[Change | None]:
    reports: list[Change | None] = [None]
    for base, sent in product((None, 10, 20, 25, 40), ("", "B")):
        reports += [report("put", letter, base=base, sent=sent) for letter in "AC"]
        reports += [report("same", letter, base=base, sent=sent) for letter in "AC"]
        reports += [report("delete", base=base, sent=sent), report("missing", base=base, sent=sent)]
    return reports


def test_every_row_of_the_table_is_met_or_known_never_to_be() -> None:
    met = set()
    for change, facts in small_worlds():
        local = _local(change, facts)
        met.add((local, _head(local, change, facts)))
    assert met == set(TABLE) - NEVER_MET


heads = st.none() | st.builds(version, st.integers(1, 60), st.sampled_from("ABC-"))
changes = st.none() | st.builds(
    report,
    st.sampled_from(("put", "delete", "missing", "same")),
    st.none() | st.sampled_from("ABC"),
    base=st.none() | st.integers(1, 60),
    sent=st.sampled_from(("", "A", "BC")),
)


@given(changes, heads, heads, st.integers(0, 60))
@settings(deadline=None)
def test_there_is_an_answer_to_whatever_facts_come(
    change: Change | None, head: Version | None, base: Version | None, purge_mark: int
) -> None:
    """Also where the facts contradict each other: no exception, and the head is what the row carries."""
    action = plan(change, Facts(head, base, purge_mark))
    assert action is None or action.head == head


# ------------------------------------------------------------------------------------------- what holds for every case


@st.composite
def histories(draw: st.DrawFn) -> Log:
    """A path's log after any edits and deletes, perhaps purged, perhaps put back to an older copy and gone on."""
    versions: list[Version] = []
    stamp = 0
    for letter in draw(st.lists(st.sampled_from("ABC-"), max_size=7)):
        stamp += draw(st.integers(1, 9))
        versions.append(version(stamp, letter))
    if draw(st.booleans()) and versions:
        kept = draw(st.integers(0, len(versions)))
        versions = versions[:kept]
        if draw(st.booleans()):
            versions.append(version(stamp + draw(st.integers(-3, 9)) + 1, draw(st.sampled_from("ABC-"))))
        versions.sort(key=lambda one: one.stamp)
    purged = 0
    if draw(st.booleans()) and versions:
        # Superseded versions go oldest first, the tombstone last; the newest version of a living file never.
        most = len(versions) if not versions[-1].live else len(versions) - 1
        gone = draw(st.integers(0, most))
        purged = versions[gone - 1].stamp if gone else 0
        versions = versions[gone:]
    return Log(tuple(versions), purged)


reports = st.builds(
    report,
    st.sampled_from(("put", "delete", "missing", "same")),
    st.sampled_from("ABCD"),
    base=st.none() | st.integers(1, 60),
    sent=st.text("ABCD", max_size=2),
).map(lambda one: one if one.kind in ("put", "same") else report(one.kind, base=one.base))


@given(histories(), reports)
@settings(deadline=None, max_examples=200)
def test_a_file_is_only_deleted_where_the_server_had_its_bytes(log: Log, change: Change) -> None:
    """The local bytes are in the log, or they were purged from it: the base is gone, at or below the purge mark."""
    action = plan(change, log.facts(change))
    if action is not None and action.do == "delete_local":
        was_purged = (
            change.base is not None
            and change.base <= log.purged
            and all(one.stamp != change.base for one in log.versions)
            and not any(after < change.base <= until for after, until in log.lapses)
        )
        assert log.knows(change.hash) or was_purged


@given(histories(), reports)
@settings(deadline=None, max_examples=200)
def test_adopting_always_means_equal_bytes_or_nothing_on_both_sides(log: Log, change: Change) -> None:
    action = plan(change, log.facts(change))
    if action is not None and action.do == "adopt":
        there = log.head.hash if log.head and log.head.live else None
        here = change.hash if change.kind in ("put", "same") else None
        assert here == there


@given(histories(), reports)
@settings(deadline=None, max_examples=200)
def test_every_row_can_be_carried_out(log: Log, change: Change) -> None:
    """An upload stands on the present head and has bytes to send; a download has bytes to get; and so on."""
    action = plan(change, log.facts(change))
    if action is None:
        return
    has_bytes = change.kind in ("put", "same")
    live = log.head is not None and log.head.live
    assert action.head == log.head
    if action.do == "upload":
        assert action.base == (log.head.stamp if log.head else None)
    possible = {
        "upload": has_bytes,
        "conflict": has_bytes and log.head is not None,
        "download": live,
        "delete_local": has_bytes and not live,
        "delete_remote": change.kind == "delete" and live,
        "adopt": True,
    }
    assert possible[action.do]


@given(histories(), reports)
@settings(deadline=None, max_examples=200)
def test_a_conflict_names_what_its_bytes_were_made_from_and_never_the_head(log: Log, change: Change) -> None:
    """Naming the head would overwrite it unseen."""
    action = plan(change, log.facts(change))
    if action is not None and action.do == "conflict":
        assert action.head is not None
        assert action.base != action.head.stamp
        settled = log.facts(change).base
        assert action.base == (settled.stamp if settled else change.base)


@given(histories(), reports)
@settings(deadline=None, max_examples=200)
def test_bytes_that_the_server_never_had_are_sent_to_it(log: Log, change: Change) -> None:
    """Whatever was reported: an upload or a candidate, never thrown away. Only a purge explains bytes away."""
    action = plan(change, log.facts(change))
    kind: ChangeKind = change.kind
    tracked_and_purged = kind == "same" and change.base is not None and change.base <= log.purged
    if kind in ("put", "same") and not log.knows(change.hash) and not tracked_and_purged:
        assert action is not None
        assert action.do in ("upload", "conflict")
