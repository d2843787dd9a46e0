"""Which touched files are worth a look, and when: a single edit at once, a burst when it is over."""

from __future__ import annotations

import pytest

from client.pending import FEW, Pending, Times, Touched

TIMES = Times()


class Watchman:
    """A Pending and its clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pending = Pending(lambda: self.now, TIMES)

    def forward(self, seconds: float) -> None:
        self.now += seconds

    def take_when_due(self) -> Touched:
        due_in = self.pending.due_in()
        assert due_in is not None, "nothing waits"
        self.now += due_in
        return self.pending.take()


@pytest.fixture
def watchman() -> Watchman:
    return Watchman()


def test_where_nothing_happened_nothing_is_due(watchman: Watchman) -> None:
    assert watchman.pending.due_in() is None


def test_a_single_edit_is_due_at_once(watchman: Watchman) -> None:
    watchman.pending.written("a.md")
    assert watchman.pending.due_in() == pytest.approx(TIMES.settle)
    assert watchman.take_when_due() == Touched(frozenset({"a.md"}))
    assert watchman.pending.due_in() is None


def test_a_burst_is_due_when_it_is_over(watchman: Watchman) -> None:
    for number in range(50):
        watchman.pending.written(f"{number}.md")
        watchman.forward(0.01)
    assert watchman.pending.due_in() == pytest.approx(TIMES.quiet - 0.01)
    assert len(watchman.take_when_due().paths) == 50


def test_a_burst_without_end_is_sent_in_parts(watchman: Watchman) -> None:
    taken = 0
    for number in range(300):
        watchman.pending.written(f"{number}.md")
        watchman.forward(0.01)
        if watchman.pending.due_in() == 0:
            watchman.pending.take()
            taken += 1
    assert FEW + 2 <= taken <= FEW + 3, "the first ones at once, then one a second"


def test_single_edits_that_follow_each_other_slowly_are_no_burst(watchman: Watchman) -> None:
    for number in range(20):
        watchman.pending.written(f"{number}.md")
        assert watchman.pending.due_in() == pytest.approx(TIMES.settle)
        watchman.take_when_due()
        watchman.forward(0.2)


def test_a_file_that_is_open_waits_until_it_is_closed(watchman: Watchman) -> None:
    watchman.pending.open("film.mov")
    watchman.pending.written("a.md")
    assert watchman.take_when_due() == Touched(frozenset({"a.md"}), busy=frozenset({"film.mov"}))
    watchman.pending.written("film.mov")
    assert watchman.take_when_due().paths == {"film.mov"}


def test_a_file_that_stays_open_waits_until_it_is_quiet(watchman: Watchman) -> None:
    for _ in range(10):
        watchman.pending.open("journal.log")
        watchman.forward(1)
    assert watchman.pending.due_in() == pytest.approx(TIMES.open - 1)
    assert watchman.take_when_due().paths == {"journal.log"}


def test_a_file_that_is_written_to_without_a_pause_goes_now_and_then(watchman: Watchman) -> None:
    taken = []
    for _ in range(2 * 600):
        watchman.pending.open("app.log")
        if watchman.pending.due_in() == 0:
            assert watchman.pending.take().paths == {"app.log"}
            taken.append(watchman.now - 100)
        watchman.forward(0.5)
    assert taken == [30, 90, 210, 450], "and less often as it goes on"


def test_a_pause_of_a_file_that_is_written_to_ends_that(watchman: Watchman) -> None:
    for _ in range(2 * 80):
        watchman.pending.open("app.log")
        if watchman.pending.due_in() == 0:
            watchman.pending.take()
        watchman.forward(0.5)
    watchman.forward(TIMES.open)
    watchman.take_when_due()
    watchman.pending.open("app.log")
    assert watchman.pending.due_in() == pytest.approx(TIMES.open)
    started = watchman.now
    while watchman.pending.due_in():
        watchman.forward(0.5)
        watchman.pending.open("app.log")
    assert watchman.now - started == pytest.approx(TIMES.without_end)


def test_a_name_that_is_missing_for_a_moment_is_one_that_somebody_is_busy_with(watchman: Watchman) -> None:
    watchman.pending.gone("note.md")
    watchman.forward(0.01)
    watchman.pending.written("other.md")
    assert watchman.take_when_due() == Touched(frozenset({"other.md"}), busy=frozenset({"note.md"}))


def test_both_names_of_a_renamed_file_go_together(watchman: Watchman) -> None:
    watchman.pending.gone("old.md", renamed=True)
    watchman.forward(0.001)
    watchman.pending.moved("new.md", renamed=True)
    assert watchman.take_when_due() == Touched(frozenset({"old.md", "new.md"}), frozenset({"old.md", "new.md"}))


def test_a_file_that_was_written_and_moved_counts_as_written(watchman: Watchman) -> None:
    watchman.pending.written("a.md")
    watchman.pending.moved("a.md", renamed=False)
    assert watchman.take_when_due().moved == frozenset()


def test_many_deletes_wait_until_the_last_of_them(watchman: Watchman) -> None:
    for number in range(1000):
        watchman.pending.gone(f"{number}.md")
        watchman.forward(0.005)
        assert watchman.pending.due_in() or number < 50
    assert watchman.pending.due_in() == pytest.approx(TIMES.most - 0.005)
    assert len(watchman.take_when_due().paths) == 1000


def test_what_came_to_nothing_is_due_again(watchman: Watchman) -> None:
    watchman.pending.written("a.md")
    watchman.pending.moved("b.md", renamed=False)
    taken = watchman.take_when_due()
    watchman.pending.again(taken)
    assert watchman.pending.due_in() == 0
    assert watchman.pending.take() == taken
