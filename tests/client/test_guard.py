"""Most of the files are deleted elsewhere: that is not done here without asking, and never without a copy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client.changes import FEW
from client.foresee import BELIEVED, Heard
from client.guard import WHAT, is_held
from client.pending import Touched
from sync.model import Version
from tests.client.direct import Server
from tests.client.machines import Machine


def fill(laptop: Machine, desktop: Machine, count: int) -> None:
    for number in range(count):
        laptop.write(f"notes/{number}.md", f"note {number}")
    laptop.sync()
    desktop.sync()


def delete(laptop: Machine, count: int) -> None:
    for number in range(count):
        laptop.delete(f"notes/{number}.md")
    laptop.sync(propagate_deletes=True, allow_mass_delete=True)


def held_back(machine: Machine) -> int:
    """How many deletes `gobi status` says are held back."""
    assert machine.status().exit_code == (1 if machine.status().refused else 0)
    names = [path for path, _ in machine.status().refused if path.startswith(WHAT)]
    return int(names[0].removeprefix(f"{WHAT} (").removesuffix(" files)")) if names else 0


def test_most_files_deleted_elsewhere_are_held_back_while_all_else_goes_on(laptop: Machine, desktop: Machine) -> None:
    fill(laptop, desktop, 40)
    delete(laptop, 21)
    laptop.write("theirs.md", "written there")
    laptop.write("notes/39.md", "edited there")
    laptop.sync()
    desktop.write("mine.md", "written here")
    for _ in range(2):
        report = desktop.sync()
        assert report.exit_code == 1
        assert "--allow-mass-delete" in report.refused[0][1]
        assert (report.deleted_here, held_back(desktop)) == (0, 21)
        assert desktop.files()["notes/39.md"] == b"edited there"
        assert desktop.files().keys() >= {f"notes/{number}.md" for number in range(40)} | {"theirs.md"}
    laptop.sync()
    assert laptop.files()["mine.md"] == b"written here"
    report = desktop.sync(allow_mass_delete=True)
    assert (report.deleted_here, len(desktop.trash())) == (21, 21)
    assert desktop.files() == laptop.files()
    assert desktop.sync().in_step


@pytest.mark.parametrize("again", ["note", "another"])
def test_what_was_taken_back_meanwhile_needs_no_answer(laptop: Machine, desktop: Machine, again: str) -> None:
    fill(laptop, desktop, 40)
    delete(laptop, 40)
    assert desktop.sync().exit_code == 1
    for number in range(40):
        laptop.write(f"notes/{number}.md", f"{again} {number}")
    laptop.sync()
    report = desktop.sync()
    assert (report.deleted_here, report.exit_code) == (0, 0)
    assert desktop.files() == laptop.files()
    assert (len(desktop.files()), report.conflicts) == (40, [])


def test_what_is_held_back_stays_so_in_the_next_process_and_however_the_folder_grows(
    laptop: Machine, desktop: Machine
) -> None:
    fill(laptop, desktop, 30)
    delete(laptop, 30)
    desktop.sync()
    desktop.restart()
    for number in range(100):
        desktop.write(f"new/{number}.md", f"new {number}")
    desktop.sync()
    desktop.sync()
    assert (len(desktop.files()), held_back(desktop)) == (130, 30)


def test_the_watch_holds_them_back_one_by_one_as_well(vault: Server, laptop: Machine, desktop: Machine) -> None:
    fill(laptop, desktop, 40)
    before = vault.vault.clock
    delete(laptop, 30)
    told = tuple(version for version in versions_of(vault) if version.stamp > before)
    engine = desktop.engine()
    report = engine.follow(Touched(), [Heard(desktop.index.cursor, str(told[-1].stamp), told)])
    assert (report.deleted_here, held_back(desktop)) == (0, 30)
    desktop.write("notes/0.md", "note 0")
    engine.follow(Touched(frozenset({"notes/0.md"})), [])
    vault.delete("notes/39.md")
    engine.follow(Touched(), None)
    assert (len(desktop.files()), held_back(desktop)) == (40, 31)
    desktop.write("notes/1.md", "still needed here")
    engine.follow(Touched(frozenset({"notes/1.md"})), [])
    assert vault.files()["notes/1.md"] == b"still needed here"
    assert (len(desktop.files()), held_back(desktop)) == (40, 30)
    desktop.restart()
    assert desktop.sync(allow_mass_delete=True).deleted_here == 30
    assert desktop.files() == vault.files()
    assert not any(map(is_held, desktop.queue.load()[0]))


def test_a_held_file_that_is_deleted_here_too_is_gone_for_good(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    fill(laptop, desktop, 30)
    delete(laptop, 30)
    desktop.sync()
    for number in range(30):
        desktop.delete(f"notes/{number}.md")
    desktop.write("mine.md", "so that the folder is not empty")
    assert desktop.sync().exit_code == 0
    assert set(desktop.files()) == set(vault.files()) == {"mine.md"}


def newest(vault: Server, count: int) -> list[int]:
    """Stamps of the newest versions of so many notes."""
    return [vault.reader.history(vault.vault, f"notes/{number}.md", None, 1)[0][0].stamp for number in range(count)]


def test_what_a_person_here_has_taken_back_goes_and_what_others_deleted_stays(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    fill(laptop, desktop, 40)
    for number in range(25):
        desktop.write(f"drafts/{number}.md", f"draft {number}")
    desktop.sync()
    laptop.sync()
    delete(laptop, 36)
    desktop.sync()
    for number in range(25):
        vault.delete(f"drafts/{number}.md")
    undone = [vault.reader.history(vault.vault, f"drafts/{number}.md", None, 1)[0][0].stamp for number in range(25)]
    report = desktop.sync(meant=undone)
    assert report.deleted_here == 25
    assert (len(desktop.files()), held_back(desktop)) == (40, 36)
    assert (desktop.sync().deleted_here, held_back(desktop)) == (0, 36)
    assert len(desktop.trash()) == 25


def test_what_is_taken_back_in_part_leaves_the_rest_held_back_while_that_is_much(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    fill(laptop, desktop, 40)
    delete(laptop, 36)
    desktop.sync()
    for number in range(12):
        vault.put(f"notes/{number}.md", f"note {number}".encode())
    assert (desktop.sync(meant=newest(vault, 12)).deleted_here, held_back(desktop)) == (0, 24)
    assert len(desktop.files()) == 40


def test_what_a_person_here_has_taken_back_does_not_make_few_deletes_of_others_look_like_many(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    fill(laptop, desktop, 40)
    for number in range(30):
        vault.delete(f"notes/{number}.md")
    report = desktop.sync(meant=newest(vault, 29))
    assert (report.deleted_here, held_back(desktop), report.exit_code) == (30, 0, 0)


def test_a_delete_by_others_of_a_file_that_was_taken_back_before_is_held_back(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    fill(laptop, desktop, 40)
    before = newest(vault, 40)
    delete(laptop, 36)
    assert (desktop.sync(meant=before).deleted_here, held_back(desktop)) == (0, 36)


def test_a_held_file_in_whose_place_the_vault_has_a_folder_now_keeps_nothing_else_from_coming(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    fill(laptop, desktop, 30)
    delete(laptop, 30)
    desktop.sync()
    laptop.write("notes/0.md/inside.md", "a folder now")
    laptop.write("theirs.md", "theirs")
    laptop.sync()
    for _ in range(2):
        report = desktop.sync()
        assert (report.deleted_here, held_back(desktop), report.exit_code) == (0, 30, 1)
        assert desktop.files()["theirs.md"] == b"theirs"
        assert desktop.files()["notes/0.md"] == b"note 0"
        assert "notes/0.md/inside.md" in dict(report.waiting)
    desktop.sync(allow_mass_delete=True)
    assert desktop.files() == laptop.files() == vault.files()
    assert desktop.sync().in_step


def test_held_files_in_whose_folders_place_the_vault_has_a_file_now_keep_nothing_else_from_coming(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    fill(laptop, desktop, 30)
    delete(laptop, 30)
    desktop.sync()
    laptop.write("notes", "a file now")
    laptop.write("theirs.md", "theirs")
    laptop.sync()
    for _ in range(2):
        report = desktop.sync()
        assert (report.deleted_here, held_back(desktop), report.exit_code) == (0, 30, 1)
        assert desktop.files()["theirs.md"] == b"theirs"
        assert desktop.files()["notes/29.md"] == b"note 29"
        assert "notes" in dict(report.waiting)
    desktop.sync(allow_mass_delete=True)
    assert desktop.files() == laptop.files() == vault.files()
    assert desktop.sync().in_step


def versions_of(vault: Server) -> list[Version]:
    found = [vault.reader.history(vault.vault, f"notes/{number}.md", None, 1)[0][0] for number in range(40)]
    return sorted(found, key=lambda version: version.stamp)


def test_many_files_emptied_elsewhere_are_as_good_as_deleted(laptop: Machine, desktop: Machine) -> None:
    fill(laptop, desktop, 30)
    for number in range(30):
        laptop.write(f"notes/{number}.md", "")
    laptop.sync()
    desktop.sync()
    assert b"" not in desktop.files().values()
    assert held_back(desktop) == 30
    desktop.sync(allow_mass_delete=True)
    assert set(desktop.files().values()) == {b""}
    assert len(desktop.trash()) == 30


def test_edits_of_most_files_are_no_reason_to_ask(laptop: Machine, desktop: Machine) -> None:
    fill(laptop, desktop, 30)
    for number in range(30):
        laptop.write(f"notes/{number}.md", "edited")
    laptop.sync()
    assert desktop.sync().downloaded == 30


@pytest.mark.parametrize("touched", [False, True])
def test_a_folder_that_was_renamed_elsewhere_is_no_reason_to_ask(
    laptop: Machine, desktop: Machine, touched: bool
) -> None:
    fill(laptop, desktop, 30)
    for number in range(30):
        if touched:
            laptop.delete(f"notes/{number}.md")
            laptop.write(f"texts/{number}.md", f"note {number}")
        else:
            laptop.move(f"notes/{number}.md", f"texts/{number}.md")
    laptop.sync(propagate_deletes=True, allow_mass_delete=True)
    desktop.sync()
    assert desktop.files() == laptop.files()
    assert desktop.trash() == []


def test_a_folder_whose_new_files_came_before_the_old_ones_go_is_no_reason_to_ask(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    fill(laptop, desktop, 30)
    for number in range(30):
        vault.put(f"texts/{number}.md", f"note {number}".encode())
    desktop.sync()
    for number in range(30):
        vault.delete(f"notes/{number}.md")
    assert desktop.sync().deleted_here == 30
    assert desktop.trash() == []


@pytest.mark.parametrize(("count", "kept"), [(FEW, 0), (FEW + 1, FEW + 1)])
def test_what_others_delete_in_bulk_is_kept_in_the_trash_and_said(
    machine: Callable[[str], Machine], count: int, kept: int
) -> None:
    laptop, desktop = machine("laptop"), machine("desktop")
    fill(laptop, desktop, 100)
    delete(laptop, count)
    report = desktop.sync()
    assert report.deleted_here == count
    assert len(desktop.trash()) == kept
    assert any(".gobi/trash/" in note for note in report.notes) == bool(kept)


# -- what others replace in bulk


def rewrite(laptop: Machine, count: int) -> None:
    for number in range(count):
        laptop.write(f"notes/{number}.md", f"garbage {number}")
    laptop.sync()


@pytest.mark.parametrize("tracked", [21, 30, 41])
def test_what_most_files_held_is_kept_where_others_replaced_it_all_at_once(
    laptop: Machine, desktop: Machine, tracked: int
) -> None:
    fill(laptop, desktop, tracked)
    rewrite(laptop, 21)
    report = desktop.sync()
    assert report.in_step
    assert sorted(desktop.trash()) == sorted(f"note {number}".encode() for number in range(21))
    assert any(".gobi/trash" in note for note in report.notes)
    assert desktop.files()["notes/0.md"] == b"garbage 0"


@pytest.mark.parametrize(("tracked", "replaced"), [(42, 21), (20, 20), (100, 40)])
def test_what_fewer_files_held_is_on_the_server(laptop: Machine, desktop: Machine, tracked: int, replaced: int) -> None:
    fill(laptop, desktop, tracked)
    rewrite(laptop, replaced)
    assert desktop.sync().in_step
    assert desktop.trash() == []


def test_files_that_others_only_renamed_are_not_replaced(laptop: Machine, desktop: Machine) -> None:
    fill(laptop, desktop, 30)
    for number in range(30):
        laptop.delete(f"notes/{number}.md")
        laptop.write(f"moved/{number}.md", f"note {number}")
    laptop.sync()
    assert desktop.sync().in_step
    assert desktop.trash() == []


# -- what nobody did


def test_a_forged_notice_deletes_nothing_in_bulk(vault: Server, laptop: Machine, desktop: Machine) -> None:
    """Whoever gets at the server's bus can say anything; the log has another word."""
    fill(laptop, desktop, 100)
    heads = list(versions_of(vault))
    forged = [head._replace(kind="delete", hash=None, size=0, stamp=head.stamp + 1000) for head in heads]
    engine = desktop.engine()
    for message in (forged, forged[:50], forged[: BELIEVED + 1]):
        engine.follow(Touched(), [Heard(desktop.index.cursor, desktop.index.cursor, tuple(message))])
        assert len(desktop.files()) == 100
    for one in forged:
        engine.follow(Touched(), [Heard(desktop.index.cursor, desktop.index.cursor, (one,))])
        assert len(desktop.files()) >= 100 - BELIEVED
    engine.follow(Touched(), None)
    assert len(desktop.files()) == 100, "what nobody has deleted is back once the server was asked"


def test_what_was_deleted_as_it_was_told_stays_so_when_the_server_is_asked(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    fill(laptop, desktop, 40)
    before = vault.vault.clock
    delete(laptop, BELIEVED)
    told = tuple(version for version in versions_of(vault) if version.stamp > before)
    engine = desktop.engine()
    engine.follow(Touched(), [Heard(desktop.index.cursor, desktop.index.cursor, told)])
    for _ in range(2):
        engine.follow(Touched(), None)
        assert len(desktop.files()) == 40 - BELIEVED
    desktop.sync()
    assert desktop.files() == laptop.files()
