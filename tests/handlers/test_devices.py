"""Devices with passwords of their own, and invitations, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from webtest import TestResponse

from handlers.throttle import PER_NETWORK
from store.devices import Devices
from store.people import MOST_DEVICES
from sync.invitation import device_password, read_code
from tests.handlers.site import HASH, VAULT, Person, Site, refused

REDEEM = "/v1/invitations/redeem"


def device(site: Site, name: str = "laptop", user: str = "me") -> Person:
    """Somebody who asks with the password of a device."""
    one = site.person(None)
    one.app.authorization = ("Basic", (user, Devices(site.metadata).add(user, name)))
    return one


def password(number: int = 1) -> str:
    return device_password(bytes([number]) * 20)


def invited(site: Site, **asked: Any) -> str:
    """The secret of a new invitation of mine."""
    answer = site.me.post(f"{VAULT}/invitations", asked)
    assert answer.status_int == 201, answer.text
    return read_code(answer.json["code"]).secret


def redeem(site: Site, secret: str, name: str = "phone", number: int = 1, **headers: str) -> TestResponse:
    asked = {"secret": secret, "device": name, "password": password(number)}
    return site.person(None).post(REDEEM, asked, **headers)


def names(site: Site) -> list[str]:
    return [row["name"] for row in site.me.get("/v1/devices").json["devices"]]


# -- a device's own password


def test_whatever_a_device_writes_is_that_devices_whatever_it_calls_itself(site: Site) -> None:
    laptop = device(site)
    for name in ({}, {"Gobi_Device": "somebody else's"}):
        version = laptop.put(f"{len(name)}.md", b"text", **name).json
        assert (version["user"], version["device"]) == ("me", "laptop")
    cookie = laptop.post("/v1/session", b"").headers["Set-Cookie"].split(";")[0]
    page = site.person(None)
    version = page.ask("PUT", f"{VAULT}/files/c.md", b"text", Cookie=cookie, Gobi_Device="web").json
    assert version["device"] == "laptop"


def test_a_device_may_do_what_its_user_may_and_no_more(site: Site) -> None:
    laptop = device(site, user="you")
    refused(laptop.get(f"{VAULT}/files"), 404, "not-found")
    site.me.ask("PUT", f"{VAULT}/members/you", {"role": "read"})
    assert laptop.get(f"{VAULT}/files").status_int == 200
    refused(laptop.put("a.md", b"text"), 403, "forbidden")


def test_one_users_device_password_is_nobody_elses(site: Site) -> None:
    mine = device(site)
    mine.app.authorization = ("Basic", ("you", mine.app.authorization[1][1]))
    refused(mine.get("/v1/vaults"), 401, "unauthorized")


def test_a_revoked_device_is_out_at_once_with_its_session_and_the_others_are_not(site: Site) -> None:
    laptop, phone = device(site), device(site, "a phone/2")
    cookie = laptop.post("/v1/session", b"").headers["Set-Cookie"].split(";")[0]
    mine = site.me.post("/v1/session", b"").headers["Set-Cookie"].split(";")[0]
    phones = phone.post("/v1/session", b"")
    assert phones.json == {"user": "me", "device": "a phone/2"}
    kept = phones.headers["Set-Cookie"].split(";")[0]
    assert names(site) == ["a phone/2", "laptop"]
    assert site.me.ask("DELETE", "/v1/devices/laptop").status_int == 204
    refused(laptop.get("/v1/vaults"), 401, "unauthorized")
    refused(site.person(None).get("/v1/vaults", Cookie=cookie), 401, "unauthorized")
    assert phone.get("/v1/vaults").status_int == 200
    for one in (kept, mine):
        assert site.person(None).get("/v1/vaults", Cookie=one).status_int == 200
    device(site)  # again under that name: not what the old session was for
    refused(site.person(None).get("/v1/vaults", Cookie=cookie), 401, "unauthorized")
    refused(site.me.ask("DELETE", "/v1/devices/desktop"), 404, "not-found")
    assert site.me.ask("DELETE", "/v1/devices/a%20phone%2F2").status_int == 204
    refused(site.person(None).get("/v1/vaults", Cookie=kept), 401, "unauthorized")


def test_a_changed_password_ends_the_users_sessions_and_not_the_devices(site: Site) -> None:
    cookie = device(site).post("/v1/session", b"").headers["Set-Cookie"].split(";")[0]
    site.metadata.set_password("me", HASH + "x")
    assert site.person(None).get("/v1/vaults", Cookie=cookie).status_int == 200
    site.metadata.set_password("me", HASH, revoke_devices=True)
    refused(site.person(None).get("/v1/vaults", Cookie=cookie), 401, "unauthorized")


def test_a_device_takes_back_itself_and_nobody_else_and_invites_nobody(site: Site) -> None:
    """Otherwise whoever finds a machine could stay after it was revoked."""
    laptop = device(site)
    device(site, "phone")
    with site.unchanged():
        refused(laptop.ask("DELETE", "/v1/devices/phone"), 403, "forbidden")
        refused(laptop.post(f"{VAULT}/invitations", {}), 403, "forbidden")
    assert laptop.ask("DELETE", "/v1/devices/laptop").status_int == 204
    assert names(site) == ["phone"]


def test_devices_are_listed_to_their_user_without_anything_secret(site: Site) -> None:
    device(site)
    (row,) = site.me.get("/v1/devices").json["devices"]
    assert set(row) == {"name", "added"}
    assert site.person("you").get("/v1/devices").json == {"devices": []}


def test_a_guess_at_a_revoked_device_is_throttled_like_any_other(site: Site) -> None:
    laptop = device(site)
    site.metadata.remove_device("me", "laptop")
    statuses = [laptop.get("/v1/vaults").status_int for _ in range(11)]
    assert statuses == [401] * 10 + [429]


# -- invitations


def test_an_invitation_leads_to_a_device_that_may_come_in(site: Site) -> None:
    answer = site.me.post(f"{VAULT}/invitations", {"device": "my phone/2"}, Host="localhost:8787")
    assert answer.headers["Cache-Control"] == "no-store"
    code = read_code(answer.json["code"])
    assert (code.url, code.vault, code.device) == ("http://localhost:8787", "notes", "my phone/2")
    redeemed = redeem(site, code.secret, "my phone/2")
    assert redeemed.status_int == 201
    assert redeemed.json == {"user": "me", "vault": "notes", "device": "my phone/2"}
    assert redeemed.headers["Cache-Control"] == "no-store"
    phone = site.person(None)
    phone.app.authorization = ("Basic", ("me", password()))
    assert phone.put("a.md", b"text").json["device"] == "my phone/2"


def test_a_lost_reply_is_asked_for_again_and_nobody_else_gets_in(site: Site) -> None:
    secret = invited(site)
    assert [redeem(site, secret).status_int for _ in range(3)] == [201] * 3
    with site.unchanged():
        refused(redeem(site, secret, number=2), 404, "not-found")
        refused(redeem(site, secret, "desktop"), 404, "not-found")
    assert names(site) == ["phone"]


def test_no_answer_tells_what_is_wrong_with_an_invitation(site: Site) -> None:
    """Unknown, malformed, used, and its user no member any more."""
    site.me.ask("PUT", f"{VAULT}/members/you", {"role": "read"})
    theirs = read_code(site.person("you").post(f"{VAULT}/invitations", {}).json["code"]).secret
    site.me.ask("DELETE", f"{VAULT}/members/you")
    used = invited(site)
    redeem(site, used)
    with site.unchanged():
        answers = [
            redeem(site, secret, "desktop", 2, X_Request_ID="one") for secret in ("a" * 32, "", "\0é", used, theirs)
        ]
    assert {answer.status_int for answer in answers} == {404}
    assert len({(answer.text, str(answer.headers)) for answer in answers}) == 1


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"device": ""}, 400, "bad-request"),
        ({"device": "büro"}, 400, "bad-request"),
        ({"device": ".."}, 400, "bad-request"),
        ({"device": "laptop"}, 409, "name-taken"),
        ({"password": "short"}, 400, "bad-request"),
        ({"password": password().upper()}, 400, "bad-request"),
        ({"password": None}, 400, "bad-request"),
        ({"more": "x" * 5_000}, 413, "too-large"),
    ],
)
def test_what_cannot_be_a_device_is_refused_and_the_invitation_stays_good(
    site: Site, asked: dict[str, Any], status: int, code: str
) -> None:
    device(site)
    secret = invited(site)
    whole = {"secret": secret, "device": "phone", "password": password()} | asked
    with site.unchanged():
        problem = refused(site.person(None).post(REDEEM, whole), status, code)
    assert secret not in str(problem)
    assert password() not in str(problem)
    assert redeem(site, secret).status_int == 201


def test_a_page_of_elsewhere_can_neither_make_nor_use_an_invitation(site: Site) -> None:
    secret = invited(site)
    with site.unchanged():
        for origin in ("https://evil.example", "null"):
            refused(redeem(site, secret, Origin=origin), 403, "cross-origin")
            refused(site.me.post(f"{VAULT}/invitations", {}, Origin=origin), 403, "cross-origin")
            refused(site.me.ask("DELETE", "/v1/devices/laptop", Origin=origin), 403, "cross-origin")


def test_only_a_member_who_is_there_with_the_own_password_invites(site: Site) -> None:
    with site.unchanged():
        refused(site.person(None).post(f"{VAULT}/invitations", {}), 401, "unauthorized")
        refused(site.person("you").post(f"{VAULT}/invitations", {}), 404, "not-found")
        wrong: list[Any] = [{"valid_hours": 0}, {"valid_hours": 10_000}, {"valid_hours": "1"}, {"device": "."}, []]
        for asked in wrong:
            refused(site.me.post(f"{VAULT}/invitations", asked), 400, "bad-request")
    assert site.metadata.moving().invitations() == []


def test_whoever_has_too_many_devices_is_told_so(site: Site) -> None:
    secret = invited(site)
    for number in range(MOST_DEVICES):
        site.metadata.add_device("me", f"device {number}", f"{number:064}")
    problem = refused(redeem(site, secret), 403, "forbidden")
    assert "revoke one first" in problem["detail"]
    site.me.ask("DELETE", "/v1/devices/device%207")
    assert redeem(site, secret).status_int == 201


def test_guessing_at_invitations_gets_slow_for_an_address_and_for_nobody_else(site: Site) -> None:
    def guess(address: str, secret: str = "a" * 32) -> TestResponse:
        person = site.person(None)
        person.app.extra_environ["REMOTE_ADDR"] = address
        return person.post(REDEEM, {"secret": secret, "device": "phone", "password": password()})

    secret = invited(site)
    statuses = [guess("203.0.113.5").status_int for _ in range(PER_NETWORK[0] + 1)]
    assert statuses == [404] * PER_NETWORK[0] + [429]
    slow = guess("203.0.113.5", secret)
    refused(slow, 429, "slow-down")
    assert slow.headers["Retry-After"] == "2"
    assert [guess("203.0.113.6", secret).status_int for _ in range(PER_NETWORK[0] + 5)] == [201] * (PER_NETWORK[0] + 5)


def test_behind_a_proxy_the_code_has_the_address_that_people_use(tmp_path: Any) -> None:
    site = Site(tmp_path, public_url="https://pi.example.org")
    assert site.me.post(f"{VAULT}/invitations", {}).json["code"].startswith("https://pi.example.org/#invite=notes/")
    site.metadata.close()
