"""Giving back what the server's disk has lost, from this folder or its trash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO

from client.index import Record
from client.ports import Blocked, FileSystem, LocalChange, ServerAway, ServerRefused, Transport
from client.report import Report

PIECE = 1 << 20


def give_back(
    fs: FileSystem, transport: Transport, records: Mapping[str, Record], nowhere: set[str], report: Report
) -> None:
    """`nowhere`: hashes that are known not to be here; what is not found now is added.

    The sync before it is done, so nothing that goes wrong here makes it fail: the next one tries again.
    """
    given = 0
    try:
        lost = set(transport.lost()) - nowhere
        for one in _found(fs, records, lost):
            given += _send(transport, *one)
        nowhere |= lost
    except (ServerAway, ServerRefused):
        pass
    if given:
        report.notes.append(f"the server had lost the content of {given} files that are here: it has them again")


def _found(fs: FileSystem, records: Mapping[str, Record], lost: set[str]) -> Iterator[tuple[str, int, BinaryIO]]:
    """Each one that is here: hash, size, and the open file. It is taken out of `lost`."""
    for path, record in records.items():
        if record.hash in lost:
            with suppress(LocalChange, Blocked):
                entry, digest = fs.digest(path)
                if digest in lost:
                    with fs.open(path) as body:
                        lost.discard(digest)
                        yield digest, entry.size, body
    if lost:
        for size, body in fs.trashed():
            digest = _digest(body)
            if digest in lost:
                lost.discard(digest)
                yield digest, size, body


def _digest(body: BinaryIO) -> str:
    hashed = hashlib.sha256()
    with suppress(OSError):
        while piece := body.read(PIECE):
            hashed.update(piece)
    return hashed.hexdigest()


def _send(transport: Transport, digest: str, size: int, body: BinaryIO) -> bool:
    """False where it changed meanwhile, or somebody else was faster."""
    try:
        transport.give_back(digest, size, body)
    except LocalChange:
        return False
    except ServerRefused as no:
        if no.status in (404, 413, 422):
            return False
        raise
    return True
