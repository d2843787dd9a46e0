"""Two machines that did different things: nothing that anybody wrote is lost, and both end up the same."""

from __future__ import annotations

import pytest

from tests.e2e.machines import House, Machine, in_step


@pytest.fixture
def both(laptop: Machine, desktop: Machine) -> tuple[Machine, Machine]:
    """Two machines in step on one note and one folder."""
    laptop.write("note.md", "as it was")
    laptop.write("folder/inside.md", "inside")
    laptop.sync()
    desktop.sync()
    return laptop, desktop


def settle(*machines: Machine) -> None:
    """Everyone syncs until nobody has news for anybody."""
    for _ in range(2):
        for machine in machines:
            machine.sync(code=None)


def test_an_edit_here_beats_a_delete_there(both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    desktop.rm("note.md")
    desktop.sync()
    laptop.write("note.md", "edited meanwhile")
    laptop.sync()
    desktop.sync()
    assert laptop.read("note.md") == desktop.read("note.md") == "edited meanwhile"


def test_an_edit_there_beats_a_delete_here(both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    desktop.write("note.md", "edited meanwhile")
    desktop.sync()
    laptop.rm("note.md")
    laptop.sync()
    desktop.sync()
    assert laptop.read("note.md") == desktop.read("note.md") == "edited meanwhile"


def test_both_delete_the_same_file(both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    laptop.rm("note.md")
    desktop.rm("note.md")
    settle(laptop, desktop)
    assert set(laptop.files()) == set(desktop.files()) == {"folder/inside.md"}


def test_a_rename_here_and_an_edit_there_keep_the_edited_words(both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    desktop.write("note.md", "edited meanwhile")
    desktop.sync()
    laptop.rename("note.md", "renamed.md")
    settle(laptop, desktop)
    assert in_step(laptop, desktop)
    assert laptop.read("note.md") == "edited meanwhile"
    assert laptop.read("renamed.md") == "as it was"


def test_an_edit_here_and_a_rename_there_keep_the_edited_words(both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    desktop.rename("note.md", "renamed.md")
    desktop.sync()
    laptop.write("note.md", "edited meanwhile")
    settle(laptop, desktop)
    assert in_step(laptop, desktop)
    assert laptop.read("note.md") == "edited meanwhile"


def test_a_file_becomes_a_folder(both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    laptop.delete("note.md")
    laptop.write("note.md/part one.md", "one")
    laptop.sync("--propagate-deletes")
    desktop.sync()
    assert in_step(laptop, desktop)
    assert desktop.read("note.md/part one.md") == "one"


def test_a_folder_becomes_a_file(both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    laptop.delete("folder/inside.md")
    (laptop.folder / "folder").rmdir()
    laptop.write("folder", "a file now")
    laptop.sync("--propagate-deletes")
    desktop.sync()
    assert in_step(laptop, desktop)
    assert desktop.read("folder") == "a file now"


def test_a_file_here_steps_aside_for_a_folder_there(house: House, laptop: Machine, desktop: Machine) -> None:
    laptop.write("thing/part.md", "the folder's")
    desktop.write("thing", "the file's")
    laptop.sync()
    settle(desktop, laptop)
    assert in_step(laptop, desktop)
    (aside,) = set(laptop.files()) - {"thing/part.md"}
    assert aside.startswith("thing (conflict desktop ")
    assert laptop.read(aside) == "the file's"


def test_a_file_there_steps_aside_for_a_folder_here(house: House, laptop: Machine, desktop: Machine) -> None:
    laptop.write("thing.md", "the file's")
    laptop.sync()
    desktop.write("thing.md/part.md", "the folder's")
    settle(desktop, laptop)
    assert in_step(laptop, desktop)
    (aside,) = set(laptop.files()) - {"thing.md/part.md"}
    assert aside.startswith("thing (conflict ")
    assert aside.endswith(").md")
    assert laptop.read(aside) == "the file's"


def test_the_same_new_file_on_both_sides_is_no_conflict(house: House, laptop: Machine, desktop: Machine) -> None:
    laptop.write("same.md", "equal bytes")
    desktop.write("same.md", "equal bytes")
    settle(laptop, desktop)
    assert house.conflicts() == []
    assert len(house.history("same.md")) == 1


def test_different_new_files_of_one_name_are_a_conflict(house: House, laptop: Machine, desktop: Machine) -> None:
    laptop.write("idea.md", "mine")
    desktop.write("idea.md", "yours")
    laptop.sync()
    desktop.sync(code=1)
    (conflict,) = house.conflicts()
    assert conflict["base"] is None
    assert desktop.read("idea.md") == "yours"


def test_the_first_sync_of_two_folders_with_files_merges_them(house: House, laptop: Machine, desktop: Machine) -> None:
    laptop.write("shared.md", "the same")
    desktop.write("shared.md", "the same")
    laptop.write("only laptop.md", "1")
    desktop.write("only desktop.md", "2")
    settle(laptop, desktop)
    assert in_step(laptop, desktop)
    assert set(laptop.files()) == {"shared.md", "only laptop.md", "only desktop.md"}
    assert house.conflicts() == []


@pytest.mark.parametrize(
    ("keep", "outcome"), [("server", "the laptop's"), ("client", "the desktop's"), ("both", "the laptop's")]
)
def test_after_a_settlement_every_machine_ends_with_the_outcome(
    house: House, both: tuple[Machine, Machine], keep: str, outcome: str
) -> None:
    laptop, desktop = both
    laptop.write("note.md", "the laptop's")
    desktop.write("note.md", "the desktop's")
    laptop.sync()
    desktop.sync(code=1)
    house.resolve(keep)
    desktop.sync()
    laptop.sync()
    assert in_step(laptop, desktop)
    assert desktop.read("note.md") == outcome
    assert {b"the laptop's", b"the desktop's", b"as it was"} <= set(house.contents("note.md"))
    if keep == "both":
        (beside,) = [path for path in desktop.files() if "(conflict desktop" in path]
        assert desktop.read(beside) == "the desktop's"
    assert house.conflicts() == []
    assert desktop.status()["conflicts"] == []


def test_an_edit_after_the_candidate_was_sent_survives_the_settlement(
    house: House, both: tuple[Machine, Machine]
) -> None:
    laptop, desktop = both
    laptop.write("note.md", "the laptop's")
    desktop.write("note.md", "the desktop's")
    laptop.sync()
    desktop.sync(code=1)
    desktop.write("note.md", "the desktop's, and more")
    house.resolve("server")
    desktop.sync(code=1)
    assert desktop.read("note.md") == "the desktop's, and more"
    (conflict,) = house.conflicts()
    assert house.body(f"/conflicts/{conflict['id']}/client") == b"the desktop's, and more"
    assert house.body(f"/conflicts/{conflict['id']}/base") == b"the desktop's"


def test_a_file_deleted_and_made_anew_is_an_edit(both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    laptop.rm("note.md")
    laptop.write("note.md", "made anew")
    settle(laptop, desktop)
    assert laptop.read("note.md") == desktop.read("note.md") == "made anew"


def test_three_machines_agree(house: House, both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    phone = house.machine("phone")
    phone.sync()
    phone.write("from phone.md", "p")
    laptop.write("from laptop.md", "l")
    desktop.rename("note.md", "renamed.md")
    settle(laptop, desktop, phone)
    assert in_step(laptop, desktop, phone)
    assert set(phone.files()) == {"from phone.md", "from laptop.md", "renamed.md", "folder/inside.md"}


def test_two_machines_that_sync_at_the_same_moment_lose_nothing(
    house: House, laptop: Machine, desktop: Machine
) -> None:
    for number in range(300):
        laptop.write(f"laptop/{number}.md", f"the laptop's {number}")
        desktop.write(f"desktop/{number}.md", f"the desktop's {number}")
        laptop.write(f"both/{number}.md", f"the laptop's {number}")
        desktop.write(f"both/{number}.md", f"the desktop's {number}")
    running = [machine.start("sync", str(machine.folder)) for machine in (laptop, desktop)]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode in (0, 1), out + err
    settle(laptop, desktop)
    conflicts = house.conflicts()
    assert {one["path"] for one in conflicts} == {f"both/{number}.md" for number in range(300)}
    assert len(house.live()) == 900
    kept = {house.body(f"/files/{path}") for path in ("laptop/7.md", "desktop/7.md", "both/7.md")}
    (conflict,) = [one for one in conflicts if one["path"] == "both/7.md"]
    kept.add(house.body(f"/conflicts/{conflict['id']}/client"))
    assert kept == {b"the laptop's 7", b"the desktop's 7"}
