"""Recent changes and taking them back over HTTP (docs/protocol.md, section 8)."""

from __future__ import annotations

from typing import Any

import pytest

from sync.model import Json
from tests.handlers.site import VAULT, Person, Site, file, refused, sha256

UNDO = f"{VAULT}/restore"


@pytest.fixture
def written(me: Person) -> list[Json]:
    """Two files of the laptop's, one edit by it, one file of the phone's."""
    a = me.put("n/a.md", b"a", Gobi_Device="laptop").json
    b = me.put("b.md", b"b", Gobi_Device="laptop").json
    edited = me.put("n/a.md", b"edited", base=a["stamp"], Gobi_Device="laptop").json
    phone = me.put("n/c.md", b"c", Gobi_Device="phone").json
    return [{name: one[name] for name in one if name not in ("after", "cursor")} for one in (a, b, edited, phone)]


# -- the log


def test_the_log_is_everybodys_changes_newest_first(me: Person, written: list[Json]) -> None:
    assert me.get(f"{VAULT}/log").json == {"versions": written[::-1], "next": None}


def test_the_log_goes_on_at_next(me: Person, written: list[Json]) -> None:
    page = me.get(f"{VAULT}/log?limit=3").json
    assert (page["versions"], page["next"]) == (written[:0:-1], written[1]["stamp"])
    assert me.get(f"{VAULT}/log?limit=3&before={page['next']}").json == {"versions": [written[0]], "next": None}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("device=phone", [3]),
        ("device=laptop", [2, 1, 0]),
        ("user=me", [3, 2, 1, 0]),
        ("user=you", []),
        ("prefix=n/", [3, 2, 0]),
        ("prefix=n%2F&device=laptop&limit=10", [2, 0]),
    ],
)
def test_the_log_can_be_asked_for_some_of_it(me: Person, written: list[Json], query: str, expected: list[int]) -> None:
    assert me.get(f"{VAULT}/log?{query}").json == {"versions": [written[index] for index in expected], "next": None}


def test_the_log_of_the_time_since_a_stamp(me: Person, written: list[Json]) -> None:
    assert me.get(f"{VAULT}/log?since={written[1]['stamp']}").json["versions"] == written[:1:-1]


@pytest.mark.parametrize("query", ["before=x", "since=-1", "since=1.5", "limit=0", "limit=10001", "device=a&device=b"])
def test_a_log_asked_for_badly_is_bad_request(me: Person, query: str) -> None:
    refused(me.get(f"{VAULT}/log?{query}"), 400, "bad-request")


def test_a_reader_sees_the_log_and_a_stranger_does_not(site: Site, written: list[Json]) -> None:
    you = site.person("you")
    refused(you.get(f"{VAULT}/log"), 404, "not-found")
    site.me.ask("PUT", f"{VAULT}/members/you", {"role": "read"})
    assert len(you.get(f"{VAULT}/log").json["versions"]) == len(written)


# -- undo


def test_an_undo_answers_with_the_new_versions_and_what_each_brings_back(me: Person, written: list[Json]) -> None:
    since = written[0]["stamp"]
    answer = me.post(UNDO, {"since": since, "device": "laptop"}, Gobi_Device="desktop")
    assert answer.status_int == 200
    deleted, back = answer.json["changes"]
    assert deleted == {
        "path": "b.md",
        "kind": "delete",
        "stamp": deleted["stamp"],
        "base": written[1]["stamp"],
        "hash": None,
        "size": 0,
        "mtime": None,
        "device": "desktop",
        "user": "me",
        "restores": None,
    }
    assert (back["kind"], back["base"], back["hash"]) == ("put", written[2]["stamp"], sha256(b"a"))
    assert back["restores"] == since
    assert deleted["stamp"] < back["stamp"]
    assert answer.json["skipped"] == []
    assert me.get(file("n/a.md")).body == b"a"
    refused(me.get(file("b.md")), 404, "not-found")
    assert me.get(file("n/c.md")).body == b"c"


