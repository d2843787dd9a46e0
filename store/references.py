"""Which bodies of a vault something refers to: versions, and the candidates of open conflicts.

All of them in memory, at 16 bytes a reference: 72 of a hash's bits and the size. Where two hashes were taken for one,
that would only keep a body that could go. They are sorted into 256 groups by the hash's beginning, as the bodies are
into folders, and one group at a time is made a table.
"""

from __future__ import annotations

from array import array
from collections.abc import Container

from store.base import Metadata

# Versions that one command reads.
PAGE = 5_000


class References:
    """Only grows. `leaving_out`: stamps of versions that are taken for purged."""

    def __init__(self, metadata: Metadata, vault_id: str, leaving_out: Container[int] = ()) -> None:
        self._metadata = metadata
        self._vault_id = vault_id
        self._leaving_out = leaving_out
        self._keys = [array("Q") for _ in range(256)]
        self._sizes = [array("Q") for _ in range(256)]
        self._stamp = 0
        self._group = -1
        self._table: dict[int, int] = {}

    def read(self, until: int | None = None) -> None:
        """Adds what there is now, or up to a stamp. What was read before is not read again.

        The conflicts first: the candidate of one that is settled meanwhile is a version by then.
        """
        for conflict in self._metadata.open_conflicts(self._vault_id):
            for one in conflict.candidates:
                self._add(one.hash, one.size)
        while page := self._metadata.changes(self._vault_id, self._stamp, PAGE):
            for version in page:
                if until is not None and version.stamp > until:
                    return
                self._stamp = version.stamp
                if version.hash is not None and version.stamp not in self._leaving_out:
                    self._add(version.hash, version.size)

    def __contains__(self, digest: str) -> bool:
        return int(digest[2:18], 16) in self._of(int(digest[:2], 16))

    @property
    def bytes(self) -> int:
        """The sizes of all that is referred to, each once."""
        return sum(sum(self._of(group).values()) for group in range(256))

    def _add(self, digest: str, size: int) -> None:
        group = int(digest[:2], 16)
        self._keys[group].append(int(digest[2:18], 16))
        self._sizes[group].append(size)
        if group == self._group:
            self._group = -1

    def _of(self, group: int) -> dict[int, int]:
        if group != self._group:
            self._table = dict(zip(self._keys[group], self._sizes[group], strict=True))
            self._group = group
        return self._table
