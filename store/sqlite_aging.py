"""Taking what is too old out of an embedded database's logs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict

from store.aging import Clock, Collected, Counters, permitted
from store.sqlite_moving import Run
from sync.model import Version


class SqliteAging:
    """Implements aging.Aging. `now` gives µs."""

    def __init__(self, read: Run, write: Run, now: Callable[[], int]) -> None:
        self._read = read
        self._write = write
        self._now = now

    def clock(self) -> Clock:
        return Clock(self._now(), "host")

    def last_collection(self) -> Collected | None:
        row = self._read(lambda db: db.execute("SELECT value FROM meta WHERE key = 'collection'").fetchone())
        return Collected(**json.loads(row[0])) if row else None

    def note_collection(self, collected: Collected) -> None:
        text = json.dumps(asdict(collected))
        self._write(lambda db: db.execute("INSERT OR REPLACE INTO meta VALUES ('collection', ?)", (text,)))

    def purge(self, vault_id: str, versions: Sequence[Version], before: int) -> list[Version]:
        return self._write(lambda db: _purge(db, int(vault_id, 16), versions, before))

    def adjust(self, vault_id: str, by: Counters) -> None:
        self._write(
            lambda db: db.execute(
                """UPDATE vaults SET files = files + ?, bytes = bytes + ?, stored = stored + ?,
                   conflicts = conflicts + ? WHERE key = ?""",
                (*by, int(vault_id, 16)),
            )
        )


def _purge(db: sqlite3.Connection, vault: int, versions: Sequence[Version], before: int) -> list[Version]:
    paths = json.dumps(sorted({version.path for version in versions}))
    disputed = db.execute(
        """SELECT DISTINCT path FROM conflicts INDEXED BY conflicts_by_path
           WHERE vault = ? AND path IN (SELECT value FROM json_each(?)) AND resolution IS NULL""",
        (vault, paths),
    )
    ended = json.dumps(sorted({version.path for version in versions if not version.live}))
    there = db.execute(
        """SELECT path, stamp FROM versions INDEXED BY versions_by_path
           WHERE vault = ? AND path IN (SELECT value FROM json_each(?))""",
        (vault, ended),
    )
    going = permitted(versions, before, {path for (path,) in disputed}, there.fetchall())
    delete = "DELETE FROM versions WHERE vault = ? AND stamp = ? AND path = ?"
    gone = [one for one in going if db.execute(delete, (vault, one.stamp, one.path)).rowcount]
    db.execute("UPDATE vaults SET versions = versions - ? WHERE key = ?", (len(gone), vault))
    return gone
