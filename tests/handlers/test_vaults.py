"""Vaults and their members over HTTP (docs/protocol.md, section 3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlers.openapi.operation import Operation
from handlers.openapi.operations import OPERATIONS
from tests.handlers.site import VAULT, Person, Site, refused


def test_a_vault_is_made_by_its_name_and_its_maker_owns_it(me: Person) -> None:
    answer = me.ask("PUT", "/v1/vaults/photos")
    assert answer.status_int == 201
    told = {name: answer.json[name] for name in ("id", "cursor")}
    assert answer.json == {"name": "photos", "role": "owner", "files": 0, "bytes": 0, **told}
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


# -- which vault is meant

# The live socket's handshake is in tests/live/test_handshake.py.
ON_A_VAULT = [one for one in OPERATIONS if "{vault}" in one.address and not one.address.endswith("/live")]


def test_a_vault_has_an_id_that_its_name_does_not_change_and_another_vault_never_has(site: Site) -> None:
    me = site.me
    known = me.get(VAULT).json["id"]
    assert me.get("/v1/vaults").json["vaults"][0]["id"] == known
    assert me.post(f"{VAULT}/sync", {"cursor": "0", "changes": []}).json["vault"] == known
    me.ask("DELETE", f"{VAULT}?confirm=notes")
    assert me.ask("PUT", VAULT).json["id"] != known


@pytest.mark.parametrize("operation", ON_A_VAULT, ids=lambda one: one.id)
def test_whoever_means_another_vault_than_has_the_name_now_is_let_into_none(site: Site, operation: Operation) -> None:
    me = site.me
    known = me.get(VAULT).json["id"]
    me.ask("DELETE", f"{VAULT}?confirm=notes")
    made_again = me.ask("PUT", VAULT).json["id"]
    me.put("a.md", b"text")
    address = operation.address.replace("{vault}", "notes").replace("{path}", "a.md").replace("{user}", "me")
    address = address.replace("{id}", "0").replace("{side}", "server").replace("{hash}", "0" * 64)
    with site.unchanged():
        answer = me.ask(operation.method, address, Gobi_Vault=known)
        if operation.method == "HEAD":
            assert answer.status_int == 409
        else:
            refused(answer, 409, "other-vault")
    assert me.ask("GET", VAULT, Gobi_Vault=made_again).status_int == 200


def test_a_vault_that_is_not_for_the_caller_does_not_exist_whichever_is_meant(site: Site) -> None:
    known = site.me.get(VAULT).json["id"]
    you = site.person("you")
    for meant in (known, "0" * 16, ""):
        refused(you.ask("GET", VAULT, Gobi_Vault=meant), 404, "not-found")


def test_a_vault_that_is_meant_by_its_id_is_not_made_anew(site: Site) -> None:
    with site.unchanged():
        refused(site.me.ask("PUT", "/v1/vaults/photos", Gobi_Vault="0" * 16), 404, "not-found")


# -- who may make vaults, and how many


def test_three_hundred_vaults_are_more_than_one_person_makes(site: Site) -> None:
    you = site.person("you")
    answers = [you.ask("PUT", f"/v1/vaults/v{number}") for number in range(300)]
    assert [answer.status_int for answer in answers] == [201] * 100 + [403] * 200
    refused(answers[-1], 403, "too-many")
    assert you.ask("PUT", "/v1/vaults/v0").status_int == 200
    assert len(you.get("/v1/vaults").json["vaults"]) == 100
    site.me.ask("PUT", f"{VAULT}/members/you", {"role": "write"})
    refused(site.me.ask("PUT", f"{VAULT}/members/you", {"role": "owner"}), 403, "too-many")
    assert you.ask("DELETE", "/v1/vaults/v0?confirm=v0").status_int == 204
    assert you.ask("PUT", "/v1/vaults/v300").status_int == 201


def test_who_may_make_no_vaults_enters_those_that_there_are(tmp_path: Path) -> None:
    """And is not told by the refusal which names are in use."""
    site = Site(tmp_path, vault_creators=("me",))
    you = site.person("you")
    texts = [refused(you.ask("PUT", f"/v1/vaults/{name}"), 403, "forbidden")["detail"] for name in ("notes", "new")]
    assert texts[0] == texts[1]
    assert site.metadata.vault("new") is None
    site.me.ask("PUT", f"{VAULT}/members/you", {"role": "read"})
    assert you.ask("PUT", VAULT).status_int == 200
    assert site.me.ask("PUT", "/v1/vaults/new").status_int == 201
