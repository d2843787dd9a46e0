"""Screenshots of every view, wide and as on a phone, light and dark: python -m tests.browser.pictures FOLDER."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.browser import PHONE, WIDE, Window, running
from tests.browser.scene import furnish
from tests.e2e.machines import House
from tests.server import GobiServer

SIZES = {"wide": WIDE, "phone": PHONE}
SCHEMES = ("light", "dark")


def views(house: House) -> dict[str, Callable[[Window], Page]]:
    """Every view by its name, and what shows it."""
    todo = [version["stamp"] for version in house.history("notes/todo.md")]
    conflicts = {one["path"]: one["id"] for one in house.conflicts()}
    since = house.history("recipes/bread.md")[-1]["stamp"] - 1

    def preview(window: Window) -> Page:
        page = window.go("undo", query=f"?device=laptop&since={since}")
        page.get_by_role("button", name="Show what would be put back").click()
        page.get_by_role("region", name="Preview").wait_for()
        return page

    def decided(window: Window) -> Page:
        page = window.go("conflicts", conflicts["notes/shopping.md"])
        page.get_by_role("button", name="Take laptop's").first.click()
        return page

    def devices(window: Window) -> Page:
        window.page.evaluate("location.hash = '#/devices'")
        window.page.get_by_role("listitem").first.wait_for()
        return window.page

    def invite(window: Window) -> Page:
        window.go("about").get_by_role("button", name="Make an invitation").click()
        window.page.get_by_role("img", name="The code as a picture").wait_for()
        return window.page

    return {
        "files": lambda window: window.go("files"),
        "folder": lambda window: window.go("files", "notes/"),
        "hostile": lambda window: window.go("files", "odd/"),
        "file": lambda window: window.go("file", "notes/todo.md"),
        "picture": lambda window: window.go("file", "photos/beach.png"),
        "compare": lambda window: window.go("compare", "notes/todo.md", f"?from={todo[-1]}&to={todo[0]}"),
        "changes": lambda window: window.go("changes"),
        "undo": preview,
        "conflicts": lambda window: window.go("conflicts"),
        "settle-text": lambda window: window.go("conflicts", conflicts["notes/shopping.md"]),
        "settle-decided": decided,
        "settle-picture": lambda window: window.go("conflicts", conflicts["photos/garden.png"]),
        "settle-binary": lambda window: window.go("conflicts", conflicts["bin/keys.db"]),
        "about": lambda window: window.go("about"),
        "devices": devices,
        "invite": invite,
    }


def settle_down(page: Page) -> None:
    """Until nothing is on its way any more."""
    page.wait_for_load_state("networkidle")
    page.get_by_text("Loading…").wait_for(state="detached")
    for editor in page.locator(".editor").all():
        editor.locator(".cm-line").first.wait_for(state="attached")


def take(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running() as browser:
        server = GobiServer(Path(folder) / "server").start()
        server.add_user()
        house = House([server], "home", Path(folder))
        furnish(house)
        for size, dimensions in SIZES.items():
            for scheme in SCHEMES:
                window = Window(browser, server, "home", dimensions, scheme)
                window.page.goto(server.url)
                window.page.get_by_label("User").wait_for()
                window.page.screenshot(path=target / f"sign-in-{size}-{scheme}.png")
                window.sign_in()
                window.page.screenshot(path=target / f"vaults-{size}-{scheme}.png")
                for name, show in views(house).items():
                    page = show(window)
                    settle_down(page)
                    page.screenshot(path=target / f"{name}-{size}-{scheme}.png")
                if window.faults or window.violations:
                    raise SystemExit(f"{window.faults} {window.violations}")
                window.close()
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    take(parser.parse_args().folder)


if __name__ == "__main__":
    main()
