"""What `.gobiignore` leaves out never reaches the server, with `gobi sync` and with `gobi watch`."""

from __future__ import annotations

import subprocess

import pytest

from tests.e2e.machines import House, Machine, in_step
from tests.e2e.watching import Watching, wait_until_in_step
from tests.services import wait_until

RULES = ".gobiignore"
SECRET = "secrets/key"


@pytest.fixture
def deployed() -> str:
    """What a client does is the same everywhere."""
    return "embedded"


def wait_until_sent(house: House, path: str) -> None:
    wait_until(lambda: path in house.live(), f"{path} to be sent")


@pytest.fixture
def careful(laptop: Machine) -> Machine:
    """In step, with a file that is left out."""
    laptop.write(RULES, "secrets/\n")
    laptop.write("note.md", "note")
    laptop.write(SECRET, "top secret")
    laptop.sync()
    return laptop


def test_a_list_that_vanished_comes_back_and_lets_nothing_out(house: House, careful: Machine) -> None:
    careful.delete(RULES)
    assert careful.status()["pending"] == {"new": [], "edited": [], "missing": [RULES]}
    careful.sync()
    assert house.live() == {RULES, "note.md"}
    assert careful.read(RULES) == "secrets/\n"


def test_a_new_machine_sends_nothing_that_the_vaults_list_leaves_out(
    house: House, careful: Machine, desktop: Machine
) -> None:
    desktop.write(SECRET, "another secret")
    desktop.sync()
    assert house.live() == {RULES, "note.md"}


def test_a_list_that_is_deleted_by_name_holds_no_longer(house: House, careful: Machine) -> None:
    careful.rm(RULES)
    careful.sync()
    assert house.live() == {"note.md", SECRET}


def test_the_last_list_is_forgotten_with_the_vault_that_it_belonged_to(house: House, careful: Machine) -> None:
    careful.delete(RULES)
    careful.gobi("disconnect", str(careful.folder))
    assert not careful.has(".gobi")


def test_while_a_list_is_written_nothing_is_let_out(house: House, careful: Machine) -> None:
    with Watching(careful):
        with (careful.folder / RULES).open("w") as file:  # empty, and stays so for as long as the program likes
            careful.write("other.md", "other")
            wait_until_sent(house, "other.md")
            careful.write("secrets/second", "another secret")
            file.write("secrets/\n*.tmp\n")
        careful.write("a.tmp", "a")
        careful.write("last.md", "last")
        wait_until_sent(house, "last.md")
        wait_until(lambda: house.body(f"/files/{RULES}") == b"secrets/\n*.tmp\n", "the list to be sent")
        assert house.live() == {RULES, "note.md", "other.md", "last.md"}


def test_a_list_that_is_away_while_an_editor_saves_it_lets_nothing_out(house: House, careful: Machine) -> None:
    with Watching(careful):
        for number in range(5):
            careful.rename(RULES, f"{RULES}~")
            careful.write(f"{number}.md", "edited meanwhile")
            wait_until_sent(house, f"{number}.md")
            careful.write(RULES, f"secrets/\n# {number}\n")
            careful.delete(f"{RULES}~")
        wait_until(lambda: house.body(f"/files/{RULES}") == b"secrets/\n# 4\n", "the list to be sent")
        assert SECRET not in house.live()


def test_a_list_that_is_emptied_before_it_is_written_lets_nothing_out(house: House, careful: Machine) -> None:
    with Watching(careful):
        careful.write(RULES, "")
        careful.write("other.md", "other")
        wait_until_sent(house, "other.md")
        careful.write(RULES, "secrets/\n# again\n")
        wait_until(lambda: house.body(f"/files/{RULES}") == b"secrets/\n# again\n", "the list to be sent")
        assert SECRET not in house.live()


def test_what_a_list_lets_in_is_sent_by_a_watch_without_another_word(house: House, careful: Machine) -> None:
    with Watching(careful):
        careful.write(RULES, "*.tmp\n")
        wait_until_sent(house, SECRET)


def test_a_list_that_is_deleted_under_watch_holds_no_longer(house: House, careful: Machine) -> None:
    with Watching(careful):
        careful.delete(RULES)
        wait_until(lambda: house.live() == {"note.md", SECRET}, "the delete, and what it lets in")


def test_gits_own_files_stay_here_and_are_named_once(house: House, laptop: Machine, desktop: Machine) -> None:
    repository = laptop.folder / "repo"
    repository.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    laptop.write("repo/main.py", "print()")
    assert "repo/.git" in laptop.sync().out
    assert house.live() == {"repo/main.py"}
    assert "repo/.git" not in laptop.sync().out
    assert [one["name"] for one in laptop.status()["skipped"]] == ["repo/.git"]
    laptop.write(RULES, "!.git/\n")
    laptop.sync()
    desktop.sync()
    assert desktop.has("repo/.git/HEAD")
    with Watching(laptop), Watching(desktop):
        laptop.write("repo/.git/description", "mine")
        wait_until_in_step(laptop, desktop)
    assert in_step(laptop, desktop)
