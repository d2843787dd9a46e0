"""Room that is put aside for bodies on their way, seen by every process over one folder."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store.errors import Unavailable
from store.reservations import RESERVED, Reservation

ROOM = 100
HOLD = """
import sys
from store.reservations import Reservation
reservation = Reservation(sys.argv[1], "vault")
print(reservation.set(int(sys.argv[2]), 100), flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(root: Path, size: int) -> Iterator[subprocess.Popen[str]]:
    """One that has put so much aside."""
    command = [sys.executable, "-c", HOLD, str(root), str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def one(root: Path, name: str = "vault") -> Reservation:
    return Reservation(str(root), name)


def test_what_is_put_aside_together_is_never_more_than_there_is(tmp_path: Path) -> None:
    first, second = one(tmp_path), one(tmp_path)
    assert first.set(60, ROOM)
    assert not second.set(41, ROOM)
    assert (second.size, second.others()) == (0, 60)
    assert second.set(40, ROOM)
    assert not first.set(61, ROOM)
    assert (first.size, first.others()) == (60, 40)
    assert first.set(10, ROOM)
    assert second.set(90, ROOM)
    assert not first.set(10, ROOM - 1), "there is less room than there was"
    assert first.set(0, 0), "nothing is always possible"


def test_what_is_put_aside_under_another_name_is_no_concern(tmp_path: Path) -> None:
    first, second = one(tmp_path), one(tmp_path, "other")
    assert first.set(ROOM, ROOM)
    assert second.set(ROOM, ROOM)


def test_what_nobody_needs_any_more_is_free_and_leaves_nothing_behind(tmp_path: Path) -> None:
    first, second = one(tmp_path), one(tmp_path)
    assert first.set(60, ROOM)
    assert second.set(40, ROOM)
    first.close()
    first.close()
    assert (first.size, second.others()) == (0, 0)
    assert second.set(ROOM, ROOM)
    second.close()
    assert list((tmp_path / RESERVED).iterdir()) == []
    assert first.set(ROOM, ROOM)
    first.close()


def test_another_process_is_seen_and_what_it_had_is_free_once_it_was_killed(tmp_path: Path) -> None:
    own = one(tmp_path)
    with another_process(tmp_path, 70) as process:
        assert own.others() == 70
        assert not own.set(31, ROOM)
        assert own.set(30, ROOM)
        process.kill()
        process.wait()
        assert own.others() == 0
        assert own.set(ROOM, ROOM)
    own.close()
    assert list((tmp_path / RESERVED).iterdir()) == []


def test_of_many_at_once_exactly_those_have_room_that_fit(tmp_path: Path) -> None:
    """They come and go all the time, and so does the folder."""
    most, wrong = list[int](), list[int]()

    def work(number: int) -> None:
        for _ in range(30):
            mine = one(tmp_path)
            if mine.set(30, ROOM):
                most.append(number)
                if mine.others() > ROOM - 30:
                    wrong.append(number)
            mine.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most
    assert not wrong
    assert list((tmp_path / RESERVED).iterdir()) == []


def test_a_folder_that_is_away_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        one(tmp_path / "away").set(1, ROOM)
    assert not (tmp_path / "away").exists()
