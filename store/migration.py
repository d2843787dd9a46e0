"""Moving everything from one database to another: the order of the steps, which makes it safe to cut off anywhere.

The source takes no writes from the first step on, and keeps all it has. Until the target is complete, giving up costs
nothing: the source goes on as if nothing had been. From then on only the source's own mark is missing, and the next run
sets it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from store.base import Invitation, Metadata, User, Vault
from store.errors import Refused, StoreError, Unavailable
from store.moving import ARRIVING, LEAVING, Move, Moving, overtaken
from sync.model import Conflict, Version

# What is read and written at once: a megabyte or two.
PAGE = 5_000

Tell = Callable[[Vault, int, bool], None]
"""Told of a vault, how many of its versions are there, and whether that was all."""


class Pages(Protocol):
    """As moving.Moving, what is read of one vault after another: first all its versions, then its conflicts."""

    def versions(self, vault_id: str, after: int, limit: int) -> list[Version]: ...

    def conflicts(self, vault_id: str, after: str, limit: int) -> list[Conflict]: ...

    def invitations(self) -> list[Invitation]: ...


class Contents(Protocol):
    """What can be copied into a database: another database, or a backup of one."""

    def secret(self) -> bytes: ...

    def users(self) -> list[User]: ...

    def vaults(self) -> list[Vault]: ...

    def moving(self) -> Pages: ...


class Target(Protocol):
    """A database that is to take everything in."""

    @property
    def place(self) -> str:
        """For people; without passwords."""

    @property
    def notice(self) -> str:
        """What those are told who still want to write to the source when all is here: which settings to change."""

    def look(self) -> tuple[Move | None, bool]:
        """Its state, and whether it is empty. Changes nothing there, whatever is there."""

    def open(self, old: Move | None, new: Move) -> Metadata:
        """An empty database whose state is `new`. `old`: the state it had. Raises Unavailable where it has changed."""

    def complete(self, old: Move, new: Move) -> None:
        """Puts it into its place, for good, with the state `new`. What `open` gave is closed by that."""

    def abandon(self, mark: Move) -> None:
        """Removes what came with `mark`. May be repeated; whatever else is there stays."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move moved. All 0 where it had only to be finished."""

    users: int = 0
    vaults: int = 0
    versions: int = 0
    conflicts: int = 0


def migrate(source: Metadata, target: Target, *, replace: bool = False, tell: Tell = lambda *_: None) -> Moved:
    """Moves everything. `replace`: also into a database that was left behind by an earlier move.

    Raises Refused where the target is in use, Unavailable and Full; then the source works as before, unless the message
    says otherwise.
    """
    here = source.moving()
    before = here.state()
    there, empty = target.look()
    if _is_complete(before, there):
        return _leave(here, before, target, Moved())
    _check_may_take(target, there, empty, replace)
    leaving = Move(secrets.token_hex(8), "leaving", LEAVING)
    arriving = Move(leaving.id, "arriving", ARRIVING)
    try:
        here.mark(before, leaving)
        database = target.open(there, arriving)
        moved = copy(source, database, tell)
        if (identity := source.identity()) is not None:
            database.identify(identity, replace=True)  # the bodies stay, and are marked with it
        if here.state() != leaving:
            raise overtaken()  # given up, on another host: what was copied may be out of date
    except BaseException:
        _give_up(here, leaving, target, arriving)
        raise
    _complete(here, leaving, target, arriving)
    return _leave(here, leaving, target, moved)


def cancel(source: Metadata, target: Target | None) -> None:
    """Gives up a move that was cut off; with the target given, also removes what came there. Raises Refused."""
    here = source.moving()
    state = here.state()
    if state is None or state.state != "leaving":
        raise Refused("there is no move to cancel")
    if target is not None:
        there, _ = target.look()
        if _is_complete(state, there):
            raise Refused(f"all is in {target.place} already: run this again without --cancel, which finishes the move")
        target.abandon(Move(state.id, "arriving", ARRIVING))
    here.mark(state, None)


def _is_complete(here: Move | None, there: Move | None) -> bool:
    """Whether of the source's move nothing is left to do at the target."""
    if here is None or there is None:
        return False
    return (here.state, there.state) == ("leaving", "arrived") and here.id == there.id


