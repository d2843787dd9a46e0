"""What a client needs to do: the table of docs/protocol.md, section 5, as one function from facts to an action.

A client reports what happened to a path since its last sync (a `Change`, or nothing); the log says where the path
stands now. The report is first settled against the log (`settle`), then the pair is looked up in `TABLE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from sync.model import Action, Change, Verb, Version


class Local(Enum):
    """What happened at the client, after settling."""

    NOTHING = auto()
    PUT = auto()
    DELETE = auto()
    MISSING = auto()
    SAME = auto()
    RESTORED = auto()  # a put or same on a base that the log does not know: the server was put back to an older copy


class Head(Enum):
    """What the path's head is, seen from the client's base and bytes."""

    NONE = auto()
    BASE = auto()
    SAME_BYTES = auto()
    OTHER = auto()
    TOMBSTONE = auto()
    OLDER = auto()  # only for RESTORED: the head is from before the base, whatever it is
    PURGED = auto()  # only for SAME: no head, and the base was purged


# fmt: off
TABLE: dict[tuple[Local, Head], Verb | None] = {
    (Local.NOTHING,  Head.NONE):       None,
    (Local.NOTHING,  Head.BASE):       None,            # but for what plan() looks at
    (Local.NOTHING,  Head.SAME_BYTES): "download",
    (Local.NOTHING,  Head.OTHER):      "download",
    (Local.NOTHING,  Head.TOMBSTONE):  "delete_local",
    (Local.PUT,      Head.NONE):       "upload",
    (Local.PUT,      Head.BASE):       "upload",
    (Local.PUT,      Head.SAME_BYTES): "adopt",
    (Local.PUT,      Head.OTHER):      "conflict",
    (Local.PUT,      Head.TOMBSTONE):  "upload",        # an edit beats a delete
    (Local.DELETE,   Head.NONE):       "adopt",
    (Local.DELETE,   Head.BASE):       "delete_remote",
    (Local.DELETE,   Head.SAME_BYTES): "download",
    (Local.DELETE,   Head.OTHER):      "download",      # an edit beats a delete
    (Local.DELETE,   Head.TOMBSTONE):  "adopt",
    (Local.MISSING,  Head.NONE):       "adopt",
    (Local.MISSING,  Head.BASE):       "download",      # deleted while the client did not run: it comes back
    (Local.MISSING,  Head.SAME_BYTES): "download",
    (Local.MISSING,  Head.OTHER):      "download",
    (Local.MISSING,  Head.TOMBSTONE):  "adopt",
    (Local.SAME,     Head.NONE):       "upload",        # cannot be, and must not delete: no base to be the same as
    (Local.SAME,     Head.BASE):       "adopt",
    (Local.SAME,     Head.SAME_BYTES): "adopt",
    (Local.SAME,     Head.OTHER):      "download",
    (Local.SAME,     Head.TOMBSTONE):  "delete_local",
    (Local.SAME,     Head.PURGED):     "delete_local",
    (Local.RESTORED, Head.NONE):       "upload",
    (Local.RESTORED, Head.OLDER):      "upload",
    (Local.RESTORED, Head.SAME_BYTES): "adopt",
    (Local.RESTORED, Head.OTHER):      "conflict",
    (Local.RESTORED, Head.TOMBSTONE):  "conflict",      # kept as a candidate, which on a tombstone is stored
}
# fmt: on


Lapse = tuple[int, int]
"""Stamps: of the last version that was restored, and of the restore. What lay between them is not in the log."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the log says about one reported path.

    `base` is the settled base's version: of the puts above the reported base the newest with the first hash of
    `evidence` that any of them has, else the version the reported base names, else None. `purge_mark` and `lapses` are
    the vault's.
    """

    head: Version | None
    base: Version | None
    purge_mark: int = 0
    lapses: tuple[Lapse, ...] = ()

    def restored_away(self, base: int | None) -> bool:
        """Whether the reported base names a version that the log lost when the server was put back to an older copy.

        What was purged is no newer than the head: of a living file the newest version never goes.
        """
        if base is None or self.base is not None:
            return False
        above_head = self.head is not None and base > self.head.stamp
        return base > self.purge_mark or above_head or any(after < base <= until for after, until in self.lapses)


def evidence(change: Change) -> tuple[str, ...]:
    """The hashes by which a change's base is settled, the best evidence first: what lies there now, then what was sent,
    the last first.

    A file whose bytes were sent before others was changed back since: its bytes say nothing of what it was made from.
    """
    sent = tuple(dict.fromkeys(reversed(change.sent)))
    if change.hash is None or change.hash in sent[1:]:
        return sent
    return tuple(dict.fromkeys((change.hash, *sent)))


def plan(change: Change | None, facts: Facts) -> Action | None:
    """The action for one path, or None when there is nothing to do. `change` is None where nothing was reported."""
    local = _local(change, facts)
    head = _head(local, change, facts)
    verb = TABLE[local, head]
    path = change.path if change else facts.head.path if facts.head else ""
    if (local, head) == (Local.NOTHING, Head.BASE) and change and facts.head:
        if change.executable not in (None, facts.head.executable):
            verb = "upload"
        elif change.base != facts.head.stamp:
            verb = "adopt"
    if verb is None:
        return None
    return Action(verb, path, facts.head, _base(verb, change, facts))


def _base(verb: Verb, change: Change | None, facts: Facts) -> int | None:
    """What the client is to name as the base of what it sends: what its bytes were made from, as far as is known."""
    if verb == "upload":
        return facts.head.stamp if facts.head else None
    if verb == "conflict" and change is not None:
        return facts.base.stamp if facts.base else change.base
    return None


def _local(change: Change | None, facts: Facts) -> Local:
    if change is None:
        return Local.NOTHING
    if change.kind == "delete":
        return Local.DELETE
    if change.kind == "missing":
        return Local.MISSING
    if facts.restored_away(change.base):
        return Local.RESTORED
    unchanged = facts.base is not None and facts.base.live and facts.base.hash == change.hash
    purged = facts.base is None and change.base is not None
    if change.kind == "same" and (unchanged or purged):
        return Local.SAME
    # Bytes that are not the settled base's were put there, whatever the client calls them.
    return Local.NOTHING if unchanged else Local.PUT


def _head(local: Local, change: Change | None, facts: Facts) -> Head:
    head = facts.head
    if head is None:
        purged = local is Local.SAME and facts.base is None and change is not None and change.base is not None
        return Head.PURGED if purged else Head.NONE
    if local is Local.RESTORED and change and change.base is not None and head.stamp < change.base:
        return Head.OLDER
    if facts.base is not None and head.stamp == facts.base.stamp:
        return Head.TOMBSTONE if not head.live and local is not Local.PUT else Head.BASE
    if facts.base is not None and head.live and head.hash == facts.base.hash:
        made_executable = head.executable != facts.base.executable  # or the reverse; else somebody put it back
        if local is Local.PUT or (local is Local.DELETE and made_executable):
            return Head.BASE  # the bytes that the edit or delete was made on
    if not head.live:
        return Head.TOMBSTONE
    if change is not None and change.hash == head.hash:
        return Head.SAME_BYTES
    return Head.OTHER
