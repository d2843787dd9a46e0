"""Queries on the embedded database's log of versions and conflicts, on an open connection.

Lists of paths travel as one JSON parameter, so that a request costs a bounded number of statements.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from functools import partial

from store import sqlite_people as people
from store.access import is_good
from store.base import LOOKED_AT, Identity, Query, Totals, Vault
from store.facts import Purged, gather, moved, settle
from sync.model import Candidate, Conflict, Version
from sync.plan import Facts

FIELDS = "v.path, v.stamp, v.base, v.hash, v.size, v.mtime, v.device, v.user, v.executable, v.at"
NEWEST = "(SELECT max(stamp) FROM versions WHERE vault = v.vault AND path = v.path)"


def as_version(row: Sequence[object]) -> Version:
    path, stamp, base, digest, size, mtime, device, user, executable, at = row
    return Version(
        path,  # type: ignore[arg-type]  # sqlite3 rows are untyped; the schema fixes these
        "delete" if digest is None else "put",
        stamp,  # type: ignore[arg-type]
        base,  # type: ignore[arg-type]
        None if digest is None else digest.hex(),  # type: ignore[attr-defined]
        size,  # type: ignore[arg-type]
        mtime,  # type: ignore[arg-type]
        device,  # type: ignore[arg-type]
        user,  # type: ignore[arg-type]
        bool(executable),
        at,  # type: ignore[arg-type]
    )


def as_versions(rows: Iterable[Sequence[object]]) -> list[Version]:
    return [as_version(row) for row in rows]


def heads(db: sqlite3.Connection, vault: int, paths: Collection[str]) -> dict[str, Version]:
    rows = db.execute(
        f"""SELECT {FIELDS} FROM json_each(?) p CROSS JOIN versions v INDEXED BY versions_by_path
            ON v.vault = ? AND v.path = p.value
            AND v.stamp = (SELECT max(stamp) FROM versions WHERE vault = ? AND path = p.value)""",
        (json.dumps(list(paths)), vault, vault),
    )
    return {version.path: version for version in as_versions(rows)}


def live_below(
    db: sqlite3.Connection, vault: int, paths: Collection[str], excluding: Collection[str] = ()
) -> dict[str, Version]:
    rows = db.execute(
        f"""SELECT p.value, (
                SELECT v.path FROM versions v INDEXED BY versions_by_path
                WHERE v.vault = ? AND v.path > p.value || '/' AND v.path < p.value || '0'
                AND v.hash IS NOT NULL AND v.stamp = {NEWEST}
                AND v.path NOT IN (SELECT value FROM json_each(?))
                LIMIT 1
            ) FROM json_each(?) p""",
        (vault, json.dumps(list(excluding)), json.dumps(list(paths))),
    )
    found = {path: below for path, below in rows if below is not None}
    versions = heads(db, vault, set(found.values())) if found else {}
    return {path: versions[below] for path, below in found.items()}


def find(db: sqlite3.Connection, vault: int, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Version]:
    rows = db.execute(
        f"""SELECT {FIELDS} FROM json_each(?) w CROSS JOIN versions v
            ON v.vault = ? AND v.stamp = json_extract(w.value, '$[1]') AND v.path = json_extract(w.value, '$[0]')""",
        (json.dumps(list(wanted)), vault),
    )
    return {(version.path, version.stamp): version for version in as_versions(rows)}


def has_stamp(db: sqlite3.Connection, vault: int, stamp: int) -> bool:
    return db.execute("SELECT 1 FROM versions WHERE vault = ? AND stamp = ?", (vault, stamp)).fetchone() is not None


def changes(db: sqlite3.Connection, vault: int, after: int, limit: int) -> list[Version]:
    return as_versions(
        db.execute(
            f"SELECT {FIELDS} FROM versions v WHERE vault = ? AND stamp > ? ORDER BY stamp LIMIT ?",
            (vault, after, limit),
        )
    )


def beyond(prefix: str) -> bytes:
    """What comes after every string with the prefix, by bytes; for a comparison with CAST(? AS TEXT).

    The prefix with its last byte raised by one: UTF-8 has no byte 0xff.
    """
    encoded = prefix.encode()
    return encoded[:-1] + bytes([encoded[-1] + 1]) if encoded else b"\xff"


def live(db: sqlite3.Connection, vault: int, *, at: int, after: str, prefix: str, limit: int) -> list[Version]:
    return as_versions(
        db.execute(
            f"""SELECT {FIELDS} FROM versions v INDEXED BY versions_by_path
                WHERE v.vault = ? AND v.path > ? AND v.path >= ? AND v.path < CAST(? AS TEXT) AND v.hash IS NOT NULL
                AND v.stamp = (SELECT max(stamp) FROM versions WHERE vault = v.vault AND path = v.path AND stamp <= ?)
                ORDER BY v.path LIMIT ?""",
            (vault, after, prefix, beyond(prefix), at, limit),
        )
    )


def listing(db: sqlite3.Connection, vault: int, *, at: int, after: str, limit: int) -> tuple[list[Version], str | None]:
    page = as_versions(
        db.execute(
            f"""SELECT {FIELDS} FROM versions v INDEXED BY versions_by_path
                WHERE v.vault = ? AND v.path > ? AND v.hash IS NOT NULL AND v.stamp <= ? AND v.stamp = {NEWEST}
                ORDER BY v.path LIMIT ?""",
            (vault, after, at, limit),
        )
    )
    return page, page[-1].path if len(page) == limit else None


def recent(
    db: sqlite3.Connection,
    vault: int,
    *,
    before: int,
    since: int,
    device: str | None,
    user: str | None,
    prefix: str,
    limit: int,
) -> tuple[list[Version], int | None]:
    looked_at = max(limit, LOOKED_AT)
    window = "FROM versions WHERE vault = ? AND stamp < ? AND stamp > ? ORDER BY stamp DESC"
    last = db.execute(f"SELECT stamp {window} LIMIT 1 OFFSET ?", (vault, before, since, looked_at - 1)).fetchone()
    page = as_versions(
        db.execute(
            f"""SELECT {FIELDS} FROM versions v
                WHERE vault = ? AND stamp < ? AND stamp > ? AND device = ifnull(?, device) AND user = ifnull(?, user)
                AND +path >= ? AND +path < CAST(? AS TEXT) ORDER BY stamp DESC LIMIT ?""",
            (vault, before, last[0] - 1 if last else since, device, user, prefix, beyond(prefix), limit),
        )
    )
    if len(page) == limit:
        return page, page[-1].stamp
    return page, last[0] if last else None


def history(db: sqlite3.Connection, vault: int, path: str, before: int | None, limit: int) -> list[Version]:
    return as_versions(
        db.execute(
            f"""SELECT {FIELDS} FROM versions v INDEXED BY versions_by_path
                WHERE vault = ? AND path = ? AND stamp < ? ORDER BY stamp DESC LIMIT ?""",
            (vault, path, before if before is not None else 1 << 62, limit),
        )
    )


def facts(db: sqlite3.Connection, vault: int, purged: Purged, queries: Sequence[Query]) -> dict[str, Facts]:
    newest = heads(db, vault, [query.path for query in queries])
    changed = moved(queries, newest)
    named = find(db, vault, [(q.path, q.base) for q in changed if q.base is not None])
    settled = settle(changed, newest, partial(_puts, db, vault), partial(conflicts_on, db, vault))
    return gather(queries, newest, named, settled, purged)


def _puts(db: sqlite3.Connection, vault: int, queries: Sequence[Query]) -> list[Version]:
    """Puts above each query's base with a hash that one of the queries has, oldest first."""
    asked = [[q.path, q.base or 0] for q in queries]
    hashes = list({digest for q in queries for digest in q.hashes})
    return as_versions(
        db.execute(
            f"""SELECT {FIELDS} FROM json_each(?) q CROSS JOIN versions v INDEXED BY versions_by_path
                ON v.vault = ? AND v.path = json_extract(q.value, '$[0]') AND v.stamp > json_extract(q.value, '$[1]')
                WHERE lower(hex(v.hash)) IN (SELECT value FROM json_each(?))
                ORDER BY v.stamp""",
            (json.dumps(asked), vault, json.dumps(hashes)),
        )
    )


