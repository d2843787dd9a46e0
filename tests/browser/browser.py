"""A real browser: headless Chromium, the system's own, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.server import PASSWORD, USER, GobiServer

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PATIENCE_MS = 20_000
WIDE = (1280, 800)
PHONE = (390, 844)


def program() -> str | None:
    """Where the browser is."""
    found = [path for path in (os.environ.get("GOBI_TEST_BROWSER"), *map(shutil.which, NAMES)) if path]
    return found[0] if found else None


@contextmanager
def running() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Its sandbox does not work for root, as which CI runs; the pages are gobi's own.
        one = playwright.chromium.launch(executable_path=program(), args=["--no-sandbox"])
        yield one
        one.close()


class Window:
    """One window on one vault of a server, signed in by its own cookie."""

    def __init__(
        self, browser: Browser, server: GobiServer, vault: str, size: tuple[int, int] = WIDE, scheme: str = "light"
    ) -> None:
        width, height = size
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            locale="en-GB",
            has_touch=size == PHONE,
        )
        self.context.set_default_timeout(PATIENCE_MS)
        # What the page's policy forbids is noted in the page; what goes wrong in a script is noted here.
        self.context.add_init_script(
            "window.violations = []; document.addEventListener('securitypolicyviolation',"
            " (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`))"
        )
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.server = server
        self.vault = vault

    def sign_in(self, user: str = USER, password: str = PASSWORD) -> Window:
        self.page.goto(self.server.url)
        self.page.get_by_label("User").fill(user)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Vaults").wait_for()
        return self

    def go(self, view: str = "files", path: str = "", query: str = "") -> Page:
        """Shows a view of the vault."""
        place = "/".join([quote(self.vault, safe=""), view, *(quote(part, safe="") for part in path.split("/"))])
        self.page.evaluate("(hash) => { location.hash = hash }", f"#/v/{place}{query}")
        self.page.get_by_role("navigation", name="Vault").wait_for()
        return self.page

    @property
    def violations(self) -> list[str]:
        """What the page's policy had to forbid."""
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def close(self) -> None:
        self.context.close()
