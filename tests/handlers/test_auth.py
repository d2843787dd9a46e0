"""Signing in with Basic, read strictly."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.handlers.site import HASH, PASSWORD, Site, refused


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


GOOD = basic(f"me:{PASSWORD}".encode())


@pytest.mark.parametrize("header", [GOOD, GOOD.replace("Basic", "bASIC"), GOOD.replace("Basic ", "Basic  ")])
def test_the_right_password_lets_in(site: Site, header: str) -> None:
    assert site.person(None).get("/v1/vaults", Authorization=header).status_int == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        GOOD + "!",
        GOOD + ", " + GOOD,
        GOOD.replace("Basic", "Bearer"),
        basic(b"me"),
        basic(b"\xff:\xff"),
        basic(f"me:{PASSWORD} ".encode()),
        basic(f"ME:{PASSWORD}".encode()),
        basic(f":{PASSWORD}".encode()),
        basic(b"me\x00:x"),
        basic(b"me:" + b"x" * 5_000),
    ],
)
def test_anything_else_is_unauthorized(site: Site, header: str) -> None:
    answer = site.person(None).get("/v1/vaults", Authorization=header)
    refused(answer, 401, "unauthorized")


def test_a_server_without_any_users_asks_for_patience(tmp_path: Path) -> None:
    """It may stand on an empty disk, whose files come: nobody is to take that for a wrong password."""
    empty = Site(tmp_path, users=())
    answer = empty.person(None).get("/v1/vaults", Authorization=GOOD)
    assert "no users" in refused(answer, 401, "unauthorized")["detail"]
    assert int(answer.headers["Retry-After"]) > 0
    empty.metadata.add_user("you", HASH)
    answer = empty.person(None).get("/v1/vaults", Authorization=GOOD)
    assert "no users" not in refused(answer, 401, "unauthorized")["detail"]
    assert "Retry-After" not in answer.headers


def test_a_password_may_hold_colons_and_any_letters(site: Site) -> None:
    from store.users import Users

    Users(site.metadata).add("them", "pass:wörd:☃")
    header = basic("them:pass:wörd:☃".encode())
    assert site.person(None).get("/v1/vaults", Authorization=header).status_int == 200


def test_a_pages_own_request_is_not_answered_by_the_browsers_window(site: Site) -> None:
    answer = site.person(None).get("/v1/vaults", X_Requested_With="gobi")
    refused(answer, 401, "unauthorized")
    assert "WWW-Authenticate" not in answer.headers


def test_what_is_open_needs_no_password(site: Site) -> None:
    nobody = site.person(None)
    assert nobody.get("/healthz").json == {"status": "ok"}
    assert "gobi" in nobody.get("/").text
    assert nobody.get("/readyz").status_int == 401


# -- devices


def test_the_device_is_named_by_its_header_or_else_for_its_user(site: Site) -> None:
    assert site.me.put("a.md", b"1", Gobi_Device="my laptop!").json["device"] == "my laptop!"
    assert site.me.put("b.md", b"2").json["device"] == "me"
