"""Bodies copied from one folder to another: each is hashed on its way, and none has its name before it is durable."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from store import backup_format
from store.backup_folder import no_room, translated, unusable
from store.base import Received
from store.bodies import DiskBodies
from store.errors import BodyDamaged, BodyMissing, DiskFull, Unavailable

CHUNK = 1 << 20
# What is made durable together.
_FILES, _BYTES = 1_000, 256 << 20
# How many hashes are remembered, of bodies that were dealt with already or are not there yet.
_REMEMBERED = 500_000

Tell = Callable[[int], None]
"""Told how many bodies were looked at."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A body that could not be copied: a path in a vault that names it, and why."""

    vault: str
    vault_id: str
    path: str
    hash: str
    reason: str


class BodyCopies:
    """Copies what the rows of a snapshot name. `again`: bodies that are there already are read too, and replaced where
    they are rotten."""

    def __init__(self, source: DiskBodies, target: DiskBodies, place: Path, *, again: bool, tell: Tell) -> None:
        self._source = source
        self._target = target
        self._place = place
        self._again = again
        self._tell = tell
        self._seen: set[str] = set()
        self._waiting: dict[str, list[Received]] = {}
        self._files = self._bytes = self._looked_at = 0
        self.copied = self.copied_bytes = self.there = 0
        self.lost: list[Lost] = []

    def copy_all(self, snapshot: Path, vault_ids: Collection[str]) -> None:
        """Those of these vaults. Raises DiskFull, Unavailable and Refused. What cannot be copied, because it is missing
        or rotten, is noted in `lost`, and the rest goes on."""
        try:
            for vault, name, path, digest, size in _named(snapshot):
                if vault in vault_ids:
                    self._take(vault, name, path, digest, size)
            self._flush()
        except DiskFull as error:
            raise no_room(self._place) from error
        except Unavailable as error:
            raise unusable(self._place, error) from error
        finally:
            for received in self._waiting.values():
                self._target.discard(received)

    def _take(self, vault_id: str, vault: str, path: str, digest: str, size: int) -> None:
        key = vault_id + digest
        if key in self._seen:
            return
        if len(self._seen) >= _REMEMBERED:
            self._flush()
            self._seen.clear()
        self._seen.add(key)
        self._looked_at += 1
        self._tell(self._looked_at)
        if self._target.counted(vault_id, [(digest, size)]) and not (self._again and self._rotten(vault_id, digest)):
            self.there += 1
            return
        reason = self._copy(vault_id, digest)
        if reason is not None:
            self.lost.append(Lost(vault, vault_id, path, digest, reason))

    def _copy(self, vault_id: str, digest: str) -> str | None:
        """None, or why not."""
        incoming = self._target.receive()
        try:
            for chunk in _read(self._source, vault_id, digest):
                incoming.write(chunk)
                if incoming.flush_due:
                    incoming.flush()
            received = incoming.finish()
        except _Unreadable as error:
            incoming.discard()
            return str(error)
        except BaseException:
            incoming.discard()
            raise
        if received.hash != digest:
            self._target.discard([received])
            return "rotten"
        self._waiting.setdefault(vault_id, []).append(received)
        self._files += 1
        self._bytes += received.size
        self.copied += 1
        self.copied_bytes += received.size
        if self._files >= _FILES or self._bytes >= _BYTES:
            self._flush()
        return None

    def _rotten(self, vault_id: str, digest: str) -> bool:
        hashed = hashlib.sha256()
        try:
            for chunk in _read(self._target, vault_id, digest):
                hashed.update(chunk)
        except _Unreadable:
            return True
        return hashed.hexdigest() != digest

    def _flush(self) -> None:
        while self._waiting:
            vault_id, received = self._waiting.popitem()
            self._target.keep(vault_id, received)
        self._files = self._bytes = 0


class _Unreadable(Exception):
    pass


def _read(bodies: DiskBodies, vault_id: str, digest: str) -> Iterator[bytes]:
    with _noticed(), bodies.open(vault_id, digest) as file:
        while True:
            with _noticed():
                chunk = file.read(CHUNK)
            if not chunk:
                return
            yield chunk


@contextmanager
def _noticed() -> Iterator[None]:
    try:
        yield
    except BodyDamaged:
        raise _Unreadable("rotten") from None
    except BodyMissing:
        raise _Unreadable("missing") from None
    except (OSError, Unavailable) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        raise _Unreadable(f"unreadable ({getattr(cause, 'strerror', cause)})") from None


def _named(snapshot: Path) -> Iterator[tuple[str, str, str, str, int]]:
    """(vault id, its name, path, hash, size) of every body, as often as it is named."""
    vault_id = name = ""
    for kind, fields in backup_format.rows(snapshot):
        if kind == "vault":
            vault_id, name = fields["id"], fields["name"]
        for path, digest, size in backup_format.bodies_of(kind, fields):
            yield vault_id, name, path, digest, size


def check_room(target: DiskBodies, place: Path, snapshot: Path, vault_ids: Collection[str]) -> None:
    """Says before the first hour, not after it, where the bodies will not fit. Raises DiskFull, Refused."""
    seen: set[str] = set()
    missing = 0
    for vault_id, _, _, digest, size in _named(snapshot):
        key = vault_id + digest
        if vault_id not in vault_ids or key in seen or len(seen) >= _REMEMBERED:
            continue
        if not target.counted(vault_id, [(digest, size)]):
            seen.add(key)
            missing += size
    with translated(place):
        free = shutil.disk_usage(place).free
    if missing > free:
        raise no_room(place, f"{missing >> 20} MB are to be copied and {free >> 20} MB are free: ")
