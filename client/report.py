"""What a sync did and what it could not do, for the commands to show."""

from __future__ import annotations

from dataclasses import dataclass, field

from client.ports import Skipped


@dataclass
class Listed:
    """What a person is told of, whichever command says it. Lists are (path, words for the user).

    `conflicts`: (path, the conflict's id on the server). `refused`: files that somebody must look at, and why.
    `waiting`: what could not be done now and is tried again with the next sync. `skipped`: what is left out.
    `held_deletes`: how many deletes are held back until a person says that they are meant.
    """

    conflicts: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    held_deletes: int = 0

    @property
    def in_step(self) -> bool:
        """Whether everything that can be synced is the same on both sides, as far as it is known here."""
        return not (self.conflicts or self.refused or self.waiting)

    @property
    def left_out(self) -> list[Skipped]:
        """What ought to be synced and is not before a person has done something."""
        return [one for one in self.skipped if one.refused]

    @property
    def exit_code(self) -> int:
        """0: in step, and nothing needs a person. 1: something does, or is not done; it is listed."""
        return 0 if self.in_step and not self.left_out else 1


@dataclass
class Report(Listed):
    """The outcome of one `gobi sync`. Sizes are bytes.

    `held`: a program has a file open that
    was replaced or removed, so that somebody has to look at it again. `busy`: how many files somebody is in the middle
    of changing, so that they were not looked at. `notes`: whatever else is worth
    knowing, one sentence each. `trail`: what happened to which file, in order. `unreached`: of what was waiting in any
    round, what the server, or what is on the way to it, could not take or bring. `rules_unsettled`: `.gobiignore` has
    to be looked at again soon.
    """

    uploaded: int = 0
    downloaded: int = 0
    deleted_here: int = 0
    deleted_there: int = 0
    adopted: int = 0
    renamed: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    files: int = 0
    full: bool = False
    held: bool = False
    busy: int = 0
    notes: list[str] = field(default_factory=list)
    trail: list[tuple[str, str]] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)
    rules_unsettled: bool = False

    @property
    def exit_code(self) -> int:
        """As for all; 69: what is left did not get to the server."""
        left = {path for path, _ in self.waiting}
        if left and left <= set(self.unreached) and not (self.conflicts or self.refused or self.left_out):
            return 69
        return super().exit_code


@dataclass
class Status(Listed):
    """Where a folder stands, found out without the server.

    `cursor`: how far the server's log has been seen.
    `last_sync` is in µs since 1970, None before the first. `missing`: files that vanished while gobi was not running
    and come back with the next sync. `deletes`: files whose deletion is sent with the next sync.
    """

    last_sync: int | None = None
    cursor: str = ""
    files: int = 0
    new: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def in_step(self) -> bool:
        """Whether nothing waits here. What others did meanwhile only the server knows."""
        return super().in_step and not (self.new or self.edited or self.missing or self.deletes)


@dataclass
class Removal:
    """What `gobi rm` did: files removed here (and with the next sync everywhere), and those it could not remove.

    `notes`: whatever else is worth knowing, one sentence each.
    """

    removed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


class Silent:
    """client.ports.Progress that shows nothing."""

    def start(self, what: str, files: int, size: int) -> None:
        pass

    def advance(self, files: int, size: int) -> None:
        pass

    def done(self) -> None:
        pass