def _complete(here: Moving, leaving: Move, target: Target, arriving: Move) -> None:
    """The step after which there is no way back. Where it fails it may have happened all the same."""
    try:
        target.complete(arriving, Move(arriving.id, "arrived"))
    except BaseException as error:
        try:
            done = _is_complete(leaving, target.look()[0])
        except StoreError as unknown:
            raise Unavailable(
                f"{unknown}. Whether all is there is not known, so writing has to wait: run this again, which finds out"
            ) from error
        if not done:
            _give_up(here, leaving, target, arriving)
        if not (done and isinstance(error, StoreError)):
            raise


def _leave(here: Moving, state: Move | None, target: Target, moved: Moved) -> Moved:
    assert state is not None, "a move is under way"
    try:
        here.mark(state, Move(state.id, "left", target.notice))
    except StoreError as error:
        raise Unavailable(f"all is in {target.place}, but: {error}. Run this again, which finishes the move") from error
    return moved


def _check_may_take(target: Target, there: Move | None, empty: bool, replace: bool) -> None:
    state = there.state if there else None
    if state == "leaving":
        raise Refused(f"{target.place} is being moved elsewhere itself: finish that first, or name another database")
    if state == "left" and not (replace or empty):
        raise Refused(
            f"{target.place} holds what was there before an earlier move: add --replace to overwrite that, or name "
            "another database"
        )
    if state in (None, "arrived") and not empty:
        raise Refused(f"{target.place} is not empty: name another database, or empty that one yourself")


def _give_up(here: Moving, leaving: Move, target: Target, arriving: Move) -> None:
    """What came there lies in nobody's way where it cannot be removed now: the next run does that."""
    try:
        if here.state() == leaving:
            here.mark(leaving, None)
    except StoreError as error:
        raise Unavailable(
            f"{error}. Nothing was moved; `gobi migrate --cancel` makes writing possible again"
        ) from error
    finally:
        try:
            target.abandon(arriving)
        except StoreError:
            pass


# -- copying


def copy(source: Contents, target: Metadata, tell: Tell) -> Moved:
    """Copies everything into a database that is empty and marked as arriving.

    People and vaults come last: without a vault nobody sees its log. Raises Unavailable where what is there then is not
    what was here.
    """
    users, vaults = source.users(), source.vaults()
    here, there = source.moving(), target.moving()
    versions = conflicts = 0
    for vault in vaults:
        log, disputes = Digest(), Digest()
        for page in _versions(here, vault.id):
            there.take_versions(vault.id, page)
            log.add(page)
            tell(vault, log.count, False)
        for some in _conflicts(here, vault.id):
            there.take_conflicts(vault.id, some)
            disputes.add(some)
        _check_same(vault.name, Digest.of(_versions(there, vault.id)), log)
        _check_same(vault.name, Digest.of(_conflicts(there, vault.id)), disputes)
        tell(vault, log.count, True)
        versions += log.count
        conflicts += disputes.count
    invitations = here.invitations()
    there.take_invitations(invitations)
    _check_same("invitations", there.invitations(), invitations)
    there.take_people(source.secret(), users, vaults)
    _check_same(
        "people and vaults", (target.secret(), target.users(), target.vaults()), (source.secret(), users, vaults)
    )
    return Moved(len(users), len(vaults), versions, conflicts)


def _check_same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Unavailable(f"{what}: what arrived is not what was sent, so it is not used: run this again")


def _versions(database: Pages, vault_id: str) -> Iterator[list[Version]]:
    after = 0
    while page := database.versions(vault_id, after, PAGE):
        yield page
        after = page[-1].stamp


def _conflicts(database: Pages, vault_id: str) -> Iterator[list[Conflict]]:
    after = ""
    while page := database.conflicts(vault_id, after, PAGE):
        yield page
        after = page[-1].id


class Digest:
    """Of rows in their order: equal only for the same rows."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.sha256()

    @classmethod
    def of(cls, pages: Iterator[list[Version]] | Iterator[list[Conflict]]) -> Digest:
        digest = cls()
        for page in pages:
            digest.add(page)
        return digest

    def add(self, rows: list[Version] | list[Conflict]) -> None:
        self.count += len(rows)
        for row in rows:
            self._hash.update(repr(row).encode("utf-8", "surrogatepass"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and self._hash.digest() == other._hash.digest()

    __hash__ = None  # type: ignore[assignment]  # it changes
