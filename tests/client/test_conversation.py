"""Many pages make one answer: at most one action a path, by the newest head that was told."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from client.conversation import CursorExpired, converse
from client.index import Record
from client.ports import ServerAway, SyncAnswer
from sync.model import Action, Change
from tests.client.direct import Direct, Server


def put(path: str, content: bytes, base: int | None = None) -> Change:
    return Change(path, "put", base, hashlib.sha256(content).hexdigest(), len(content), 0)


class Lying(Direct):
    """A server that asks for what nobody reported."""

    def sync(self, cursor: str, changes: Sequence[Change], last: bool, limit: int) -> SyncAnswer:
        answer = super().sync(cursor, changes, last, limit)
        wishes = [Action("upload", "../secret", None), Action("conflict", "other.md", None)]
        return SyncAnswer([*answer.actions, *wishes], answer.cursor, answer.more)


class Endless(Direct):
    """A server whose pages never end."""

    def sync(self, cursor: str, changes: Sequence[Change], last: bool, limit: int) -> SyncAnswer:
        answer = super().sync(cursor, changes, last, limit)
        return SyncAnswer(answer.actions, answer.cursor, True)


def test_changes_go_in_several_requests_and_answers_come_in_several_pages(vault: Server) -> None:
    for number in range(5):
        vault.put(f"theirs-{number}.md", b"x")
    transport = vault.transport("laptop")
    answer = converse(transport, "0", [put(f"mine-{number}.md", b"y") for number in range(5)], {}, chunk=2)
    uploads = {path for path, action in answer.actions.items() if action.do == "upload"}
    downloads = {path for path, action in answer.actions.items() if action.do == "download"}
    assert uploads == {f"mine-{number}.md" for number in range(5)}
    assert downloads == {f"theirs-{number}.md" for number in range(5)}
    assert len(transport.calls) > 4


def test_a_reported_path_that_changes_while_the_pages_come_has_to_be_reported_again(vault: Server) -> None:
    for number in range(5):
        vault.put(f"{number}.md", b"x")
    cursor = converse(vault.transport("laptop"), "0", [], {}).cursor
    for number in range(5):
        vault.put(f"{number}.md", b"y")
    transport = vault.transport("laptop")

    def overtake(method: str, when: str) -> None:
        if when == "after" and len(transport.calls) == 1:
            vault.put("mine.md", b"theirs")

    transport.meddle = overtake
    answer = converse(transport, cursor, [put("mine.md", b"mine")], {}, chunk=2)
    assert list(answer.overtaken) == ["mine.md"]
    assert "mine.md" not in answer.actions


def test_an_own_version_that_comes_back_is_nothing_new(vault: Server) -> None:
    version = vault.put("a.md", b"x")
    record = Record("a.md", version.stamp, version.hash or "", 1, 0, 0, 0, 0)
    assert converse(vault.transport("laptop"), "0", [], {"a.md": record}).actions == {}


def test_of_two_pages_about_one_path_the_newer_head_counts(vault: Server) -> None:
    cursor = converse(vault.transport("laptop"), "0", [], {}).cursor
    vault.put("a.md", b"one")
    vault.put("b.md", b"x")
    transport = vault.transport("laptop")

    def newer(method: str, when: str) -> None:
        if when == "after" and len(transport.calls) == 1:
            vault.put("a.md", b"two")

    transport.meddle = newer
    answer = converse(transport, cursor, [], {}, chunk=1)
    head = answer.actions["a.md"].head
    assert head is not None
    assert head.hash == hashlib.sha256(b"two").hexdigest()


def test_a_server_gets_nothing_that_was_not_reported(vault: Server) -> None:
    answer = converse(Lying(vault, "laptop"), "0", [put("mine.md", b"x")], {})
    assert list(answer.actions) == ["mine.md"]


def test_pages_without_end_end(vault: Server) -> None:
    with pytest.raises(ServerAway, match="no end"):
        converse(Endless(vault, "laptop"), converse(vault.transport("laptop"), "0", [], {}).cursor, [], {})


@pytest.mark.parametrize("cursor", ["0123456789ab.17", "nonsense"])
def test_a_cursor_that_the_server_does_not_know_has_expired(vault: Server, cursor: str) -> None:
    with pytest.raises(CursorExpired):
        converse(vault.transport("laptop"), cursor, [], {})
