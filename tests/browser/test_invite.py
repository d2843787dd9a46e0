"""An invitation in a browser: what to type, and the code as a picture; the devices that came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from sync.invitation import read_code
from tests import qr
from tests.browser.browser import PHONE, Window
from tests.browser.test_views import axe
from tests.e2e.machines import House, Machine
from tests.server import USER


@pytest.fixture
def stranger(browser: Browser, house: House) -> Iterator[Window]:
    """A phone on which nobody is signed in."""
    one = Window(browser, house.servers[0], house.vault, PHONE, "dark")
    yield one
    assert (one.faults, one.violations) == ([], [])
    one.close()


def test_an_invitation_says_what_to_run_and_is_not_used_up_by_it(
    stranger: Window, house: House, phone: Machine
) -> None:
    name = f"{house.vault} tablet"
    made = house.server.gobi("invite", USER, house.vault, "--url", house.server.url, "--device", name, "--json")
    code = json.loads(made.stdout)["code"]
    stranger.page.goto(code)
    expect(stranger.page.get_by_role("heading", name="Connect a machine")).to_be_visible()
    command = stranger.page.locator("pre.command")
    expect(command).to_have_text(f"gobi connect FOLDER '{code}'")
    expect(stranger.page.get_by_role("img", name="The code as a picture")).to_be_visible()
    assert qr.read(drawn(stranger)) == code
    assert axe(stranger) == []
    assert stranger.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    secret = read_code(code).secret
    assert not any(secret in url.partition("#")[0] for url in stranger.requests)
    assert not any("/invitations" in url for url in stranger.requests)
    tablet = house.machine("tablet", connect=False)
    tablet.gobi("connect", str(tablet.folder), code)
    stranger.page.goto("about:blank")
    stranger.page.goto(code[:-40])
    expect(stranger.page.get_by_role("heading", name="This is no whole invitation")).to_be_visible()


def drawn(window: Window) -> list[list[bool]]:
    """The picture as rows of squares."""
    path = str(window.page.locator(".qr path").get_attribute("d"))
    squares = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)", path)}
    size = int(str(window.page.locator(".qr svg").get_attribute("viewBox")).split()[2])
    return [[(x, y) in squares for x in range(size)] for y in range(size)]


def test_whoever_is_signed_in_invites_a_machine_and_takes_it_back(
    open_window: Callable[..., Window], house: House, phone: Machine
) -> None:
    window = open_window()
    window.go("about").get_by_role("button", name="Make an invitation").click()
    command = window.page.locator("pre.command")
    expect(command).to_contain_text("#invite=")
    code = command.inner_text().split("'")[1]
    name = f"{house.vault} tablet"
    tablet = house.machine("tablet", connect=False)
    tablet.gobi("connect", str(tablet.folder), code, "--device", name)
    window.page.get_by_role("link", name="All vaults").click()
    window.page.get_by_role("link", name=USER, exact=True).click()
    expect(window.page.get_by_role("heading", name="Your devices")).to_be_visible()
    assert axe(window) == []
    window.page.on("dialog", lambda dialog: dialog.accept())
    row = window.page.get_by_role("listitem").filter(has_text=name)
    row.get_by_role("button", name=f"Revoke {name}").click()
    expect(row).to_have_count(0)
    refused = tablet.sync(code=78)
    assert "does not accept" in refused.err
