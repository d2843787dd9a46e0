"""The log's two forms."""

from __future__ import annotations

import json
import logging
import sys

from ops.logs import Json, Logfmt, NoDisconnects


def record(message: str, error: BaseException | None = None) -> logging.LogRecord:
    trouble = (type(error), error, None) if error else None
    one = logging.LogRecord("gobi", logging.WARNING, "x.py", 1, message, (), trouble)
    one.created, one.msecs = 1_795_429_999.25, 250.0
    return one


def test_an_entry_is_time_level_and_message() -> None:
    assert Logfmt().format(record("ready")) == "time=2026-11-23T10:33:19.250Z level=warning message=ready"
    assert json.loads(Json().format(record("ready"))) == {
        "time": "2026-11-23T10:33:19.250Z",
        "level": "warning",
        "message": "ready",
    }


def test_what_could_end_a_line_or_a_value_is_quoted() -> None:
    for message in ("two words", "a=b", 'a"b', "a\nb", "a\x1bb", "ä", ""):
        line = Logfmt().format(record(message))
        assert line.endswith("message=" + json.dumps(message))
        assert line.isascii()
        assert line.isprintable()


def test_a_trace_stays_on_its_line() -> None:
    try:
        raise ValueError("broken\nbadly")
    except ValueError:
        trouble = sys.exc_info()
    one = record("failed")
    one.exc_info = trouble
    for form in (Logfmt(), Json()):
        text = form.format(one)
        assert "\n" not in text
        assert "ValueError" in text


def test_a_reader_that_stopped_reading_is_not_worth_an_entry() -> None:
    assert not NoDisconnects().filter(record("Socket error processing request.", TimeoutError("timed out")))
    assert NoDisconnects().filter(record("failed", ValueError()))
    assert NoDisconnects().filter(record("ready"))
