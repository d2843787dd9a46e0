"""Metadata in an embedded SQLite database, the default where no MongoDB is configured.

WAL with synchronous=FULL: a commit is flushed before it returns. One writer at a time; readers never wait for it.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar
from urllib.parse import quote

from store import sqlite_log as log
from store import sqlite_people as people
from store.access import admit
from store.aging import Aging
from store.base import Device, Identity, Invitation, Query, Role, Session, Transaction, User, Vault, as_lapses
from store.errors import DiskFull, StoreError, Unavailable
from store.facts import Purged
from store.moving import Moving, check_writable
from store.offload import Offload, inline
from store.refusals import (
    check_keeps_an_owner,
    check_owns_fewer,
    last_owner_of,
    no_member,
    no_vault,
    orphaned,
    vault_exists,
)
from store.sqlite_aging import SqliteAging
from store.sqlite_damage import Damage, damaged, examine, is_damage
from store.sqlite_folders import folder
from store.sqlite_moving import SqliteMoving, move_of
from store.sqlite_schema import upgrade
from sync.model import Conflict, Version
from sync.plan import Facts

T = TypeVar("T")

BUSY_MS = 5_000
CACHE_KIB = 2_048


def _now_us() -> int:
    return time.time_ns() // 1000


class SqliteMetadata:
    """Implements base.Metadata.

    `now` gives microseconds since 1970; `offload` keeps statements off the event loop. `prepare`: makes the file where
    it is missing, and brings it to this schema; without that it is opened when it is first used. Raises Unavailable
    where the file cannot be opened, Unusable where it is damaged or of a newer schema. Once damage was met, nothing is
    written any more, by which it might grow; reading goes on where it can.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        now: Callable[[], int] = _now_us,
        offload: Offload = inline,
        prepare: bool = True,
    ) -> None:
        self._path = os.fspath(path)
        self._now = now
        self._offload = offload
        self._idle: deque[sqlite3.Connection] = deque()
        self._damage = Damage()
        # Taken before the hand-over to a thread: SQLite's own waiting for a writer is a sleep in a loop.
        self._writing = threading.Lock()
        if prepare:
            with translated():
                self._idle.append(self._connect("rwc"))
            with self._connection() as db:
                upgrade(db)
        else:
            # Whoever wants to put another file in its place sees from now on that it is in use.
            with suppress(StoreError), self._connection():
                pass

    # -- connections

    def _connect(self, mode: str = "rw") -> sqlite3.Connection:
        """Later on the file is never made: where its disk went away, an empty one would come in its place."""
        # Each connection serves one call at a time, in whatever thread runs it.
        address = f"file:{quote(self._path)}?mode={mode}"
        db = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        except BaseException:
            db.close()
            raise
        return db

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with translated(), self._damage.noted():
            try:
                db = self._idle.pop()
            except IndexError:
                db = self._connect()
            try:
                yield db
            except sqlite3.DatabaseError:
                db.close()  # whatever state it is in, nobody gets it again
                raise
            except BaseException:
                self._idle.append(db)
                raise
            self._idle.append(db)

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        return self._offload(self._read_now, query)

    def _read_now(self, query: Callable[[sqlite3.Connection], T]) -> T:
        with self._connection() as db:
            db.execute("BEGIN")
            try:
                return query(db)
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def unless_moved(db: sqlite3.Connection) -> T:
            check_writable(move_of(db))
            return work(db)

        return self._write_anyway(unless_moved)

    def _write_anyway(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._writing:
            self._damage.check()
            return self._offload(self._write_now, work)

    def _write_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                result = work(db)
                db.execute("COMMIT")
                return result
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    # -- service

    def ping(self) -> None:
        self._damage.check()
        self._read(lambda db: db.execute("SELECT count(*) FROM meta").fetchone())

    def check_sound(self, patience_s: float | None) -> bool:
        with self._connection() as db:
            verdict, whole = examine(db, patience_s)
        if verdict:
            raise damaged()
        return whole

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def secret(self) -> bytes:
        row = self._read(lambda db: db.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone())
        secret: bytes = row[0]
        return secret

    def identity(self) -> str | None:
        row = self._read(lambda db: db.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone())
        return row[0] if row else None

    def identify(self, identity: str, *, replace: bool = False) -> str:
        def give(db: sqlite3.Connection) -> str:
            how = "REPLACE" if replace else "IGNORE"
            db.execute(f"INSERT OR {how} INTO meta VALUES ('identity', ?)", (identity,))
            given: str = db.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()[0]
            return given

        return self._write_anyway(give)

    def moving(self) -> Moving:
        return SqliteMoving(self._read, self._write_anyway)

    def aging(self) -> Aging:
        return SqliteAging(self._read, self._write, self._now)

    # -- people

    def add_user(self, name: str, password: str) -> None:
        self._write(lambda db: people.add(db, name, password))

    def set_password(self, name: str, password: str, *, revoke_devices: bool = False) -> None:
        self._write(lambda db: people.set_password(db, name, password, revoke_devices=revoke_devices))

    def remove_user(self, name: str, heir: str | None = None) -> list[str]:
        def remove(db: sqlite3.Connection) -> list[str]:
            people.require(db, name)
            left = orphaned(_vaults(db, member=name), name)
            if left and heir in (None, name):
                raise last_owner_of(name, left)
            if heir is not None:
                people.require(db, heir)
            for vault in left:
                db.execute("INSERT OR REPLACE INTO members VALUES (?, ?, 'owner')", (int(vault.id, 16), heir))
            people.remove(db, name)
            return [vault.name for vault in left]

        return self._write(remove)

    def rename_user(self, name: str, new: str) -> None:
        self._write(lambda db: people.rename(db, name, new))

    def user(self, name: str) -> User | None:
        return self._read(lambda db: people.user(db, name))

    def users(self) -> list[User]:
        return self._read(people.users)

    def add_device(self, user: str, device: str, hash: str) -> None:
        self._write(lambda db: people.add_device(db, user, Device(device, hash, self._now())))

    def remove_device(self, user: str, device: str, *, by: Identity | None = None) -> None:
        def remove(db: sqlite3.Connection) -> None:
            people.check_good(db, by)
            people.remove_device(db, user, device)

        self._write(remove)

    def add_session(
        self,
        user: str,
        session_id: str,
        device: str | None,
        agent: str,
        valid_s: int,
        *,
        by: Identity | None = None,
    ) -> Session:
        def add(db: sqlite3.Connection) -> Session:
            people.check_good(db, by)
            now = self._now()
            return people.add_session(db, user, Session(session_id, device, now, now + valid_s * 1_000_000, agent))

        return self._write(add)

    def remove_session(self, user: str, session_id: str, *, by: Identity | None = None) -> None:
        def remove(db: sqlite3.Connection) -> None:
            people.check_good(db, by)
            people.remove_session(db, user, session_id)

        self._write(remove)

    def add_invitation(
        self, hash: str, user: str, vault_id: str, valid_s: int, *, by: Identity | None = None
    ) -> Invitation:
        def invite(db: sqlite3.Connection) -> Invitation:
            people.check_good(db, by)
            return people.invite(db, hash, user, vault_id, self._now(), valid_s)

        return self._write(invite)

    def redeem(self, hash: str, device: str, password: str) -> tuple[str, str]:
        return self._write(lambda db: people.redeem(db, hash, Device(device, password, self._now())))

    # -- vaults

    def create_vault(self, name: str, owner: str, most: int = 0, *, by: Identity | None = None) -> Vault:
        def create(db: sqlite3.Connection) -> Vault:
            people.check_good(db, by)
            people.require(db, owner)
            key = secrets.randbits(62)
            row = (key, name, secrets.token_hex(6))
            if db.execute("INSERT OR IGNORE INTO vaults (key, name, epoch) VALUES (?, ?, ?)", row).rowcount == 0:
                raise vault_exists(name)
            check_owns_fewer(owner, _owned(db, owner), most)
            db.execute("INSERT INTO members VALUES (?, ?, 'owner')", (key, owner))
            return _vaults(db, key=key)[0]

        return self._write(create)

    def vault(self, name: str) -> Vault | None:
        found = self._read(lambda db: _vaults(db, name=name))
        return found[0] if found else None

    def vault_and_head(self, name: str, path: str) -> tuple[Vault | None, Version | None]:
        def look(db: sqlite3.Connection) -> tuple[Vault | None, Version | None]:
            found = _vaults(db, name=name)
            if not found:
                return None, None
            return found[0], log.heads(db, int(found[0].id, 16), [path]).get(path)

        return self._read(look)

    def vaults(self, member: str | None = None) -> list[Vault]:
        return self._read(lambda db: _vaults(db, member=member))

    def set_member(self, vault_id: str, user: str, role: Role, most: int = 0, *, by: Identity | None = None) -> None:
        def change(db: sqlite3.Connection) -> None:
            vault = _require_vault(db, vault_id, by)
            people.require(db, user)
            if role != "owner":
                check_keeps_an_owner(vault, user)
            elif vault.members.get(user) != "owner":
                check_owns_fewer(user, _owned(db, user), most)
            db.execute("INSERT OR REPLACE INTO members VALUES (?, ?, ?)", (int(vault_id, 16), user, role))

        self._write(change)

    def remove_member(self, vault_id: str, user: str, *, by: Identity | None = None) -> None:
        def remove(db: sqlite3.Connection) -> None:
            vault = _require_vault(db, vault_id, by)
            if user not in vault.members:
                raise no_member(vault, user)
            check_keeps_an_owner(vault, user)
            db.execute("DELETE FROM members WHERE vault = ? AND user = ?", (int(vault_id, 16), user))

        self._write(remove)

    def rename_vault(self, vault_id: str, name: str) -> None:
        def change(db: sqlite3.Connection) -> None:
            there = _require_vault(db, vault_id)
            if there.name != name and _vaults(db, name=name):
                raise vault_exists(name)
            db.execute("UPDATE vaults SET name = ? WHERE key = ?", (name, int(vault_id, 16)))

        self._write(change)

    def set_auto_merge(self, vault_id: str, on: bool, *, by: Identity | None = None) -> None:
        def change(db: sqlite3.Connection) -> None:
            _require_vault(db, vault_id, by)
            db.execute("UPDATE vaults SET auto_merge = ? WHERE key = ?", (on, int(vault_id, 16)))

        self._write(change)

    def remove_vault(self, vault_id: str, *, by: Identity | None = None) -> None:
        def remove(db: sqlite3.Connection) -> None:
            _require_vault(db, vault_id, by)
            for table in ("versions", "conflicts", "members"):
                db.execute(f"DELETE FROM {table} WHERE vault = ?", (int(vault_id, 16),))
            db.execute("DELETE FROM vaults WHERE key = ?", (int(vault_id, 16),))

        self._write(remove)

    # -- reading the log

    def heads(self, vault_id: str, paths: Collection[str]) -> dict[str, Version]:
        return self._read(lambda db: log.heads(db, int(vault_id, 16), paths))

    def find(self, vault_id: str, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Version]:
        return self._read(lambda db: log.find(db, int(vault_id, 16), wanted))

    def has_stamp(self, vault_id: str, stamp: int) -> bool:
        return self._read(lambda db: log.has_stamp(db, int(vault_id, 16), stamp))

    def changes(self, vault_id: str, after: int, limit: int) -> list[Version]:
        return self._read(lambda db: log.changes(db, int(vault_id, 16), after, limit))

    def live(self, vault_id: str, *, at: int, after: str = "", prefix: str = "", limit: int) -> list[Version]:
        key = int(vault_id, 16)
        return self._read(lambda db: log.live(db, key, at=at, after=after, prefix=prefix, limit=limit))

    def listing(self, vault_id: str, *, at: int, after: str, limit: int) -> tuple[list[Version], str | None]:
        return self._read(lambda db: log.listing(db, int(vault_id, 16), at=at, after=after, limit=limit))

    def folder(self, vault_id: str, *, prefix: str, after: str, limit: int) -> list[Version | str]:
        return self._read(lambda db: folder(db, int(vault_id, 16), prefix, after, limit))

    def recent(
        self, vault_id: str, *, before: int, since: int, device: str | None, user: str | None, prefix: str, limit: int
    ) -> tuple[list[Version], int | None]:
        chosen = partial(log.recent, device=device, user=user, prefix=prefix, limit=limit)
        return self._read(lambda db: chosen(db, int(vault_id, 16), before=before, since=since))

    def history(self, vault_id: str, path: str, *, before: int | None, limit: int) -> list[Version]:
        return self._read(lambda db: log.history(db, int(vault_id, 16), path, before, limit))

    def facts(self, vault_id: str, queries: Sequence[Query]) -> dict[str, Facts]:
        def ask(db: sqlite3.Connection) -> dict[str, Facts]:
            found = _vaults(db, key=int(vault_id, 16))
            purged = Purged(found[0].purge_mark, found[0].lapses) if found else Purged()
            return log.facts(db, int(vault_id, 16), purged, queries)

        return self._read(ask)

    # -- conflicts

    def conflict(self, vault_id: str, conflict_id: str) -> Conflict | None:
        return self._read(lambda db: log.conflict(db, int(vault_id, 16), conflict_id))

    def open_conflicts(
        self, vault_id: str, *, after: tuple[int, str] = (0, ""), limit: int | None = None
    ) -> list[Conflict]:
        return self._read(lambda db: log.open_conflicts(db, int(vault_id, 16), after, limit))

    # -- writing

    def transact(
        self,
        vault_id: str,
        work: Callable[[Transaction], T],
        about: Collection[str] = (),  # noqa: ARG002  # a file is never far away
        by: Collection[Identity] = (),  # noqa: ARG002
    ) -> T:
        return self._write(lambda db: work(log.SqliteTransaction(db, _require_vault(db, vault_id), self._now())))

    def set_purge_mark(self, vault_id: str, stamp: int) -> None:
        self._write(
            lambda db: db.execute(
                "UPDATE vaults SET purge_mark = max(purge_mark, ?) WHERE key = ?", (stamp, int(vault_id, 16))
            )
        )

    def renew_epoch(self, vault_id: str) -> str:
        epoch = secrets.token_hex(6)

        def renew(db: sqlite3.Connection) -> None:
            for vault in _vaults(db, key=int(vault_id, 16)):
                lapses = json.dumps([*vault.lapses, (vault.clock, max(vault.clock, self._now()))])
                db.execute("UPDATE vaults SET epoch = ?, lapses = ? WHERE key = ?", (epoch, lapses, int(vault_id, 16)))

        self._write(renew)
        return epoch


def _vaults(
    db: sqlite3.Connection, *, key: int | None = None, name: str | None = None, member: str | None = None
) -> list[Vault]:
    """Vaults by name: the one with the key, the one with the name, those of the member, or all."""
    chosen, value = next(
        (
            (condition, value)
            for condition, value in (
                ("key = ?", key),
                ("name = ?", name),
                ("key IN (SELECT vault FROM members WHERE user = ?)", member),
            )
            if value is not None
        ),
        ("? = 1", 1),
    )
    rows = db.execute(
        f"""SELECT key, name, epoch, clock, purge_mark, files, bytes, stored, conflicts, auto_merge, lapses,
            versions FROM vaults
            WHERE {chosen} ORDER BY name""",
        (value,),
    ).fetchall()
    vaults = []
    for number, title, epoch, clock, purge_mark, *counters, auto_merge, lapses, versions in rows:
        members: dict[str, Role] = dict(
            db.execute("SELECT user, role FROM members WHERE vault = ? ORDER BY user", (number,)).fetchall()
        )
        counted = Vault(f"{number:016x}", title, epoch, clock, purge_mark, members, *counters)
        known = as_lapses(json.loads(lapses))
        vaults.append(replace(counted, auto_merge=bool(auto_merge), lapses=known, versions=versions))
    return vaults


def _owned(db: sqlite3.Connection, user: str) -> int:
    """How many vaults they are an owner of."""
    rows = db.execute("SELECT count(*) FROM members WHERE user = ? AND role = 'owner'", (user,))
    count: int = rows.fetchone()[0]
    return count


def _require_vault(db: sqlite3.Connection, vault_id: str, by: Identity | None = None) -> Vault:
    """`by`: who has to own it. Raises NotFound, Unauthorized, Forbidden."""
    people.check_good(db, by)
    found = _vaults(db, key=int(vault_id, 16))
    if not found:
        raise no_vault()
    return found[0] if by is None else admit(found[0], by.user, "owner")


@contextmanager
def translated() -> Iterator[None]:
    """SQLite's failures as the store's."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error) from error


def _translate(error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary == sqlite3.SQLITE_FULL:
        return DiskFull("no room for the database on the server's disk: free some, then try again")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable("the database is busy: try again in a moment")
    if is_damage(error):
        return damaged()
    return Unavailable(f"the database cannot be used ({error}): see to its disk and permissions, then try again", 10)
