"""A vault with a past that a test writes, and what collects it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.aging import Collected
from store.base import Received
from store.bodies import DiskBodies
from store.bodies_guard import COLLECTING, LOCK
from store.collection import Collector, Limits
from tests.contract.backends import Backend
from tests.store.world import World, sha256

DAY_US = 24 * 3600 * 1_000_000
LONG_AGO_S = 30 * 24 * 3600


class Past:
    """`world` writes now, unless it is told when."""

    def __init__(self, backend: Backend, folder: Path) -> None:
        self.backend = backend
        self.root = folder / "bodies"
        self.world = World(backend.open(), DiskBodies(self.root))

    @contextmanager
    def days_ago(self, days: float) -> Iterator[World]:
        """What is written meanwhile was written then. Times never go back: the earliest first."""
        back = round(days * DAY_US)
        self.backend.step_back(back)
        try:
            yield self.world
        finally:
            self.backend.step_back(-back)

    def collect(self, *, force: bool = False) -> Collected:
        """What went in all. A dry run before it has to tell the same and change nothing."""
        limits = Limits(365)
        before = self.everything()
        foreseen = self._run(limits, dry=True, force=force)
        assert self.everything() == before
        done = self._run(limits, dry=False, force=force)
        assert done == foreseen
        return done

    def _run(self, limits: Limits, *, dry: bool, force: bool) -> Collected:
        *_, (name, total) = Collector(self.world.metadata, str(self.root), limits, dry=dry).run(force=force)
        assert name == ""
        return Collected(0, *[getattr(total, field) for field in Collected.__slots__[1:]])

    def upload(self, body: bytes, vault_id: str | None = None) -> Received:
        """A body that is there and of which nothing came yet."""
        incoming = self.world.bodies.receive()
        incoming.write(body)
        received = incoming.finish()
        self.world.bodies.keep(vault_id or self.world.vault.id, [received])
        return received

    def everything(self) -> object:
        """All there is, in the database and on the disk."""
        metadata = self.world.metadata
        logs = [metadata.changes(vault.id, 0, 100_000) for vault in metadata.vaults()]
        return metadata.vaults(), logs, metadata.aging().last_collection(), self.files()

    def files(self) -> dict[str, tuple[bytes, int]]:
        found = (path for path in self.root.rglob("*") if path.is_file() and path.name not in (LOCK, COLLECTING))
        return {str(one.relative_to(self.root)): (one.read_bytes(), one.stat().st_mtime_ns) for one in found}

    def grow_old(self, *places: str) -> None:
        """Makes everything on the disk old, or what lies below these."""
        then = time.time() - LONG_AGO_S
        for place in places or ("",):
            for path in (self.root / place).rglob("*"):
                if path.is_file():
                    os.utime(path, (then, then))

    def place(self, body: bytes, *, aside: str = "") -> Path:
        digest = sha256(body)
        return self.root / aside / self.world.vault.id / digest[:2] / digest[2:]

    def where(self, body: bytes) -> str:
        """`place`, `trash`, both, or nothing."""
        kinds = {"place": self.place(body), "trash": self.place(body, aside="trash")}
        return " ".join(kind for kind, path in kinds.items() if path.exists())

    def stored(self) -> int:
        """What the count of stored bytes ought to be: every body that something refers to, once."""
        world = self.world
        sizes = {version.hash: version.size for version in world.log() if version.live}
        for conflict in world.reader.conflicts(world.vault):
            sizes.update((one.hash, one.size) for one in conflict.candidates)
        return sum(sizes.values())
