"""The options at the end of a MongoDB address. The driver passes over those it cannot use, with a warning that nobody
sees: a deadline that is misspelt is none."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from urllib.parse import parse_qsl

# Harmless: what another driver has, or the same twice.
_PASSED_OVER = ("Unknown option", "Duplicate URI option")
_NO_DEADLINE = "timeoutMS is 0, which is no deadline at all: name the milliseconds that a command may take"


def names_timeout(uri: str) -> bool:
    """Whether the address says how long a command may take."""
    return bool(_timeouts(uri))


def complaints(uri: str, said: Sequence[warnings.WarningMessage]) -> tuple[list[str], list[str]]:
    """What is wrong with the options, and what is only passed over, of what the driver `said` of this address."""
    texts = [str(one.message) for one in said if issubclass(one.category, UserWarning)]
    wrong = [text for text in texts if not text.startswith(_PASSED_OVER)]
    if any(value.strip("0.") == "" and value for value in _timeouts(uri)):
        wrong.append(_NO_DEADLINE)
    return wrong, [text for text in texts if text.startswith(_PASSED_OVER)]


def _timeouts(uri: str) -> list[str]:
    # From the end: a password may have a `?` in it.
    options = parse_qsl(uri.rpartition("?")[2], keep_blank_values=True) if "?" in uri else []
    return [value for name, value in options if name.lower() == "timeoutms"]
