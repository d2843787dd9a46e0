"""Writing a log by hand, below the rules of vaults."""

from __future__ import annotations

import hashlib

from store.base import Metadata, Totals, Transaction
from sync.model import Version


def hash_of(letter: str) -> str:
    return hashlib.sha256(letter.encode()).hexdigest()


def versions_for(tx: Transaction, changes: tuple[tuple[str, str], ...]) -> list[Version]:
    """One version a change (path, bytes), `-` being a tombstone; each on what stood there before."""
    heads = dict(tx.heads({path for path, _ in changes}))
    versions = []
    for stamp, (path, letter) in enumerate(changes, tx.first_stamp):
        base = heads[path].stamp if path in heads else None
        if letter == "-":
            version = Version(path, "delete", stamp, base, None, 0, None, "laptop", "me")
        else:
            version = Version(path, "put", stamp, base, hash_of(letter), len(letter), stamp - 1, "laptop", "me")
        heads[path] = version
        versions.append(version)
    return versions


def append(metadata: Metadata, vault_id: str, *changes: tuple[str, str]) -> list[Version]:
    """Commits the changes in one transaction; returns the versions."""

    def work(tx: Transaction) -> list[Version]:
        versions = versions_for(tx, changes)
        tx.append(versions, Totals())
        return versions

    return metadata.transact(vault_id, work)
