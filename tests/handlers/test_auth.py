"""Signing in: Basic, read strictly, and sessions that end when they should."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from handlers.session import LIFETIME_S, Sessions
from store.base import Device, User
from store.users import Identity
from tests.handlers.site import HASH, PASSWORD, VAULT, Clock, Site, refused


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


ME = Identity("me", None, HASH)
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


# -- sessions


def sign_in(site: Site, name: str = "me") -> str:
    answer = site.person(name).post("/v1/session", b"")
    assert answer.status_int == 200
    return str(answer.headers["Set-Cookie"])


def with_cookie(site: Site, cookie: str) -> int:
    status: int = site.person(None).get(f"{VAULT}/changes", Cookie=cookie).status_int
    return status


def test_a_session_is_as_good_as_the_password(site: Site) -> None:
    cookie = sign_in(site).split(";")[0]
    assert with_cookie(site, cookie) == 200
    written = site.person(None).ask("PUT", f"{VAULT}/files/a.md", b"text", Cookie=cookie)
    assert written.json["user"] == "me"


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(site: Site) -> None:
    attributes = {part.strip().lower() for part in sign_in(site).split(";")[1:]}
    assert attributes >= {"httponly", "samesite=strict", "path=/", f"max-age={LIFETIME_S}"}
    assert "secure" not in attributes


def test_under_tls_the_cookie_never_travels_without(site: Site) -> None:
    person = site.person("me")
    person.app.extra_environ["wsgi.url_scheme"] = "https"
    assert "secure" in person.post("/v1/session", b"").headers["Set-Cookie"].lower()


def test_a_session_needs_the_password_to_begin(site: Site) -> None:
    refused(site.person(None).post("/v1/session", b""), 401, "unauthorized")


def test_signing_out_takes_the_cookie_away(site: Site) -> None:
    cookie = sign_in(site).split(";")[0]
    answer = site.person(None).ask("DELETE", "/v1/session", Cookie=cookie)
    assert answer.status_int == 204
    gone = answer.headers["Set-Cookie"].lower()
    assert gone.startswith(("gobi_session=;", 'gobi_session="";'))
    assert "expires=" in gone


def test_a_changed_password_ends_every_session(site: Site) -> None:
    cookie = sign_in(site).split(";")[0]
    site.metadata.set_password("me", HASH + "x")
    assert with_cookie(site, cookie) == 401


def test_a_removed_user_has_no_session_and_neither_has_a_new_one_of_that_name(site: Site) -> None:
    cookie = sign_in(site, "you").split(";")[0]
    site.metadata.remove_user("you")
    assert with_cookie(site, cookie) == 401
    site.metadata.add_user("you", HASH + "x")
    assert with_cookie(site, cookie) == 401


def test_a_session_ends_by_itself() -> None:
    clock = Clock()
    sessions = Sessions(OneUser(), clock)  # type: ignore[arg-type]
    cookie = sessions.issue(ME)
    clock.now += LIFETIME_S - 1
    assert sessions.identity(cookie) == ME
    clock.now += 1
    assert sessions.identity(cookie) is None


class OneUser:
    """What of Metadata a session needs."""

    def user(self, name: str) -> object:
        devices = (Device("laptop", "l" * 64, 1), Device("phone", "p" * 64, 1))
        return User(name, HASH, devices) if name in ("me", "you") else None

    def secret(self) -> bytes:
        return b"s" * 32


@pytest.mark.parametrize(
    "change",
    [
        lambda cookie: cookie.replace("me:", "you:", 1),
        lambda cookie: cookie[:20] + ("A" if cookie[20] != "A" else "B") + cookie[21:],
        lambda cookie: cookie[:-2] + ("A" if cookie[-2] != "A" else "B") + cookie[-1],
        lambda cookie: cookie.replace(":1", ":2", 1),
        lambda cookie: cookie + ":",
        lambda cookie: cookie + ":bGFwdG9w" if cookie.count(":") == 2 else cookie.rpartition(":")[0],
        lambda cookie: cookie.replace("bGFwdG9w", "cGhvbmU") if cookie.count(":") == 3 else "",
        lambda _: "",
        lambda _: "me::",
        lambda _: "me:99999999999999999999:x",
        lambda _: "me:²:x",
        lambda _: "nobody:9999999999:x",
    ],
)
def test_a_cookie_that_was_touched_is_none(change: object) -> None:
    sessions = Sessions(OneUser(), lambda: 1_000_000_000)  # type: ignore[arg-type]
    for who in (ME, replace(ME, device="laptop", stored="l" * 64)):
        cookie = sessions.issue(who)
        assert sessions.identity(cookie) == who
        assert sessions.identity(change(cookie)) is None  # type: ignore[operator]
