"""A server that others see below a path, https://notes.example/gobi/, whatever the proxy makes of that path."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.handlers.site import Person, Site

URL = "https://notes.example/gobi"


@pytest.fixture
def below(tmp_path: Path) -> Site:
    return Site(tmp_path, public_url=URL)


@pytest.mark.parametrize("prefix", ["", "/gobi"], ids=["taken away", "left"])
def test_everything_is_where_it_should_be_whether_the_proxy_takes_the_path_away_or_not(
    below: Site, prefix: str
) -> None:
    me = below.me
    assert me.ask("PUT", f"{prefix}/v1/vaults/notes/files/a%20b/%C3%BC.md", b"text").status_int == 201
    assert me.get(f"{prefix}/v1/vaults/notes/files/a%20b/%C3%BC.md").body == b"text"
    stranger: Person = below.person(None)
    assert "text/html" in stranger.get(f"{prefix}/").content_type
    assert stranger.get(f"{prefix}/healthz").status_int == 200
    assert stranger.get(f"{prefix}/openapi.json").json["servers"] == [{"url": "/gobi"}]
    assert me.get("/gobi/gobi/healthz").status_int == 404


def test_without_the_slash_at_its_end_one_is_sent_on(below: Site) -> None:
    answer = below.person(None).get("/gobi")
    assert (answer.status_int, answer.headers["Location"]) == (308, "/gobi/")
    assert below.me.get("/gobi2").status_int == 404


def test_the_cookie_is_for_what_is_below_it(below: Site) -> None:
    assert "Path=/gobi/" in below.me.ask("POST", "/v1/session").headers["Set-Cookie"]
    assert "Path=/gobi/" in below.me.ask("DELETE", "/v1/session").headers["Set-Cookie"]


def test_a_page_is_its_own_by_its_origin_which_has_no_path(below: Site) -> None:
    assert below.me.put("a.md", b"text", Origin="https://notes.example").status_int == 201
    assert below.me.put("b.md", b"text", Origin="https://other.example").status_int == 403


def test_an_invitation_has_the_whole_address(below: Site) -> None:
    answer = below.me.ask("POST", "/v1/vaults/notes/invitations", b"{}")
    assert answer.json["code"].startswith(f"{URL}/#invite=notes/")
