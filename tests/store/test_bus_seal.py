"""What makes a message believable, and that nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from store.base import Gap, Message, PeopleChanged
from store.bus_seal import MOST_AGE_S, MOST_SENDERS, Refused, Seal, is_signed
from store.bus_wire import VERSION, decode, encode
from tests.store.channel import notice, secret


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def process(clock: Clock) -> Callable[..., Seal]:
    return lambda sender, channel="gobi:gobi", secret=secret: Seal(channel, sender, secret, clock)


def refusal(seal: Seal, data: bytes) -> str:
    with pytest.raises(Refused) as refused:
        seal.open(data)
    return refused.value.reason


@pytest.mark.parametrize("message", [notice(), notice(1, 100), PeopleChanged(), Gap()], ids=lambda one: str(one)[:6])
def test_what_is_sealed_is_opened_by_others_and_passed_over_by_oneself(
    process: Callable[..., Seal], message: Message
) -> None:
    here, there = process("here"), process("there")
    sealed = here.close(encode("here", message))
    assert there.open(sealed) == message
    assert here.open(sealed) is None
    assert is_signed(sealed)


def test_a_gobi_of_before_signatures_understands_it(process: Callable[..., Seal]) -> None:
    """To that one they are fields that it does not know."""
    sealed = process("here").close(encode("here", notice()))
    assert json.loads(sealed)["gobi"] == VERSION
    assert decode(sealed) == ("here", notice())


@pytest.mark.parametrize(
    "touch",
    [
        lambda data: data.replace(b'"here"', b'"elsewhere"'),
        lambda data: data.replace(b'"cursor":2', b'"cursor":3'),
        lambda data: data.replace(b'"n":1', b'"n":2'),
        lambda data: data.replace(b'"at":18', b'"at":19'),
        lambda data: data.replace(b'"mac":"', b'"mac":"0')[:-3] + b'"}',
        lambda data: b" " + data,
    ],
    ids=["sender", "content", "number", "time", "signature", "space"],
)
def test_a_message_that_was_touched_is_forged(process: Callable[..., Seal], touch: Callable[[bytes], bytes]) -> None:
    sealed = process("here").close(encode("here", notice()))
    touched = touch(sealed)
    assert touched != sealed
    assert refusal(process("there"), touched) == "forged"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"hello",
        encode("an older gobi", notice()),
        encode("an older gobi", notice())[:-1] + b',"mac":"' + b"0" * 64 + b'"}',
        encode("here", notice())[:-1] + b',"n":1,"at":1800000000,"mac":"' + b"0" * 63 + b'"}',
        encode("here", notice())[:-1] + b',"n":-1,"at":1800000000,"mac":"' + b"0" * 64 + b'"}',
    ],
)
def test_what_has_no_signature_is_refused(process: Callable[..., Seal], said: bytes) -> None:
    assert refusal(process("there"), said) == "unsigned"
    assert not is_signed(said)


def test_behind_the_signature_there_is_nothing(process: Callable[..., Seal]) -> None:
    sealed = process("here").close(encode("here", notice()))
    assert refusal(process("there"), sealed + b" ") == "unsigned"


def test_another_databases_secret_and_another_channels_signature_are_not_believed(
    process: Callable[..., Seal],
) -> None:
    sealed = process("here").close(encode("here", notice()))
    assert refusal(process("there", secret=lambda: b"another"), sealed) == "forged"
    assert refusal(process("there", channel="gobi:other"), sealed) == "forged"


def test_what_was_heard_before_is_refused_also_after_newer_ones(process: Callable[..., Seal]) -> None:
    here, there = process("here"), process("there")
    sealed = [here.close(encode("here", notice(after))) for after in range(3)]
    assert [there.open(one) for one in sealed] == [notice(0), notice(1), notice(2)]
    assert [refusal(there, one) for one in sealed] == ["repeated"] * 3


def test_who_came_later_believes_no_old_message_either(process: Callable[..., Seal], clock: Clock) -> None:
    sealed = process("here").close(encode("here", notice()))
    clock.now += MOST_AGE_S
    assert process("there").open(sealed) == notice()
    clock.now += 1
    assert refusal(process("newcomer"), sealed) == "old"
    clock.now -= 2 * MOST_AGE_S + 2
    assert refusal(process("newcomer"), sealed) == "old", "nor one of the future"


def test_senders_that_fell_silent_are_forgotten_without_their_messages_being_believed_again(
    process: Callable[..., Seal], clock: Clock
) -> None:
    there = process("there")
    first = process("first").close(encode("first", notice()))
    assert there.open(first) == notice()
    clock.now += MOST_AGE_S + 1
    for number in range(2 * MOST_SENDERS):
        there.open(process(f"{number}").close(encode(f"{number}", notice())))
    assert "first" not in there._heard
    assert refusal(there, first) == "old"
