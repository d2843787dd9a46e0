"""Signing in, looking around, and how little that asks of the server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from sync.bundle import END, header, padding
from tests.browser.browser import PHONE, WIDE, Window
from tests.browser.pictures import settle_down, views
from tests.browser.scene import furnish
from tests.e2e.machines import House, Machine
from tests.server import GobiServer

FILES = 50_000
PUSH = 10_000


def test_a_wrong_password_is_told_and_asked_for_again(browser: Browser, shared_server: GobiServer) -> None:
    window = Window(browser, shared_server, "none")
    window.page.goto(shared_server.url)
    window.page.get_by_label("User").fill("me")
    window.page.get_by_label("Password").fill("wrong")
    window.page.get_by_role("button", name="Sign in").click()
    expect(window.page.get_by_role("alert")).to_have_text("That user and password do not go together.")
    window.close()


def test_whoever_signs_out_is_out(window: Window) -> None:
    window.page.get_by_role("button", name="Sign out").click()
    expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()
    window.page.reload()
    expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_session_lasts_over_a_reload(window: Window, phone: Machine) -> None:
    page = window.go("about")
    page.reload()
    expect(page.get_by_role("heading", name="About this vault")).to_be_visible()


def test_scripts_do_not_see_the_session(window: Window) -> None:
    assert window.page.evaluate("document.cookie") == ""


def test_a_new_file_appears_without_a_reload(window: Window, phone: Machine) -> None:
    page = window.go("files")
    expect(page.get_by_text("This vault is empty.")).to_be_visible()
    phone.write("a.md", "one\n")
    phone.sync()
    page.get_by_role("link", name="a.md").click()
    expect(page.locator("pre.text")).to_have_text("one\n")
    phone.write("a.md", "two\n")
    phone.sync()
    expect(page.locator("pre.text")).to_have_text("two\n")


def test_a_page_that_lost_its_socket_catches_up(window: Window, house: House, phone: Machine) -> None:
    page = window.go("files")
    expect(page.get_by_text("This vault is empty.")).to_be_visible()
    window.context.set_offline(True)
    house.put("a.md", b"written meanwhile\n")
    window.context.set_offline(False)
    expect(page.get_by_role("link", name="a.md")).to_be_visible()


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        pytest.param(WIDE, "light", id="wide, light"),
        pytest.param(PHONE, "dark", id="phone, dark"),
        pytest.param(WIDE, "dark", id="wide, dark", marks=pytest.mark.soak),
        pytest.param(PHONE, "light", id="phone, light", marks=pytest.mark.soak),
    ],
)
def test_everybody_can_use_every_view(
    open_window: Callable[..., Window], house: House, size: tuple[int, int], scheme: str
) -> None:
    """axe-core finds nothing serious, and nothing sticks out of the window."""
    furnish(house)
    window = open_window(size, scheme)
    found = {"vaults": axe(window)}
    for name, show in views(house).items():
        settle_down(show(window))
        found[name] = axe(window)
        assert window.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    assert {name: troubles for name, troubles in found.items() if troubles} == {}


def axe(window: Window) -> list[str]:
    violations = Axe().run(window.page).response["violations"]
    serious = [one for one in violations if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['html'][:200]}" for one in serious for node in one["nodes"]]


def test_a_vault_of_fifty_thousand_files_is_looked_at_page_by_page(
    open_window: Callable[..., Window], house: House, phone: Machine
) -> None:
    fill(house)
    window = open_window()
    for path, first in (("", "big/"), ("big/", "00000.md"), ("many/", "0000/")):
        window.requests.clear()
        page = window.go("files", path)
        page.get_by_role("link", name=first).wait_for()
        asked = [url for url in window.requests if "/v1/" in url and "/live" not in url]
        assert len(asked) <= 3
        assert page.get_by_role("listitem").count() <= 400
    window.requests.clear()
    window.page.reload()
    window.page.get_by_role("link", name="0000/").wait_for()
    asked = sorted(urlsplit(url).path for url in window.requests if "/v1/" in url and "/live" not in url)
    place = f"/v1/vaults/{house.vault}"
    assert asked[:3] == ["/v1/session", place, f"{place}/files"]


def fill(house: House) -> None:
    """25,000 files in one folder, and 25,000 in 500."""
    wide = [f"big/{number:05}.md" for number in range(FILES // 2)]
    deep = [f"many/{number // 50:04}/{number % 50:02}.md" for number in range(FILES // 2)]
    body = b"the same in every file\n"
    digest = hashlib.sha256(body).hexdigest()
    first, *others = wide + deep
    house.put(first, body)
    for start in range(0, len(others), PUSH):
        rows = [
            {"path": path, "kind": "put", "base": None, "hash": digest, "size": len(body)}
            for path in others[start : start + PUSH]
        ]
        manifest = json.dumps({"changes": rows}).encode()
        bundle = header("manifest.json", len(manifest), None) + manifest + padding(len(manifest)) + END
        house.request("POST", "/push", bundle, Content_Type="application/x-tar")