def test_a_dry_run_answers_the_same_without_stamps_and_changes_nothing(site: Site, written: list[Json]) -> None:
    asked: dict[str, Any] = {"since": written[0]["stamp"], "device": "laptop"}
    with site.unchanged():
        preview = site.me.post(UNDO, asked | {"dry_run": True}).json
    assert preview["until"] == site.me.get(VAULT).json["cursor"]
    done = site.me.post(UNDO, asked | {"until": preview["until"]}).json
    assert all(isinstance(row["stamp"], int) for row in done["changes"])
    assert preview == done | {"changes": [row | {"stamp": None} for row in done["changes"]]}


def test_what_is_skipped_comes_with_its_head_and_the_reason(me: Person, written: list[Json]) -> None:
    until = me.get(VAULT).json["cursor"]
    newer = me.put("n/a.md", b"newer", base=written[2]["stamp"], Gobi_Device="laptop").json
    answer = me.post(UNDO, {"since": 0, "prefix": "n/a", "until": until}).json
    (row,) = answer["skipped"]
    assert (answer["changes"], answer["until"]) == ([], until)
    assert (row["path"], row["stamp"], row["reason"]) == ("n/a.md", newer["stamp"], "since")
    assert row.keys() == {*written[0], "reason"}


def test_an_undo_may_be_of_one_user(me: Person, written: list[Json]) -> None:
    assert me.post(UNDO, {"since": 0, "user": "you"}).json["changes"] == []
    assert len(me.post(UNDO, {"since": 0, "user": "me"}).json["changes"]) == 3


@pytest.mark.parametrize(
    "body",
    [
        {"since": "1"},
        {"since": -1},
        {"since": None},
        {"since": 1.5},
        {"since": 1, "path": "a.md"},
        {"since": 1, "path": "a.md", "stamp": 1, "head": None},
        {"since": 1, "device": 5},
        {"since": 1, "prefix": None},
        {"since": 1, "dry_run": "yes"},
        {"since": 1, "until": 5},
        [1],
    ],
)
@pytest.mark.usefixtures("written")
def test_an_undo_that_makes_no_sense_is_bad_request(site: Site, body: Json) -> None:
    with site.unchanged():
        refused(site.me.post(UNDO, body), 400, "bad-request")


@pytest.mark.usefixtures("written")
def test_an_undo_up_to_no_cursor_is_bad_cursor_or_expired(site: Site) -> None:
    epoch, _, stamp = site.me.get(VAULT).json["cursor"].partition(".")
    with site.unchanged():
        for bad in ("", "x", "0", f"{epoch}.{stamp}."):
            refused(site.me.post(UNDO, {"since": 0, "until": bad}), 400, "bad-cursor")
        for gone in (f"{epoch}.{int(stamp) + 1}", f"{'0' * 12}.{stamp}"):
            refused(site.me.post(UNDO, {"since": 0, "until": gone}), 410, "cursor-expired")


def test_an_undo_back_to_what_was_purged_is_purged(site: Site, written: list[Json]) -> None:
    site.metadata.set_purge_mark(site.vault_id, written[0]["stamp"])
    with site.unchanged():
        for dry_run in (True, False):
            refused(site.me.post(UNDO, {"since": 0, "dry_run": dry_run}), 410, "purged")


def test_an_undo_needs_the_role_to_write_and_so_does_a_dry_run(site: Site, written: list[Json]) -> None:
    you = site.person("you")
    with site.unchanged():
        for dry_run in (True, False):
            refused(you.post(UNDO, {"since": 0, "dry_run": dry_run}), 404, "not-found")
    site.me.ask("PUT", f"{VAULT}/members/you", {"role": "read"})
    with site.unchanged():
        for dry_run in (True, False):
            refused(you.post(UNDO, {"since": 0, "dry_run": dry_run}), 403, "forbidden")
    site.me.ask("PUT", f"{VAULT}/members/you", {"role": "write"})
    rows = you.post(UNDO, {"since": 0}, Gobi_Device="theirs").json["changes"]
    assert {(row["user"], row["device"]) for row in rows} == {("you", "theirs")}
    assert len(rows) == len({one["path"] for one in written})


def test_an_undo_from_another_sites_page_is_cross_origin(site: Site, written: list[Json]) -> None:
    with site.unchanged():
        answer = site.me.post(UNDO, {"since": written[0]["stamp"]}, Origin="https://evil.example")
        refused(answer, 403, "cross-origin")
