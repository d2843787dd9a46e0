"""Preconditions and ranges as RFC 9110 has them."""

from __future__ import annotations

import pytest

from handlers.conditions import Base, Span, read_verdict, requested_span, write_base
from handlers.problems import Problem

ETAG, DATE = '"5"', "Mon, 23 Nov 2026 20:55:28 GMT"


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "base"),
    [
        (None, None, None),
        (None, "*", Base(None)),
        ('"5"', None, Base(5)),
        (' "5" ', None, Base(5)),
        ('"0"', None, Base(0)),
        ('"9223372036854775807"', None, Base((1 << 63) - 1)),
        ('"9223372036854775808"', None, Base(None, impossible=True)),
        ('"05"', None, Base(None, impossible=True)),
        ('"x"', None, Base(None, impossible=True)),
        ('"1,2"', None, Base(None, impossible=True)),
        ('""', None, Base(None, impossible=True)),
    ],
)
def test_the_base_of_a_write(if_match: str | None, if_none_match: str | None, base: Base | None) -> None:
    assert write_base(if_match, if_none_match) == base


@pytest.mark.parametrize(
    ("range_header", "span"),
    [
        (None, None),
        ("bytes=0-", Span(0, 10)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=9-", Span(9, 1)),
        ("bytes=2-4", Span(2, 3)),
        ("bytes=2-400", Span(2, 8)),
        ("bytes=-3", Span(7, 3)),
        ("bytes=-300", Span(0, 10)),
        ("BYTES=0-0", Span(0, 1)),
        # what is malformed, in another unit, or more than one, is as if it were not there
        ("bytes=4-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes 0-1", None),
        ("bytes=²-", None),
        ("bytes=" + "9" * 40 + "-", None),
    ],
)
def test_the_part_that_is_asked_for(range_header: str | None, span: Span | None) -> None:
    assert requested_span(10, range_header, None, ETAG, DATE) == span


@pytest.mark.parametrize(
    ("size", "range_header"), [(10, "bytes=10-"), (10, "bytes=-0"), (0, "bytes=0-"), (0, "bytes=-0")]
)
def test_a_part_without_a_byte_is_refused(size: int, range_header: str) -> None:
    with pytest.raises(Problem) as refusal:
        requested_span(size, range_header, None, ETAG, DATE)
    assert refusal.value.code == "bad-range"
    assert refusal.value.headers == {"Content-Range": f"bytes */{size}"}


def test_the_last_bytes_of_nothing_are_all_of_it() -> None:
    assert requested_span(0, "bytes=-5", None, ETAG, DATE) is None


@pytest.mark.parametrize(
    ("if_range", "honoured"),
    [
        (ETAG, True),
        (DATE, True),
        ('"6"', False),
        ('W/"5"', False),
        ("Mon, 23 Nov 2026 20:55:29 GMT", False),
        ("x", False),
    ],
)
def test_a_part_is_sent_only_of_the_version_the_asker_has(if_range: str, honoured: bool) -> None:
    span = requested_span(10, "bytes=2-", if_range, ETAG, DATE)
    assert span == (Span(2, 8) if honoured else None)


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "if_modified_since", "verdict"),
    [
        (None, None, None, "send"),
        (None, ETAG, None, "not-modified"),
        (None, 'W/"5"', None, "not-modified"),
        (None, '"4", "5"', None, "not-modified"),
        (None, "*", None, "not-modified"),
        (None, '"4"', None, "send"),
        (None, '"4"', DATE, "send"),
        (None, None, DATE, "not-modified"),
        (None, None, "Tue, 24 Nov 2026 20:55:28 GMT", "send"),
        (ETAG, None, None, "send"),
        ('"4", "5"', None, None, "send"),
        ("*", None, None, "send"),
        ('"4"', None, None, "failed"),
        ('W/"5"', None, None, "failed"),
        (ETAG, ETAG, None, "not-modified"),
    ],
)
def test_what_becomes_of_a_conditional_get(
    if_match: str | None, if_none_match: str | None, if_modified_since: str | None, verdict: str
) -> None:
    assert read_verdict(ETAG, DATE, if_match, if_none_match, if_modified_since) == verdict
