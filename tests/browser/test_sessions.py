"""The list of signed-in browsers, and what a tab of a session that ended shows."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.browser.browser import Window
from tests.e2e.machines import House, Machine


def test_another_browser_is_signed_out_from_the_list_and_shows_it(
    window: Window, browser: Browser, house: House, phone: Machine
) -> None:
    """Its open vault has a live socket, so it shows it without being touched."""
    other = Window(browser, house.server, house.vault)
    other.sign_in()
    other.go("files")
    page = window.page
    page.goto(f"{house.server.url}/#/devices")
    expect(page.get_by_text("this one")).to_have_count(1)
    rows = page.get_by_role("button", name="Sign out Chrome on Linux")
    before = rows.count()
    rows.first.click()
    expect(rows).to_have_count(before - 1)
    expect(other.page.get_by_text("Your session has ended.")).to_be_visible()
    other.close()


def test_signing_out_in_one_tab_is_seen_in_the_others(window: Window, house: House) -> None:
    tab = window.page.context.new_page()
    tab.goto(f"{house.server.url}/#/devices")
    expect(tab.get_by_role("heading", name="Your devices")).to_be_visible()
    window.page.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_text("Your session has ended.")).to_be_visible()
