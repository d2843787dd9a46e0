"""Which moments a person can name, and what they mean."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from client.when import BadTime, is_stamp, parse

BERLIN = ZoneInfo("Europe/Berlin")  # an hour before UTC in winter, two in summer


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


NOW = at("2026-11-24T15:00:00+01:00")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", "2026-11-24T14:50:00+01:00"),
        ("2h", "2026-11-24T13:00:00+01:00"),
        ("3d", "2026-11-21T15:00:00+01:00"),
        ("today", "2026-11-24T00:00:00+01:00"),
        ("yesterday", "2026-11-23T00:00:00+01:00"),
        ("14:30", "2026-11-24T14:30:00+01:00"),
        ("14:30:05", "2026-11-24T14:30:05+01:00"),
        ("2026-11-20", "2026-11-20T00:00:00+01:00"),
        ("2026-07-20", "2026-07-20T00:00:00+02:00"),
        ("2026-11-20 08:15", "2026-11-20T08:15:00+01:00"),
        ("2026-11-20 08:15:30", "2026-11-20T08:15:30+01:00"),
        ("2026-11-20T08:15Z", "2026-11-20T08:15:00+00:00"),
        ("2026-11-20T08:15:00-05:00", "2026-11-20T08:15:00-05:00"),
    ],
)
def test_a_moment_can_be_written_as_people_write_it(text: str, moment: str) -> None:
    assert parse(text, NOW, BERLIN) == at(moment)


def test_a_stamp_is_taken_as_it_is() -> None:
    assert is_stamp("1795430000123456")
    assert parse("1795430000123456", NOW, BERLIN) == 1_795_430_000_123_456


def test_a_time_of_day_that_is_still_to_come_was_yesterday() -> None:
    assert parse("23:00", NOW, BERLIN) == at("2026-11-23T23:00:00+01:00")


def test_yesterday_began_at_midnight_also_when_the_clocks_were_changed() -> None:
    monday = at("2026-10-26T09:00:00+01:00")
    assert parse("yesterday", monday, BERLIN) == at("2026-10-25T00:00:00+02:00")


def test_fractions_of_a_second_are_exact() -> None:
    assert parse("2026-11-20T08:15:00.000001Z", NOW, UTC) == at("2026-11-20T08:15:00+00:00") + 1


@pytest.mark.parametrize("text", ["", "soon", "10", "m", "-5m", "25:00", "2026-02-31", "1960-01-01", "20261120", "5 y"])
def test_anything_else_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(BadTime, match=r"yesterday, 14:30"):
        parse(text, NOW, BERLIN)
