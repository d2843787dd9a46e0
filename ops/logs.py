"""What the server writes to stderr: one line an entry, as logfmt or JSON, whatever strangers put into names."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import Any

_PLAIN = re.compile(r"[!#-<>-~]+")  # printable ASCII without space, quote and "="


class _Lines(logging.Formatter):
    def fields(self, record: logging.LogRecord) -> dict[str, str]:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        found = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            found["trace"] = self.formatException(record.exc_info)
        return found


class Logfmt(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{name}={_quoted(value)}" for name, value in self.fields(record).items())


class Json(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.fields(record))


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value)


class NoDisconnects(logging.Filter):
    """Drops what gunicorn says at length about a client that stopped reading: nobody can do anything about it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], TimeoutError))


def configuration(level: str, format: str) -> dict[str, Any]:
    """For logging.config.dictConfig. gunicorn itself speaks only when something is wrong."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": Json if format == "json" else Logfmt}},
        "filters": {"no_disconnects": {"()": NoDisconnects}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "lines",
                "filters": ["no_disconnects"],
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "gobi": {"level": level.upper()},
            # gunicorn cuts this one off from the root.
            "gunicorn.error": {"level": "DEBUG" if level == "debug" else "WARNING", "handlers": ["stderr"]},
            "gunicorn.access": {"level": "CRITICAL"},
        },
    }
