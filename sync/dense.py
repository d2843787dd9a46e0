"""JSON that would take far more memory than it has bytes: five million empty lists, say, in a request of 16 MB."""

from __future__ import annotations

import re
from typing import Literal

# Values and names. What honest requests hold most of is hashes and changes: 250,000 and 100,000 at most.
MOST_VALUES = 400_000
_MARKS = (b"[", b"{", b",", b":")
_NESTED = re.compile(rb"[\[{]{1000}")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def complaint(text: bytes) -> Literal["too dense", "nested too deeply"] | None:
    """What is wrong where there are more values in it than any request needs.

    Costs a look at the bytes, and a slower one only where they hold that many commas and brackets: names of files may
    be full of them.
    """
    if len(text) <= MOST_VALUES or _marks(text) <= MOST_VALUES:
        return None
    bare = _STRINGS.sub(b"", text)
    if _marks(bare) <= MOST_VALUES:
        return None
    return "nested too deeply" if _NESTED.search(bare.replace(b":", b"")) else "too dense"


def _marks(text: bytes) -> int:
    return sum(map(text.count, _MARKS))
