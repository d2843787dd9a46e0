"""Where a conflict's candidates go, and which of them a newer one supersedes (docs/protocol.md, section 8)."""

from __future__ import annotations

from collections.abc import Iterable

from sync.judge import Write
from sync.model import Candidate, Conflict

# Of one device in one conflict. With one more those before it go into the path's history.
MOST_OF_DEVICE = 10
# In one conflict. With one more a second record is opened on the same base; a device that has some in the full one
# supersedes those.
MOST = 100
# On one path in open conflicts, unless something else is said. With one more, a device that has none is refused.
MOST_ON_PATH = 500


def holds(conflict: Conflict, write: Write) -> bool:
    """Whether the write's bytes are among its device's candidates."""
    return any(one.hash == write.hash for one in _of_author(conflict, write))


def is_newest(conflict: Conflict, write: Write) -> bool:
    """Whether they are what its device sent last."""
    own = _of_author(conflict, write)
    return bool(own) and own[-1].hash == write.hash


def room_in(conflicts: Iterable[Conflict], write: Write) -> Conflict | None:
    """Which of the open conflicts takes the write in: the one that has candidates of its device, else one with room."""
    there = list(conflicts)
    own = next((one for one in there if _of_author(one, write)), None)
    return own or next((one for one in there if len(one.candidates) < MOST), None)


def crowded(conflicts: Iterable[Conflict], write: Write, most: int) -> bool:
    """Whether the path's open conflicts have no room for a device that has no candidate there on the write's base."""
    there = [one for one in conflicts if one.open]
    own = any(_of_author(one, write) for one in there if one.base == write.base)
    return not own and sum(len(one.candidates) for one in there) >= most


def superseded(conflict: Conflict, write: Write) -> tuple[Candidate, ...]:
    """The candidates that have to make room for the write."""
    own = tuple(one for one in _of_author(conflict, write) if one.hash != write.hash)
    full = len(own) >= MOST_OF_DEVICE or len(conflict.candidates) >= MOST
    return own if full else ()


def add(conflict: Conflict, write: Write, at: int) -> Conflict:
    """The conflict with the write as its newest candidate, without those that it supersedes.

    What the device had sent before comes again as the newest, under a new number. `at`: the database's time in µs.
    """
    gone = {one.n for one in superseded(conflict, write)}
    gone |= {one.n for one in _of_author(conflict, write) if one.hash == write.hash}
    left = tuple(one for one in conflict.candidates if one.n not in gone)
    return conflict._replace(candidates=(*left, candidate(write, conflict.candidates[-1].n + 1, at)))


def candidate(write: Write, number: int, at: int) -> Candidate:
    assert write.hash is not None, "a candidate has a body"
    return Candidate(number, write.user, write.device, write.hash, write.size, write.mtime, at, bool(write.executable))


def as_write(path: str, one: Candidate) -> Write:
    return Write(path, "put", None, one.device, one.user, one.hash, one.size, one.mtime, executable=one.executable)


def _of_author(conflict: Conflict, write: Write) -> tuple[Candidate, ...]:
    author = (write.device, write.user)
    return tuple(one for one in conflict.candidates if (one.device, one.user) == author)
