"""Two machines that edited one note, in a vault that merges by itself: both have both edits, and nobody was asked."""

from __future__ import annotations

import pytest

from tests.e2e.machines import House, Machine, in_step

NOTE = "milk\nbread\neggs\ncheese\n"


@pytest.fixture
def both(house: House, laptop: Machine, desktop: Machine) -> tuple[Machine, Machine]:
    """Two machines in step on one note."""
    house.api("PATCH", "", {"auto_merge": True})
    laptop.write("note.md", NOTE)
    laptop.sync()
    desktop.sync()
    return laptop, desktop


def test_edits_in_two_places_end_up_in_both_folders(house: House, both: tuple[Machine, Machine]) -> None:
    """With the sync that brings the second one, and the next sync of the other machine."""
    laptop, desktop = both
    laptop.write("note.md", "oat milk\nbread\neggs\ncheese\n")
    laptop.sync()
    desktop.write("note.md", "milk\nbread\neggs\ncheese\ntea\n")
    desktop.sync()
    laptop.sync()
    assert in_step(laptop, desktop)
    assert laptop.read("note.md") == "oat milk\nbread\neggs\ncheese\ntea\n"
    assert house.conflicts() == []
    assert laptop.status()["conflicts"] == desktop.status()["conflicts"] == []
    assert house.contents("note.md")[1:3] == [
        b"milk\nbread\neggs\ncheese\ntea\n",
        b"oat milk\nbread\neggs\ncheese\n",
    ]


def test_edits_of_one_line_wait_for_a_person(house: House, both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    laptop.write("note.md", "oat milk\nbread\neggs\ncheese\n")
    laptop.sync()
    desktop.write("note.md", "soy milk\nbread\neggs\ncheese\n")
    desktop.sync(code=None)
    (conflict,) = house.conflicts()
    merge = house.api("GET", f"/conflicts/{conflict['id']}/merge")
    assert (merge["mergeable"], merge["clean"]) == (True, False)
    assert merge["text"].startswith("<<<<<<< desktop\nsoy milk\n=======\noat milk\n>>>>>>> laptop\n")
    choice = {"keep": "merged", "candidate": merge["candidate"], "head": merge["head"], "text": "milks\n"}
    house.api("POST", f"/conflicts/{conflict['id']}/resolve", choice)
    laptop.sync()
    desktop.sync()
    assert in_step(laptop, desktop)
    assert desktop.read("note.md") == "milks\n"
