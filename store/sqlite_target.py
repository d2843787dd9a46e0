"""An embedded database that takes in what another one had. It is made beside the real one and then put in its place."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from store.base import Metadata
from store.errors import Refused, Unavailable
from store.moving import Move, overtaken
from store.sqlite import SqliteMetadata, translated
from store.sqlite_moving import is_empty, move_of
from store.sqlite_schema import check_known


class SqliteTarget:
    """Implements migration.Target. Whatever was at `path` before is kept beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new = path.with_name(f"{path.name}.new")
        self._open: SqliteMetadata | None = None

    @property
    def place(self) -> str:
        return str(self._path)

    @property
    def notice(self) -> str:
        return f"the metadata was moved to {self._path}: unset GOBI_MONGO_URI and restart the server"

    def look(self) -> tuple[Move | None, bool]:
        if not self._path.exists():
            return None, True
        with translated(), closing(sqlite3.connect(self._path, isolation_level=None)) as db:
            if check_known(db) == 0:
                return None, True
            return move_of(db), is_empty(db)

    def open(self, old: Move | None, new: Move) -> Metadata:
        self._remove_new()
        with only_user(self._path):
            pass  # better said now than after an hour of copying
        if self.look()[0] != old:
            raise overtaken()
        self._open = SqliteMetadata(self._new)
        self._open.moving().mark(None, new)
        return self._open

    def complete(self, old: Move, new: Move) -> None:
        assert self._open is not None, "it was opened"
        self._open.moving().mark(old, new)
        self._open.close()
        with self._in_place(), only_user(self._path):
            _flush(self._new)
            if self._path.exists():
                self._path.rename(self._path.with_name(f"{self._path.name}.moved-{time.strftime('%Y-%m-%d-%H%M%S')}"))
            self._new.rename(self._path)
            _flush(self._path.parent)

    def abandon(self, mark: Move) -> None:  # noqa: ARG002  # what is beside the real one can be nothing else
        self._remove_new()

    def close(self) -> None:
        if self._open is not None:
            self._open.close()

    def _remove_new(self) -> None:
        self.close()
        for leftover in ("", "-wal", "-shm", "-journal"):
            self._new.with_name(self._new.name + leftover).unlink(missing_ok=True)

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(
                f"{self._new} cannot be renamed to {self._path.name} ({error.strerror}): see to the folder's disk and "
                "permissions, then try again"
            ) from error


@contextmanager
def only_user(path: Path) -> Iterator[None]:
    """Nobody uses the database meanwhile, and all that it has is in its one file: a write-ahead log that stayed under
    the old name would be taken for the new one's. Raises Refused where a server uses it."""
    if not path.exists():
        yield
        return
    with translated(), closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
        try:
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise Refused(f"{path} is in use by a server: stop that, and run this again") from None
        yield


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
