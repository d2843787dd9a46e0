"""How messages travel: whole where they are small, as a gap where they are not understood."""

from __future__ import annotations

import json

import pytest

from store.base import Gap, Message, Notice, PeopleChanged, SessionsChanged
from store.bus_wire import MOST_BYTES, MOST_CHANGES, VERSION, Malformed, decode, encode
from sync.model import Candidate, Conflict, Version


def version(stamp: int, path: str = "") -> Version:
    return Version(path or f"n/{stamp}.md", "put", stamp, None, "ab" * 32, 7, 1_700_000_000_000_000, "laptop", "me")


def conflict(path: str) -> Conflict:
    sides = (Candidate(1, "me", "phone", "cd" * 32, 5, None, 3), Candidate(2, "you", "pc", "ef" * 32, 6, 4, 5))
    return Conflict("c1", path, 2, 9, sides, {"keep": "candidate", "n": 2})


def notice(changes: int = 1, path: str = "", conflicts: tuple[Conflict, ...] = ()) -> Notice:
    versions = tuple(version(10 + number, path) for number in range(1, changes + 1))
    return Notice("v1", 10, 10 + changes, versions, conflicts)


@pytest.mark.parametrize(
    "message",
    [
        notice(MOST_CHANGES),
        notice(0, conflicts=(conflict("a"),)),
        Notice("v1", 1, 2, (Version("weg 🌱", "delete", 2, 1, None, 0, None, "laptop", "me"),)),
        PeopleChanged(),
        SessionsChanged(),
        Gap(),
    ],
    ids=["changes", "conflict", "tombstone", "people", "sessions", "gap"],
)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    assert decode(encode("me", message)) == ("me", message)


@pytest.mark.parametrize(
    "big", [notice(MOST_CHANGES + 1), notice(60, path="x" * 1_100)], ids=["many changes", "many bytes"]
)
def test_a_big_notice_goes_without_its_changes_but_with_its_conflicts(big: Notice) -> None:
    sent = Notice(big.vault_id, big.after, big.cursor, big.changes, (conflict("a"),))
    encoded = encode("me", sent)
    assert len(encoded) < MOST_BYTES
    assert decode(encoded) == ("me", Notice("v1", 10, sent.cursor, (), (conflict("a"),)))


def test_a_notice_with_more_conflicts_than_may_be_sent_is_a_gap() -> None:
    many = notice(1, conflicts=tuple(conflict(f"{number}" * 100) for number in range(1_000)))
    assert decode(encode("me", many)) == ("me", Gap())


@pytest.mark.parametrize(
    "said",
    [
        {"gobi": VERSION + 1, "sender": "you", "kind": "notice", "notice": {"vault": 1}, "more": [1, 2]},
        {"gobi": VERSION + 1, "sender": "you", "kind": "people"},
        {"gobi": VERSION, "sender": "you", "kind": "weather"},
        {"gobi": VERSION, "sender": "you", "kind": "notice"},
        {"gobi": VERSION, "sender": "you", "kind": "notice", "notice": {"vault_id": "v1", "after": "soon"}},
    ],
    ids=["newer notice", "newer people", "unknown kind", "nothing in it", "other fields"],
)
def test_what_another_gobi_says_and_this_one_does_not_understand_is_a_gap(said: object) -> None:
    assert decode(json.dumps(said).encode()) == ("you", Gap())


@pytest.mark.parametrize(
    "garbage",
    [b"", b"hello", b"\xff\xfe", b"[]", b'{"gobi": "one"}', b'{"gobi": 1}', b'{"a":' + b"[" * 100_000],
    ids=["nothing", "text", "no UTF-8", "a list", "a wrong type", "no sender", "deep nesting"],
)
def test_what_no_gobi_says_is_malformed(garbage: bytes) -> None:
    with pytest.raises(Malformed):
        decode(garbage)