_CONFLICT = "id, path, base, opened, candidates, resolution"


def _conflict(row: Sequence[str]) -> Conflict:
    key, path, base, opened, candidates, resolution = row
    return Conflict(
        key,
        path,
        base,  # type: ignore[arg-type]  # sqlite3 rows are untyped; the schema fixes these
        opened,  # type: ignore[arg-type]
        tuple(Candidate.from_json(one) for one in json.loads(candidates)),
        json.loads(resolution) if resolution else None,
    )


def conflict(db: sqlite3.Connection, vault: int, conflict_id: str) -> Conflict | None:
    row = db.execute(f"SELECT {_CONFLICT} FROM conflicts WHERE vault = ? AND id = ?", (vault, conflict_id)).fetchone()
    return _conflict(row) if row else None


def conflicts_on(db: sqlite3.Connection, vault: int, paths: Collection[str]) -> list[Conflict]:
    rows = db.execute(
        f"""SELECT {_CONFLICT} FROM conflicts INDEXED BY conflicts_by_path
            WHERE vault = ? AND path IN (SELECT value FROM json_each(?)) ORDER BY opened""",
        (vault, json.dumps(list(paths))),
    )
    return [_conflict(row) for row in rows]


def open_conflicts(
    db: sqlite3.Connection, vault: int, after: tuple[int, str] = (0, ""), limit: int | None = None
) -> list[Conflict]:
    there = f"SELECT {_CONFLICT} FROM conflicts WHERE vault = ? AND resolution IS NULL"
    if limit is None:
        rows = db.execute(f"{there} ORDER BY opened", (vault,))
    else:
        further = "AND opened >= ? AND (opened > ? OR id > ?) ORDER BY opened, id LIMIT ?"
        rows = db.execute(f"{there} {further}", (vault, after[0], *after, limit))
    return [_conflict(row) for row in rows]


