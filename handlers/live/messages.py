"""The messages of docs/protocol.md, section 7, as whole frames: encoded once, however many sockets they go to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from handlers.live import frames
from sync.model import Cursor, Json, Version

# In one message.
MOST_CHANGES = 100


class Changes(NamedTuple):
    """One `changes` message, for whoever stands at `after`; then they stand at `stamp`."""

    after: int
    stamp: int
    frame: bytes


def hello(epoch: str, stamp: int) -> bytes:
    return _frame({"type": "hello", "cursor": str(Cursor(epoch, stamp))})


def wake(epoch: str, stamp: int) -> bytes:
    return _frame({"type": "wake", "cursor": str(Cursor(epoch, stamp))})


def conflict(row: Json) -> bytes:
    return _frame({"type": "conflict", "conflict": row})


def changes(epoch: str, after: int, versions: Sequence[Version]) -> Iterator[Changes]:
    """These versions, the next ones right after `after`, in as many messages as it takes."""
    for start in range(0, len(versions), MOST_CHANGES):
        page = versions[start : start + MOST_CHANGES]
        stamp = page[-1].stamp
        row = {
            "type": "changes",
            "after": str(Cursor(epoch, after)),
            "cursor": str(Cursor(epoch, stamp)),
            "changes": [version.to_json() for version in page],
        }
        yield Changes(after, stamp, _frame(row))
        after = stamp


def _frame(message: Json) -> bytes:
    return frames.frame(frames.TEXT, msgspec.json.encode(message))
