"""A gobi server in this process, on real SQLite and real files, and a client.ports.Transport that calls it directly."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import BinaryIO

from client.bundles import unpack
from client.ports import Pushed, Result, ServerAway, ServerRefused, SyncAnswer
from store.base import Vault
from store.bodies import DiskBodies
from store.collection import Collector, Limits
from store.commit import Outcome
from store.errors import (
    BadCursor,
    BodyMissing,
    CursorExpired,
    Forbidden,
    HashMismatch,
    NotFound,
    PathTaken,
    QuotaExceeded,
    Stale,
    StoreError,
    TooLarge,
)
from store.sqlite import SqliteMetadata
from sync.bundle import END, header, padding
from sync.judge import Verdict, Write
from sync.model import Change, Conflict, Cursor, Json, Version
from tests.client.one_vault import OneVault
from tests.client.overheard import Overheard
from tests.server import USER

NAME = "notes"
DAY_US = 24 * 3600 * 1_000_000

_REFUSALS: list[tuple[type[StoreError], int, str]] = [
    (CursorExpired, 410, "cursor-expired"),
    (BadCursor, 400, "bad-cursor"),
    (NotFound, 404, "not-found"),
    (Forbidden, 403, "forbidden"),
    (Stale, 412, "conflict"),
    (PathTaken, 409, "path-taken"),
    (TooLarge, 413, "too-large"),
    (HashMismatch, 422, "hash-mismatch"),
    (QuotaExceeded, 507, "quota"),
    (BodyMissing, 500, "internal"),
]


class Server(OneVault):
    """One vault. `now` is its database's clock in µs: a tick a reading, unless a test sets it."""

    metadata: SqliteMetadata

    def __init__(self, folder: Path, *, max_file: int = 1 << 30, quota: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.now = count(1_800_000_000_000_000, 1000)
        metadata = SqliteMetadata(folder / "metadata.db", now=lambda: next(self.now))
        super().__init__(metadata, DiskBodies(folder / "bodies"), NAME, max_file=max_file, quota=quota)
        if not self.metadata.users():
            self.metadata.add_user(USER, "")
            self.registry.create(USER, NAME, None)

    def transport(self, device: str) -> Direct:
        return Direct(self, device)

    # -- what its operator does

    def days_later(self, days: float) -> None:
        self.now = count(next(self.now) + round(days * DAY_US), 1000)

    def save(self) -> None:
        """Copies the database away."""
        with closing(sqlite3.connect(self._database)) as here, closing(sqlite3.connect(self._saved)) as there:
            here.backup(there)

    def put_back(self) -> bool:
        """Puts the copy back as a restore does; False where there is none."""
        if not self._saved.exists():
            return False
        with closing(sqlite3.connect(self._saved)) as there, closing(sqlite3.connect(self._database)) as here:
            there.backup(here)
        self.metadata.renew_epoch(self.vault.id)
        return True

    def collect(self) -> None:
        """A collection, by which everything that was superseded goes that is older than a day."""
        for _ in Collector(self.metadata, str(self.folder / "bodies"), Limits(1)).run(force=True):
            pass

    @property
    def _database(self) -> Path:
        return self.folder / "metadata.db"

    @property
    def _saved(self) -> Path:
        return self.folder / "saved.db"


class Direct(Overheard):
    """Calls the server's parts without HTTP between."""

    def __init__(self, server: Server, device: str) -> None:
        super().__init__()
        self.server = server
        self.device = device

    def sync(self, cursor: str, changes: Sequence[Change], last: bool, limit: int) -> SyncAnswer:
        with self._request("sync"):
            reader = self.server.reader
            self.reported += changes
            wire = [json.loads(json.dumps(change.to_json())) for change in changes]
            reported = [_change(row) for row in wire]
            answer = reader.sync(self.server.vault, reader.parse_cursor(cursor), reported, last, limit)
            lost = len(reader.lost(self.server.vault))
        return SyncAnswer(answer.actions, str(answer.cursor), answer.more, lost, self.server.vaults.max_file)

    def push(self, changes: Sequence[Change], bodies: dict[str, bytes], keep: bool) -> Pushed:
        with self._request("push"):
            self.pushed += changes
            pushed = self.server.vaults.push(
                self._writable(), [_bundle(changes, bodies)], keep=keep, by=self.server.by(self.device)
            )
        results = [
            Result(one.path, one.status, one.version, self._conflict(one.conflict), one.code, one.head)
            for one in pushed.results
        ]
        return Pushed(results, self._cursor(pushed.after), self._cursor(pushed.cursor))

    def put(self, change: Change, body: BinaryIO, keep: bool) -> Pushed:
        try:
            with self._request("put"):
                self.pushed.append(change)
                write = Write(change.path, "put", change.base, self.device, USER, mtime=change.mtime, keep=keep)
                chunks = iter(lambda: body.read(1 << 18), b"")
                vault = self._writable()
                head = self.server.metadata.heads(vault.id, [change.path]).get(change.path)
                outcome = self.server.vaults.put(
                    vault, head, write, chunks, length=change.size, hash=change.hash, by=self.server.by()
                )
        except ServerRefused as no:
            if no.status in (401, 403, 404):
                raise
            cause = no.__cause__
            head = getattr(cause, "head", None) or getattr(cause, "version", None)
            return Pushed([Result(change.path, "rejected", code=no.code, head=head)], None, None)
        return self._put_result(change, outcome)

    def _put_result(self, change: Change, outcome: Outcome) -> Pushed:
        if outcome.verdict is Verdict.KEEP:
            return Pushed([Result(change.path, "conflict", conflict=self._conflict(outcome.conflict))], None, None)
        result = Result(change.path, "stored", outcome.version)
        return Pushed([result], self._cursor(outcome.after), self._cursor(outcome.cursor))

    def pull(self, wanted: Sequence[Version]) -> Iterator[tuple[Version, Iterator[bytes]]]:
        with self._request("pull"):
            self.pulled += [version.path for version in wanted]
            _, bundle = self.server.reader.pull(self.server.vault, [(one.path, one.stamp) for one in wanted])
            pieces = iter(bundle)
        try:
            for version, body in unpack(lambda: next(pieces, b""), wanted):
                self.meddle("body", "before")
                yield version, iter([self.spoil(version, b"".join(body))])
        except BodyMissing as error:
            raise ServerAway("the answer was cut off") from error

    def get(self, version: Version) -> Iterator[bytes]:
        with self._request("get"):
            self.pulled.append(version.path)
            known = self.server.reader.version(self.server.vault, version.path, version.stamp)
            assert known.hash is not None
            file = self.server.reader.open(self.server.vault, known.hash)
        with file:
            for piece in iter(lambda: file.read(1 << 18), b""):
                self.meddle("body", "before")
                yield self.spoil(version, piece)

    def vault(self) -> Json:
        with self._request("vault"):
            vault = self.server.vault
        return {"name": vault.name, "files": vault.files, "bytes": vault.bytes}

    def conflicts(self) -> list[Json]:
        return self.server.reader.conflict_json(self.server.vault, self.server.conflicts())

    def lost(self) -> list[str]:
        with self._request("lost"):
            return self.server.reader.lost(self._writable())

    def give_back(self, hash: str, size: int, body: BinaryIO) -> None:
        with self._request("give_back"):
            body.seek(0)
            self.server.vaults.give_back(self._writable(), hash, [body.read()], length=size, by=self.server.by())

    def _writable(self) -> Vault:
        return self.server.registry.enter(USER, NAME, "write")

    def _conflict(self, conflict: Conflict | None) -> Json | None:
        return self.server.reader.conflict_json(self.server.vault, [conflict])[0] if conflict else None

    def _cursor(self, stamp: int | None) -> str | None:
        return str(Cursor(self.server.vault.epoch, stamp)) if stamp is not None else None

    def _request(self, method: str) -> _Request:
        self.calls.append(method)
        return _Request(self, method)


class _Request:
    """Meddles before and after, and turns the domain's errors into what HTTP makes of them."""

    def __init__(self, transport: Direct, method: str) -> None:
        self._transport = transport
        self._method = method

    def __enter__(self) -> None:
        self._transport.meddle(self._method, "before")

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            self._transport.meddle(self._method, "after")
        elif isinstance(error, StoreError):
            for kind, status, code in _REFUSALS:
                if isinstance(error, kind):
                    problem = {"missing": error.missing} if isinstance(error, NotFound) and error.missing else {}
                    raise ServerRefused(status, code, str(error), problem) from error


def _change(row: Json) -> Change:
    sent = tuple(row.get("sent", ()))
    return Change(
        row["path"],
        row["kind"],
        row["base"],
        row.get("hash"),
        row.get("size", 0),
        row.get("mtime"),
        sent,
        row.get("executable"),
    )


def _bundle(changes: Sequence[Change], bodies: dict[str, bytes]) -> bytes:
    manifest = json.dumps({"changes": [change.to_json() for change in changes]}).encode()
    parts = [header("manifest.json", len(manifest), 0), manifest, padding(len(manifest))]
    for change in changes:
        body = bodies.get(change.path)
        if body is not None:
            parts += [header(change.path, len(body), change.mtime), body, padding(len(body))]
    return b"".join([*parts, END])
