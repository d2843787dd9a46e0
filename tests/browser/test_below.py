"""The page of a server that is below a path."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.browser import Window
from tests.e2e.machines import House
from tests.server import GobiServer
from tests.services import free_port


def test_the_page_works_below_a_path_with_all_that_it_asks_for(browser: Browser, tmp_path: Path) -> None:
    """It is signed in, shows files, hears of changes as they happen, and makes codes with the whole address."""
    server = GobiServer(tmp_path / "server")
    server._listen = f"127.0.0.1:{free_port()}"
    root = f"http://{server._listen}/gobi"
    server.start(GOBI_PUBLIC_URL=root)
    server.add_user()
    house = House([server], "notes", tmp_path)
    laptop = house.machine("laptop")
    laptop.write("first.md", "text\n")
    laptop.sync()
    server.url = f"{root}/"
    window = Window(browser, server, "notes").sign_in()
    page = window.go()
    expect(page.get_by_text("first.md")).to_be_visible()
    laptop.write("second.md", "text\n")
    laptop.sync()
    expect(page.get_by_text("second.md")).to_be_visible()
    window.go("file", "first.md")
    expect(page.get_by_text("text", exact=True).first).to_be_visible()
    window.go("about")
    expect(page.get_by_text(re.compile("gobi connect|Invite")).first).to_be_visible()
    assert all(url.startswith(f"{root}/") for url in window.requests), window.requests
    assert [cookie["path"] for cookie in window.context.cookies()] == ["/gobi/"]
    assert (window.faults, window.violations) == ([], [])
    window.close()
    server.close()
