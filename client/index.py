"""`.gobi/index.db`: what every file was at the last sync, and the cursor, replaced together or not at all.

The whole table is held in memory; what changes is noted and written by the next `save` or `finish`. It is a cache of
what the folder and the server know: without it the next sync compares everything by hash and deletes nothing.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from client.pause import collector_paused
from client.ports import Clock, Entry, StateTrouble, Stopped

NAME = "index.db"
START = "0"

# One script a schema version; PRAGMA user_version says how many have run. Only ever append.
_STEPS = (
    """
    CREATE TABLE files (
        path TEXT PRIMARY KEY, stamp INTEGER, hash TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, recorded_ns INTEGER NOT NULL, sent TEXT NOT NULL,
        conflict TEXT
    ) WITHOUT ROWID;
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE readings (
        path TEXT PRIMARY KEY, hash TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, recorded_ns INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
    "ALTER TABLE files ADD COLUMN executable INTEGER;",  # NULL: an earlier gobi did not look
)
_PATIENCE = 10.0  # seconds to wait for another process that reads or writes

# Anything else that SQLite raises means that the file is not, or no longer, an index.
_NOT_DAMAGE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
}


_KEPT_SENT = 8  # at each end of a list of hashes


def bounded(sent: tuple[str, ...]) -> tuple[str, ...]:
    """The hashes of a list that may name what the server has, in the order of sending; however many there were.

    The last that arrived settles what the base is (docs/protocol.md, section 5). So the newest matter, and the first,
    which were sent before a conflict began and may be what its base is known by. Where the only one that arrived is
    left out, the worst is a conflict of a file with an older version of itself.
    """
    return sent if len(sent) <= 2 * _KEPT_SENT else sent[:_KEPT_SENT] + sent[-_KEPT_SENT:]


class Damaged(Stopped):
    """The file is no index; it can be begun anew."""


class Record(NamedTuple):
    """What is known of one path.

    `stamp`: the version that was last the same on both sides; None where the server has not acknowledged one. `hash`:
    of that version. The file that has this content is described by `size` to `inode` as in Entry, seen at
    `recorded_ns`. `sent`: hashes sent for the path whose fate is not known, or that are candidates of `conflict`; a
    few (`bounded`), however often the file is saved while that lasts. `executable`: whether the file could be run when
    both sides were last in step about that.
    """

    path: str
    stamp: int | None
    hash: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    recorded_ns: int
    sent: tuple[str, ...] = ()
    conflict: str | None = None
    executable: bool = False

    @classmethod
    def of(cls, entry: Entry, stamp: int, hash: str, seen_ns: int) -> Record:
        """`seen_ns`: a moment before the file was looked at."""
        return cls(entry.path, stamp, hash, entry.size, entry.mtime_ns, entry.ctime_ns, entry.inode, seen_ns)

    @property
    def may_be_there(self) -> bool:
        """Whether the server has something of the path, or may have: where a reply was lost nobody can tell."""
        return self.stamp is not None or bool(self.sent) or self.conflict is not None

    @classmethod
    def unknown(cls, path: str) -> Record:
        """A path that the server has not acknowledged anything of."""
        return cls(path, None, "", 0, 0, 0, 0, 0)

    def sending(self, digest: str) -> Record:
        """The same, and this content is the last that may have come to the server."""
        if self.sent[-1:] == (digest,):
            return self
        earlier = tuple(one for one in self.sent if one != digest)
        return self._replace(sent=bounded((*earlier, digest)))


_PLAIN = "path, stamp, hash, size, mtime_ns, ctime_ns, inode, recorded_ns"
_READING = "path, hash, size, mtime_ns, ctime_ns, inode, recorded_ns"
_UNSETTLED = "sent <> '' OR conflict IS NOT NULL OR executable"
_SETTLED = ((), None, False)  # the last fields of nearly every record
_record = Record._make

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1  # SQLite's integers
_NONE_SENT = "[]"  # not "", so that the row is among those that are loaded with care


