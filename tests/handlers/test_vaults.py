"""Vaults and their members over HTTP (docs/protocol.md, section 3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.handlers.site import VAULT, Person, Site, refused


def test_a_vault_is_made_by_its_name_and_its_maker_owns_it(me: Person) -> None:
    answer = me.ask("PUT", "/v1/vaults/photos")
    assert answer.status_int == 201
    assert answer.json == {"name": "photos", "role": "owner", "cursor": answer.json["cursor"], "files": 0, "bytes": 0}
    again = me.ask("PUT", "/v1/vaults/photos")
    assert (again.status_int, again.json) == (200, answer.json)
    assert [row["name"] for row in me.get("/v1/vaults").json["vaults"]] == ["notes", "photos"]


@pytest.mark.parametrize("name", ["Notes", "-a", ".a", "a" * 65, "a%20b", "%C3%A4", "a%ff", "a%00"])
def test_a_vault_has_a_plain_name(site: Site, name: str) -> None:
    with site.unchanged():
        refused(site.me.ask("PUT", f"/v1/vaults/{name}"), 400, "bad-request")


def test_a_vault_tells_what_it_holds(tmp_path: Path) -> None:
    site = Site(tmp_path, quota=1_000)
    old = site.me.put("a.md", b"12345").json["stamp"]
    site.me.put("a.md", b"123", base=old)
    site.me.put("b.md", b"12345")
    row = site.me.get(VAULT).json
    assert (row["files"], row["bytes"], row["stored"]) == (2, 8, 8)
    assert (row["conflicts"], row["quota"], row["members"], row["role"]) == (0, 1_000, {"me": "owner"}, "owner")
    assert row["cursor"].startswith(row["epoch"])


def test_an_owner_lets_others_in_and_out(site: Site) -> None:
    you = site.person("you")
    answer = site.me.ask("PUT", f"{VAULT}/members/you", {"role": "write"})
    assert (answer.status_int, answer.json) == (200, {"user": "you", "role": "write"})
    assert you.get("/v1/vaults").json["vaults"][0]["role"] == "write"
    assert you.put("a.md", b"text").json["user"] == "you"
    refused(you.ask("PUT", f"{VAULT}/members/you", {"role": "owner"}), 403, "forbidden")
    assert site.me.ask("DELETE", f"{VAULT}/members/you").status_int == 204
    refused(you.get(VAULT), 404, "not-found")
    assert you.get("/v1/vaults").json == {"vaults": []}


@pytest.mark.parametrize("body", [{"role": "king"}, {"role": 3}, {}, [], {"role": None}])
def test_a_role_is_read_write_or_owner(site: Site, body: object) -> None:
    with site.unchanged():
        refused(site.me.ask("PUT", f"{VAULT}/members/you", body), 400, "bad-request")


def test_a_vault_is_removed_only_when_its_name_is_said_twice(site: Site) -> None:
    site.me.put("a.md", b"text")
    with site.unchanged():
        refused(site.me.ask("DELETE", VAULT), 400, "bad-request")
        refused(site.me.ask("DELETE", f"{VAULT}?confirm=other"), 400, "bad-request")
    answer = site.me.ask("DELETE", f"{VAULT}?confirm=notes")
    assert (answer.status_int, answer.body) == (204, b"")
    refused(site.me.get(VAULT), 404, "not-found")


def test_a_vault_made_again_is_another_vault(site: Site) -> None:
    old = site.me.put("a.md", b"text").json["cursor"]
    site.me.ask("DELETE", f"{VAULT}?confirm=notes")
    site.me.ask("PUT", VAULT)
    assert site.me.get(f"{VAULT}/files").json["files"] == []
    refused(site.me.get(f"{VAULT}/changes?cursor={old}"), 410, "cursor-expired")
