"""Every row of the refusal table of docs/protocol.md, section 2: its status, its code, and that nothing was changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from store import errors as store
from sync.bundle import END, header, padding
from tests.handlers.site import VAULT, Person, Site, file, refused, sha256


def tar_of(*changes: dict[str, Any]) -> bytes:
    """A push without bodies."""
    manifest = json.dumps({"changes": list(changes)}).encode()
    return header("manifest.json", len(manifest), 0) + manifest + padding(len(manifest)) + END


# -- 400


@pytest.mark.parametrize(
    "path",
    [
        "../up",
        "a//b",
        "a/./b",
        "/a",
        "a/",
        "a%5Cb",
        "a%00b",
        "a%0Ab",
        "%FF",
        "%fe/x",
        "e%CC%81",
        ".gobi/x",
        ".GoBi",
        "%2E%2E/x",
    ],
)
def test_a_path_that_the_protocol_refuses_is_bad_path(site: Site, path: str) -> None:
    with site.unchanged():
        refused(site.me.ask("PUT", f"{VAULT}/files/{path}", b"text"), 400, "bad-path")


def test_two_names_of_different_bad_bytes_are_both_refused_and_never_become_one_file(site: Site) -> None:
    with site.unchanged():
        for name in ("note%ff.md", "note%fe.md"):
            for method in ("PUT", "GET", "HEAD", "DELETE"):
                answer = site.me.ask(method, f"{VAULT}/files/{name}", If_Match='"1"')
                assert answer.status_int == 400


def test_a_bad_path_inside_a_sync_is_bad_path_and_says_which(me: Person) -> None:
    changes = [{"path": "good.md", "kind": "missing"}, {"path": "../bad", "kind": "missing"}]
    problem = refused(me.post(f"{VAULT}/sync", {"cursor": "0", "changes": changes}), 400, "bad-path")
    assert "changes[1]" in problem["detail"]


@pytest.mark.parametrize("tag", ['W/"1"', '"1", "2"', "*", "1", '"1', "", 'W/"x"'])
def test_a_write_whose_if_match_is_weak_or_listed_or_a_star_is_bad_request(site: Site, tag: str) -> None:
    with site.unchanged():
        refused(site.me.ask("PUT", file("a.md"), b"text", If_Match=tag), 400, "bad-request")
        refused(site.me.ask("DELETE", file("a.md"), If_Match=tag), 400, "bad-request")


@pytest.mark.parametrize(
    "headers",
    [
        {"If_Match": '"1"', "If_None_Match": "*"},
        {"If_None_Match": '"1"'},
        {"Gobi_Mtime": "yesterday"},
        {"Gobi_Mtime": "1.5"},
        {"Gobi_Mtime": "9" * 31},
        {"Gobi_Hash": "ABC"},
        {"Gobi_Hash": "A" * 64},
        {"Gobi_Device": "tëlephone"},
        {"Gobi_Device": "x" * 65},
        {"Gobi_Device": ""},
        {"Content_Range": "bytes 0-3/10"},
    ],
)
def test_a_put_with_a_malformed_header_is_bad_request(site: Site, headers: dict[str, str]) -> None:
    with site.unchanged():
        refused(site.me.ask("PUT", file("a.md"), b"text", **headers), 400, "bad-request")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=10001",
        "limit=-1",
        "limit=ten",
        "limit=",
        "limit=1&limit=2",
        "stamp=%ff",
        "prefix=%ff",
        "limit=01",
        "delimiter=",
        "delimiter=%5C",
        "delimiter=//",
    ],
)
def test_a_malformed_query_is_bad_request(me: Person, query: str) -> None:
    refused(me.get(f"{VAULT}/files?{query}"), 400, "bad-request")


@pytest.mark.parametrize("query", ["stamp=-1", "stamp=x", "stamp=9223372036854775808", "stamp=1e3"])
def test_a_malformed_stamp_is_bad_request(me: Person, query: str) -> None:
    refused(me.get(f"{file('a.md')}?{query}"), 400, "bad-request")
    refused(me.get(f"{VAULT}/archive.tar?{query}"), 400, "bad-request")


def test_on_conflict_is_fail_or_keep_and_nothing_else(site: Site) -> None:
    with site.unchanged():
        refused(site.me.put("a.md", b"text", query="?on_conflict=overwrite"), 400, "bad-request")
        refused(site.me.post(f"{VAULT}/push?on_conflict=", b""), 400, "bad-request")


SAME = {"path": "a.md", "kind": "same", "base": 1, "hash": "0" * 64}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"cursor": 0}',
        b'{"cursor": "0", "changes": {}}',
        b'{"cursor": "0", "limit": 0}',
        b'{"cursor": "0", "limit": 10001}',
        b'{"cursor": "0", "last": "yes"}',
        b'{"cursor": "0", "changes": [{"path": "a"}]}',
        b'{"cursor": "0", "changes": [{"path": 1, "kind": "put"}]}',
        b'{"cursor": "0", "changes": [{"path": "a", "kind": "rename"}]}',
        b'{"cursor": "\xff"}',
    ],
)
def test_a_sync_that_is_not_the_json_of_section_5_is_bad_request(me: Person, body: bytes) -> None:
    refused(me.post(f"{VAULT}/sync", body), 400, "bad-request")


@pytest.mark.parametrize(
    "change",
    [
        SAME | {"base": None},
        SAME | {"hash": None},
        SAME | {"hash": "0" * 63},
        SAME | {"hash": "A" * 64},
        SAME | {"hash": "0" * 64 + "\n"},
        SAME | {"base": -1},
        SAME | {"base": 1.5},
        SAME | {"base": True},
        SAME | {"base": 1 << 63},
        SAME | {"sent": "0" * 64},
        SAME | {"sent": ["x"]},
        {"path": "a.md", "kind": "put"},
        {"path": "a.md", "kind": "put", "hash": "0" * 64, "size": -1},
    ],
)
def test_a_change_that_lacks_what_its_kind_needs_is_bad_request(me: Person, change: dict[str, Any]) -> None:
    refused(me.post(f"{VAULT}/sync", {"cursor": "0", "changes": [change]}), 400, "bad-request")


@pytest.mark.parametrize("cursor", ["", "1", "00", "abcdefabcdef", "abcdefabcdef.1.!", "abcdefabcdef.1.x\n", "-"])
def test_a_cursor_that_this_server_cannot_have_given_is_bad_cursor(me: Person, cursor: str) -> None:
    refused(me.post(f"{VAULT}/sync", {"cursor": cursor}), 400, "bad-cursor")
    refused(me.get(f"{VAULT}/changes?cursor={quote(cursor)}"), 400, "bad-cursor")


NESTED = 1_000_000


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("PATCH", VAULT),
        ("PUT", f"{VAULT}/members/you"),
        ("POST", f"{VAULT}/invitations"),
        ("POST", "/v1/invitations/redeem"),
        ("POST", f"{VAULT}/sync"),
        ("POST", f"{VAULT}/pull"),
        ("POST", f"{VAULT}/restore"),
        ("POST", f"{VAULT}/conflicts/0000000000000000/resolve"),
    ],
)
@pytest.mark.parametrize("opening", ["[", '{"since":0,"a":', '{"path":[', '{"changes":[{"path":'])
def test_json_that_is_nested_too_deeply_is_bad_request(site: Site, method: str, url: str, opening: str) -> None:
    with site.unchanged():
        refused(site.me.ask(method, url, opening.encode() * (4_000 // len(opening))), 400, "bad-request")
        for times in (60_000 // len(opening), NESTED // len(opening)):
            answer = site.me.ask(method, url, opening.encode() * times)
            assert (answer.status_int, answer.json["code"]) in ((400, "bad-request"), (413, "too-large"))


@pytest.mark.parametrize("opening", ["[", '{"changes":', '{"changes":[{"path":"a","kind":"put","base":['])
def test_a_push_whose_manifest_is_nested_too_deeply_is_bad_request(site: Site, opening: str) -> None:
    manifest = opening.encode() * (NESTED // len(opening))
    data = header("manifest.json", len(manifest), 0) + manifest + padding(len(manifest)) + END
    with site.unchanged():
        refused(site.me.ask("POST", f"{VAULT}/push", data), 400, "bad-request")


@pytest.mark.parametrize("url", [f"{VAULT}/restore", f"{VAULT}/members/you", VAULT])
def test_a_small_request_may_not_be_large(site: Site, url: str) -> None:
    method = {VAULT: "PATCH", f"{VAULT}/restore": "POST"}.get(url, "PUT")
    with site.unchanged():
        refused(site.me.ask(method, url, b" " * ((64 << 10) + 1)), 413, "too-large")


# -- 401, 403, 404


def test_no_credentials_are_unauthorized_and_basic_is_asked_for(site: Site) -> None:
    nobody = site.person(None)
    with site.unchanged():
        for method, url in [
            ("GET", "/v1/vaults"),
            ("PUT", "/v1/vaults/new"),
            ("PUT", file("a.md")),
            ("GET", "/readyz"),
        ]:
            answer = nobody.ask(method, url)
            refused(answer, 401, "unauthorized")
            assert answer.headers["WWW-Authenticate"] == 'Basic realm="gobi"'


def test_a_reader_may_not_write(site: Site) -> None:
    you = site.person("you")
    version = site.me.put("a.md", b"text").json
    site.me.ask("PUT", f"{VAULT}/members/you", {"role": "read"})
    writes = [
        you.put("b.md", b"text"),
        you.put("a.md", b"other", base=version["stamp"]),
        you.delete("a.md", version["stamp"]),
        you.post(f"{VAULT}/push", tar_of()),
        you.post(f"{VAULT}/restore", {"path": "a.md", "stamp": version["stamp"], "head": version["stamp"]}),
        you.post(f"{VAULT}/conflicts/x/resolve", {"keep": "server", "head": 1}),
        you.ask("PUT", f"{VAULT}/members/you", {"role": "owner"}),
        you.ask("DELETE", f"{VAULT}/members/me"),
        you.ask("DELETE", f"{VAULT}?confirm=notes"),
    ]
    with site.unchanged():
        for answer in writes:
            refused(answer, 403, "forbidden")
    assert you.post(f"{VAULT}/sync", {"cursor": "0"}).status_int == 200
    assert you.post(f"{VAULT}/pull", {"files": [{"path": "a.md", "stamp": version["stamp"]}]}).status_int == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://localhost:81"]
)
def test_a_write_from_another_sites_page_is_cross_origin(site: Site, origin: str) -> None:
    with site.unchanged():
        refused(site.me.put("a.md", b"text", Origin=origin), 403, "cross-origin")
        refused(site.me.post("/v1/session", b"", Origin=origin), 403, "cross-origin")


def test_what_is_not_there_is_not_found(site: Site) -> None:
    me = site.me
    with site.unchanged():
        for url in [
            "/v1/vaults/other",
            "/v1/vaults/other/files/a.md",
            file("a.md"),
            f"{file('a.md')}?stamp=1",
            f"{VAULT}/history/a.md",
            f"{VAULT}/conflicts/none",
            f"{VAULT}/conflicts/none/base",
            "/v1/nothing",
            "/v2",
        ]:
            refused(me.get(url), 404, "not-found")
        refused(me.post(f"{VAULT}/conflicts/none/resolve", {"keep": "server", "head": 1}), 404, "not-found")
        refused(me.post(f"{VAULT}/restore", {"path": "a.md", "stamp": 1, "head": None}), 404, "not-found")
        refused(me.ask("DELETE", f"{VAULT}/members/stranger"), 404, "not-found")
        refused(me.ask("PUT", f"{VAULT}/members/stranger", {"role": "read"}), 404, "not-found")


def test_a_vault_of_others_answers_exactly_like_one_that_does_not_exist(site: Site) -> None:
    you = site.person("you")
    for method, place in [
        ("GET", ""),
        ("GET", "/files"),
        ("PUT", "/files/a"),
        ("POST", "/push"),
        ("DELETE", "?confirm=notes"),
    ]:
        theirs = you.ask(method, f"/v1/vaults/notes{place}", X_Request_ID="one").json
        missing = you.ask(method, f"/v1/vaults/nothing{place}", X_Request_ID="one").json
        assert theirs == missing


def test_a_deleted_file_is_not_found_and_its_tombstone_told(me: Person) -> None:
    stamp = me.put("a.md", b"text").json["stamp"]
    tombstone = me.delete("a.md", stamp).json
    assert refused(me.get(file("a.md")), 404, "not-found")["head"]["stamp"] == tombstone["stamp"]
    answer = me.get(f"{file('a.md')}?stamp={tombstone['stamp']}")
    assert refused(answer, 404, "not-found")["head"]["kind"] == "delete"


def test_a_pull_with_unknown_versions_lists_them(me: Person) -> None:
    stamp = me.put("a.md", b"text").json["stamp"]
    wanted = [{"path": "a.md", "stamp": stamp}, {"path": "b.md", "stamp": stamp}, {"path": "a.md", "stamp": 5}]
    assert refused(me.post(f"{VAULT}/pull", {"files": wanted}), 404, "not-found")["missing"] == wanted[1:]


# -- 405


@pytest.mark.parametrize(
    ("method", "url", "allow"),
    [
        ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/v1/session", {"GET", "HEAD", "POST", "DELETE", "OPTIONS"}),
        ("PUT", "/v1/vaults", {"GET", "HEAD", "OPTIONS"}),
        ("POST", VAULT, {"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}),
        ("POST", file("a.md"), {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}),
        ("PATCH", file("a.md"), {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}),
        ("PUT", f"{VAULT}/files", {"GET", "HEAD", "OPTIONS"}),
        ("GET", f"{VAULT}/push", {"POST", "OPTIONS"}),
        ("GET", f"{VAULT}/sync", {"POST", "OPTIONS"}),
        ("GET", f"{VAULT}/conflicts/x/resolve", {"POST", "OPTIONS"}),
    ],
)
def test_a_method_that_an_address_does_not_have_is_refused_with_those_it_has(
    site: Site, method: str, url: str, allow: set[str]
) -> None:
    with site.unchanged():
        answer = site.me.ask(method, url)
        refused(answer, 405, "method-not-allowed")
        assert set(answer.headers["Allow"].split(", ")) == allow


# -- 409, 410, 412


def test_a_vault_under_somebody_elses_name_is_name_taken(site: Site) -> None:
    with site.unchanged():
        refused(site.person("you").ask("PUT", VAULT), 409, "name-taken")


def test_a_file_where_a_folder_is_or_the_reverse_is_path_taken_and_says_by_what(site: Site) -> None:
    site.me.put("a/b.md", b"text")
    with site.unchanged():
        assert refused(site.me.put("a", b"text"), 409, "path-taken")["version"]["path"] == "a/b.md"
        assert refused(site.me.put("a/b.md/c", b"text"), 409, "path-taken")["version"]["path"] == "a/b.md"


def test_a_vault_keeps_its_last_owner(site: Site) -> None:
    with site.unchanged():
        refused(site.me.ask("DELETE", f"{VAULT}/members/me"), 409, "last-owner")
        refused(site.me.ask("PUT", f"{VAULT}/members/me", {"role": "write"}), 409, "last-owner")


def test_a_cursor_below_the_purge_mark_or_of_another_epoch_is_expired(site: Site) -> None:
    first = site.me.put("a.md", b"one").json
    site.me.put("b.md", b"two")
    epoch = first["cursor"].split(".")[0]
    site.metadata.set_purge_mark(site.vault_id, first["stamp"] + 1)
    with site.unchanged():
        for cursor in (first["cursor"], "abcdefabcdef.5", f"{epoch}.{first['stamp'] + 999_999_999}"):
            refused(site.me.get(f"{VAULT}/changes?cursor={cursor}"), 410, "cursor-expired")
            refused(site.me.post(f"{VAULT}/sync", {"cursor": cursor}), 410, "cursor-expired")


def test_a_version_or_a_moment_that_was_purged_is_purged(site: Site) -> None:
    stamp = site.me.put("a.md", b"one").json["stamp"]
    site.metadata.set_purge_mark(site.vault_id, stamp + 10)
    with site.unchanged():
        refused(site.me.get(f"{file('gone.md')}?stamp={stamp + 5}"), 410, "purged")
        refused(site.me.get(f"{VAULT}/archive.tar?stamp={stamp}"), 410, "purged")
        refused(site.me.post(f"{VAULT}/restore", {"path": "b", "stamp": stamp + 5, "head": None}), 410, "purged")


def test_a_write_on_another_base_than_the_head_is_a_conflict_that_carries_the_head(site: Site) -> None:
    me = site.me
    old = me.put("a.md", b"one").json
    head = me.put("a.md", b"two", base=old["stamp"]).json
    with site.unchanged():
        for answer in [
            me.put("a.md", b"three", base=old["stamp"]),
            me.put("a.md", b"three", base=None),
            me.put("a.md", b"three"),
            me.ask("PUT", file("a.md"), b"three", If_Match='"no-stamp"'),
            me.delete("a.md", old["stamp"]),
            me.ask("DELETE", file("a.md"), If_Match='"007"'),
            me.post(f"{VAULT}/restore", {"path": "a.md", "stamp": old["stamp"], "head": old["stamp"]}),
        ]:
            assert refused(answer, 412, "conflict")["head"]["stamp"] == head["stamp"]


def test_a_write_on_a_base_where_there_is_no_file_is_a_conflict_without_a_head(site: Site) -> None:
    with site.unchanged():
        assert refused(site.me.put("a.md", b"text", base=5), 412, "conflict")["head"] is None
        assert refused(site.me.delete("a.md", 5), 412, "conflict")["head"] is None


# -- 413, 415, 416, 422, 428


def test_a_file_over_the_limit_is_too_large(tmp_path: Path) -> None:
    small = Site(tmp_path, max_file=10)
    with small.unchanged():
        refused(small.me.put("a.md", b"eleven bytes"), 413, "too-large")


def test_a_request_over_the_limit_is_too_large(site: Site) -> None:
    with site.unchanged():
        answer = site.me.ask("POST", f"{VAULT}/sync", b" " * ((16 << 20) + 1))
        refused(answer, 413, "too-large")


def test_more_than_10_000_changes_are_too_large(site: Site) -> None:
    changes = [{"path": f"{number}", "kind": "missing"} for number in range(10_001)]
    with site.unchanged():
        refused(site.me.post(f"{VAULT}/sync", {"cursor": "0", "changes": changes}), 413, "too-large")
        refused(site.me.post(f"{VAULT}/push", tar_of(*changes)), 413, "too-large")
        files = [{"path": "a", "stamp": 1}] * 10_001
        refused(site.me.post(f"{VAULT}/pull", {"files": files}), 413, "too-large")


@pytest.mark.parametrize("value", [b"[]", b"{}", b"0", b'{"path":"a","kind":"missing"}'])
def test_millions_of_tiny_values_are_too_large(site: Site, value: bytes) -> None:
    """In memory each would take a hundred times its bytes."""
    text = b'{"cursor":"0","files":[],"changes":[' + value + (b"," + value) * (4_000_000 // len(value)) + b"]}"
    manifest = header("manifest.json", len(text), 0) + text + padding(len(text)) + END
    with site.unchanged():
        for url, body in (("sync", text), ("pull", text), ("push", manifest)):
            refused(site.me.ask("POST", f"{VAULT}/{url}", body), 413, "too-large")


def test_an_encoded_body_is_refused_everywhere(site: Site) -> None:
    with site.unchanged():
        refused(site.me.put("a.md", b"text", Content_Encoding="gzip"), 415, "encoded-body")
        refused(site.me.post(f"{VAULT}/sync", {"cursor": "0"}, Content_Encoding="gzip"), 415, "encoded-body")
        refused(site.me.post(f"{VAULT}/push", tar_of(), Content_Encoding="br"), 415, "encoded-body")


@pytest.mark.parametrize("wanted", ["bytes=4-", "bytes=10-20", "bytes=-0"])
def test_a_range_that_holds_no_byte_of_the_body_is_bad_range(me: Person, wanted: str) -> None:
    me.put("a.md", b"text")
    answer = me.get(file("a.md"), Range=wanted)
    refused(answer, 416, "bad-range")
    assert answer.headers["Content-Range"] == "bytes */4"


def test_bytes_that_are_not_those_announced_are_a_hash_mismatch(site: Site) -> None:
    with site.unchanged():
        refused(site.me.put("a.md", b"text", Gobi_Hash=sha256(b"other")), 422, "hash-mismatch")


def test_a_pushed_body_of_another_length_is_a_length_mismatch(site: Site) -> None:
    change = {"path": "a.md", "kind": "put", "base": None, "hash": sha256(b"text"), "size": 5}
    archive = tar_of(change).removesuffix(END) + header("a.md", 4, 0) + b"text" + padding(4) + END
    with site.unchanged():
        (result,) = site.me.post(f"{VAULT}/push", archive).json["results"]
        assert (result["status"], result["code"]) == ("rejected", "length-mismatch")


def test_a_delete_without_a_base_is_base_required(site: Site) -> None:
    site.me.put("a.md", b"text")
    with site.unchanged():
        refused(site.me.ask("DELETE", file("a.md")), 428, "base-required")


# -- 429: see test_throttle.py and test_bundles.py


# -- 500, 503, 507


def test_a_fault_is_internal_and_tells_nothing_of_the_inside(site: Site) -> None:
    with site.unchanged():
        site.metadata.fail("vault_and_head", RuntimeError("the secret inside"))
        answer = site.me.put("a.md", b"text")
        refused(answer, 500, "internal")
        assert "secret" not in answer.text


def test_a_lost_body_is_internal_and_says_what_to_do(site: Site) -> None:
    site.me.put("a.md", b"text")
    for path in (site.settings.data_dir / "bodies" / site.vault_id).rglob("*"):
        if path.is_file():
            path.unlink()
    refused(site.me.get(file("a.md")), 500, "internal")  # from now on it is known to be lost
    with site.unchanged():
        assert "backup" in refused(site.me.get(file("a.md")), 500, "internal")["detail"]


def test_a_database_out_of_reach_is_store_unavailable_and_says_when_to_try_again(site: Site) -> None:
    with site.unchanged(orphans=True):
        for method in ("vault_and_head", "transact"):
            site.metadata.fail(method, store.Unavailable("the database does not answer", retry_after=7))
            answer = site.me.put("a.md", b"text")
            refused(answer, 503, "store-unavailable")
            assert answer.headers["Retry-After"] == "7"
            site.metadata.mend()


def test_a_database_out_of_reach_while_signing_in_is_no_wrong_password(site: Site) -> None:
    site.metadata.fail("user", store.Unavailable("the database does not answer"))
    for _ in range(50):
        refused(site.person("me").get("/v1/vaults"), 503, "store-unavailable")
    site.metadata.mend()
    assert site.person("me").get("/v1/vaults").status_int == 200


def test_a_full_database_is_metadata_full_and_reads_go_on(site: Site) -> None:
    site.me.put("a.md", b"text")
    with site.unchanged(orphans=True):
        site.metadata.fail("transact", store.MetadataFull("the database is full"))
        refused(site.me.put("b.md", b"more"), 507, "metadata-full")
        assert site.me.get(file("a.md")).body == b"text"


def test_a_full_disk_is_disk_full_and_reads_go_on(site: Site) -> None:
    site.me.put("a.md", b"text")
    with site.unchanged():
        site.bodies.fail("receive", store.DiskFull("the disk is full"))
        refused(site.me.put("b.md", b"more"), 507, "disk-full")
        assert site.me.get(file("a.md")).body == b"text"


def test_a_vault_over_its_quota_is_quota(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    small = Site(tmp_path, quota=10)
    small.me.put("a.md", b"nine byte")
    with small.unchanged():
        refused(small.me.put("b.md", b"text"), 507, "quota")
    assert "failed" not in caplog.text, "nobody has to look after the server for that"
