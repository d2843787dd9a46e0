"""What changed, and the sync exchange, over HTTP (docs/protocol.md, section 5)."""

from __future__ import annotations

from typing import Any

from tests.handlers.site import VAULT, Person, sha256


def sync(me: Person, cursor: str, *changes: dict[str, Any], **more: Any) -> Any:
    answer = me.post(f"{VAULT}/sync", {"cursor": cursor, "changes": list(changes)} | more)
    assert answer.status_int == 200, answer.text
    return answer.json


def test_a_first_reader_gets_what_lives_and_later_only_what_changed(me: Person) -> None:
    old = me.put("a.md", b"one").json
    me.put("b.md", b"two")
    me.delete("a.md", old["stamp"])
    first = me.get(f"{VAULT}/changes").json
    assert [(row["path"], row["kind"]) for row in first["changes"]] == [("b.md", "put")]
    assert first["more"] is False
    me.put("c.md", b"three")
    second = me.get(f"{VAULT}/changes?cursor={first['cursor']}").json
    assert [row["path"] for row in second["changes"]] == ["c.md"]
    assert me.get(f"{VAULT}/changes?cursor={second['cursor']}").json == {
        "changes": [],
        "cursor": second["cursor"],
        "more": False,
    }


def test_pages_follow_each_other_without_a_gap(me: Person) -> None:
    for number in range(7):
        me.put(f"{number}.md", b"text")
    seen, cursor, more = [], "0", True
    while more:
        page = me.get(f"{VAULT}/changes?cursor={cursor}&limit=3").json
        seen += [row["path"] for row in page["changes"]]
        cursor, more = page["cursor"], page["more"]
    assert sorted(seen) == [f"{number}.md" for number in range(7)]


def test_an_answer_says_what_to_do_for_each_path(me: Person) -> None:
    here = me.put("here.md", b"text").json
    answer = sync(
        me,
        "0",
        {"path": "new.md", "kind": "put", "base": None, "hash": sha256(b"new"), "size": 3},
        {"path": "here.md", "kind": "put", "base": None, "hash": sha256(b"text"), "size": 4, "unknown": {"field": 1}},
    )
    assert {row["path"]: row["do"] for row in answer["actions"]} == {"new.md": "upload", "here.md": "adopt"}
    by_path = {row["path"]: row for row in answer["actions"]}
    assert by_path["new.md"]["base"] is None
    assert by_path["new.md"]["head"] is None
    assert by_path["here.md"]["head"]["stamp"] == here["stamp"]
    assert answer["cursor"] == here["cursor"]


def test_a_file_of_an_impossible_time_does_not_stop_the_others(me: Person) -> None:
    put = {"kind": "put", "base": None, "hash": sha256(b"new"), "size": 3}
    answer = sync(me, "0", put | {"path": "odd.md", "mtime": 10**25}, put | {"path": "plain.md", "mtime": 1})
    assert {row["path"]: row["do"] for row in answer["actions"]} == {"odd.md": "upload", "plain.md": "upload"}


def test_whoever_may_write_is_told_how_large_a_file_may_be(me: Person) -> None:
    most = sync(me, "0")["max_file"]
    assert most > 0
    put = {"path": "a.md", "kind": "put", "base": None, "hash": sha256(b"a"), "size": 1}
    assert "max_file" not in sync(me, "0", put, last=False)


def test_what_others_changed_comes_with_the_last_request_only(me: Person) -> None:
    me.put("theirs.md", b"text")
    first = sync(me, "0", {"path": "mine.md", "kind": "missing"}, last=False)
    assert [row["path"] for row in first["actions"]] == ["mine.md"]
    second = sync(me, first["cursor"])
    assert [(row["path"], row["do"]) for row in second["actions"]] == [("theirs.md", "download")]


def test_a_path_is_reported_once(me: Person) -> None:
    row = {"path": "a.md", "kind": "missing"}
    assert me.post(f"{VAULT}/sync", {"cursor": "0", "changes": [row, row]}).json["code"] == "bad-request"


def test_a_change_may_name_more_hashes_than_are_looked_for(me: Person) -> None:
    """A file that was in conflict for long, and a client that remembers all that it sent. The last ones count."""
    base = me.put("a.md", b"base").json["stamp"]
    head = me.put("a.md", b"arrived", base).json["stamp"]
    sent = [sha256(b"%d" % number) for number in range(1_500)]
    row = {"path": "a.md", "kind": "put", "base": base, "hash": sha256(b"now"), "size": 3}
    for newest in ([*sent, sha256(b"arrived")], [sha256(b"arrived"), *sent[:999]]):
        (action,) = sync(me, "0", row | {"sent": newest})["actions"]
        assert (action["do"], action["base"]) == ("upload", head)
    (action,) = sync(me, "0", row | {"sent": [sha256(b"arrived"), *sent]})["actions"]
    assert (action["do"], action["base"]) == ("conflict", base)
    assert me.post(f"{VAULT}/sync", {"cursor": "0", "changes": [row | {"sent": [sent[0]] * 100_001}]}).status_int == 400
