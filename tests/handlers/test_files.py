"""One file over HTTP (docs/protocol.md, section 4)."""

from __future__ import annotations

import pytest

from handlers.download import disposition, http_date
from sync.model import Json
from tests.handlers.site import VAULT, Person, Site, file, refused, sha256

MTIME = 1_795_429_999_000_001


def test_a_new_file_is_created_and_told_as_a_version(me: Person) -> None:
    before = me.get(VAULT).json["cursor"]
    answer = me.put("notes/today.md", b"text", base=None, Gobi_Mtime=str(MTIME), Gobi_Hash=sha256(b"text"))
    version = answer.json
    assert answer.status_int == 201
    assert answer.headers["ETag"] == f'"{version["stamp"]}"'
    assert version == {
        "path": "notes/today.md",
        "kind": "put",
        "stamp": version["stamp"],
        "base": None,
        "hash": sha256(b"text"),
        "size": 4,
        "mtime": MTIME,
        "device": "me",
        "user": "me",
        "after": before,
        "cursor": me.get(VAULT).json["cursor"],
    }


def test_an_edit_on_its_base_replaces_the_file(me: Person) -> None:
    first = me.put("a.md", b"one").json
    answer = me.put("a.md", b"two", base=first["stamp"])
    assert answer.status_int == 200
    assert answer.json["base"] == first["stamp"]
    assert answer.json["after"] == first["cursor"]
    assert me.get(file("a.md")).body == b"two"


def test_the_same_bytes_again_are_the_head_and_no_new_version(me: Person) -> None:
    first = me.put("a.md", b"text").json
    for again in (me.put("a.md", b"text"), me.put("a.md", b"text", base=None), me.put("a.md", b"text", base=1)):
        assert again.status_int == 200
        assert again.json["stamp"] == first["stamp"]
        assert again.json["after"] == again.json["cursor"] == first["cursor"]
    assert len(me.get(f"{VAULT}/history/a.md").json["versions"]) == 1


def test_an_upload_whose_reply_was_lost_is_the_same_upload(me: Person) -> None:
    first = me.put("a.md", b"one").json
    second = me.put("a.md", b"two", base=first["stamp"]).json
    again = me.put("a.md", b"two", base=first["stamp"])
    assert (again.status_int, again.json["stamp"]) == (200, second["stamp"])


def test_an_edit_of_a_deleted_file_creates_it_anew_on_the_tombstone(me: Person) -> None:
    stamp = me.put("a.md", b"one").json["stamp"]
    tombstone = me.delete("a.md", stamp).json
    answer = me.put("a.md", b"two", base=None)
    assert (answer.status_int, answer.json["base"]) == (201, tombstone["stamp"])


