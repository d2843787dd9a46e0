"""A vault with everything behind it, for tests that speak of files and not of stores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from store.access import Caller
from store.base import Bodies, Identity, Message, Metadata, Notice, PeopleChanged, Vault
from store.bodies import DiskBodies
from store.bus import LocalBus
from store.commit import Outcome
from store.reader import Reader
from store.registry import Registry
from store.settle import Choice
from store.sqlite import SqliteMetadata
from store.undo import Asked, Undo, Undone
from store.vaults import Pushed, Vaults
from sync import bundle
from sync.judge import Write
from sync.model import Conflict, Cursor, Json, Version

USER = "me"
NAME = "notes"


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def change(path: str, body: bytes, base: int | None = None, **fields: object) -> Json:
    """A put as a manifest has it."""
    return {
        "path": path,
        "kind": "put",
        "base": base,
        "hash": sha256(body),
        "size": len(body),
        "mtime": 1_700_000_000_000_000,
    } | fields


def removal(path: str, base: int | None) -> Json:
    return {"path": path, "kind": "delete", "base": base}


def archive(entries: Iterable[tuple[str, bytes]]) -> bytes:
    """A tar of these files."""
    parts = [part for path, body in entries for part in (bundle.header(path, len(body), 0), body)]
    padded = (part + bundle.padding(len(part)) for part in parts)
    return b"".join(padded) + bundle.END


def parcel(changes: Sequence[Json], bodies: Iterable[tuple[str, bytes]] = ()) -> bytes:
    """A push: the manifest and the bodies."""
    manifest = json.dumps({"changes": list(changes)}).encode()
    return archive([("manifest.json", manifest), *bodies])


def pieces(data: bytes, size: int = 64 << 10) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@dataclass
class World:
    """One person's vault `notes`."""

    metadata: Metadata
    bodies: Bodies
    quota: int = 0
    max_file: int = 1 << 30
    notices: list[Notice] = field(default_factory=list)
    news_of_people: int = 0

    def __post_init__(self) -> None:
        self.bus = LocalBus()
        self.bus.subscribe(self._hear)
        self.vaults = Vaults(self.metadata, self.bodies, self.bus, quota=self.quota, max_file=self.max_file)
        self.reader = Reader(self.metadata, self.bodies)
        self.undoing = Undo(self.metadata, self.bodies, self.bus, self.reader)
        self.registry = Registry(self.metadata, self.bodies, self.bus)
        if self.metadata.user(USER) is None:
            self.metadata.add_user(USER, "$argon2id$")
        self.registry.create(USER, NAME, None)

    def by(self, device: str = "laptop") -> Caller:
        """Who asks: that person, by their own password."""
        found = self.metadata.user(USER)
        assert found is not None
        return Caller(USER, device, Identity(USER, None, found.password or ""))

    def _hear(self, message: Message) -> None:
        if isinstance(message, Notice):
            self.notices.append(message)
        elif isinstance(message, PeopleChanged):
            self.news_of_people += 1

    @classmethod
    def at(cls, folder: Path, *, quota: int = 0, max_file: int = 1 << 30) -> World:
        """In a folder of its own; made there a second time it is the same one after a restart."""
        folder.mkdir(exist_ok=True)
        return cls(SqliteMetadata(folder / "gobi.db"), DiskBodies(folder / "bodies"), quota, max_file)

    @property
    def vault(self) -> Vault:
        """The vault as it stands now."""
        return self.registry.enter(USER, NAME)

    # -- writing

    def put(
        self,
        path: str,
        body: bytes,
        base: int | None = None,
        *,
        keep: bool = False,
        device: str = "laptop",
        announced: bool = True,
    ) -> Outcome:
        write = Write(path, "put", base, device, USER, mtime=5, keep=keep)
        length = len(body) if announced else None
        return self.vaults.put(
            self.vault, self.head(path), write, [body] if body else [], length=length, hash=None, by=self.by(device)
        )

    def new(self, path: str, body: bytes, base: int | None = None, *, device: str = "laptop") -> Version:
        """A put that is sure to be stored."""
        version = self.put(path, body, base, device=device).version
        assert version is not None
        return version

    def keep(self, path: str, body: bytes, base: int | None, *, device: str = "phone") -> Conflict:
        """A put that is sure to become a candidate."""
        conflict = self.put(path, body, base, keep=True, device=device).conflict
        assert conflict is not None
        return conflict

    def delete(self, path: str, base: int | None, *, device: str = "laptop") -> Version:
        version = self.vaults.delete(self.vault, Write(path, "delete", base, device, USER), by=self.by(device)).version
        assert version is not None
        return version

    def push(self, data: bytes, *, keep: bool = False, device: str = "laptop", piece: int = 64 << 10) -> Pushed:
        return self.vaults.push(self.vault, pieces(data, piece), keep=keep, by=self.by(device))

    def statuses(self, data: bytes, *, keep: bool = False) -> list[str]:
        """What a push's changes came to; the code where one was rejected."""
        return [one.code or one.status for one in self.push(data, keep=keep).results]

    def resolve(
        self,
        conflict: Conflict,
        keep: str,
        head: int,
        *,
        candidate: int | None = None,
        text: str | None = None,
        seen: int | None = None,
    ) -> list[Version]:
        choice = Choice(keep, head, "desktop", USER, candidate, text, seen=seen)
        return self.vaults.resolve(self.vault, conflict.id, choice, by=self.by("desktop"))

    def undo(
        self,
        since: int,
        *,
        device: str | None = None,
        user: str | None = None,
        prefix: str = "",
        until: Cursor | None = None,
        by: str = "desktop",
    ) -> Undone:
        """Takes changes back, after a look at what that would be, which has to come true."""
        asked = Asked(since, device, user, prefix, until)
        foreseen = self.preview(since, device=device, user=user, prefix=prefix, until=until, by=by)
        done = self.undoing.run(self.vault, asked, by=self.by(by))
        assert told(done) == told(foreseen)
        return done

    def preview(
        self,
        since: int,
        *,
        device: str | None = None,
        user: str | None = None,
        prefix: str = "",
        until: Cursor | None = None,
        by: str = "desktop",
    ) -> Undone:
        """What an undo would do; changes nothing."""
        log, vault, heard = self.log(), self.vault, len(self.notices)
        undone = self.undoing.preview(vault, Asked(since, device, user, prefix, until), by=self.by(by))
        assert (self.log(), self.vault, len(self.notices)) == (log, vault, heard)
        return undone

    # -- reading

    def head(self, path: str) -> Version | None:
        return self.metadata.heads(self.vault.id, [path]).get(path)

    def body(self, version: Version) -> bytes:
        assert version.hash is not None
        with self.reader.open(self.vault, version.hash) as file:
            return file.read()

    def files(self) -> dict[str, bytes]:
        """Every live file with its bytes."""
        page, _ = self.reader.listing(self.vault, "", "", 10_000)
        return {version.path: self.body(version) for version in page}

    def log(self) -> list[Version]:
        """Every version, in the order of their stamps."""
        return self.metadata.changes(self.vault.id, 0, 100_000)

    def conflict(self, conflict: Conflict) -> Conflict:
        """The conflict as it is now."""
        return self.reader.conflict(self.vault, conflict.id)


def told(undone: Undone) -> Undone:
    """What was told of an undo but for the stamps of its versions, which a preview cannot know."""
    changes = [one._replace(version=one.version._replace(stamp=0)) for one in undone.changes]
    return replace(undone, changes=changes)
