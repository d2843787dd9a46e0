"""Sessions of browsers: what a cookie is good for, and everything that ends it, with every copy of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handlers.session import transport_security
from store.base import Device, Identity, Message, Session, SessionsChanged, User
from store.bus import LocalBus
from store.people import MOST_SESSIONS
from store.sessions import LIFETIME_S, Sessions
from store.sqlite import SqliteMetadata
from tests.handlers.site import HASH, VAULT, Clock, Person, Site, refused

DAY_S = 24 * 3600


def sign_in(site: Site, name: str = "me", **headers: str) -> str:
    answer = site.person(name).post("/v1/session", b"", **headers)
    assert answer.status_int == 200
    return str(answer.headers["Set-Cookie"])


def cookie_of(site: Site, name: str = "me", **headers: str) -> str:
    return sign_in(site, name, **headers).split(";")[0]


def with_cookie(site: Site, cookie: str) -> int:
    status: int = site.person(None).get(f"{VAULT}/changes", Cookie=cookie).status_int
    return status


def listed(site: Site, cookie: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = site.person(None).get("/v1/sessions", Cookie=cookie).json["sessions"]
    return rows


# -- the cookie


def test_a_session_is_as_good_as_the_password(site: Site) -> None:
    cookie = cookie_of(site)
    assert with_cookie(site, cookie) == 200
    written = site.person(None).ask("PUT", f"{VAULT}/files/a.md", b"text", Cookie=cookie)
    assert written.json["user"] == "me"


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(site: Site) -> None:
    attributes = {part.strip().lower() for part in sign_in(site).split(";")[1:]}
    assert attributes >= {"httponly", "samesite=strict", "path=/", f"max-age={LIFETIME_S}"}
    assert "secure" not in attributes
    assert not any(part.startswith("domain") for part in attributes)


@pytest.mark.parametrize(
    ("public_url", "name", "path"),
    [
        ("https://notes.example", "__Host-gobi_session", "Path=/"),
        ("https://notes.example:8443", "__Host-gobi_session", "Path=/"),
        ("https://notes.example/gobi", "__Secure-gobi_session", "Path=/gobi/"),  # `__Host-` is for Path=/ alone
    ],
)
def test_where_the_public_address_is_https_the_cookie_never_travels_without(
    tmp_path: Path, public_url: str, name: str, path: str
) -> None:
    """Whatever the proxy says of how the request came."""
    site = Site(tmp_path, public_url=public_url)
    parts = [part.strip() for part in sign_in(site).split(";")]
    assert parts[0].startswith(f"{name}=me:")
    assert {"Secure", path} <= set(parts)
    assert with_cookie(site, parts[0]) == 200
    gone = site.person(None).ask("DELETE", "/v1/session", Cookie=parts[0]).headers["Set-Cookie"]
    assert gone.startswith((f"{name}=;", f'{name}="";'))
    assert {"Secure", path} <= {part.strip() for part in gone.split(";")}


def test_under_tls_the_cookie_never_travels_without(site: Site) -> None:
    person = site.person("me")
    person.app.extra_environ["wsgi.url_scheme"] = "https"
    cookie = person.post("/v1/session", b"").headers["Set-Cookie"]
    assert cookie.startswith("__Host-gobi_session=")
    assert "; Secure" in cookie


def test_a_cookie_that_another_host_could_have_set_is_not_looked_at_under_https(tmp_path: Path) -> None:
    """A neighbour below the same domain may set `gobi_session`, but not `__Host-gobi_session`."""
    site = Site(tmp_path, public_url="https://notes.example")
    value = cookie_of(site).partition("=")[2]
    assert with_cookie(site, f"__Host-gobi_session={value}") == 200
    assert with_cookie(site, f"gobi_session={value}") == 401
    assert with_cookie(site, f"__Secure-gobi_session={value}") == 401


def test_a_cookie_of_the_version_before_ends_cleanly(site: Site) -> None:
    """It named no session, so nothing could end it: the page asks to sign in anew."""
    old = "me:9999999999:0123456789012345678901234567890123456789012"
    for cookie in (old, f"{old}:bGFwdG9w"):
        answer = site.person(None).get(f"{VAULT}/changes", Cookie=f"gobi_session={cookie}", X_Requested_With="gobi")
        refused(answer, 401, "unauthorized")
        assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize(
    ("public_url", "sent"),
    [
        (None, None),
        ("http://notes.example", None),
        ("https://notes.example", "max-age=31536000"),
        ("https://notes.example/gobi", "max-age=31536000"),
        ("https://[2001:db8::1]", "max-age=31536000"),
        ("https://notes.example:8443", None),  # it would be about the host's other ports, too
        ("https://[2001:db8::1]:8443/gobi", None),
    ],
)
def test_browsers_are_told_to_come_by_https_alone_where_that_is_the_public_address(
    tmp_path: Path, public_url: str | None, sent: str | None
) -> None:
    assert transport_security(public_url) == sent
    site = Site(tmp_path, public_url=public_url)
    for answer in (site.me.get("/v1/vaults"), site.person(None).get("/"), site.person(None).get("/v1/vaults")):
        assert answer.headers.get("Strict-Transport-Security") == sent


# -- its ends


def test_signing_in_makes_a_session_of_no_cookie_that_was_there_before(site: Site) -> None:
    """Whoever had planted one would be signed in with it, too."""
    planted = cookie_of(site, "you")
    made_up = f"gobi_session=me:{'0' * 16}:{'A' * 43}"
    for before in (planted, made_up):
        answer = site.me.post("/v1/session", b"", Cookie=before)
        cookie = answer.headers["Set-Cookie"].split(";")[0]
        assert cookie.split(":")[1] not in before
        assert site.person(None).get("/v1/session", Cookie=cookie).json == {"user": "me"}
    assert site.person(None).get("/v1/session", Cookie=planted).json == {"user": "you"}
    refused(site.person(None).get("/v1/session", Cookie=made_up), 401, "unauthorized")


def test_a_session_needs_the_password_to_begin(site: Site) -> None:
    refused(site.person(None).post("/v1/session", b""), 401, "unauthorized")


def test_signing_out_ends_every_copy_of_the_cookie(site: Site) -> None:
    cookie, other = cookie_of(site), cookie_of(site)
    answer = site.person(None).ask("DELETE", "/v1/session", Cookie=cookie)
    assert answer.status_int == 204
    gone = answer.headers["Set-Cookie"].lower()
    assert gone.startswith(("gobi_session=;", 'gobi_session="";'))
    assert "expires=" in gone
    assert "max-age" not in gone
    assert with_cookie(site, cookie) == 401
    assert with_cookie(site, other) == 200


def test_a_cookie_makes_no_other_session_and_no_later_end(site: Site) -> None:
    cookie = cookie_of(site)
    before = listed(site, cookie)
    answer = site.person(None).ask("POST", "/v1/session", Cookie=cookie)
    assert (answer.status_int, answer.json) == (200, {"user": "me"})
    assert "Set-Cookie" not in answer.headers
    assert listed(site, cookie) == before


def test_a_session_ends_by_itself_whatever_is_done_with_it(tmp_path: Path) -> None:
    clock = Clock()
    metadata = SqliteMetadata(tmp_path / "gobi.db", now=lambda: int(clock.now * 1_000_000))
    metadata.add_user("me", HASH)
    sessions = Sessions(metadata, LocalBus(), clock)
    cookie, _ = sessions.begin(Identity("me", None, HASH), "a browser")
    for _ in range(29):
        clock.now += DAY_S
        assert sessions.identity(cookie) is not None
    clock.now += DAY_S - 1
    assert sessions.identity(cookie) is not None
    clock.now += 1
    assert sessions.identity(cookie) is None
    assert sessions.of("me") == []
    sessions.begin(Identity("me", None, HASH), "a browser")
    assert len(metadata.users()[0].sessions) == 1, "what is over is not kept"


def test_a_changed_password_ends_every_session(site: Site) -> None:
    cookie = cookie_of(site)
    site.metadata.set_password("me", HASH + "x")
    assert with_cookie(site, cookie) == 401
    site.metadata.set_password("me", HASH)
    assert with_cookie(site, cookie) == 401, "not even where it is the old one again"


def test_a_removed_user_has_no_session_and_neither_has_a_new_one_of_that_name(site: Site) -> None:
    cookie = cookie_of(site, "you")
    site.metadata.remove_user("you")
    assert with_cookie(site, cookie) == 401
    site.metadata.add_user("you", HASH)
    assert with_cookie(site, cookie) == 401


def test_a_renamed_users_sessions_end(site: Site) -> None:
    cookie = cookie_of(site, "you")
    site.metadata.rename_user("you", "them")
    assert with_cookie(site, cookie) == 401
    assert with_cookie(site, cookie.replace("you:", "them:")) == 401
    assert site.metadata.user("them").sessions == ()


# -- seeing and ending them


def test_sessions_are_listed_with_what_they_are_of_and_which_is_ones_own(site: Site) -> None:
    first = cookie_of(site, User_Agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
    second = cookie_of(site, User_Agent="Mozilla/5.0 (Android)")
    cookie_of(site, "you")
    rows = listed(site, first)
    assert [(row["agent"], row["current"]) for row in rows] == [
        ("Mozilla/5.0 (Android)", False),
        ("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", True),
    ]
    assert [row["current"] for row in listed(site, second)] == [True, False]
    assert [row["current"] for row in site.me.get("/v1/sessions").json["sessions"]] == [False, False]
    assert all(row["expires"] - row["began"] == LIFETIME_S * 1_000_000 for row in rows)
    assert "device" not in rows[0]


def test_what_is_listed_of_a_session_is_no_way_into_it(site: Site) -> None:
    cookie = cookie_of(site)
    signature = cookie.rpartition(":")[2]
    assert signature not in str(listed(site, cookie))
    assert signature not in str(site.metadata.users())


def test_one_session_is_ended_and_the_others_stay(site: Site) -> None:
    lost, kept = cookie_of(site), cookie_of(site)
    (lost_id,) = (row["id"] for row in listed(site, lost) if row["current"])
    page = site.person(None)
    assert page.ask("DELETE", f"/v1/sessions/{lost_id}", Cookie=kept).status_int == 204
    assert (with_cookie(site, lost), with_cookie(site, kept)) == (401, 200)
    refused(page.ask("DELETE", f"/v1/sessions/{lost_id}", Cookie=kept), 404, "not-found")


def test_nobody_ends_or_sees_anothers_session(site: Site) -> None:
    mine, yours = cookie_of(site), cookie_of(site, "you")
    (mine_id,) = (row["id"] for row in listed(site, mine))
    assert mine_id not in str(listed(site, yours))
    refused(site.person(None).ask("DELETE", f"/v1/sessions/{mine_id}", Cookie=yours), 404, "not-found")
    refused(site.person(None).ask("DELETE", f"/v1/sessions/{mine_id}"), 401, "unauthorized")
    assert with_cookie(site, mine) == 200


def with_device(site: Site, name: str) -> Person:
    password = f"{name}-password"
    from store.people import device_hash

    site.metadata.add_device("me", name, device_hash(password))
    person = site.person(None)
    person.app.authorization = ("Basic", ("me", password))
    return person


def test_a_device_ends_its_own_sessions_and_no_others(site: Site) -> None:
    """Otherwise whoever finds a machine could throw its owner out."""
    laptop = with_device(site, "laptop")
    own = laptop.post("/v1/session", b"").headers["Set-Cookie"].split(";")[0]
    users = cookie_of(site)
    ids = {row.get("device"): row["id"] for row in listed(site, users)}
    refused(laptop.ask("DELETE", f"/v1/sessions/{ids[None]}"), 403, "forbidden")
    refused(site.person(None).ask("DELETE", f"/v1/sessions/{ids[None]}", Cookie=own), 403, "forbidden")
    assert laptop.ask("DELETE", f"/v1/sessions/{ids['laptop']}").status_int == 204
    assert (with_cookie(site, own), with_cookie(site, users)) == (401, 200)


def test_ending_a_session_is_told_to_live_sockets(tmp_path: Path) -> None:
    metadata, bus = SqliteMetadata(tmp_path / "gobi.db"), LocalBus()
    metadata.add_user("me", HASH)
    heard: list[Message] = []
    bus.subscribe(heard.append)
    sessions = Sessions(metadata, bus)
    who = Identity("me", None, HASH)
    _, session = sessions.begin(who, "")
    assert heard == []
    sessions.end("me", session.id, who)
    assert heard == [SessionsChanged()]


def test_only_so_many_sessions_are_kept_and_the_oldest_make_room(site: Site) -> None:
    first, second = cookie_of(site), cookie_of(site)
    *_, last = [cookie_of(site) for _ in range(MOST_SESSIONS - 1)]
    assert with_cookie(site, first) == 401
    assert (with_cookie(site, second), with_cookie(site, last)) == (200, 200)
    assert len(listed(site, last)) == MOST_SESSIONS


def test_what_a_browser_calls_itself_is_kept_short_and_printable(site: Site) -> None:
    cookie = cookie_of(site, User_Agent="x" * 500 + "\x1b[31m")
    assert listed(site, cookie)[0]["agent"] == "x" * 160
    assert listed(site, cookie_of(site, User_Agent="a\x1b[31m\x07b"))[0]["agent"] == "a?[31m?b"


# -- cookies that were touched


class OneUser:
    """What of Metadata a session needs."""

    def user(self, name: str) -> object:
        devices = (Device("laptop", "l" * 64, 1), Device("phone", "p" * 64, 1))
        began = tuple(Session(id, device, 0, 1 << 62, "") for id, device in KEPT.items())
        return User(name, HASH, devices, began) if name in ("me", "you") else None

    def secret(self) -> bytes:
        return b"s" * 32

    def add_session(
        self, user: str, session_id: str, device: str | None, agent: str, valid_s: int, *, by: Identity
    ) -> Session:
        KEPT[session_id] = device
        return Session(session_id, device, 0, 1 << 62, agent)


KEPT: dict[str, str | None] = {"a" * 16: None, "b" * 16: "laptop"}
CHANGES = {
    "another user": lambda cookie: cookie.replace("me:", "you:", 1),
    "another session": lambda cookie: f"me:{'a' * 16}:{cookie.rpartition(':')[2]}",
    "another device's session": lambda cookie: f"me:{'b' * 16}:{cookie.rpartition(':')[2]}",
    "the signature's first letter": lambda cookie: _changed(cookie, cookie.rindex(":") + 1),
    "the signature's last letter but one": lambda cookie: _changed(cookie, len(cookie) - 2),
    "more behind it": lambda cookie: cookie + ":",
    "less": lambda cookie: cookie.rpartition(":")[0],
    "no signature": lambda cookie: cookie.rpartition(":")[0] + ":",
    "nothing": lambda _: "",
    "colons": lambda _: "me::",
    "no letters": lambda cookie: cookie.rpartition(":")[0] + ":²",
    "nobody": lambda cookie: cookie.replace("me:", "nobody:", 1),
}


def _changed(cookie: str, place: int) -> str:
    return cookie[:place] + ("A" if cookie[place] != "A" else "B") + cookie[place + 1 :]


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_cookie_that_was_touched_is_none(change: object) -> None:
    sessions = Sessions(OneUser(), LocalBus(), lambda: 1_000_000_000)  # type: ignore[arg-type]
    for who in (Identity("me", None, HASH), Identity("me", "laptop", "l" * 64)):
        cookie, session = sessions.begin(who, "")
        assert sessions.identity(cookie) == Identity(who.user, who.device, who.stored, session.id)
        assert sessions.identity(change(cookie)) is None  # type: ignore[operator]
