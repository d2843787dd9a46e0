"""Many bodies as one tar, in pieces of about 256 KiB, read off the event loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from store.base import Bodies
from store.errors import BodyDamaged
from store.offload import Offload
from sync.bundle import END, encoded_size, header, padding
from sync.model import Version

PIECE = 256 << 10


def bundle_size(versions: Sequence[Version]) -> int:
    """Bytes of the tar that `bundle` makes of these."""
    return sum(encoded_size(one.path, one.size, _mtime(one)) for one in versions) + len(END)


def bundle(bodies: Bodies, vault_id: str, versions: Iterable[Version], offload: Offload) -> Iterator[bytes]:
    """The tar's pieces. Raises BodyMissing in the middle where a body is gone or has another size."""
    waiting: list[Version] = []
    size = 0
    for version in versions:
        if version.size <= PIECE:
            waiting.append(version)
            size += encoded_size(version.path, version.size, _mtime(version))
        if waiting and (size >= PIECE or version.size > PIECE):
            yield offload(_read_small, bodies, vault_id, waiting)
            waiting, size = [], 0
        if version.size > PIECE:
            yield _header(version)
            yield from _read_large(bodies, vault_id, version, offload)
            yield padding(version.size)
    yield offload(_read_small, bodies, vault_id, waiting) + END


def _read_small(bodies: Bodies, vault_id: str, versions: Sequence[Version]) -> bytes:
    parts = []
    for version in versions:
        with _open(bodies, vault_id, version) as file:
            body = file.read(version.size + 1)
        if len(body) != version.size:
            raise _damaged(version)
        parts += [_header(version), body, padding(version.size)]
    return b"".join(parts)


def _read_large(bodies: Bodies, vault_id: str, version: Version, offload: Offload) -> Iterator[bytes]:
    left = version.size
    with offload(_open, bodies, vault_id, version) as file:
        while left:
            piece = offload(file.read, min(PIECE, left))
            if not piece:
                raise _damaged(version)
            left -= len(piece)
            yield piece
        if offload(file.read, 1):
            raise _damaged(version)


def _open(bodies: Bodies, vault_id: str, version: Version) -> BinaryIO:
    assert version.hash is not None, "only puts have a body"
    return bodies.open(vault_id, version.hash)


def _header(version: Version) -> bytes:
    return header(version.path, version.size, _mtime(version), executable=version.executable)


def _mtime(version: Version) -> int:
    """The file's own time; where its client told none, the version's."""
    return version.stamp if version.mtime is None else version.mtime


def _damaged(version: Version) -> BodyDamaged:
    return BodyDamaged(f"the body {version.hash} is damaged on the server's disk: restore it from a backup")
