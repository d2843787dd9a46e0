"""Taking back, on the page."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.browser import Window
from tests.e2e.machines import House, Machine, in_step

FILES = 60


def test_a_folder_deleted_by_mistake_is_put_back(window: Window, house: House, phone: Machine, laptop: Machine) -> None:
    for number in range(FILES):
        phone.write(f"notes/{number:02}.md", f"note {number}\n")
    phone.sync()
    laptop.sync()
    before = phone.files()
    laptop.gobi("rm", str(laptop.folder), "notes")
    laptop.gobi("sync", str(laptop.folder), "--allow-mass-delete")
    phone.gobi("sync", str(phone.folder), "--allow-mass-delete")
    phone.write("notes/07.md", "made again, and better\n")
    phone.sync()

    page = window.go("changes")
    page.get_by_role("link", name="Take back from here on").nth(1).click()
    expect(page.get_by_label("What this device did")).to_have_value("laptop")
    page.get_by_role("button", name="Show what would be put back").click()
    expect(page.get_by_role("heading", name=f"{FILES - 1} files would be put back")).to_be_visible()
    expect(page.get_by_role("heading", name="1 file would stay")).to_be_visible()
    expect(page.get_by_text("others changed it too")).to_be_visible()
    assert house.live() == {"notes/07.md"}  # so far it was only looked at
    page.get_by_role("button", name=f"Put back {FILES - 1} files").click()
    expect(page.get_by_text(f"{FILES - 1} files put back. 1 file left as they are.")).to_be_visible()

    for machine in (phone, laptop):
        machine.sync()
    assert in_step(phone, laptop)
    assert phone.files() == before | {"notes/07.md": b"made again, and better\n"}


def test_an_older_version_is_restored(window: Window, house: House, phone: Machine) -> None:
    for text in ("first\n", "second\n", "third\n"):
        phone.write("a.md", text)
        phone.sync()
    page = window.go("file", "a.md")
    page.get_by_role("link", name="Look").nth(1).click()
    expect(page.locator("pre.text")).to_have_text("first\n")
    page.get_by_role("button", name="Restore").nth(1).click()
    expect(page.get_by_text("It is back")).to_be_visible()
    expect(page.locator("pre.text")).to_have_text("first\n")
    phone.sync()
    assert phone.read("a.md") == "first\n"
    assert house.contents("a.md") == [b"first\n", b"third\n", b"second\n", b"first\n"]


def test_a_deleted_file_is_restored(window: Window, phone: Machine) -> None:
    phone.write("a.md", "still wanted\n")
    phone.sync()
    phone.rm("a.md")
    phone.sync()
    page = window.go("changes")
    page.get_by_role("link", name="a.md").first.click()
    expect(page.get_by_text("This file was deleted.")).to_be_visible()
    page.get_by_role("button", name="Restore").click()
    expect(page.locator("pre.text")).to_have_text("still wanted\n")
    phone.sync()
    assert phone.read("a.md") == "still wanted\n"


def test_two_versions_are_compared(window: Window, phone: Machine) -> None:
    for text in ("same\nold line\n", "same\nnew line\n"):
        phone.write("a.md", text)
        phone.sync()
    page = window.go("file", "a.md")
    page.get_by_role("button", name="Show differences").click()
    expect(page.locator(".cm-merge-a .cm-changedLine")).to_have_text("old line")
    expect(page.locator(".cm-merge-b .cm-changedLine")).to_have_text("new line")


def test_a_folder_is_not_what_begins_like_it(window: Window, phone: Machine) -> None:
    for path in ("notes/a.md", "notes-private/b.md"):
        phone.write(path, "text\n")
    phone.sync()
    page = window.go("undo", query="?since=1&prefix=notes")
    page.get_by_role("button", name="Show what would be put back").click()
    expect(page.get_by_role("heading", name="1 file would be put back")).to_be_visible()
    expect(page.get_by_role("region", name="Preview").get_by_text("notes/a.md")).to_be_visible()
