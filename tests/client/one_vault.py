"""One vault in a test's own hands: looked at and written to beneath the protocol, on the server's own store."""

from __future__ import annotations

from abc import ABC, abstractmethod

from store.access import Caller
from store.base import Identity, Metadata, Vault
from store.bodies import DiskBodies
from store.bus import LocalBus
from store.reader import Reader
from store.registry import Registry
from store.settle import Choice
from store.vaults import Vaults
from sync.judge import Write
from sync.model import Conflict, Version
from tests.client.overheard import Overheard
from tests.server import USER


class OneVault(ABC):
    """The vault `name`, of which tests.server.USER is a member."""

    metadata: Metadata

    def __init__(
        self, metadata: Metadata, bodies: DiskBodies, name: str, *, max_file: int = 1 << 30, quota: int = 0
    ) -> None:
        self.metadata = metadata
        self.bodies = bodies
        self.name = name
        self.vaults = Vaults(metadata, bodies, LocalBus(), max_file=max_file, quota=quota)
        self.reader = Reader(metadata, bodies)
        self.registry = Registry(metadata, bodies)

    @abstractmethod
    def transport(self, device: str) -> Overheard:
        """One more client's way to the vault."""

    @property
    def vault(self) -> Vault:
        return self.registry.enter(USER, self.name)

    def by(self, device: str = "page") -> Caller:
        """Who asks: that person, by their own password."""
        found = self.metadata.user(USER)
        assert found is not None
        assert found.password is not None
        return Caller(USER, device, Identity(USER, None, found.password))

    def files(self) -> dict[str, bytes]:
        """The live files and their bytes."""
        vault = self.vault
        versions = self.reader.listing(vault, "", "", 100_000)[0]
        return {version.path: self._body(vault, version) for version in versions}

    def files_by_hash(self) -> dict[str, str | None]:
        """The same by their hashes, for where there are many or large ones."""
        return {version.path: version.hash for version in self.reader.listing(self.vault, "", "", 100_000)[0]}

    def body(self, version: Version) -> bytes:
        return self._body(self.vault, version)

    def _body(self, vault: Vault, version: Version) -> bytes:
        assert version.hash is not None
        with self.reader.open(vault, version.hash) as file:
            return file.read()

    def history(self, path: str) -> list[bytes | None]:
        """What stood at the path, newest first; None for a deletion."""
        versions = self.reader.history(self.vault, path, None, 1000)[0]
        return [self.body(version) if version.live else None for version in versions]

    def conflicts(self) -> list[Conflict]:
        return self.reader.conflicts(self.vault)

    def resolve(self, keep: str, candidate: int | None = None) -> None:
        """Settles the only open conflict."""
        (conflict,) = self.conflicts()
        head = self.metadata.heads(self.vault.id, [conflict.path])[conflict.path]
        self.vaults.resolve(self.vault, conflict.id, Choice(keep, head.stamp, "page", USER, candidate), by=self.by())

    def put(self, path: str, content: bytes, device: str = "elsewhere", mtime: int | None = None) -> Version:
        """A new version on top of whatever is there."""
        head = self.metadata.heads(self.vault.id, [path]).get(path)
        write = Write(path, "put", head.stamp if head else None, device, USER, mtime=mtime)
        outcome = self.vaults.put(self.vault, head, write, [content], length=len(content), hash=None, by=self.by())
        assert outcome.version is not None
        return outcome.version

    def delete(self, path: str, device: str = "elsewhere") -> None:
        head = self.metadata.heads(self.vault.id, [path])[path]
        self.vaults.delete(self.vault, Write(path, "delete", head.stamp, device, USER), by=self.by())
