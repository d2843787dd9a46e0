"""What is sent is a value, whatever it looks like: it never becomes a question to the database."""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.site import VAULT, Site, refused

OPERATORS: list[Any] = [{"$gt": ""}, {"$ne": None}, {"$where": "1"}, {"$regex": ".*"}, ["$ne", 1], [{"$gt": ""}]]
# Where a body has a word, by the operation.
WORDS = [
    ("POST", "/v1/invitations/redeem", {"secret": "x", "device": "laptop", "password": "y"}),
    ("PUT", f"{VAULT}/members/you", {"role": "read"}),
    ("POST", f"{VAULT}/invitations", {"device": "laptop"}),
    ("POST", f"{VAULT}/sync", {"cursor": "0", "changes": []}),
    ("POST", f"{VAULT}/conflicts/c/resolve", {"keep": "server", "head": 1}),
]


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
@pytest.mark.parametrize(("method", "url", "body"), WORDS, ids=lambda one: one if isinstance(one, str) else "")
def test_an_object_where_a_word_belongs_is_malformed_and_asks_the_database_nothing(
    site: Site, method: str, url: str, body: dict[str, Any], operator: Any
) -> None:
    for field in body:
        with site.unchanged():
            refused(site.me.ask(method, url, body | {field: operator}), 400, "bad-request")


@pytest.mark.parametrize("name", ["$gt", "$where", "%24ne", "a$b", "me%00", "[$ne]", "me.password"])
def test_a_name_of_an_operator_is_nobodys_and_no_vaults(site: Site, name: str) -> None:
    with site.unchanged():
        for url in (f"/v1/vaults/{name}", f"/v1/vaults/{name}/files", f"/v1/vaults/{name}/conflicts/$gt"):
            assert site.me.get(url).status_int in (400, 404)
        assert site.me.ask("PUT", f"{VAULT}/members/{name}", {"role": "read"}).status_int in (400, 404)
        assert site.me.ask("DELETE", f"{VAULT}/members/{name}").status_int in (400, 404)