def conflicts(db: sqlite3.Connection, vault: int, after: str, limit: int) -> list[Conflict]:
    """By id, open and settled."""
    rows = db.execute(
        f"SELECT {_CONFLICT} FROM conflicts WHERE vault = ? AND id > ? ORDER BY id LIMIT ?", (vault, after, limit)
    )
    return [_conflict(row) for row in rows]


# -- writing


def insert(db: sqlite3.Connection, vault: int, versions: Sequence[Version]) -> None:
    db.executemany(
        """INSERT INTO versions (vault, stamp, path, base, hash, size, mtime, device, user, executable, at)
           VALUES (?,?,?,?,?,?,?,?,?,?,?)""",
        [
            (
                vault,
                v.stamp,
                v.path,
                v.base,
                bytes.fromhex(v.hash) if v.hash is not None else None,
                v.size,
                v.mtime,
                v.device,
                v.user,
                v.executable or None,
                v.at,
            )
            for v in versions
        ],
    )


def put_conflict(db: sqlite3.Connection, vault: int, conflict: Conflict) -> None:
    """Adds it, or replaces the one with its id."""
    db.execute(
        f"INSERT OR REPLACE INTO conflicts (vault, {_CONFLICT}) VALUES (?,?,?,?,?,?,?)",
        (
            vault,
            conflict.id,
            conflict.path,
            conflict.base,
            conflict.opened,
            json.dumps([one.to_json() for one in conflict.candidates]),
            json.dumps(conflict.resolution) if conflict.resolution is not None else None,
        ),
    )


class SqliteTransaction:
    """Implements base.Transaction on a connection that holds the write lock."""

    def __init__(self, db: sqlite3.Connection, vault: Vault, now: int) -> None:
        self.vault = vault
        self.now = now
        self.first_stamp = max(vault.clock + 1, now)
        self._db = db
        self._key = int(vault.id, 16)

    def heads(self, paths: Collection[str]) -> dict[str, Version]:
        return heads(self._db, self._key, paths)

    def live_below(self, paths: Collection[str], excluding: Collection[str] = ()) -> dict[str, Version]:
        return live_below(self._db, self._key, paths, excluding)

    def find(self, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Version]:
        return find(self._db, self._key, wanted)

    def append(self, versions: Sequence[Version], totals: Totals) -> None:
        insert(self._db, self._key, versions)
        clock = versions[-1].stamp if versions else self.vault.clock
        self._db.execute(
            """UPDATE vaults SET clock = ?, files = files + ?, bytes = bytes + ?, stored = stored + ?,
               versions = versions + ? WHERE key = ?""",
            (clock, totals.files, totals.bytes, totals.stored, len(versions), self._key),
        )

    def is_good(self, who: Identity) -> bool:
        found = people.user(self._db, who.user)
        return found is not None and is_good(found, who)

    def conflict(self, conflict_id: str) -> Conflict | None:
        return conflict(self._db, self._key, conflict_id)

    def conflicts_on(self, paths: Collection[str]) -> list[Conflict]:
        return conflicts_on(self._db, self._key, paths)

    def save_conflict(self, conflict: Conflict) -> None:
        before = self.conflict(conflict.id)
        put_conflict(self._db, self._key, conflict)
        change = int(conflict.open) - int(before is not None and before.open)
        self._db.execute("UPDATE vaults SET conflicts = conflicts + ? WHERE key = ?", (change, self._key))
