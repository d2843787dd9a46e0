"""`--since`: a moment that a person named, by the server's clock (docs/protocol.md, section 1: stamps are its time)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from client.past import Past
from client.ports import Stopped
from client.when import BadTime, is_stamp, parse

TOLERANCE_S = 60
USAGE = 2


class Since(NamedTuple):
    """Changes with a stamp above `stamp` were made after `moment`, µs."""

    stamp: int
    moment: int


def since(past: Past, text: str, warn: Callable[[str], None]) -> Since:
    """Warns where the two clocks disagree, and where nobody knows when some changes were made. Raises Stopped for what
    is no moment."""
    here = time.time_ns() // 1000
    if is_stamp(text):
        return Since(parse(text, here), parse(text, here))
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
    moment = parse(text, now)
    stamp, sure = past.stamp_at(moment)
    if not sure:
        warn(
            f"the server's clock was wrong once: when the last changes up to stamp {stamp} were made is not known, and "
            "they are left out; a stamp from gobi log is exact"
        )
    return Since(stamp, moment)


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