def test_an_empty_file_is_a_file(me: Person) -> None:
    assert me.put("empty", b"").json["size"] == 0
    answer = me.get(file("empty"))
    assert (answer.status_int, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")


def test_a_losing_upload_is_kept_as_a_candidate_if_asked(me: Person) -> None:
    first = me.put("a.md", b"one").json
    head = me.put("a.md", b"two", base=first["stamp"]).json
    answer = me.put("a.md", b"three", base=first["stamp"], query="?on_conflict=keep", Gobi_Device="phone")
    assert answer.status_int == 202
    conflict = answer.json["conflict"]
    assert answer.json["head"]["stamp"] == conflict["server"]["stamp"] == head["stamp"]
    assert conflict["base"]["stamp"] == first["stamp"]
    assert [(one["n"], one["device"], one["hash"]) for one in conflict["candidates"]] == [
        (1, "phone", sha256(b"three"))
    ]
    assert me.get(file("a.md")).body == b"two"


def test_a_delete_leaves_a_tombstone(me: Person) -> None:
    stamp = me.put("a.md", b"text").json["stamp"]
    answer = me.delete("a.md", stamp)
    assert answer.status_int == 200
    assert (answer.json["kind"], answer.json["base"], answer.json["hash"]) == ("delete", stamp, None)
    assert answer.json["cursor"] != answer.json["after"]
    again = me.delete("a.md", stamp)  # its reply was lost
    assert (again.status_int, again.json["stamp"]) == (200, answer.json["stamp"])


def test_a_path_is_taken_as_its_bytes_are(me: Person) -> None:
    for path in ("with space.md", "a+b&c=d;e.md", "100%.md", "émoji ☃ 🎉.md", "quote'\".md", "a?b#c", "~tilde"):
        assert me.put(path, path.encode()).json["path"] == path
        assert me.get(file(path)).body == path.encode()


def test_an_encoded_slash_is_a_slash(me: Person) -> None:
    me.put("a/b.md", b"text")
    assert me.get(f"{VAULT}/files/a%2Fb.md").body == b"text"


# -- reading


@pytest.fixture
def note(me: Person) -> Json:
    version: Json = me.put("n/note.md", b"0123456789", Gobi_Mtime=str(MTIME)).json
    return version


def test_whether_it_can_be_run_travels_in_a_header(me: Person) -> None:
    made = me.put("run.sh", b"#!/bin/sh", Gobi_Executable="1").json
    assert made["executable"] is True
    assert me.get(file("run.sh")).headers["Gobi-Executable"] == "1"
    head = me.put("run.sh", b"#!/bin/sh -e", made["stamp"]).json
    assert head["executable"] is True, "who does not speak of it leaves it as it is"
    changed = me.put("run.sh", b"#!/bin/sh -e", head["stamp"], Gobi_Executable="0").json
    assert changed["stamp"] > head["stamp"]
    assert "executable" not in changed
    assert "Gobi-Executable" not in me.get(file("run.sh")).headers
    refused = me.put("run.sh", b"x", changed["stamp"], Gobi_Executable="yes")
    assert (refused.status_int, refused.json["code"]) == (400, "bad-request")


def test_a_file_comes_with_all_that_is_known_of_it(me: Person, note: Json) -> None:
    for method in ("GET", "HEAD"):
        answer = me.ask(method, file("n/note.md"))
        assert answer.status_int == 200
        assert answer.body == (b"0123456789" if method == "GET" else b"")
        assert answer.headers["ETag"] == f'"{note["stamp"]}"'
        assert answer.headers["Content-Length"] == "10"
        assert answer.headers["Last-Modified"] == "Mon, 23 Nov 2026 10:33:19 GMT"
        assert answer.headers["Gobi-Hash"] == sha256(b"0123456789")
        assert answer.headers["Gobi-Mtime"] == str(MTIME)
        assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Cache-Control"] == "private, no-cache"


def test_an_older_version_is_still_there(me: Person, note: Json) -> None:
    me.put("n/note.md", b"newer", base=note["stamp"])
    answer = me.get(f"{file('n/note.md')}?stamp={note['stamp']}")
    assert (answer.body, answer.headers["ETag"]) == (b"0123456789", f'"{note["stamp"]}"')


def test_a_part_of_a_file_is_sent_with_its_place(me: Person, note: Json) -> None:
    answer = me.get(file("n/note.md"), Range="bytes=2-4")
    assert (answer.status_int, answer.body) == (206, b"234")
    assert answer.headers["Content-Range"] == "bytes 2-4/10"
    assert answer.headers["Content-Length"] == "3"
    assert answer.headers["ETag"] == f'"{note["stamp"]}"'


def test_a_head_request_knows_no_parts(me: Person, note: Json) -> None:
    answer = me.ask("HEAD", file("n/note.md"), Range="bytes=2-4")
    assert (answer.status_int, answer.headers["Content-Length"]) == (200, "10")


def test_what_the_asker_has_is_not_sent_again(me: Person, note: Json) -> None:
    answer = me.get(file("n/note.md"), If_None_Match=f'"{note["stamp"]}"', Range="bytes=0-1")
    assert (answer.status_int, answer.body) == (304, b"")
    assert answer.headers["ETag"] == f'"{note["stamp"]}"'
    assert "Content-Type" not in answer.headers


def test_a_version_that_is_insisted_on_is_sent_or_refused(me: Person, note: Json) -> None:
    assert me.get(file("n/note.md"), If_Match=f'"{note["stamp"]}"').status_int == 200
    answer = me.get(file("n/note.md"), If_Match='"1"')
    assert (answer.status_int, answer.json["head"]["stamp"]) == (412, note["stamp"])


@pytest.mark.parametrize(
    ("name", "kind", "shown"),
    [
        ("a.txt", "text/plain; charset=utf-8", True),
        ("a.png", "image/png", True),
        ("a.JPG", "image/jpeg", True),
        ("a.webp", "image/webp", True),
        ("a.svg", "image/svg+xml", False),
        ("a.html", "text/html; charset=utf-8", False),
        ("a.pdf", "application/pdf", False),
        ("a.js", None, False),
        ("a.tar.gz", "application/gzip", False),
        ("a.svgz", "application/gzip", False),
        ("a.txt.bz2", "application/octet-stream", False),
        ("noending", "application/octet-stream", False),
    ],
)
def test_a_browser_is_shown_only_what_cannot_harm_it(me: Person, name: str, kind: str | None, shown: bool) -> None:
    me.put(name, b"bytes")
    answer = me.get(f"{file(name)}?inline=1")
    assert kind is None or answer.headers["Content-Type"] == kind
    assert answer.headers["Content-Disposition"].startswith("inline" if shown else "attachment")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert me.get(file(name)).headers["Content-Disposition"].startswith("attachment")


def test_a_name_is_told_in_ascii_and_in_full() -> None:
    assert disposition("inline", 'é "x".md') == "inline; filename=\"_ _x_.md\"; filename*=UTF-8''%C3%A9%20%22x%22.md"


@pytest.mark.parametrize("mtime", [0, -1, -62_135_596_800_000_000, (1 << 63) - 1, -(1 << 62)])
def test_a_file_of_any_time_is_stored_and_sent(me: Person, mtime: int) -> None:
    assert me.put("a.md", str(mtime).encode(), Gobi_Mtime=str(mtime)).json["mtime"] == mtime
    answer = me.get(file("a.md"))
    assert (answer.status_int, answer.headers["Gobi-Mtime"]) == (200, str(mtime))


@pytest.mark.parametrize(("given", "kept"), [(1 << 63, (1 << 63) - 1), (-(10**25), 1 - (1 << 63))])
def test_a_time_that_no_database_can_hold_becomes_the_nearest_one(me: Person, given: int, kept: int) -> None:
    assert me.put("a.md", b"text", Gobi_Mtime=str(given)).json["mtime"] == kept


@pytest.mark.parametrize("mtime", ["", "soon", "1.5", "1e9", "9" * 31])
def test_what_is_no_number_is_no_time(me: Person, mtime: str) -> None:
    refused(me.put("a.md", b"text", Gobi_Mtime=mtime), 400, "bad-request")


def test_a_time_that_the_calendar_has_is_a_date() -> None:
    assert http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert http_date(-1) == "Wed, 31 Dec 1969 23:59:59 GMT"
    assert http_date(1 << 62) is None
    assert http_date(None) is None


def test_a_file_without_a_time_has_its_versions(me: Person) -> None:
    me.put("a.md", b"text")
    answer = me.get(file("a.md"))
    assert "Gobi-Mtime" not in answer.headers
    assert answer.headers["Last-Modified"]


# -- the listing


def test_the_listing_has_live_files_in_byte_order_page_by_page(me: Person) -> None:
    for path in ("b", "a/x", "a.md", "Z", "ä", "gone"):
        me.put(path, path.encode())
    me.delete("gone", me.get(f"{VAULT}/history/gone").json["versions"][0]["stamp"])
    whole = me.get(f"{VAULT}/files").json
    assert [row["path"] for row in whole["files"]] == ["Z", "a.md", "a/x", "b", "ä"]
    assert whole["next"] is None
    page = me.get(f"{VAULT}/files?limit=2").json
    assert ([row["path"] for row in page["files"]], page["next"]) == (["Z", "a.md"], "a.md")
    rest = me.get(f"{VAULT}/files?limit=2&after=a.md").json
    assert [row["path"] for row in rest["files"]] == ["a/x", "b"]
    assert [row["path"] for row in me.get(f"{VAULT}/files?prefix=a").json["files"]] == ["a.md", "a/x"]
    assert [row["path"] for row in me.get(f"{VAULT}/files?prefix=%C3%A4").json["files"]] == ["ä"]


def test_a_listing_with_a_delimiter_is_one_folders(me: Person) -> None:
    for path in ("n/b/x", "n/b/y", "n/a.md", "n/c.md", "n/gone/x", "n.md"):
        me.put(path, path.encode())
    me.delete("n/gone/x", me.get(f"{VAULT}/history/n/gone/x").json["versions"][0]["stamp"])
    whole = me.get(f"{VAULT}/files?prefix=n/&delimiter=/").json
    assert [row["path"] for row in whole["files"]] == ["n/a.md", "n/c.md"]
    assert (whole["folders"], whole["next"]) == (["n/b/"], None)
    page = me.get(f"{VAULT}/files?prefix=n/&delimiter=%2F&limit=2").json
    assert ([row["path"] for row in page["files"]], page["folders"], page["next"]) == (["n/a.md"], ["n/b/"], "n/b/")
    rest = me.get(f"{VAULT}/files?prefix=n/&delimiter=/&limit=2&after={page['next']}").json
    assert ([row["path"] for row in rest["files"]], rest["folders"], rest["next"]) == (["n/c.md"], [], None)
    root = me.get(f"{VAULT}/files?delimiter=/").json
    assert ([row["path"] for row in root["files"]], root["folders"]) == (["n.md"], ["n/"])


# -- files are closed


def test_a_body_that_nobody_reads_to_its_end_is_closed(site: Site) -> None:
    from handlers.conditions import Span
    from handlers.download import Pieces
    from store.offload import inline

    body = b"x" * 600_000
    site.me.put("a", body)
    for take in (0, 1):
        opened = site.bodies.open(site.vault_id, sha256(body))
        pieces = Pieces(opened, Span(0, len(body)), inline)
        for _ in zip(range(take), pieces, strict=False):
            pass
        pieces.close()
        assert opened.closed
