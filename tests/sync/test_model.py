"""The protocol's words as values: what goes over the wire comes back the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.model import START, Action, Candidate, Change, Conflict, Cursor, Version
from tests.sync.one_path import hash_of, report, version

CANDIDATES = tuple(Candidate(n, "me", "laptop", hash_of("A"), 1, None, 100 + n) for n in (1, 2))


def test_a_version_on_the_wire_has_exactly_the_protocols_fields() -> None:
    one = Version("notes/today.md", "put", 20, 10, hash_of("A"), 4, 19, "laptop", "me")
    assert one.to_json() == {
        "path": "notes/today.md",
        "kind": "put",
        "stamp": 20,
        "base": 10,
        "hash": hash_of("A"),
        "size": 4,
        "mtime": 19,
        "device": "laptop",
        "user": "me",
    }


@pytest.mark.parametrize("letter", ["A", "-"])
def test_a_version_comes_back_the_same(letter: str) -> None:
    one = version(20, letter, 10)
    assert Version.from_json(json.loads(json.dumps(one.to_json()))) == one
    assert one.live == (letter != "-")


def test_a_version_without_its_stamp_is_none() -> None:
    with pytest.raises(KeyError):
        Version.from_json({"path": "a", "kind": "put"})


@pytest.mark.parametrize(
    ("change", "row"),
    [
        (report("delete", base=10), {"path": "notes/today.md", "kind": "delete", "base": 10}),
        (report("same", "A", base=10), {"path": "notes/today.md", "kind": "same", "base": 10, "hash": hash_of("A")}),
        (
            Change("a", "put", None, hash_of("A"), 1, 5, (hash_of("B"),)),
            {
                "path": "a",
                "kind": "put",
                "base": None,
                "hash": hash_of("A"),
                "size": 1,
                "mtime": 5,
                "sent": [hash_of("B")],
            },
        ),
    ],
    ids=["delete", "same", "put"],
)
def test_a_change_on_the_wire_has_the_fields_of_its_kind(change: Change, row: dict[str, object]) -> None:
    assert change.to_json() == row


@pytest.mark.parametrize(
    "action",
    [
        Action("upload", "a", None),
        Action("upload", "notes/today.md", version(10, "A"), 10),
        Action("download", "notes/today.md", version(10, "A")),
        Action("adopt", "notes/today.md", version(10, "-")),
    ],
    ids=["upload", "upload-on-a-head", "download", "adopt"],
)
def test_an_action_comes_back_the_same(action: Action) -> None:
    """Only an upload has a base."""
    row = action.to_json()
    assert ("base" in row) == (action.do == "upload")
    assert Action.from_json(json.loads(json.dumps(row))) == action


def test_a_conflicts_candidate_is_the_newest_or_the_one_with_the_number() -> None:
    conflict = Conflict("c", "a", None, 1, CANDIDATES)
    assert conflict.candidate(None) == CANDIDATES[-1]
    assert conflict.candidate(1) == CANDIDATES[0]
    assert conflict.candidate(0) is None
    assert conflict.candidate(3) is None


def test_a_conflict_is_open_until_it_has_a_resolution() -> None:
    conflict = Conflict("c", "a", None, 1, CANDIDATES)
    assert conflict.open
    assert not conflict.settled({"keep": "server"}).open


def test_the_very_first_cursor_is_zero() -> None:
    assert str(START) == "0"
    assert Cursor.parse("0") is START
    assert START.at_start


@given(
    st.text("0123456789abcdef", min_size=12, max_size=12),
    st.integers(0, 10**18 - 1),
    st.none() | st.text(st.characters(codec="utf-8"), max_size=60),
)
@settings(deadline=None)
def test_a_cursor_comes_back_the_same(epoch: str, stamp: int, position: str | None) -> None:
    """Also one in the middle of a listing, before its first page and at any path."""
    cursor = Cursor(epoch, stamp, position)
    assert Cursor.parse(str(cursor)) == cursor
    assert not cursor.at_start


def test_a_listing_that_has_not_begun_has_an_empty_position() -> None:
    assert Cursor.parse("0123456789ab.5.") == Cursor("0123456789ab", 5, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "00",
        "-1",
        "abc",
        "0123456789ab",
        "0123456789ab.",
        "0123456789ab.x",
        "0123456789ab.-5",
        "0123456789AB.5",
        "0123456789ab.5.é",
        "0123456789ab.5.a",
        "0123456789ab.5._w",  # a lone byte 0xff
        "0123456789ab.1234567890123456789",
        "0123456789ab.5.YQ.YQ",
        "0123456789ab.5\n",
        "0123456789ab.٥",
        " 0",
    ],
    ids=ascii,
)
def test_what_no_server_gave_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        Cursor.parse(text)
