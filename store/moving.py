"""A database's part in a move: everything that is in it goes to another database, and clients notice nothing.

What happens is written down in the databases themselves, so that every server that uses one, in whatever process and
on whatever host, sees it with its next write. store.migration has the order of the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from store.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from store.base import Invitation, User, Vault
    from sync.model import Conflict, Version

State = Literal["leaving", "left", "arriving", "arrived"]

# When whoever was refused a write may try again. Once all is elsewhere, a server that knows of it is about to start.
RETRY_AFTER_S = 5

LEAVING = (
    "the metadata is being moved to another database: try again in a few minutes (where `gobi migrate` was cut off, "
    "run it again, or give it up with `gobi migrate --cancel`)"
)
ARRIVING = (
    "what was moved to this database is not complete: wait for `gobi migrate`, or run it again where it was cut off"
)


@dataclass(frozen=True, slots=True)
class Move:
    """`id` is the same at both ends. `notice` is what those are told who want to write.

    | state | what the database holds | writes | a server |
    |---|---|---|---|
    | leaving | everything; it is being copied | refused | runs |
    | left | everything as it was then; all that came later is elsewhere | refused | does not start |
    | arriving | not everything | refused | does not start |
    | arrived | everything | as ever | runs |
    """

    id: str
    state: State
    notice: str = ""

    @property
    def frozen(self) -> bool:
        return self.state != "arrived"


class Moving(Protocol):
    """What moving needs of a database beside what Metadata has. Reading and taking in are for one move at a time."""

    def state(self) -> Move | None:
        """None for a database that took part in none, or in one that was given up. May be asked of any database."""

    def mark(self, old: Move | None, new: Move | None) -> None:
        """Writes down `new`. Raises Unavailable where the state is not `old`: somebody else moves.

        Where `new` is frozen no write is committed any more once this has returned, also none that had begun before,
        until another state is written down. Reading goes on. Where this raises, `state` says what became of it.
        """

    def is_empty(self) -> bool:
        """Whether nothing would be lost with it: no person and no vault.

        A log without its vault is nobody's: what a `gobi migrate` that was killed had sent already can still arrive
        when that move has been given up.
        """

    # -- reading, with more patience than a request may have

    def versions(self, vault_id: str, after: int, limit: int) -> list[Version]:
        """As Metadata.changes."""

    def conflicts(self, vault_id: str, after: str, limit: int) -> list[Conflict]:
        """All, settled ones too, by id above `after`."""

    def invitations(self) -> list[Invitation]:
        """By hash."""

    # -- taking in, while the state is `arriving`

    def clear(self) -> None:
        """Removes everybody, all vaults, all logs, and its identity. Readers lose sight of a vault before its log is
        touched."""

    def take_versions(self, vault_id: str, versions: Sequence[Version]) -> None:
        """Adds these to the log as they are. Nobody sees them before the vault is there."""

    def take_conflicts(self, vault_id: str, conflicts: Sequence[Conflict]) -> None: ...

    def take_people(self, secret: bytes, users: Sequence[User], vaults: Sequence[Vault]) -> None:
        """Adds these as they are, counters and clocks too, and makes the secret this one."""

    def take_invitations(self, invitations: Sequence[Invitation]) -> None: ...


def check_writable(move: Move | None) -> None:
    """Raises Unavailable."""
    if move is not None and move.frozen:
        raise Unavailable(move.notice, RETRY_AFTER_S)


def check_in_use(move: Move | None) -> None:
    """Whether a server may work on it at all: raises Misconfigured, Unavailable."""
    if move is not None and move.state == "left":
        raise Misconfigured(move.notice)
    if move is not None and move.state == "arriving":
        raise Unavailable(move.notice)


def overtaken() -> Unavailable:
    return Unavailable("another `gobi migrate` is at work on this database: wait for that one, then look again")
