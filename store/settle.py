"""Settling a conflict (docs/protocol.md, section 8).

Every candidate becomes a version and the outcome comes on top, also where the outcome is the server's side. So all of
them are in the history, and every client, a candidate's author included, ends with the outcome by the ordinary rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from store.base import Transaction
from store.commit import Group
from store.errors import BadRequest, PathTaken, Stale
from sync.candidates import as_write
from sync.judge import Write
from sync.model import Candidate, Conflict, Version
from sync.paths import conflict_name

KEEP = ("server", "client", "both", "merged")
_NAMES_TRIED = 100


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person decided: which side to keep, seen on top of `head` (a stamp).

    `candidate`: which one, the newest for None. `text`: the outcome for "merged", of which the store keeps the body
    and notes (hash, size) in `merged`. `seen`: the newest candidate that was looked at. `only_candidate`: refuse where
    there is another one, which nobody looked at.
    """

    keep: str
    head: int
    device: str
    user: str
    candidate: int | None = None
    text: str | None = None
    merged: tuple[str, int] | None = None
    only_candidate: bool = False
    seen: int | None = None

    def __post_init__(self) -> None:
        if self.keep not in KEEP:
            raise BadRequest(f"`keep` has to be one of {', '.join(KEEP)}")
        if (self.keep == "merged") != (self.text is not None):
            raise BadRequest("`text` goes with `keep` merged, and only with it")


def settle(group: Group, tx: Transaction, conflict: Conflict, choice: Choice) -> None:
    """Appends candidates and outcome. Raises Stale, BadRequest, PathTaken."""
    server = group.head(conflict.path)
    if server is None or server.stamp != choice.head:
        raise Stale("the path has changed since: look at `head`, then decide again", server)
    chosen = conflict.candidate(choice.candidate)
    if not conflict.open:
        raise BadRequest("the conflict is settled already")
    if choice.seen is not None and conflict.candidates[-1].n > choice.seen:
        raise Stale("another edit has come to wait since: look at it, then decide again", server)
    if choice.only_candidate and len(conflict.candidates) > 1:
        raise BadRequest("the conflict has another candidate by now: look at all of them, then decide again")
    if chosen is None:
        raise BadRequest(f"the conflict has no candidate {choice.candidate}: it has {conflict.numbers}")
    outcome = replace(
        _outcome(conflict, choice, server, chosen), executable=_executable(tx, conflict, choice, server, chosen)
    )
    if outcome.kind == "put" and not server.live:
        _check_place(group, conflict.path)
    beside = _free_name(tx, conflict.path, chosen) if choice.keep == "both" else None
    if beside is not None:
        group.include(beside)
        _check_place(group, beside)
    versions = [group.store(as_write(conflict.path, one), passing=True) for one in conflict.candidates]
    versions.append(group.store(outcome))
    if beside is not None:
        versions.append(group.store(as_write(beside, chosen)))
    group.settle(
        conflict.settled(
            {
                "keep": choice.keep,
                "candidate": chosen.n,
                "user": choice.user,
                "device": choice.device,
                "versions": [version.stamp for version in versions],
            }
        )
    )


def _check_place(group: Group, path: str) -> None:
    blocker = group.blocker(path)
    if blocker is not None:
        raise PathTaken("a file stands where this path needs a folder, or the reverse: rename one of them", blocker)


def _outcome(conflict: Conflict, choice: Choice, server: Version, chosen: Candidate) -> Write:
    path, device, user = conflict.path, choice.device, choice.user
    if choice.merged is not None:
        digest, size = choice.merged
        return Write(path, "put", None, device, user, digest, size, None)
    if choice.keep == "client":
        return Write(path, "put", None, device, user, chosen.hash, chosen.size, chosen.mtime)
    return Write(path, server.kind, None, device, user, server.hash, server.size, server.mtime)


def _executable(tx: Transaction, conflict: Conflict, choice: Choice, server: Version, chosen: Candidate) -> bool:
    """Whether the outcome can be run: as on the side that is kept; merged, as on the side that changed it."""
    if choice.keep == "client":
        return chosen.executable
    if choice.keep != "merged" or server.executable == chosen.executable:
        return server.executable
    base = tx.find([(conflict.path, conflict.base)]) if conflict.base is not None else {}
    return not any(version.executable for version in base.values())


def _free_name(tx: Transaction, path: str, one: Candidate) -> str:
    """Where the second copy goes: beside the first, under a name that no live file or folder has."""
    date = datetime.fromtimestamp(one.at / 1_000_000, UTC).strftime("%Y-%m-%d")
    names = [conflict_name(path, one.device, date, number) for number in range(1, _NAMES_TRIED)]
    taken = {name for name, head in tx.heads(names).items() if head.live} | tx.live_below(names).keys()
    free = next((name for name in names if name not in taken), None)
    if free is None:
        raise BadRequest(f"there are {_NAMES_TRIED} copies of this file from that day: clear some away first")
    return free
