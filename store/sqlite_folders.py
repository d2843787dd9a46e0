"""One folder's files and folders, in the embedded database: a skip scan, which leaps over what lies deeper."""

from __future__ import annotations

import sqlite3

from store.folders import name_of, past
from store.sqlite_log import FIELDS, NEWEST, as_version, beyond
from sync.model import Version


def folder(db: sqlite3.Connection, vault: int, prefix: str, after: str, limit: int) -> list[Version | str]:
    """A statement a folder, and one for each row of files between folders."""
    found: list[Version | str] = []
    position: str | None = past(prefix, after)
    while position is not None and len(found) < limit:
        rows = db.execute(
            f"""SELECT {FIELDS} FROM versions v INDEXED BY versions_by_path
                WHERE v.vault = ? AND v.path >= ? AND v.path < CAST(? AS TEXT) AND v.hash IS NOT NULL
                AND v.stamp = {NEWEST} ORDER BY v.path LIMIT ?""",
            (vault, position, beyond(prefix), limit - len(found)),
        )
        position = None
        for version in map(as_version, rows):
            name = name_of(prefix, version.path)
            if name != version.path:
                found.append(name)
                position = past(prefix, name)
                break
            found.append(version)
        rows.close()
    return found
