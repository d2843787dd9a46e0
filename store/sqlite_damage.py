"""A damaged database file: how it is found, and what is said of it."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from store.errors import Unusable

log = logging.getLogger("gobi.database")

ADVICE = (
    'stop the server and put a backup back with `gobi restore-backup`: docs/troubleshooting.md, "The database is '
    'damaged", has the steps'
)
MESSAGE = f"the database file is damaged: {ADVICE}"


class Damage:
    """What a process knows of a file that it works on. Once damage was met, nothing may be written: it might spread,
    and what is acknowledged might be lost. Reading goes on where it can."""

    def __init__(self) -> None:
        self._met = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Whatever is done with the file."""
        try:
            yield
        except sqlite3.Error as error:
            if is_damage(error) and not self._met:
                self._met = True
                log.error("%s (%s). Until then nothing is written; what can be read is served", MESSAGE, error)
            raise

    def check(self) -> None:
        """Raises Unusable where damage was met."""
        if self._met:
            raise damaged()


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says by it that the file is damaged, or no database at all."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damaged() -> Unusable:
    return Unusable(MESSAGE)


def examine(db: sqlite3.Connection, patience_s: float | None) -> tuple[str, bool]:
    """What is wrong with the pages of the file, "" for nothing; and whether all of it was read, which may take so many
    seconds (None: as long as it takes). Raises sqlite3.Error."""
    until = None if patience_s is None else time.monotonic() + patience_s
    # Most of it is one instruction, in which SQLite asks no progress handler before its version 3.42.
    alarm = None if patience_s is None else threading.Timer(patience_s, db.interrupt)
    if alarm is not None:
        alarm.daemon = True
        alarm.start()
    try:
        verdict: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        if is_damage(error):
            return str(error), True
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return "", False
    finally:
        if alarm is not None:
            alarm.cancel()
            alarm.join()
    if until is not None and time.monotonic() >= until:
        return "", False  # interrupted, it may take what it did not read for damage
    return ("" if verdict == "ok" else " ".join(verdict.split())[:200]), True
