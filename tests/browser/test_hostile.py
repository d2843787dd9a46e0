"""Whatever names and contents say, the page only shows it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.browser.browser import Window
from tests.browser.scene import HOSTILE_NAMES
from tests.e2e.machines import House, Machine

PROGRAM = "<script>window.hacked = 1; parent.hacked = 1; top.hacked = 1</script><img src=x onerror='top.hacked = 1'>"
NAMES = [name for name in HOSTILE_NAMES if "/" not in name]
HTML = f"<!doctype html><title>hi</title><body onload='hacked = 1'>{PROGRAM}"
SVG = f'<svg xmlns="http://www.w3.org/2000/svg" onload="top.hacked = 1">{PROGRAM}</svg>'


def test_hostile_names_are_shown_harmless(window: Window, phone: Machine) -> None:
    for name in NAMES:
        phone.write(f"odd/{name}", f"this is {name}\n")
    phone.sync()
    page = window.page
    for view, path in [("files", "odd/"), ("changes", ""), *(("file", f"odd/{name}") for name in NAMES)]:
        window.go(view, path)
        page.locator("main bdi").first.wait_for()
        if view == "file":
            expect(page.locator("pre.text")).to_have_text(f"this is {path.removeprefix('odd/')}\n")
            # These would turn or hide the letters around them.
            assert not {"\u202e", "\u200b"} & set(page.locator("h1").inner_text())
        assert page.evaluate("window.hacked") is None
        assert page.locator("main script, main img, main iframe").count() == 0


@pytest.mark.parametrize(("name", "content"), [("a.html", HTML), ("b.svg", SVG), ("c.xhtml", HTML), ("d.md", HTML)])
def test_a_program_is_shown_as_its_text(window: Window, phone: Machine, name: str, content: str) -> None:
    phone.write(name, content)
    phone.sync()
    page = window.go("file", name)
    expect(page.locator("pre.text")).to_have_text(content)
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize(("name", "content"), [("a.html", HTML), ("b.svg", SVG)])
def test_a_program_that_is_opened_by_itself_does_not_run_here(
    window: Window, house: House, phone: Machine, name: str, content: str
) -> None:
    phone.write(name, content)
    phone.sync()
    for query in ("", "?inline=1"):
        address = f"{house.servers[0].url}/v1/vaults/{quote(house.vault)}/files/{name}{query}"
        with window.page.expect_download() as download:
            window.page.evaluate("(url) => { location.href = url }", address)
        assert download.value.suggested_filename == name


def test_a_line_of_ten_megabytes_is_shown_in_part(window: Window, phone: Machine) -> None:
    phone.write("long.txt", "x" * 10_000_000)
    phone.sync()
    page = window.go("file", "long.txt")
    expect(page.get_by_text("Only the first 256 kilobytes are shown.")).to_be_visible()
    assert len(page.locator("pre.text").inner_text()) == 256 * 1024


def test_controls_and_turning_marks_in_a_text_stay_in_it(window: Window, phone: Machine) -> None:
    phone.write("bidi.txt", "\u202egnirts\u202c\x07\x1b[31m\u2066\n")
    phone.sync()
    page = window.go("file", "bidi.txt")
    expect(page.locator("pre.text")).to_be_visible()
    expect(page.get_by_role("heading", name="Versions")).to_be_visible()


def test_what_is_no_text_is_not_taken_for_text(window: Window, phone: Machine) -> None:
    phone.write("tool.bin", bytes(range(256)))
    phone.write("latin1.txt", "Grüße\n".encode("latin-1"))
    phone.write("broken.png", b"no picture")
    phone.sync()
    for name, words in (("tool.bin", "neither text nor a picture"), ("latin1.txt", "neither text nor a picture")):
        expect(window.go("file", name).get_by_text(words)).to_be_visible()
    expect(window.go("file", "broken.png").get_by_text("This picture cannot be shown.")).to_be_visible()


def test_nothing_but_the_server_itself_is_asked(window: Window, house: House, phone: Machine) -> None:
    phone.write("a.md", "[x](http://127.0.0.2/x) ![y](http://127.0.0.2/y.png)\n")
    phone.sync()
    for view, path in (("files", ""), ("file", "a.md"), ("changes", ""), ("conflicts", ""), ("about", "")):
        window.go(view, path)
        window.page.wait_for_load_state("networkidle")
    home = house.servers[0].url
    assert [url for url in window.requests if not url.startswith((home, home.replace("http", "ws")))] == []
