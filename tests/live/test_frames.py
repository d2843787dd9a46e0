"""What travels on a WebSocket, byte by byte. No sockets here."""

from __future__ import annotations

import pytest

from handlers.live.frames import BINARY, CLOSE, CONTINUATION, NO_CODE, PING, PONG, TEXT, Event, Frames, Violation
from tests.live.peer import FIN, frame

HALF_A_LETTER = "ü".encode()[:1]


def read(data: bytes, size: int | None = None) -> list[Event]:
    """What these bytes mean when they come in pieces of `size`."""
    reader = Frames()
    pieces = [data[start : start + (size or len(data))] for start in range(0, len(data), size or len(data))]
    return [event for piece in pieces for event in reader.feed(piece)]


def text(events: list[Event]) -> bytes:
    return b"".join(event.payload for event in events)


def broken(data: bytes) -> int:
    """The close code for what breaks the protocol."""
    with pytest.raises(Violation) as caught:
        read(data)
    return caught.value.code


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536])
@pytest.mark.parametrize("size", [None, 1, 7, 4_096])
def test_a_message_of_any_length_in_any_pieces_is_read(length: int, size: int | None) -> None:
    sent = bytes(number * 7 % 251 for number in range(length))
    events = read(frame(BINARY, sent), size)
    assert text(events) == sent
    assert [event.final for event in events].count(True) == 1
    assert events[-1].final


def test_a_message_in_fragments_with_a_ping_in_between_is_read() -> None:
    ping = frame(PING, b"there?")
    data = frame(TEXT, b"one ", first=0) + ping + frame(CONTINUATION, b"two ", first=0) + frame(CONTINUATION, b"three")
    assert read(data) == [
        Event(TEXT, b"one ", final=False),
        Event(PING, b"there?"),
        Event(TEXT, b"two ", final=False),
        Event(TEXT, b"three"),
    ]


def test_letters_may_be_cut_between_frames() -> None:
    assert text(read(frame(TEXT, "ü".encode()[:1], first=0) + frame(CONTINUATION, "ü".encode()[1:]))).decode() == "ü"


def test_a_close_says_why() -> None:
    assert read(frame(CLOSE, b"\x03\xe8good night")) == [Event(CLOSE, b"good night", code=1000)]
    assert read(frame(CLOSE)) == [Event(CLOSE, b"", code=NO_CODE)]


def test_nothing_is_kept_between_messages() -> None:
    reader = Frames()
    assert reader.idle
    for data, idle in [(frame(TEXT, b"text"), True), (frame(TEXT, b"te", first=0), False), (frame(PONG), False)]:
        list(reader.feed(data))
        assert reader.idle is idle
    list(reader.feed(frame(CONTINUATION, b"xt")))
    assert reader.idle


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(TEXT, b"text", mask=b""), id="unmasked"),
        pytest.param(frame(TEXT, b"text", first=FIN | 0x40), id="a reserved bit"),
        pytest.param(frame(3), id="a reserved opcode"),
        pytest.param(frame(11), id="a reserved control opcode"),
        pytest.param(frame(PING, bytes(126)), id="a long ping"),
        pytest.param(frame(PING, first=0), id="a ping in fragments"),
        pytest.param(frame(CONTINUATION), id="a continuation of nothing"),
        pytest.param(frame(TEXT, first=0) + frame(TEXT), id="a message inside another"),
        pytest.param(frame(CLOSE, b"\x03"), id="half a close code"),
        *(
            pytest.param(frame(CLOSE, code.to_bytes(2, "big")), id=f"close code {code}")
            for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
        ),
    ],
)
def test_what_breaks_the_protocol_is_1002(data: bytes) -> None:
    assert broken(data) == 1002


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(TEXT, b"\xff"), id="a byte that never is"),
        pytest.param(frame(TEXT, HALF_A_LETTER), id="half a letter at the end"),
        pytest.param(frame(TEXT, b"\xed\xa0\x80"), id="a surrogate"),
        pytest.param(frame(TEXT, b"\xc0\xaf"), id="an overlong slash"),
        pytest.param(frame(TEXT, b"a", first=0) + frame(CONTINUATION, b"\xff", first=0), id="in a fragment"),
        pytest.param(frame(CLOSE, b"\x03\xe8\xff"), id="in a reason"),
    ],
)
def test_text_that_is_not_utf8_is_1007(data: bytes) -> None:
    assert broken(data) == 1007


def test_bad_text_is_noticed_before_its_frame_has_come_whole() -> None:
    assert broken(frame(TEXT, b"\xff" + bytes(1_000))[:20]) == 1007


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(TEXT, bytes(65_537)), id="a frame"),
        pytest.param(b"\x82\xff" + (1 << 30).to_bytes(8, "big") + b"mask", id="a header that announces 1 GiB"),
        pytest.param(b"\x82\xff" + b"\xff" * 8 + b"mask", id="a header that announces all there is"),
        pytest.param(
            frame(TEXT, bytes(40_000), first=0) + frame(CONTINUATION, bytes(40_000), first=0), id="two fragments"
        ),
        pytest.param(frame(TEXT, first=0) + frame(CONTINUATION, first=0) * 65_536, id="fragments of nothing"),
    ],
)
def test_what_is_over_64_kib_is_1009(data: bytes) -> None:
    assert broken(data) == 1009


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\x82\xff" + (1 << 30).to_bytes(8, "big"), 1009, id="a header that announces 1 GiB"),
        pytest.param(b"\x82\xff" + (65_537).to_bytes(8, "big"), 1009, id="a byte too many"),
        pytest.param(
            frame(TEXT, bytes(40_000), first=0) + b"\x80\xfe" + (40_000).to_bytes(2, "big"), 1009, id="the rest"
        ),
        pytest.param(b"\xc1\x84", 1002, id="a reserved bit"),
        pytest.param(b"\x80\x84", 1002, id="a continuation of nothing"),
    ],
)
def test_a_header_that_is_wrong_is_refused_before_its_mask_has_come(data: bytes, code: int, size: int | None) -> None:
    with pytest.raises(Violation) as caught:
        read(data, size)
    assert caught.value.code == code


@pytest.mark.parametrize("length", [125, 126, 65_535, 65_536])
def test_a_header_that_is_right_is_waited_for_until_its_mask_has_come(length: int) -> None:
    whole = frame(BINARY, bytes(length))
    reader = Frames()
    head = len(whole) - length
    assert [event for at in range(head - 1) for event in reader.feed(whole[at : at + 1])] == []
    assert text(list(reader.feed(whole[head - 1 :]))) == bytes(length)
