"""What the server writes to stdout: one line an entry, as logfmt or JSON, whatever strangers put into names.

An entry of a request has the request's id, and who asked about which vault (store/log_context.py). For the journal of
systemd every line begins with its priority (sd-daemon(3)).
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import sys
import time
from collections.abc import Mapping
from typing import IO, Any

from store.log_context import about

# Printable ASCII without space, quote, "=" and backslash.
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")
# RFC 5424's severities, as sd-daemon(3) has them.
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))
# A log that nobody reads is waited for once, this long.
_PATIENCE_MS = 50


class _Lines(logging.Formatter):
    """`journal`: whether each line begins with its priority."""

    def __init__(self, *, journal: bool = False) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        return self._priority(record.levelno) + self.line(self._fields(record))

    def line(self, fields: Mapping[str, object]) -> str:
        raise NotImplementedError

    def _priority(self, level: int) -> str:
        return f"<{next(number for least, number in _PRIORITIES if level >= least)}>" if self._journal else ""

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        found: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        found |= getattr(record, "fields", {})
        found |= about.get() or {}
        if record.exc_info:
            found["trace"] = self.formatException(record.exc_info)
        return found


class Logfmt(_Lines):
    def line(self, fields: Mapping[str, object]) -> str:
        return " ".join(f"{name}={_quoted(str(value))}" for name, value in fields.items())


class Json(_Lines):
    def line(self, fields: Mapping[str, object]) -> str:
        return json.dumps(fields)


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value)


class NoDisconnects(logging.Filter):
    """Drops what gunicorn says at length about a client that stopped reading: nobody can do anything about it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], TimeoutError))


class Output(logging.StreamHandler[IO[str]]):
    """Writes to stdout without ever standing still for a reader that does not read: a full pipe would stop the server.

    What does not fit is left out, and their number told as soon as something fits again.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        super().__init__(stream or sys.stdout)
        self._left_out = 0
        self._poll = _native_poll()
        self._poll.register(self.stream.fileno(), select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        if not self._poll.poll(0 if self._left_out else _PATIENCE_MS):
            self._left_out += 1
            return
        if self._left_out:
            count, self._left_out = self._left_out, 0
            note = logging.makeLogRecord(
                {"name": "gobi.log", "levelno": logging.WARNING, "levelname": "WARNING", "msg": f"{count} entries of"
                 " this log are left out, for nobody read it"}
            )  # fmt: skip
            super().emit(note)
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Where stdout was closed there is nobody to tell, and nowhere."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


def _native_poll() -> Any:  # noqa: ANN401  # select.poll, which is no type
    """Not gevent's own: whoever writes a log line must not be taken over by other greenlets in the middle of it."""
    try:
        from gevent import monkey
    except ImportError:
        return select.poll()
    return monkey.get_original("select", "poll")()


def goes_to_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """Whether systemd's journal reads this output (systemd.exec(5), JOURNAL_STREAM)."""
    there = os.fstat(descriptor)
    return environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


def configuration(level: str, format: str, *, journal: bool = False) -> dict[str, Any]:
    """For logging.config.dictConfig. gunicorn itself speaks only when something is wrong."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": Json if format == "json" else Logfmt, "journal": journal}},
        "filters": {"no_disconnects": {"()": NoDisconnects}},
        "handlers": {"output": {"()": Output, "formatter": "lines", "filters": ["no_disconnects"]}},
        "root": {"level": "WARNING", "handlers": ["output"]},
        "loggers": {
            "gobi": {"level": level.upper()},
            "gobi.start": {"level": "INFO"},  # where it listens, whoever starts it wants to know
            # gunicorn cuts this one off from the root.
            "gunicorn.error": {"level": "DEBUG" if level == "debug" else "WARNING", "handlers": ["output"]},
            "gunicorn.access": {"level": "CRITICAL"},
        },
    }
