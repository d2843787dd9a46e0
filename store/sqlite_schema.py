"""The embedded database's tables, and the steps from each older schema to this one.

A version's hash is its 32 bytes; NULL marks a tombstone. Its `executable` and `at` are NULL where there is nothing to
say. A vault's key is its internal id as an integer. TEXT compares by its UTF-8 bytes, which is the byte order that the
protocol promises for paths.
"""

from __future__ import annotations

import secrets
import sqlite3

from store.errors import Unusable

STEPS: list[str] = [
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT) WITHOUT ROWID;
    CREATE TABLE vaults (
        key INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        epoch TEXT NOT NULL,
        clock INTEGER NOT NULL DEFAULT 0,
        purge_mark INTEGER NOT NULL DEFAULT 0,
        files INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        stored INTEGER NOT NULL DEFAULT 0,
        conflicts INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE members (
        vault INTEGER NOT NULL,
        user TEXT NOT NULL,
        role TEXT NOT NULL,
        PRIMARY KEY (vault, user)
    ) WITHOUT ROWID;
    CREATE INDEX members_by_user ON members (user);
    CREATE TABLE versions (
        vault INTEGER NOT NULL,
        stamp INTEGER NOT NULL,
        path TEXT NOT NULL,
        base INTEGER,
        hash BLOB,
        size INTEGER NOT NULL,
        mtime INTEGER,
        device TEXT NOT NULL,
        user TEXT NOT NULL,
        PRIMARY KEY (vault, stamp)
    ) WITHOUT ROWID;
    CREATE INDEX versions_by_path ON versions (vault, path, stamp);
    CREATE TABLE conflicts (
        vault INTEGER NOT NULL,
        id TEXT NOT NULL,
        path TEXT NOT NULL,
        base INTEGER,
        opened INTEGER NOT NULL,
        candidates TEXT NOT NULL,
        resolution TEXT,
        PRIMARY KEY (vault, id)
    ) WITHOUT ROWID;
    CREATE INDEX conflicts_by_path ON conflicts (vault, path);
    CREATE INDEX conflicts_open ON conflicts (vault, opened) WHERE resolution IS NULL;
    """,
    "ALTER TABLE vaults ADD COLUMN auto_merge INTEGER NOT NULL DEFAULT 0",
    """
    ALTER TABLE users ADD COLUMN devices TEXT NOT NULL DEFAULT '[]';
    CREATE TABLE invitations (
        hash TEXT PRIMARY KEY,
        user TEXT NOT NULL,
        vault INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        password TEXT
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE versions ADD COLUMN executable INTEGER;
    ALTER TABLE versions ADD COLUMN at INTEGER;
    """,
    "ALTER TABLE vaults ADD COLUMN lapses TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE users ADD COLUMN sessions TEXT NOT NULL DEFAULT '[]'",
    """
    ALTER TABLE vaults ADD COLUMN versions INTEGER NOT NULL DEFAULT 0;
    UPDATE vaults SET versions = (SELECT count(*) FROM versions WHERE versions.vault = vaults.key);
    """,
]


def check_known(db: sqlite3.Connection) -> int:
    """The schema's version, 0 for a database that is not gobi's yet. Raises Unusable where it is a newer gobi's."""
    found = _schema_version(db)
    if found > len(STEPS):
        raise Unusable(
            f"the database has schema {found}, this gobi knows {len(STEPS)}: start the newer gobi that wrote it, or "
            "restore a backup that this one wrote"
        )
    return found


def upgrade(db: sqlite3.Connection) -> None:
    """Brings the database to this schema, one transaction a step. Raises Unusable where it is newer than that."""
    if check_known(db) == len(STEPS):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for number in range(_schema_version(db), len(STEPS)):
            for statement in STEPS[number].split(";"):
                if statement.strip():
                    db.execute(statement)
        db.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?)", (secrets.token_bytes(32),))
        db.execute(f"PRAGMA user_version = {len(STEPS)}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _schema_version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version
