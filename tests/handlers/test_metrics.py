"""Who may read /metrics, and what is in it where one process is all there is."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from webtest import TestApp, TestResponse

from handlers.metrics import KEPT_S
from store.errors import Unavailable
from tests.handlers.site import Site, refused

TOKEN = "something long and random"


def read(site: Site, peer: str, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    app = TestApp(site.application, extra_environ={"REMOTE_ADDR": peer})
    return app.get("/metrics", headers=named, expect_errors=True)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1"])
def test_this_machine_may_read_it(site: Site, peer: str) -> None:
    answer = read(site, peer)
    assert answer.status_int == 200
    assert answer.content_type == "text/plain"


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("192.0.2.9", {}),
        ("192.0.2.9", {"X_Forwarded_For": "127.0.0.1"}),
        ("127.0.0.1", {"X_Forwarded_For": "203.0.113.5"}),  # a proxy that nobody named
        ("127.0.0.1", {"X_Forwarded_For": "127.0.0.1"}),
        ("127.0.0.1", {"Via": "1.1 proxy"}),
        ("10.0.0.1", {"X_Forwarded_For": "127.0.0.1"}),  # the named proxy's own machine, not this one
        ("", {}),  # a proxy on a Unix socket
        ("192.0.2.9", {"Authorization": "Bearer "}),
        ("192.0.2.9", {"Authorization": "Bearer None"}),
    ],
)
def test_to_anybody_else_there_is_no_such_address(tmp_path: Path, peer: str, headers: dict[str, str]) -> None:
    site = Site(tmp_path, trusted_proxies=(ip_network("10.0.0.0/8"),))
    refused(read(site, peer, **headers), 404, "not-found")


def test_the_token_may_read_it_from_anywhere_and_no_other_word(tmp_path: Path) -> None:
    site = Site(tmp_path, metrics_token=TOKEN)
    assert read(site, "192.0.2.9", Authorization=f"Bearer {TOKEN}").status_int == 200
    assert read(site, "10.0.0.1", Authorization=f"bearer {TOKEN}", X_Forwarded_For="203.0.113.5").status_int == 200
    for word in (f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer", "Bearer ä"):
        refused(read(site, "192.0.2.9", Authorization=word), 404, "not-found")


def test_vaults_are_read_from_the_database_twice_a_minute_at_most(site: Site) -> None:
    site.me.put("a.md", b"text", None)
    assert 'gobi_vault_files{vault="notes"} 1.0' in read(site, "::1").text
    site.me.put("b.md", b"text", None)
    assert 'gobi_vault_files{vault="notes"} 1.0' in read(site, "::1").text
    site.clock.now += KEPT_S
    text = read(site, "::1").text
    assert 'gobi_vault_files{vault="notes"} 2.0' in text
    assert 'gobi_vault_bytes{vault="notes"} 8.0' in text
    assert 'gobi_vault_stored_bytes{vault="notes"} 4.0' in text


def test_without_the_database_the_rest_is_told(site: Site) -> None:
    site.metadata.fail("vaults", Unavailable("away"))
    answer = read(site, "::1")
    assert answer.status_int == 200
    assert "gobi_http_requests_running 1.0" in answer.text


def test_no_name_of_a_file_or_person_is_in_it(site: Site) -> None:
    site.me.put("secret plan.md", b"text", None)
    site.me.get("/v1/vaults/notes/nowhere/secret")
    site.person(None).get("/v1/vaults/notes/files/secret%20plan.md")
    text = read(site, "::1").text
    assert "secret" not in text
    assert '"me"' not in text
    assert 'route="/v1/vaults/{vault}/files/{path}"' in text