class Index:
    """Opened with `open`, or in memory. Raises Stopped where the disk says no.

    `readings`: files as they were read, where that is not what `records` has of them (they are refused, in conflict, or
    not sent yet), as records without a stamp. They are not read again.
    """

    def __init__(self, path: Path | str = ":memory:") -> None:
        self._path = path
        # Used by one thread at a time, but not always the one that opened it (client/watch.py).
        self._db = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        self._changed: set[str] = set()
        self._changed_readings: set[str] = set()
        self.records: dict[str, Record] = {}
        self.readings: dict[str, Record] = {}
        self.unsure: set[str] = set()  # files of which nobody has looked whether they may be run
        self.cursor = START
        self.rules = ""  # the ignore patterns of the sync that the cursor is from
        self.mounts: dict[str, str] | None = None  # what was mounted in the folder at the latest look, by path
        self.max_file: int | None = None  # bytes of the largest file that the server takes; 0: it does not say
        self._meta: dict[str, str] = {}  # what changed of all that
        try:
            self._prepare()
            self._load()
        except BaseException:
            self._db.close()
            raise

    @classmethod
    def open(cls, state: Path, *, repair: bool, clock: Clock) -> Index:
        """The index of the folder `state`. With `repair` a damaged one is moved to the trash and begun anew.

        Raises Stopped.
        """
        path = state / NAME
        if any(one.is_symlink() for one in _files_of(path)):  # SQLite would follow it
            raise Stopped(f"{path}, or a file beside it, is a symbolic link, and gobi makes none; remove it", 78)
        try:
            return cls(path)
        except (sqlite3.Error, UnicodeDecodeError, ValueError, TypeError) as error:
            if _is_damage(error) and repair:
                _set_aside(path, clock)
                return cls(path)
            raise _stopped(path, error) from error

    def close(self) -> None:
        self._db.close()

    def put(self, record: Record) -> None:
        self.records[record.path] = record
        self._changed.add(record.path)
        self.unsure.discard(record.path)
        reading = self.readings.get(record.path)
        if reading is not None and reading[2:7] == record[2:7]:  # hash to inode
            self.forget_reading(record.path)

    def forget(self, path: str) -> None:
        if self.records.pop(path, None) is not None:
            self._changed.add(path)

    def note_mounts(self, mounts: dict[str, str]) -> None:
        """Durable with the next `save` or `finish`: no later than the first file of a disk."""
        if mounts != self.mounts:
            self.mounts = mounts
            self._meta["mounts"] = json.dumps(mounts)

    def note_max_file(self, size: int) -> None:
        """Durable with the next `save` or `finish`."""
        if size != self.max_file:
            self.max_file = size
            self._meta["max_file"] = str(size)

    def put_reading(self, reading: Record) -> None:
        self.readings[reading.path] = reading
        self._changed_readings.add(reading.path)

    def forget_reading(self, path: str) -> None:
        del self.readings[path]
        self._changed_readings.add(path)

    def save(self) -> None:
        """Makes what changed durable. The cursor stays."""
        if self._changed or self._changed_readings or self._meta:
            self._write(self._meta)

    def finish(self, cursor: str, rules: str) -> None:
        """Makes what changed, the cursor and the ignore rules it goes with durable in one transaction."""
        meta = dict(self._meta)
        if (cursor, rules) != (self.cursor, self.rules):
            meta |= {"cursor": cursor, "rules": rules}
        if self._changed or self._changed_readings or meta:
            self._write(meta)
        self.cursor, self.rules = cursor, rules

    def _write(self, meta: dict[str, str]) -> None:
        rows = [self.records[path] for path in self._changed if path in self.records]
        gone = [(path,) for path in self._changed if path not in self.records]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_to_row, rows))
                self._db.executemany("DELETE FROM files WHERE path = ?", gone)
                if self._changed_readings:
                    self._write_readings()
                self._db.executemany("REPLACE INTO meta VALUES (?, ?)", meta.items())
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has ended it already
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _stopped(self._path, error) from error
        self._changed.clear()
        self._meta.clear()
        self._changed_readings.clear()

    def _write_readings(self) -> None:
        changed = [(path,) for path in self._changed_readings]
        rows = [self.readings[path] for path in self._changed_readings if path in self.readings]
        self._db.executemany("DELETE FROM readings WHERE path = ?", changed)
        columns = ((one.path, one.hash, *map(_to_column, one[3:8])) for one in rows)
        self._db.executemany("INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?, ?)", columns)

    def _prepare(self) -> None:
        # The rollback journal, not WAL: nothing is left to be merged when a sync that changed nothing ends.
        self._db.execute("PRAGMA journal_mode = TRUNCATE")
        self._db.execute("PRAGMA synchronous = FULL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(_STEPS):
            raise Stopped(f"{self._path} was written by a newer gobi; update gobi on this machine, then sync again", 78)
        for number, step in enumerate(_STEPS[version:], version + 1):
            self._db.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number}; COMMIT")

    def _load(self) -> None:
        meta = dict(self._db.execute("SELECT name, value FROM meta"))
        self.cursor, self.rules = meta.get("cursor", START), meta.get("rules", "")
        self.max_file = int(meta["max_file"]) if "max_file" in meta else None
        self.mounts = json.loads(meta["mounts"]) if "mounts" in meta else None
        with collector_paused():
            plain = self._db.execute(f"SELECT {_PLAIN} FROM files")
            self.records = {row[0]: _record(row + _SETTLED) for row in plain}
            unsettled = self._db.execute(f"SELECT {_PLAIN}, sent, conflict, executable FROM files WHERE {_UNSETTLED}")
            for *row, sent, conflict, executable in unsettled:
                hashes = bounded(tuple(json.loads(sent or _NONE_SENT)))  # gobi 0.1.0 kept all
                self.records[row[0]] = _record((*map(_from_column, row), hashes, conflict, bool(executable)))
        self.unsure = {path for (path,) in self._db.execute("SELECT path FROM files WHERE executable IS NULL")}
        for path, *row in self._db.execute(f"SELECT {_READING} FROM readings"):
            self.readings[path] = _record((path, None, *map(_from_column, row), *_SETTLED))


