"""A body is counted once, by whoever is committed on it, also where two requests bring the same new bytes at once.

For one of them the body is new, and its commit counts it. Where that one is refused, the other may have committed
already, or be about to. So the first marks the body as forsaken and then looks into the log; the other looks for the
mark once it has committed. Whichever comes first, one of the two looks later than both, and the mark can be taken once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from store.aging import Counters
from store.base import Bodies, Metadata, Vault
from store.errors import StoreError, Unavailable
from store.offload import Offload

# Versions that one command reads.
PAGE = 1_000
# Open conflicts that one command reads.
DISPUTES = 200


class Counting:
    """Keeps a vault's count of stored bytes right where a body was not counted by its first commit."""

    def __init__(self, metadata: Metadata, bodies: Bodies, offload: Offload) -> None:
        self._metadata = metadata
        self._bodies = bodies
        self._offload = offload

    @contextmanager
    def new_bodies(self, vault: Vault) -> Iterator[set[str]]:
        """A set for hashes of new bodies. Those that are still in it at the end came to nothing, and it sees to that.

        `vault`: as it was before they came.
        """
        new: set[str] = set()
        certain = True
        try:
            yield new
        except Unavailable:
            certain = False  # it may have been committed, and counted, all the same
            raise
        finally:
            if new:
                self._offload(self._bodies.forsake, vault.id, new)
                if certain:
                    self._look_for(vault, new)

    def committed(self, vault: Vault, sizes: Mapping[str, int]) -> None:
        """Versions or candidates name these bodies since a moment ago, and did not count them.

        Raises nothing: what was committed is good, and where this fails the count stays behind until a collection.
        """
        with suppress(StoreError):
            claimed = self._offload(self._bodies.claim, vault.id, sizes) if sizes else set()
            if claimed:
                self._metadata.aging().adjust(vault.id, Counters(stored=sum(sizes[digest] for digest in claimed)))

    def _look_for(self, vault: Vault, forsaken: set[str]) -> None:
        with suppress(StoreError):  # whatever made them useless is the better thing to tell
            self.committed(vault, {digest: size for digest, size in self._named_since(vault) if digest in forsaken})

    def _named_since(self, vault: Vault) -> Iterator[tuple[str, int]]:
        last = (0, "")
        while disputes := self._metadata.open_conflicts(vault.id, after=last, limit=DISPUTES):
            yield from ((one.hash, one.size) for conflict in disputes for one in conflict.candidates)
            last = (disputes[-1].opened, disputes[-1].id)
        after = vault.clock
        while page := self._metadata.changes(vault.id, after, PAGE):
            yield from ((one.hash, one.size) for one in page if one.hash is not None)
            after = page[-1].stamp
