"""What a write meets: the rules of docs/protocol.md, section 4, as one function from facts to a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from sync.model import Version, VersionKind


@dataclass(frozen=True, slots=True)
class Write:
    """One change that a client asks the server to commit.

    `base` is the head it was made on (None: believed new). `keep`: a put that loses becomes a candidate.
    `executable`: None leaves that as it is at the head.
    """

    path: str
    kind: VersionKind
    base: int | None
    device: str
    user: str
    hash: str | None = None
    size: int = 0
    mtime: int | None = None
    keep: bool = False
    executable: bool | None = None

    def executable_on(self, head: Version | None) -> bool:
        """What it comes to on top of `head`."""
        if self.executable is None:
            return head is not None and head.live and head.executable
        return self.executable


class Verdict(Enum):
    STORE = auto()  # a new version
    SAME = auto()  # the live head has these bytes already, and is executable or not as it says: nothing to do
    REPEATED = auto()  # this very delete was done before; its reply was lost
    KEEP = auto()  # becomes a candidate of a conflict
    STALE = auto()  # the head is not the base: refused
    GONE = auto()  # a delete of what is deleted: refused
    BLOCKED = auto()  # an ancestor or a descendant is live: refused
    NO_ROOM = auto()  # the vault's quota does not hold the body: refused. `judge` knows of no quota
    CROWDED = auto()  # the path has as many candidates as it may have: refused. `judge` knows of no such limit


# Those after which the vault holds the body of the write.
USES_ROOM = (Verdict.STORE, Verdict.KEEP)


def judge(write: Write, head: Version | None, blocked: bool) -> Verdict:
    """What becomes of `write` where `head` is the path's newest version.

    `blocked`: a live file stands where this path needs a folder, or the reverse. It matters only to a put on a path
    that is not live.
    """
    if write.kind == "delete":
        return _judge_delete(write, head)
    live = head is not None and head.live
    met = _meets(write.base, head) or (write.keep and not live)
    if head is not None and live and head.hash == write.hash:
        # That it can be run is no content: over that alone nothing is in conflict.
        return Verdict.STORE if met and write.executable_on(head) != head.executable else Verdict.SAME
    if not met:
        return Verdict.KEEP if write.keep else Verdict.STALE
    return Verdict.BLOCKED if blocked and not live else Verdict.STORE


def _meets(base: int | None, head: Version | None) -> bool:
    if base is None:
        return head is None or not head.live
    return head is not None and head.stamp == base


def _judge_delete(write: Write, head: Version | None) -> Verdict:
    if head is not None and not head.live:
        if head.base == write.base and head.device == write.device and head.user == write.user:
            return Verdict.REPEATED
        if head.stamp == write.base:
            return Verdict.GONE
    elif head is not None and head.stamp == write.base:
        return Verdict.STORE
    return Verdict.STALE
