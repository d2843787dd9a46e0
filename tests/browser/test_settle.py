"""The conflict window: a conflict of two real machines, settled in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Window
from tests.browser.scene import BASE, LAPTOP, PHONE_TEXT, disagree, picture
from tests.e2e.machines import House, Machine, in_step

TEXT = "notes/shopping.md"
BY_HAND = BASE.replace("- milk\n", "- oat milk\n- coffee\n- two bottles of milk\n")
BY_HAND = BY_HAND.replace("cut the hedge", "cut the hedge, north side").replace("# Garden", "# In the garden")


@pytest.fixture
def conflict(phone: Machine, laptop: Machine, house: House) -> str:
    """The id of a conflict on a text: the laptop's edit waits, the phone's is on the server."""
    disagree(phone, laptop, TEXT, BASE.encode(), LAPTOP.encode(), PHONE_TEXT.encode())
    return open_conflict(house)


def open_conflict(house: House) -> str:
    (one,) = house.conflicts()
    return str(one["id"])


def settled(page: Page) -> None:
    expect(page.get_by_text("Settled. Every machine gets it")).to_be_visible()
    expect(page.get_by_role("heading", name="Conflicts")).to_be_visible()


def converge(*machines: Machine) -> dict[str, bytes]:
    for _ in range(2):
        for machine in machines:
            machine.sync()
    assert in_step(*machines)
    return machines[0].files()


def test_what_the_machine_has_is_kept(
    window: Window, conflict: str, house: House, phone: Machine, laptop: Machine
) -> None:
    page = window.go("conflicts", conflict)
    page.get_by_role("button", name="Keep laptop's").click()
    settled(page)
    assert converge(phone, laptop)[TEXT] == LAPTOP.encode()
    assert {BASE.encode(), LAPTOP.encode(), PHONE_TEXT.encode()} <= set(house.contents(TEXT))


def test_what_the_server_has_is_kept(
    window: Window, conflict: str, house: House, phone: Machine, laptop: Machine
) -> None:
    page = window.go("conflicts", conflict)
    page.get_by_role("button", name="Keep the server's (phone)").click()
    settled(page)
    assert converge(phone, laptop)[TEXT] == PHONE_TEXT.encode()
    assert {BASE.encode(), LAPTOP.encode(), PHONE_TEXT.encode()} <= set(house.contents(TEXT))


def test_both_are_kept_as_two_files(window: Window, conflict: str, phone: Machine, laptop: Machine) -> None:
    page = window.go("conflicts", conflict)
    page.get_by_role("button", name="Keep both").click()
    settled(page)
    files = converge(phone, laptop)
    copies = [content for path, content in files.items() if "(conflict laptop" in path]
    assert (files[TEXT], copies) == (PHONE_TEXT.encode(), [LAPTOP.encode()])


def test_the_text_is_merged_by_hand(
    window: Window, conflict: str, house: House, phone: Machine, laptop: Machine
) -> None:
    page = window.go("conflicts", conflict)
    save = page.get_by_role("button", name="Save the merged text")
    expect(save).to_be_disabled()
    page.get_by_role("button", name="Take both").click()
    merged = page.get_by_role("textbox", name="Merged text")
    merged.press("Control+End")
    page.keyboard.type("- written in the browser\n")
    save.click()
    settled(page)
    assert converge(phone, laptop)[TEXT].decode() == BY_HAND + "- written in the browser\n"
    assert {BASE.encode(), LAPTOP.encode(), PHONE_TEXT.encode()} <= set(house.contents(TEXT))


def test_a_choice_can_be_changed_and_taken_back(window: Window, conflict: str, house: House) -> None:
    page = window.go("conflicts", conflict)
    page.get_by_role("button", name="Take laptop's").click()
    expect(page.get_by_text("Every place is decided.")).to_be_visible()
    page.get_by_role("textbox", name="Merged text").press("Control+z")
    expect(page.get_by_text("1 of 1 places wait for you.")).to_be_visible()
    page.get_by_role("button", name="Take neither").click()
    page.get_by_role("button", name="Change").click()
    page.get_by_role("button", name="Take the server's").click()
    page.get_by_role("button", name="Save the merged text").click()
    settled(page)
    assert house.body(f"/files/{TEXT}").decode() == PHONE_TEXT.replace("cut the hedge", "cut the hedge, north side")


def test_edits_that_do_not_touch_each_other_are_merged_already(
    window: Window, house: House, phone: Machine, laptop: Machine
) -> None:
    mine, theirs = BASE.replace("milk", "oat milk"), BASE.replace("beans", "peas").replace("\n", "\r\n")
    disagree(phone, laptop, TEXT, BASE.encode(), mine.encode(), theirs.encode())
    page = window.go("conflicts", open_conflict(house))
    expect(page.get_by_text("The edits do not touch each other")).to_be_visible()
    page.get_by_role("button", name="Save the merged text").click()
    settled(page)
    both = BASE.replace("milk", "oat milk").replace("beans", "peas").replace("\n", "\r\n")
    assert converge(phone, laptop)[TEXT] == both.encode()


def test_pictures_are_shown_beside_each_other(
    window: Window, house: House, phone: Machine, laptop: Machine, tmp_path: Path
) -> None:
    blue, red = picture((60, 130, 190)), picture((200, 90, 80))
    disagree(phone, laptop, "photos/garden.png", picture((90, 160, 90)), blue, red)
    page = window.go("conflicts", open_conflict(house))
    pictures = page.locator("main img:visible")
    expect(pictures).to_have_count(2)
    for index in range(2):
        page.wait_for_function(
            "(index) => [...document.querySelectorAll('main .sides img')][index].naturalWidth === 240", arg=index
        )
    page.get_by_role("button", name="Keep laptop's").click()
    settled(page)
    assert converge(phone, laptop)["photos/garden.png"] == blue
    assert set(house.contents("photos/garden.png")) == {blue, red, picture((90, 160, 90))}


def test_one_of_two_machines_edits_is_chosen(window: Window, house: House, phone: Machine, laptop: Machine) -> None:
    tablet = house.machine("tablet")
    phone.write("data.bin", b"\0base")
    for machine in (phone, laptop, tablet):
        machine.sync()
    for machine, content in ((phone, b"\0phone"), (laptop, b"\0laptop"), (tablet, b"\0tablet")):
        machine.write("data.bin", content)
        machine.sync(code=None)
    page = window.go("conflicts", open_conflict(house))
    expect(page.get_by_role("button", name="Keep tablet's")).to_be_visible()
    page.get_by_label("laptop").check()
    page.get_by_role("button", name="Keep laptop's").click()
    settled(page)
    assert converge(phone, laptop, tablet)["data.bin"] == b"\0laptop"
    assert set(house.contents("data.bin")) == {b"\0base", b"\0phone", b"\0laptop", b"\0tablet"}


def test_every_other_window_closes_itself(open_window: Callable[..., Window], conflict: str) -> None:
    first, second = open_window(), open_window()
    looking = second.go("conflicts", conflict)
    looking.get_by_role("button", name="Take both").click()
    first.go("conflicts", conflict).get_by_role("button", name="Keep the server's").click()
    settled(first.page)
    expect(looking.get_by_text(f"{TEXT} was settled elsewhere: the server's version stands.")).to_be_visible()
    expect(looking.get_by_role("heading", name="Conflicts")).to_be_visible()
    assert "- oat milk" in looking.get_by_label("What you had typed").input_value()  # nobody's work is thrown away


def test_a_conflict_that_comes_up_is_seen_without_a_reload(
    window: Window, house: House, phone: Machine, laptop: Machine
) -> None:
    page = window.go("conflicts")
    expect(page.get_by_text("No conflicts.")).to_be_visible()
    disagree(phone, laptop, TEXT, BASE.encode(), LAPTOP.encode(), PHONE_TEXT.encode())
    expect(page.get_by_role("link", name=TEXT)).to_be_visible()
    house.resolve("server")
    expect(page.get_by_text("No conflicts.")).to_be_visible()


def test_what_changed_while_one_looked_is_not_overwritten(
    window: Window, conflict: str, house: House, phone: Machine
) -> None:
    page = window.go("conflicts", conflict)
    page.get_by_role("button", name="Take both").click()
    phone.write(TEXT, PHONE_TEXT + "- and more\n")
    phone.sync(code=None)
    expect(page.get_by_text("The file was changed while you looked.")).to_be_visible()
    page.get_by_role("button", name="Save the merged text").click()
    expect(page.get_by_text("Look again, then decide.")).to_be_visible()
    assert house.body(f"/files/{TEXT}").decode() == PHONE_TEXT + "- and more\n"
    page.get_by_role("button", name="Look again").click()
    page.get_by_role("button", name="Take both").click()
    page.get_by_role("button", name="Save the merged text").click()
    settled(page)
    assert house.body(f"/files/{TEXT}").decode() == BY_HAND + "- and more\n"


def test_it_can_all_be_done_by_keyboard(window: Window, conflict: str, house: House) -> None:
    page = window.go("conflicts")
    page.get_by_role("link", name=TEXT).wait_for()
    tab_to(page, "a", TEXT)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Take both").wait_for()
    tab_to(page, "button", "Both")
    page.keyboard.press("Space")
    tab_to(page, "button", "Save the merged text")
    page.keyboard.press("Enter")
    settled(page)
    assert house.body(f"/files/{TEXT}").decode() == BY_HAND


def tab_to(page: Page, tag: str, text: str) -> None:
    """Presses the tabulator until it has reached that."""
    reached = (
        "([tag, text]) => document.activeElement.matches(tag) && document.activeElement.textContent.includes(text)"
    )
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(reached, [tag, text]):
            return
    raise AssertionError(f"the tabulator never reaches {text!r}")