def _to_row(record: Record) -> tuple[object, ...]:
    sent = '["' + '", "'.join(record.sent) + '"]' if record.sent else ""  # hashes need no escaping
    numbers = (record.stamp or 0, *record[3:8])
    if min(numbers) < _LEAST or max(numbers) > _MOST:
        return (*map(_to_column, record[:8]), sent or _NONE_SENT, record.conflict, record.executable)
    return (*record[:8], sent, record.conflict, record.executable)


def _to_column(value: int | str | None) -> int | str | bytes | None:
    """A number that has no room in SQLite's 64 bits is kept as its digits, so that one file never stops the rest.

    As bytes: text that looks like a number would become a rounded one.
    """
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        return str(value).encode()
    return value


def _from_column(value: int | str | bytes | None) -> int | str | None:
    return int(value) if isinstance(value, bytes) else value


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF not in _NOT_DAMAGE  # the low byte is the primary code


def _stopped(path: Path | str, error: Exception) -> Stopped:
    if _is_damage(error):
        return Damaged(f"{path} is damaged ({error}); the next gobi sync builds it anew, and deletes nothing", 1)
    return StateTrouble(f"{path} cannot be used ({error})")


def _set_aside(path: Path, clock: Clock) -> None:
    now = clock.time_ns()
    moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 1_000_000_000))
    trash = path.parent / "trash" / f"{moment}.{now % 1_000_000_000 // 1000:06}Z-index"
    trash.mkdir(parents=True, exist_ok=True)
    for one in _files_of(path):
        if one.exists():
            one.replace(trash / one.name)


def _files_of(path: Path) -> Iterable[Path]:
    return (path, *(path.with_name(f"{path.name}-{end}") for end in ("journal", "wal", "shm")))
