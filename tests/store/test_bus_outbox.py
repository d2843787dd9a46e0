"""What waits to be sent: in order while there is little, one gap for all where there is too much."""

from __future__ import annotations

import threading

import pytest

from store.bus_outbox import Outbox

GAP = b"gap"
PATIENCE_S = 20


def outbox(*waiting: bytes, messages: int = 3, size: int = 100) -> Outbox:
    one = Outbox(GAP, messages, size)
    for message in waiting:
        one.put(message)
    return one


def rest(one: Outbox) -> list[bytes]:
    """What is left, without waiting for more."""
    one.close()
    return one.take()


def test_messages_leave_in_the_order_they_came() -> None:
    one = outbox(b"a", b"b")
    assert rest(one) == [b"a", b"b"]
    assert one.empty


@pytest.mark.parametrize("waiting", [[b"1", b"2", b"3", b"4"], [b"x" * 101]], ids=["too many", "too big"])
def test_too_much_becomes_one_gap(waiting: list[bytes]) -> None:
    assert rest(outbox(*waiting)) == [GAP]


def test_a_gap_that_waits_stands_for_what_comes_after_it() -> None:
    one = outbox(b"a")
    one.lose()
    one.put(b"b")
    assert rest(one) == [GAP]


def test_a_gap_that_was_taken_stands_for_nothing_that_comes_after_it() -> None:
    """It may be heard before the next commit."""
    one = outbox()
    one.lose()
    one.take()
    one.put(b"b")
    assert rest(one) == [b"b"]


def test_room_is_made_by_taking() -> None:
    one = outbox(b"1", b"2", b"3", messages=3, size=3)
    one.take()
    for message in (b"4", b"5", b"6"):
        one.put(message)
    assert rest(one) == [b"4", b"5", b"6"]


def test_whoever_takes_waits_for_something_and_hears_of_the_end() -> None:
    one = outbox()
    taken: list[list[bytes]] = []

    def take_all() -> None:
        while messages := one.take():
            taken.append(messages)

    thread = threading.Thread(target=take_all)
    thread.start()
    one.put(b"a")
    one.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert taken == [[b"a"]]


def test_what_waits_when_it_is_closed_is_still_taken() -> None:
    one = outbox(b"a")
    one.close()
    assert one.take() == [b"a"]
    assert one.take() == []
