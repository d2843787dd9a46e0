"""Most of the files are deleted elsewhere: that is not done here without asking, and never without a copy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client.changes import FEW
from client.foresee import Heard
from client.guard import MassDeleteHere
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


def test_most_files_deleted_elsewhere_stop_the_sync_before_anything_is_done(laptop: Machine, desktop: Machine) -> None:
    fill(laptop, desktop, 40)
    delete(laptop, 21)
    desktop.write("mine.md", "written here")
    for _ in range(2):
        with pytest.raises(MassDeleteHere, match="--allow-mass-delete"):
            desktop.sync()
        assert len(desktop.files()) == 41
    report = desktop.sync(allow_mass_delete=True)
    assert report.deleted_here == 21
    assert len(desktop.files()) == 20
    assert desktop.sync().in_step


def test_what_was_taken_back_meanwhile_needs_no_answer(laptop: Machine, desktop: Machine) -> None:
    fill(laptop, desktop, 40)
    delete(laptop, 40)
    with pytest.raises(MassDeleteHere):
        desktop.sync()
    for number in range(40):
        laptop.write(f"notes/{number}.md", f"note {number}")
    laptop.sync()
    report = desktop.sync()
    assert (report.deleted_here, len(desktop.files())) == (0, 40)


def test_the_watch_stops_there_too_and_forgets_nothing_of_its_own(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    fill(laptop, desktop, 40)
    before = vault.vault.clock
    delete(laptop, 30)
    told = tuple(version for version in versions_of(vault) if version.stamp > before)
    heard = Heard(desktop.index.cursor, str(told[-1].stamp), told)
    with pytest.raises(MassDeleteHere):
        desktop.engine().follow(Touched(), [heard])
    with pytest.raises(MassDeleteHere):
        desktop.engine().follow(Touched(), None)
    assert len(desktop.files()) == 40


def versions_of(vault: Server) -> list[Version]:
    found = [vault.reader.history(vault.vault, f"notes/{number}.md", None, 1)[0][0] for number in range(40)]
    return sorted(found, key=lambda version: version.stamp)


def test_many_files_emptied_elsewhere_are_as_good_as_deleted(laptop: Machine, desktop: Machine) -> None:
    fill(laptop, desktop, 30)
    for number in range(30):
        laptop.write(f"notes/{number}.md", "")
    laptop.sync()
    with pytest.raises(MassDeleteHere):
        desktop.sync()
    desktop.sync(allow_mass_delete=True)
    assert set(desktop.files().values()) == {b""}
    assert len(desktop.trash()) == 30


def test_edits_of_most_files_are_no_reason_to_stop(laptop: Machine, desktop: Machine) -> None:
    fill(laptop, desktop, 30)
    for number in range(30):
        laptop.write(f"notes/{number}.md", "edited")
    laptop.sync()
    assert desktop.sync().downloaded == 30


@pytest.mark.parametrize("touched", [False, True])
def test_a_folder_that_was_renamed_elsewhere_is_no_reason_to_stop(
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


def test_a_folder_whose_new_files_came_before_the_old_ones_go_is_no_reason_to_stop(
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
