"""What is heard of a vault: when it is done, and when the server is asked."""

from __future__ import annotations

import hashlib

import pytest

from client.foresee import Heard
from client.hearing import MOST_HEARD, Hearing
from client.index import Index, Record
from client.intervals import Intervals
from client.live import Lost, Opened
from sync.model import Version, VersionKind


def version(path: str, stamp: int, content: bytes | None) -> Version:
    digest = hashlib.sha256(content).hexdigest() if content is not None else None
    kind: VersionKind = "put" if content is not None else "delete"
    return Version(path, kind, stamp, None, digest, len(content or b""), None, "elsewhere", "me")


def test_deletes_that_are_told_wait_for_the_new_names_of_what_was_only_renamed() -> None:
    now = [100.0]
    index = Index()
    index.put(Record("old.md", 1, hashlib.sha256(b"words").hexdigest(), 5, 0, 0, 1, 0))
    hearing = Hearing(index, lambda: now[0], Intervals())
    hearing.told(Heard("e:1", "e:2", (version("old.md", 2, None),)))
    assert (hearing.due_at() or 0) > now[0]
    assert hearing.take(whole=False) == (), "an edit meanwhile does not take it along"
    hearing.told(Heard("e:2", "e:3", (version("new.md", 3, b"words"),)))
    assert (hearing.due_at() or 0) <= now[0]
    assert len(hearing.take(whole=False) or ()) == 2


def test_deletes_that_are_told_do_not_wait_for_ever() -> None:
    now = [100.0]
    index = Index()
    for number in range(100):
        index.put(Record(f"{number}.md", 1, hashlib.sha256(b"words").hexdigest(), 5, 0, 0, 1, 0))
    hearing = Hearing(index, lambda: now[0], Intervals())
    for number in range(100):
        hearing.told(Heard(f"e:{number}", f"e:{number + 1}", (version(f"{number}.md", number + 2, None),)))
        now[0] += 0.1
        if (hearing.due_at() or 0) <= now[0]:
            break
    assert now[0] == pytest.approx(100 + Intervals().told, abs=0.1)


def test_the_server_is_asked_now_and_then_while_nothing_can_be_told() -> None:
    now = [100.0]
    hearing = Hearing(Index(), lambda: now[0], Intervals())
    hearing.opened(Opened("0"))
    assert hearing.due_at() is None
    hearing.lost(Lost("the connection was cut"))
    assert (hearing.due_at() or 0) <= now[0], "something may have been missed"
    assert hearing.take(whole=False) is None
    assert hearing.due_at() == now[0] + Intervals().poll
    now[0] += Intervals().poll
    assert hearing.take(whole=False) is None


def test_more_than_can_be_done_comes_to_one_question() -> None:
    hearing = Hearing(Index(), lambda: 100.0, Intervals())
    for number in range(10_000):
        hearing.told(Heard(f"e:{number}", f"e:{number + 1}", (version("a.md", number + 2, b"words"),)))
        assert len(hearing._heard) <= MOST_HEARD
    assert hearing.take(whole=False) is None
