"""The conflict window: a conflict of two real machines, settled in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Window
from tests.browser.scene import BASE, LAPTOP, PHONE_TEXT, disagree, picture
from tests.e2e.machines import House, Machine, in_step
from tests.server import PASSWORD, USER

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


@pytest.mark.parametrize(
    ("button", "outcome"),
    [("Keep laptop's", LAPTOP), ("Keep the server's (phone)", PHONE_TEXT)],
    ids=["the machine's", "the server's"],
)
def test_one_side_is_kept(
    window: Window, conflict: str, house: House, phone: Machine, laptop: Machine, button: str, outcome: str
) -> None:
    page = window.go("conflicts", conflict)
    page.get_by_role("button", name=button).click()
    settled(page)
    assert converge(phone, laptop)[TEXT] == outcome.encode()
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


@pytest.fixture
def two_places(house: House, phone: Machine, laptop: Machine) -> str:
    """A conflict with two places where the sides disagree."""
    base = "".join(f"line {number}\n" for number in range(1, 8))
    mine = base.replace("line 2", "L2").replace("line 6", "L6")
    theirs = base.replace("line 2", "P2").replace("line 6", "P6")
    disagree(phone, laptop, "a.md", base.encode(), mine.encode(), theirs.encode())
    return open_conflict(house)


def merged(page: Page) -> str:
    """The text in the middle pane."""
    lines = page.get_by_role("textbox", name="Merged text").locator(".cm-line").all_inner_texts()
    return "\n".join(line.strip("\n") for line in lines)


def test_what_is_written_beside_a_place_stays_when_it_is_decided(window: Window, two_places: str, house: House) -> None:
    page = window.go("conflicts", two_places)
    page.get_by_role("textbox", name="Merged text").locator(".cm-line", has_text="line 3").click()
    page.keyboard.press("Home")
    page.keyboard.type("what I want instead\n")
    page.get_by_role("button", name="Take neither").first.click()
    page.get_by_role("button", name="Take neither").click()
    page.get_by_role("button", name="Save the merged text").click()
    settled(page)
    text = house.body("/files/a.md").decode()
    assert text == "line 1\nwhat I want instead\nline 3\nline 4\nline 5\nline 7\n"


def test_what_is_deleted_around_a_place_and_brought_back_is_all_there(window: Window, two_places: str) -> None:
    page = window.go("conflicts", two_places)
    editor = page.get_by_role("textbox", name="Merged text")
    page.get_by_role("button", name="Take laptop's").first.click()
    editor.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.press("Control+z")
    assert merged(page) == "line 1\nL2\nline 3\nline 4\nline 5\nline 7\n"
    page.get_by_role("button", name="Take laptop's").click()
    assert merged(page) == "line 1\nL2\nline 3\nline 4\nline 5\nL6\nline 7\n"


def test_places_that_came_together_keep_their_order(window: Window, two_places: str) -> None:
    page = window.go("conflicts", two_places)
    page.get_by_role("textbox", name="Merged text").press("Control+a")
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Take laptop's").first.click()
    page.get_by_role("button", name="Take the server's").click()
    assert merged(page) == "L2\nP6\n"


def test_taking_back_a_choice_opens_its_place_again(window: Window, two_places: str) -> None:
    page = window.go("conflicts", two_places)
    for _ in range(2):
        page.get_by_role("button", name="Take neither").first.click()
    expect(page.get_by_text("Every place is decided.")).to_be_visible()
    page.get_by_role("textbox", name="Merged text").press("Control+z")
    expect(page.get_by_text("1 of 2 places wait for you.")).to_be_visible()
    expect(page.get_by_role("button", name="Save the merged text")).to_be_disabled()


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a mark"])
def test_line_ends_and_the_mark_of_a_text_stay_as_they_are(
    window: Window, house: House, phone: Machine, laptop: Machine, mark: str
) -> None:
    texts = [f"{mark}{word}\r\ntwo\r\nthree\r\n".encode() for word in ("one", "mine", "theirs")]
    disagree(phone, laptop, "a.md", *texts)
    page = window.go("conflicts", open_conflict(house))
    page.get_by_role("button", name="Take both").click()
    page.get_by_role("textbox", name="Merged text").press("Control+End")
    page.keyboard.type("four\n")
    page.get_by_role("button", name="Save the merged text").click()
    settled(page)
    assert house.body("/files/a.md").decode() == f"{mark}mine\r\ntheirs\r\ntwo\r\nthree\r\nfour\r\n"


def test_an_edit_that_came_to_wait_meanwhile_is_not_settled_unseen(
    window: Window, house: House, phone: Machine, laptop: Machine
) -> None:
    tablet = house.machine("tablet")
    phone.write(TEXT, BASE)
    for machine in (phone, laptop, tablet):
        machine.sync()
    phone.write(TEXT, PHONE_TEXT)
    laptop.write(TEXT, LAPTOP)
    tablet.write(TEXT, BASE + "- and what the tablet wrote\n")
    for machine in (phone, laptop):
        machine.sync(code=None)
    page = window.go("conflicts", open_conflict(house))
    page.get_by_role("button", name="Take both").click()
    tablet.sync(code=None)
    expect(page.get_by_text("The file was changed while you looked.")).to_be_visible()
    page.get_by_role("button", name="Save the merged text").click()
    expect(page.get_by_text("Look again, then decide.")).to_be_visible()
    assert len(house.conflicts()) == 1


def test_what_was_typed_outlives_the_session(window: Window, conflict: str, house: House) -> None:
    page = window.go("conflicts", conflict)
    page.get_by_role("button", name="Take both").click()
    page.get_by_role("textbox", name="Merged text").press("Control+End")
    page.keyboard.type("- typed before it ended\n")
    window.context.clear_cookies()
    house.put("other.md", b"makes the page look again\n")
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    page.get_by_label("User").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Save the merged text").click()
    settled(page)
    assert house.body(f"/files/{TEXT}").decode() == BY_HAND + "- typed before it ended\n"


def test_what_was_typed_is_there_when_one_comes_back(window: Window, conflict: str) -> None:
    page = window.go("conflicts", conflict)
    page.get_by_role("button", name="Take both").click()
    expect(page.get_by_text("Every place is decided.")).to_be_visible()
    window.go("files")
    page.go_back()
    page.get_by_text("What you had typed").click()
    assert "- oat milk" in page.get_by_label("What you had typed").input_value()


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
