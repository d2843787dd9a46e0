"""What `gobi doctor` finds out about the embedded database. It changes nothing there."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from store import findings
from store.findings import Finding, megabytes, ok, wrong
from store.sqlite_damage import ADVICE, examine, is_damage
from store.sqlite_moving import move_of
from store.sqlite_schema import STEPS

SUBJECT = "SQLite"
# On a large database and a slow disk; what was not read by then is not judged.
PATIENCE_S = 10.0
BUSY_S = 2.0


def check(path: Path, *, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    if not path.exists():
        yield ok(SUBJECT, f"{path} is not there yet: the first start makes it")
        yield findings.people(0)
        return
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=BUSY_S)) as db:
            yield from _look(db, path, now)
    except sqlite3.Error as error:
        yield _trouble(path, error)


def _look(db: sqlite3.Connection, path: Path, now: Callable[[], float]) -> Iterator[Finding]:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    size = sum(one.stat().st_size for one in (path, path.with_name(f"{path.name}-wal")) if one.exists())
    yield ok(SUBJECT, f"{path}, {megabytes(size)}")
    yield findings.schema(SUBJECT, version, len(STEPS))
    yield _quick_check(db)
    if not 0 < version <= len(STEPS):
        return  # its tables are not known here
    newest: int = db.execute("SELECT coalesce(max(clock), 0) FROM vaults").fetchone()[0]
    yield findings.stamps(SUBJECT, newest, now())  # where the clock is wrong: a Raspberry Pi has no battery for it
    yield from findings.move(SUBJECT, move_of(db))
    yield findings.people(db.execute("SELECT count(*) FROM users").fetchone()[0])


def _quick_check(db: sqlite3.Connection) -> Finding:
    verdict, whole = examine(db, PATIENCE_S)
    if verdict:
        return _damaged(verdict)
    return ok(SUBJECT, "sound" if whole else f"sound as far as {PATIENCE_S:.0f} s of reading go")


def _trouble(path: Path, error: sqlite3.Error) -> Finding:
    if is_damage(error):
        return _damaged(str(error))
    return wrong(SUBJECT, f"{path} cannot be opened ({error})", "see to its disk and its permissions", "reach")


def _damaged(said: str) -> Finding:
    text = " ".join(said.split())[:200]
    return wrong(SUBJECT, f"it is damaged ({text})", ADVICE)
