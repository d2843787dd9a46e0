"""What the holder of a socket hears, and in which order."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from tests.live.peer import Vault
from tests.server import USER
from tests.store.world import change, parcel


def push(vault: Vault, count: int, name: str = "note") -> None:
    """So many new files, in one transaction for every 1,000."""
    files = [(f"{name} {number}.md", b"%d" % number) for number in range(count)]
    body = parcel([change(path, content) for path, content in files], files)
    answer = vault.ask("POST", "/push", body, Content_Type="application/x-tar")
    assert {row["status"] for row in answer["results"]} == {"stored"}


def test_the_greeting_says_where_the_vault_stands(vault: Vault) -> None:
    assert vault.watch().hello() == vault.cursor()
    cursor = vault.put("a.md")["cursor"]
    assert vault.watch().hello() == cursor


def test_a_put_is_heard_as_the_log_has_it(vault: Vault) -> None:
    peer = vault.greeted()
    answer = vault.put("notes/today.md", b"text", Gobi_Device="laptop", Gobi_Mtime="1000")
    message = peer.message()
    log = vault.ask("GET", f"/changes?cursor={answer['after']}")
    assert message == {
        "type": "changes",
        "after": answer["after"],
        "cursor": answer["cursor"],
        "changes": log["changes"],
    }
    assert message["changes"][0]["device"] == "laptop"
    assert message["changes"][0]["user"] == USER


def test_a_delete_is_heard(vault: Vault) -> None:
    stamp = vault.put("a.md")["stamp"]
    peer = vault.greeted()
    vault.ask("DELETE", "/files/a.md", If_Match=f'"{stamp}"')
    (row,) = peer.message()["changes"]
    assert (row["path"], row["kind"], row["base"]) == ("a.md", "delete", stamp)


def test_other_vaults_are_not_heard(vault: Vault) -> None:
    peer, other = vault.greeted(), vault.another()
    other.put("theirs.md")
    vault.put("mine.md")
    assert peer.paths(1) == ["mine.md"]


def test_what_was_missed_comes_after_the_greeting(vault: Vault) -> None:
    cursor = vault.put("a.md")["cursor"]
    vault.put("b.md")
    newest = vault.put("c.md")["cursor"]
    peer = vault.watch(cursor)
    assert peer.hello() == newest
    assert peer.paths(2) == ["b.md", "c.md"]


def test_whoever_missed_nothing_is_told_nothing(vault: Vault) -> None:
    peer = vault.greeted(vault.put("a.md")["cursor"])
    vault.put("b.md")
    assert peer.paths(1) == ["b.md"]


def test_an_empty_vaults_cursor_is_good(vault: Vault) -> None:
    cursor = vault.cursor()
    vault.put("a.md")
    assert vault.greeted(cursor).paths(1) == ["a.md"]


def test_what_was_missed_comes_in_messages_of_bearable_size(vault: Vault) -> None:
    peer = vault.greeted()
    cursor = vault.cursor()
    push(vault, 250)
    for one in (peer, vault.greeted(cursor)):
        assert len(one.paths(250)) == 250


@pytest.mark.parametrize("late", [False, True], ids=["as it happens", "afterwards"])
def test_too_much_at_once_is_a_wake(vault: Vault, late: bool) -> None:
    peer, cursor = vault.greeted(), vault.cursor()
    push(vault, 501)
    if late:
        peer = vault.greeted(cursor)
    assert peer.message() == {"type": "wake", "cursor": vault.cursor()}
    vault.put("after.md")
    assert peer.paths(1) == ["after.md"]


def test_a_cursor_that_is_no_good_is_a_wake(vault: Vault) -> None:
    push(vault, 3)
    epoch, stamp = vault.cursor().split(".")
    snapshot = vault.ask("GET", "/changes?cursor=0&limit=1")["cursor"]
    unknown = f"{epoch}.{int(stamp) - 10**12}"
    peers = [vault.greeted(cursor) for cursor in ("0", snapshot, unknown, f"{'0' * 12}.{stamp}")]
    for peer in peers:
        assert peer.message() == {"type": "wake", "cursor": vault.cursor()}
    vault.put("after.md")
    for peer in peers:
        assert peer.paths(1) == ["after.md"]


def test_a_conflict_is_heard_when_it_opens_and_when_it_is_settled(vault: Vault) -> None:
    stamp = vault.put("a.md", b"server")["stamp"]
    peer = vault.greeted()
    conflict = vault.ask("PUT", "/files/a.md?on_conflict=keep", b"client", If_None_Match="*")["conflict"]
    message = peer.message()
    assert message["type"] == "conflict"
    assert message["conflict"] == vault.ask("GET", f"/conflicts/{conflict['id']}")
    assert message["conflict"]["server"]["stamp"] == stamp
    body = json.dumps({"keep": "client", "head": stamp}).encode()
    vault.ask("POST", f"/conflicts/{conflict['id']}/resolve", body)
    heard = [peer.message(), peer.message()]
    settled = next(one["conflict"] for one in heard if one["type"] == "conflict")
    assert (settled["state"], settled["resolution"]["keep"]) == ("settled", "client")
    assert [row["path"] for one in heard if one["type"] == "changes" for row in one["changes"]] == ["a.md"] * 2


def test_many_writers_are_heard_without_a_gap_and_in_the_logs_order(vault: Vault) -> None:
    peers = [vault.greeted() for _ in range(3)]
    latecomers = []

    def write(writer: int) -> None:
        for number in range(40):
            cursor = vault.put(f"{writer}/{number}.md", b"%d" % number)["after"]
            if number % 20 == 10:
                latecomers.append((vault.greeted(cursor), cursor))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = vault.ask("GET", "/changes?cursor=0&limit=1000")["changes"]
    order = [row["path"] for row in sorted(log, key=lambda row: row["stamp"])]
    assert len(order) == 200
    for peer in peers:
        assert peer.paths(200) == order
    for peer, cursor in latecomers:
        missed = [row["path"] for row in vault.ask("GET", f"/changes?cursor={cursor}&limit=1000")["changes"]]
        assert peer.paths(len(missed)) == missed


def test_without_the_sweep_nothing_is_missed_either(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault(GOBI_SWEEP_S="3600", GOBI_PING_S="3600")
    peer = vault.greeted()
    for number in range(200):
        vault.put(f"{number}.md")
    assert peer.paths(200) == [f"{number}.md" for number in range(200)]
