"""Working ahead in a thread: the same items, the same errors, and no thread left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from client.ahead import Ahead, ahead, in_turn


@pytest.mark.parametrize("way", [ahead, in_turn])
def test_every_item_comes_in_order(way: Ahead) -> None:
    with way(range(100), 3) as items:
        assert list(items) == list(range(100))


@pytest.mark.parametrize("way", [ahead, in_turn])
def test_an_error_comes_out_where_the_item_was_expected(way: Ahead) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("two")

    with way(broken()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="two"):
            next(items)


@pytest.mark.parametrize("way", [ahead, in_turn])
def test_leaving_early_ends_the_work_and_closes_it(way: Ahead) -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    with way(endless()) as items:
        next(items)
    assert closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "gobi-ahead"]


def test_the_next_item_is_made_while_the_last_one_is_used() -> None:
    made: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for number in (1, 2):
            made.append(number)
            if number == 2:
                second.set()
            yield number

    with ahead(items()) as coming:
        assert next(coming) == 1
        assert second.wait(5)
