"""A camera for QR codes: another program's eyes on what gobi draws."""

from __future__ import annotations

from collections.abc import Sequence

import zxingcpp

SCALE = 4


def read(rows: Sequence[Sequence[bool]]) -> str:
    """What a picture says, given as rows of squares, true for a dark one."""
    lines = [b"".join((b"\0" if dark else b"\xff") * SCALE for dark in row) * SCALE for row in rows]
    picture = memoryview(b"".join(lines)).cast("B", (len(rows) * SCALE, len(rows[0]) * SCALE))
    (found,) = zxingcpp.read_barcodes(picture)
    return str(found.text)


def read_blocks(lines: Sequence[str]) -> str:
    """The same for a terminal with light letters on dark ground, two squares a letter, one above the other."""
    width = max(map(len, lines))
    rows = [[letter not in lit for letter in line.ljust(width, "█")] for line in lines for lit in ("█▀", "█▄")]
    return read(rows)
