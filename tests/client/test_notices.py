"""What a live notice says is done without asking, as long as it is little: nobody knows who wrote it."""

from __future__ import annotations

from client.foresee import BELIEVED, Heard, foresee
from client.index import Record
from client.ports import Entry
from sync.model import Version


def tracked(count: int) -> dict[str, Record]:
    entries = [Entry(f"{number}.md", 1, 1, 1, number) for number in range(count)]
    return {one.path: Record.of(one, 5, "a" * 64, 1) for one in entries}


def deleting(first: int, last: int) -> Heard:
    gone = [Version(f"{number}.md", "delete", 10 + number, 5, None, 0, None, "d", "u") for number in range(first, last)]
    return Heard("c0", "c1", tuple(gone))


def test_a_few_deletes_are_done_as_they_are_told() -> None:
    answer = foresee([], [deleting(0, BELIEVED)], tracked(100), "c0", ())
    assert answer is not None
    assert {one.do for one in answer.actions.values()} == {"delete_local"}


def test_before_more_than_a_few_files_are_deleted_the_server_is_asked() -> None:
    assert foresee([], [deleting(0, BELIEVED + 1)], tracked(100), "c0", ()) is None


def test_a_few_at_a_time_are_no_more_than_a_few() -> None:
    assert foresee([], [deleting(0, 1)], tracked(100), "c0", (), unasked=BELIEVED) is None
    assert foresee([], [deleting(0, 1)], tracked(100), "c0", (), unasked=BELIEVED - 1) is not None


def test_files_that_are_said_to_be_renamed_in_bulk_are_asked_about_as_well() -> None:
    moved = [Version(f"new/{n}.md", "put", 200 + n, None, "a" * 64, 1, None, "d", "u") for n in range(BELIEVED + 1)]
    gone = deleting(0, BELIEVED + 1)
    assert foresee([], [gone._replace(changes=(*gone.changes, *moved))], tracked(100), "c0", ()) is None


def test_deletes_of_what_is_not_here_cost_nothing() -> None:
    assert foresee([], [deleting(100, 200)], tracked(100), "c0", ()) is not None
