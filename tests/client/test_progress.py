"""Progress that suits where it is shown."""

from __future__ import annotations

import io

import pytest

from client.progress import Bar, Lines, human_size, progress_for
from client.report import Silent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Time:
    """A clock that only a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_over_at_once_shows_nothing() -> None:
    for shape, out in ((Lines, io.StringIO()), (Bar, Terminal())):
        progress = shape(out, Time())
        progress.start("sending", 3, 300)
        for _ in range(3):
            progress.advance(1, 100)
        progress.done()
        assert out.getvalue() == ""


def test_long_work_writes_a_plain_line_now_and_then() -> None:
    clock, out = Time(), io.StringIO()
    progress = Lines(out, clock)
    progress.start("sending", 2000, 4_000_000)
    for clock.now in (1, 2, 12):
        progress.advance(500, 1_000_000)
    progress.done()
    assert out.getvalue().splitlines() == [
        "sending: 500 of 2,000 files, 1.0 MB of 4.0 MB",
        "sending: 1,500 of 2,000 files, 3.0 MB of 4.0 MB",
    ]


@pytest.mark.parametrize("size", [0, 4_000_000])
def test_long_work_shows_a_bar_on_a_terminal(size: int) -> None:
    clock, out = Time(), Terminal()
    progress = Bar(out, clock)
    progress.start("sending", 2000, size)
    clock.now = 5
    progress.advance(500, size // 4)
    progress.done()
    assert "sending" in out.getvalue()
    assert "25%" in out.getvalue()


def test_each_place_gets_its_form() -> None:
    assert isinstance(progress_for(Terminal(), wanted=True), Bar)
    assert isinstance(progress_for(io.StringIO(), wanted=True), Lines)
    assert isinstance(progress_for(Terminal(), wanted=False), Silent)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9949, "9.9 kB"),
        (9950, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (34_000_000, "34 MB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes_are_short(size: int, text: str) -> None:
    assert human_size(size) == text
