"""A database's part in collecting what is too old to be kept. The rules are in store/collection.py."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from sync.model import Version


class Clock(NamedTuple):
    """The database's time in µs, and whose it is: that of the host we are on, or the database's own."""

    now: int
    source: Literal["host", "database"]


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection did, over all vaults. `at`: when it ended, in the database's µs.

    `versions` and `tombstones` were taken out of logs; `bodies` went to the trash, with so many `bytes`; `removed` and
    `removed_bytes` left the trash for good; `restored` came back out of it, for something refers to them.
    """

    at: int = 0
    versions: int = 0
    tombstones: int = 0
    bodies: int = 0
    bytes: int = 0
    removed: int = 0
    removed_bytes: int = 0
    restored: int = 0


class Counters(NamedTuple):
    """A vault's counters, or by how much they are to change: those of store.base.Vault."""

    files: int = 0
    bytes: int = 0
    stored: int = 0
    conflicts: int = 0


class Aging(Protocol):
    """Whatever changes something raises Unavailable while the database moves, as everywhere."""

    def clock(self) -> Clock: ...

    def last_collection(self) -> Collected | None: ...

    def note_collection(self, collected: Collected) -> None: ...

    def purge(self, vault_id: str, versions: Sequence[Version], before: int) -> list[Version]:
        """Takes these out of the log, in one transaction; returns those that were there. May be repeated.

        It leaves alone what may not go after all (see `permitted`), for others may have written since these were found.
        Nothing for an unknown vault.
        """

    def adjust(self, vault_id: str, by: Counters) -> None:
        """Adds to the vault's counters. What is committed at the same time counts as well. Nothing for an unknown
        vault."""


def permitted(
    versions: Sequence[Version], before: int, disputed: Collection[str], there: Iterable[tuple[str, int]]
) -> list[Version]:
    """Those that may go, as things stand inside the transaction. `there`: path and stamp of every version of the
    tombstones' paths. `disputed`: paths with an open conflict, of which everything stays.

    A tombstone goes if it was followed before `before`; or it is the newest of its path and no older version is left
    below it, for that one would come back to life.
    """
    stamps: dict[str, list[int]] = {}
    for path, stamp in there:
        stamps.setdefault(path, []).append(stamp)
    going = {version.stamp for version in versions}

    def may_go(version: Version) -> bool:
        if version.path in disputed:
            return False
        if version.live:
            return True
        others = stamps.get(version.path, [])
        newer = [stamp for stamp in others if stamp > version.stamp]
        return min(newer) < before if newer else all(stamp in going for stamp in others)

    return [version for version in versions if may_go(version)]
