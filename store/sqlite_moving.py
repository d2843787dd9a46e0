"""Moving an embedded database's contents out and in."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Protocol, TypeVar

from store import sqlite_log as log
from store import sqlite_people as people
from store.base import Invitation, User, Vault
from store.moving import Move, overtaken
from sync.model import Conflict, Version

T = TypeVar("T")

_CONTENTS = ("members", "vaults", "users", "invitations", "versions", "conflicts")


class Run(Protocol):
    def __call__(self, work: Callable[[sqlite3.Connection], T], /) -> T:
        """Does it in one transaction."""


class SqliteMoving:
    """Implements moving.Moving. What `write` runs is not kept from writing by a move."""

    def __init__(self, read: Run, write: Run) -> None:
        self._read = read
        self._write = write

    def state(self) -> Move | None:
        return self._read(move_of)

    def mark(self, old: Move | None, new: Move | None) -> None:
        # There is one writer at a time: once this is written, those that were at it have finished.
        def change(db: sqlite3.Connection) -> None:
            if move_of(db) != old:
                raise overtaken()
            db.execute("DELETE FROM meta WHERE key = 'move'")
            if new is not None:
                db.execute("INSERT INTO meta VALUES ('move', ?)", (json.dumps(asdict(new)),))

        self._write(change)

    def is_empty(self) -> bool:
        return self._read(is_empty)

    # -- reading

    def versions(self, vault_id: str, after: int, limit: int) -> list[Version]:
        return self._read(lambda db: log.changes(db, int(vault_id, 16), after, limit))

    def conflicts(self, vault_id: str, after: str, limit: int) -> list[Conflict]:
        return self._read(lambda db: log.conflicts(db, int(vault_id, 16), after, limit))

    def invitations(self) -> list[Invitation]:
        return self._read(people.invitations)

    # -- taking in

    def clear(self) -> None:
        def remove(db: sqlite3.Connection) -> None:
            for table in _CONTENTS:
                db.execute(f"DELETE FROM {table}")
            db.execute("DELETE FROM meta WHERE key = 'identity'")

        self._write(remove)

    def take_versions(self, vault_id: str, versions: Sequence[Version]) -> None:
        self._write(lambda db: log.insert(db, int(vault_id, 16), versions))

    def take_conflicts(self, vault_id: str, conflicts: Sequence[Conflict]) -> None:
        def take(db: sqlite3.Connection) -> None:
            for one in conflicts:
                log.put_conflict(db, int(vault_id, 16), one)

        self._write(take)

    def take_people(self, secret: bytes, users: Sequence[User], vaults: Sequence[Vault]) -> None:
        def take(db: sqlite3.Connection) -> None:
            db.execute("UPDATE meta SET value = ? WHERE key = 'secret'", (secret,))
            people.insert(db, users)
            for one in vaults:
                key = int(one.id, 16)
                counters = (one.files, one.bytes, one.stored, one.conflicts)
                lapses = json.dumps(one.lapses)
                db.execute(
                    """INSERT INTO vaults
                       (key, name, epoch, clock, purge_mark, files, bytes, stored, conflicts, auto_merge, lapses,
                        versions)
                       VALUES (?,?,?,?,?,?,?,?,?,?,?,?)""",
                    (
                        key,
                        one.name,
                        one.epoch,
                        one.clock,
                        one.purge_mark,
                        *counters,
                        one.auto_merge,
                        lapses,
                        one.versions,
                    ),
                )
                rows = [(key, user, role) for user, role in one.members.items()]
                db.executemany("INSERT INTO members VALUES (?, ?, ?)", rows)

        self._write(take)

    def take_invitations(self, invitations: Sequence[Invitation]) -> None:
        self._write(lambda db: people.insert_invitations(db, invitations))


def move_of(db: sqlite3.Connection) -> Move | None:
    row = db.execute("SELECT value FROM meta WHERE key = 'move'").fetchone()
    return Move(**json.loads(row[0])) if row else None


def is_empty(db: sqlite3.Connection) -> bool:
    return all(db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is None for table in ("vaults", "users"))
