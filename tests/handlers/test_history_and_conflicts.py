"""Older versions and conflicts over HTTP (docs/protocol.md, section 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from handlers import conflicts
from store import reader
from store.base import Vault
from sync.model import Conflict, Json
from tests.handlers.site import VAULT, Person, Site, file, refused, sha256


def test_the_history_is_newest_first_page_by_page(me: Person) -> None:
    stamps: list[int] = []
    for number in range(5):
        base = stamps[-1] if stamps else None
        stamps.append(me.put("n/a.md", str(number).encode(), base=base).json["stamp"])
    stamps.append(me.delete("n/a.md", stamps[-1]).json["stamp"])
    whole = me.get(f"{VAULT}/history/n/a.md").json
    assert [row["stamp"] for row in whole["versions"]] == stamps[::-1]
    assert whole["next"] is None
    page = me.get(f"{VAULT}/history/n/a.md?limit=4").json
    rest = me.get(f"{VAULT}/history/n/a.md?limit=4&before={page['next']}").json
    assert [row["stamp"] for row in page["versions"] + rest["versions"]] == stamps[::-1]


def test_an_older_version_is_put_back_as_a_new_one(me: Person) -> None:
    old = me.put("a.md", b"old", Gobi_Mtime="5").json
    head = me.put("a.md", b"new", base=old["stamp"]).json
    answer = me.post(f"{VAULT}/restore", {"path": "a.md", "stamp": old["stamp"], "head": head["stamp"]})
    assert answer.status_int == 200
    assert (answer.json["base"], answer.json["hash"]) == (head["stamp"], sha256(b"old"))
    assert answer.headers["ETag"] == f'"{answer.json["stamp"]}"'
    assert me.get(file("a.md")).body == b"old"


def test_a_deleted_file_is_put_back(me: Person) -> None:
    old = me.put("a.md", b"old").json["stamp"]
    tombstone = me.delete("a.md", old).json["stamp"]
    assert me.post(f"{VAULT}/restore", {"path": "a.md", "stamp": old, "head": tombstone}).status_int == 200
    assert me.get(file("a.md")).body == b"old"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"path": "a.md", "stamp": 1},
        {"path": "a.md", "head": 1},
        {"path": "a.md", "stamp": "1", "head": None},
        {"path": "a.md", "stamp": -1, "head": None},
    ],
)
def test_a_restore_that_lacks_something_is_bad_request(site: Site, body: Json) -> None:
    with site.unchanged():
        refused(site.me.post(f"{VAULT}/restore", body), 400, "bad-request")


def test_a_restore_of_a_bad_path_is_bad_path(site: Site) -> None:
    with site.unchanged():
        refused(site.me.post(f"{VAULT}/restore", {"path": "../a", "stamp": 1, "head": None}), 400, "bad-path")


# -- conflicts


@pytest.fixture
def conflict(me: Person) -> Json:
    """`n/a.md`: the server has `theirs`, the candidates are `phone's` and then `tablet's`, all on `base`."""
    base = me.put("n/a.md", b"base").json["stamp"]
    me.put("n/a.md", b"theirs", base=base)
    kept: Any = None
    for device in ("phone", "tablet"):
        body = f"{device}'s".encode()
        kept = me.put("n/a.md", body, base=base, query="?on_conflict=keep", Gobi_Device=device, Gobi_Mtime="1000000")
    found: Json = kept.json["conflict"]
    return found


def test_an_open_conflict_is_listed_with_all_its_sides(me: Person, conflict: Json) -> None:
    (row,) = me.get(f"{VAULT}/conflicts").json["conflicts"]
    assert row == conflict == me.get(f"{VAULT}/conflicts/{conflict['id']}").json
    assert (row["path"], row["state"], row["base"]["size"], row["server"]["size"]) == ("n/a.md", "open", 4, 6)
    assert [(one["n"], one["device"]) for one in row["candidates"]] == [(1, "phone"), (2, "tablet")]
    assert me.get(VAULT).json["conflicts"] == 1


@pytest.mark.parametrize(
    ("side", "body"),
    [("base", b"base"), ("server", b"theirs"), ("1", b"phone's"), ("2", b"tablet's"), ("client", b"tablet's")],
)
def test_each_sides_body_comes_as_a_file_does(me: Person, conflict: Json, side: str, body: bytes) -> None:
    url = f"{VAULT}/conflicts/{conflict['id']}/{side}"
    answer = me.get(url)
    assert (answer.status_int, answer.body) == (200, body)
    assert answer.headers["Gobi-Hash"] == sha256(body)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="a.md"')
    assert me.get(url, Range="bytes=1-2").body == body[1:3]
    assert me.get(url, If_None_Match=answer.headers["ETag"]).status_int == 304
    assert me.ask("HEAD", url).headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("side", ["3", "0", "-1", "other", "merged", "²"])
def test_a_side_that_a_conflict_does_not_have_is_not_found(me: Person, conflict: Json, side: str) -> None:
    from urllib.parse import quote

    refused(me.get(f"{VAULT}/conflicts/{conflict['id']}/{quote(side)}"), 404, "not-found")


@pytest.mark.parametrize(
    ("choice", "outcome"),
    [
        ({"keep": "server"}, b"theirs"),
        ({"keep": "client"}, b"tablet's"),
        ({"keep": "client", "candidate": 1}, b"phone's"),
        ({"keep": "both"}, b"theirs"),
        ({"keep": "merged", "text": "all of them\n"}, b"all of them\n"),
    ],
)
def test_a_settlement_has_every_side_in_the_history_and_its_outcome_on_top(
    me: Person, conflict: Json, choice: Json, outcome: bytes
) -> None:
    url = f"{VAULT}/conflicts/{conflict['id']}"
    answer = me.post(f"{url}/resolve", choice | {"head": conflict["server"]["stamp"]})
    assert answer.status_int == 200, answer.text
    assert me.get(file("n/a.md")).body == outcome
    history = [row["hash"] for row in me.get(f"{VAULT}/history/n/a.md").json["versions"]]
    assert history[0] == sha256(outcome)
    assert {sha256(b"base"), sha256(b"theirs"), sha256(b"phone's"), sha256(b"tablet's")} <= set(history)
    assert [row["stamp"] for row in answer.json["versions"]] == sorted(row["stamp"] for row in answer.json["versions"])
    assert me.get(f"{VAULT}/conflicts").json == {"conflicts": []}
    settled = me.get(url).json
    assert (settled["state"], settled["resolution"]["keep"]) == ("settled", choice["keep"])
    if choice["keep"] == "both":
        beside = [row["path"] for row in me.get(f"{VAULT}/files").json["files"] if row["path"] != "n/a.md"]
        assert [me.get(file(path)).body for path in beside] == [b"tablet's"]


def test_a_settlement_on_a_head_that_has_moved_is_a_conflict(site: Site, conflict: Json) -> None:
    old = conflict["server"]["stamp"]
    head = site.me.put("n/a.md", b"newer", base=old).json["stamp"]
    with site.unchanged():
        answer = site.me.post(f"{VAULT}/conflicts/{conflict['id']}/resolve", {"keep": "client", "head": old})
        assert refused(answer, 412, "conflict")["head"]["stamp"] == head


@pytest.mark.parametrize(
    "choice",
    [
        {"keep": "mine"},
        {"keep": "merged"},
        {"keep": "server", "text": "x"},
        {"keep": "client", "candidate": 3},
        {"keep": "client", "candidate": "1"},
        {"head": 1},
        {"keep": "client", "head": None},
    ],
)
def test_a_settlement_that_makes_no_sense_is_bad_request(site: Site, conflict: Json, choice: Json) -> None:
    body = {"head": conflict["server"]["stamp"]} | choice
    with site.unchanged():
        refused(site.me.post(f"{VAULT}/conflicts/{conflict['id']}/resolve", body), 400, "bad-request")


def test_many_open_conflicts_are_listed_whole_and_few_of_them_are_in_memory(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CONFLICTS", 3)
    monkeypatch.setattr(conflicts, "CONFLICTS", 3)
    asked = list[int]()
    whole = reader.Reader.conflict_json

    def watched(self: reader.Reader, vault: Vault, some: Sequence[Conflict]) -> list[Json]:
        asked.append(len(some))
        return whole(self, vault, some)

    monkeypatch.setattr(reader.Reader, "conflict_json", watched)
    for count in range(8):
        listed = site.me.get(f"{VAULT}/conflicts").json["conflicts"]
        assert [one["path"] for one in listed] == [f"{number}.md" for number in range(count)]
        site.me.put(f"{count}.md", b"server")
        site.me.put(f"{count}.md", b"client", query="?on_conflict=keep")
    assert max(asked) == 3
