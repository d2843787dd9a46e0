"""The moments that a person may name, as stamps: microseconds since 1970."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

FORMS = "10m, 2h, 3d, today, yesterday, 14:30, 2026-11-24, '2026-11-24 14:30', or a stamp from gobi log"

_STAMP = re.compile(r"[0-9]{16}")
_AGO = re.compile(r"([0-9]{1,6})\s*([smhdw])")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class BadTime(ValueError):
    """The message lists the forms that a moment may have."""


def is_stamp(text: str) -> bool:
    """Whether `text` names a moment without any clock."""
    return _STAMP.fullmatch(text.strip()) is not None


def parse(text: str, now: int, zone: tzinfo | None = None) -> int:
    """The moment `text`, a stamp. `now`: a stamp. `zone`: that of dates and times of day, the machine's own for None.

    A time of day is the last one that there was: at 1:00, "23:00" was two hours ago. Raises BadTime.
    """
    text = text.strip()
    if is_stamp(text):
        return int(text)
    try:
        if ago := _AGO.fullmatch(text):
            return max(0, now - int(ago[1]) * _SECONDS[ago[2]] * 1_000_000)
        if _DATE.fullmatch(text):
            return _stamp(datetime.fromisoformat(text), zone)
        today = datetime.fromtimestamp(now // 1_000_000, zone).replace(hour=0, minute=0, second=0, tzinfo=None)
        if text in ("today", "yesterday"):
            return _stamp(today - timedelta(days=text == "yesterday"), zone)
        if clock := _CLOCK.fullmatch(text):
            hour, minute, second = int(clock[1]), int(clock[2]), int(clock[3] or 0)
            moment = today.replace(hour=hour, minute=minute, second=second)
            stamp = _stamp(moment, zone)
            return stamp if stamp <= now else _stamp(moment - timedelta(days=1), zone)
    except (ValueError, OverflowError):
        pass  # the 31st of February, say
    raise BadTime(f"{text!r} is no moment that gobi knows; write it like one of {FORMS}")


def _stamp(moment: datetime, zone: tzinfo | None) -> int:
    """A time without a zone is taken for one of `zone`."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    whole = int(moment.replace(microsecond=0).timestamp())
    if whole < 0:
        raise ValueError("before 1970")
    return whole * 1_000_000 + moment.microsecond
