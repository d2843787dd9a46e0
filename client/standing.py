"""Where a folder stands: what is in conflict, what needs a person, what is not done yet. The same for all commands."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from client import guard
from client.hold import WHAT, WHY, is_held
from client.ignore import FILE as IGNORE_FILE
from client.index import Record
from client.ports import FileSystem
from client.queue import Operation
from client.scan import BUSY, CHANGING, View

GONE = (
    "is gone, and does not come from the server; what it left out stays out. Write it anew, or let go of its patterns "
    f"with gobi rm DIR {IGNORE_FILE}"
)


class Standing(NamedTuple):
    """Paths with the conflict's id, or with words for the user; sorted.

    `refused`: a person has to do something first. `waiting`: the next sync tries again. `held_deletes`: how many
    deletes are held back; whose is in `refused`.
    """

    conflicts: list[tuple[str, str]]
    refused: list[tuple[str, str]]
    waiting: list[tuple[str, str]]
    held_deletes: int


def stand(view: View, records: Mapping[str, Record], queue: Collection[Operation], fs: FileSystem) -> Standing:
    """`queue`: what it has after the latest sync."""
    in_conflict = ((path, one.conflict) for path, one in records.items() if one.conflict)
    conflicts = sorted((path, conflict) for path, conflict in in_conflict if not fs.ignored(path))
    alone = (one for one in queue if not is_held(one) and not guard.is_held(one))
    refused = [(one.path, one.why) for one in alone if one.refused and one.path not in view.held]
    held_deletes = 0
    for held, what, why in ((is_held, WHAT, WHY), (guard.is_held, guard.WHAT, guard.WHY)):
        if count := sum(map(held, queue)):
            refused.append((f"{what} ({count:,} file{'' if count == 1 else 's'})", why))
            held_deletes += count
    refused += view.held.items()
    refused += [(IGNORE_FILE, problem) for problem in fs.patterns.problems]
    if _rules_are_lost(view, records, queue, fs):
        refused.append((IGNORE_FILE, GONE))
    waiting = {one.path: one.why for one in queue if not one.refused}
    waiting |= dict.fromkeys(view.unsteady, CHANGING)
    if fs.patterns.unsettled:
        waiting[IGNORE_FILE] = BUSY
    return Standing(conflicts, sorted(refused), sorted(waiting.items()), held_deletes)


def is_about_held_deletes(path: str) -> bool:
    """Whether an entry of `refused` is no file, but what is held back."""
    return path.startswith((f"{WHAT} (", f"{guard.WHAT} ("))


def _rules_are_lost(view: View, records: Mapping[str, Record], queue: Collection[Operation], fs: FileSystem) -> bool:
    """Whether `.gobiignore` is away, and nothing will bring it back."""
    patterns = fs.patterns
    if patterns.kept is None or patterns.problems or IGNORE_FILE in view.entries:
        return False
    if view.why_unknown(IGNORE_FILE) is not None or (IGNORE_FILE in records and not fs.ignored(IGNORE_FILE)):
        return False
    if any(one.path == IGNORE_FILE for one in queue):
        return False
    return fs.stat(IGNORE_FILE) is None  # it may have come since
