"""`--since`: a moment that a person named, by the server's clock (docs/protocol.md, section 1: stamps are its time)."""

from __future__ import annotations

import time
from collections.abc import Callable

from client.past import Past
from client.ports import Stopped
from client.when import BadTime, is_stamp, parse

TOLERANCE_S = 60
USAGE = 2


def since(past: Past, text: str, warn: Callable[[str], None]) -> int:
    """The stamp of that moment. Warns where the two clocks disagree. Raises Stopped for what is no moment."""
    here = time.time_ns() // 1000
    now = here
    if not is_stamp(text):
        try:
            parse(text, here)  # what is no moment needs no server
        except BadTime as error:
            raise Stopped(str(error), USAGE) from None
        there = past.now()
        now = here if there is None else there
        apart = (here - now) // 1_000_000
        if abs(apart) > TOLERANCE_S:
            way = "ahead of" if apart > 0 else "behind"
            said = f"this machine's clock is {_span(abs(apart))} {way} the server's, by whose time versions are kept"
            warn(f"{said}; a stamp from gobi log is exact")
    return parse(text, now)


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
