"""Bodies that the disk has lost, over HTTP (docs/protocol.md, section 6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.handlers.site import VAULT, Site, file, refused, sha256

LOST = f"{VAULT}/lost"
BODY = b"a's words"
HERE = f"{LOST}/{sha256(BODY)}"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One that has lost a body, and where a reader has noticed."""
    site = Site(tmp_path)
    site.me.put("a.md", BODY)
    site.me.put("b.md", b"b's words")
    digest = sha256(BODY)
    (tmp_path / "bodies" / site.vault_id / digest[:2] / digest[2:]).unlink()
    refused(site.me.get(file("a.md")), 500, "internal")
    return site


def exchange(site: Site, who: str = "me") -> object:
    return site.person(who).post(f"{VAULT}/sync", {"cursor": "0", "changes": []}).json.get("lost")


def test_it_is_told_given_back_and_told_no_more(site: Site) -> None:
    assert site.me.get(LOST).json == {"lost": [sha256(BODY)]}
    assert exchange(site) == 1
    assert site.me.ask("PUT", HERE, BODY).status_int == 204
    assert site.me.get(file("a.md")).body == BODY
    assert site.me.get(LOST).json == {"lost": []}
    assert exchange(site) is None
    refused(site.me.ask("PUT", HERE, BODY), 404, "not-found")


def test_a_pull_that_would_come_to_it_says_so_before_its_first_byte(site: Site) -> None:
    wanted = [{"path": row["path"], "stamp": row["stamp"]} for row in site.me.get(f"{VAULT}/files").json["files"]]
    refused(site.me.post(f"{VAULT}/pull", {"files": wanted}), 500, "internal")
    assert site.me.post(f"{VAULT}/pull", {"files": wanted[1:]}).status_int == 200


def test_who_may_only_read_is_neither_told_nor_asked(site: Site) -> None:
    site.me.ask("PUT", f"{VAULT}/members/you", {"role": "read"})
    you = site.person("you")
    with site.unchanged():
        assert exchange(site, "you") is None
        refused(you.get(LOST), 403, "forbidden")
        refused(you.ask("PUT", HERE, BODY), 403, "forbidden")
        refused(site.person(None).ask("PUT", HERE, BODY), 401, "unauthorized")


def test_nothing_else_is_taken(site: Site) -> None:
    with site.unchanged():
        refused(site.me.ask("PUT", HERE, b"a's wordz"), 422, "hash-mismatch")
        refused(site.me.ask("PUT", f"{LOST}/{sha256(b'new')}", b"new"), 404, "not-found")
        refused(site.me.ask("PUT", f"{LOST}/{sha256(BODY).upper()}", BODY), 400, "bad-request")
