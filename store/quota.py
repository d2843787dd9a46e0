"""What a vault may hold: the judgment before anything is kept. The transaction judges once more (store/commit.py).

A body costs its size once, however many versions name it; one that the vault counts already costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

from store.arrival import Arrival
from store.base import Bodies, Metadata, Vault
from store.errors import QuotaExceeded
from store.intake import Item
from store.log_size import next_version, used
from store.offload import Offload
from sync.judge import USES_ROOM, judge
from sync.paths import ancestors

MIB = 1 << 20


# How often others may be faster before a push gets no room.
_TRIES = 3


class Quota:
    """`limit` is in bytes; 0 is none."""

    def __init__(self, metadata: Metadata, bodies: Bodies, offload: Offload, limit: int) -> None:
        self.limit = limit
        self._metadata = metadata
        self._bodies = bodies
        self._offload = offload

    def holds(self, vault: Vault, size: int) -> bool:
        """Whether there is room for one more version with a body of `size` bytes."""
        cost = size + next_version(vault)
        return not self.limit or cost == 0 or cost <= self._room(vault)

    @contextmanager
    def arrival(self, vault: Vault) -> Iterator[Arrival]:
        """The room of a request's bodies, until they are committed."""
        arrival = Arrival(self._metadata, self._bodies, vault, self.limit)
        try:
            yield arrival
        finally:
            if self.limit:
                self._offload(arrival.close)

    def admitted(
        self, vault: Vault, arrival: Arrival, chunks: Iterable[bytes], length: int | None, *, trial: bool
    ) -> Iterator[bytes]:
        """The chunks of one body, as long as there is room for it. `length`: what was announced; `trial`: it may turn
        out to need none. Raises QuotaExceeded."""
        if self.limit and length is not None and not self._offload(arrival.admit, length, step=0, trial=trial):
            raise self.exceeded(vault)
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if length is None and not arrival.covers(size) and not self._offload(arrival.extend, size):
                raise self.exceeded(vault)
            yield chunk

    def counts(self, vault: Vault, hash: str, size: int) -> bool:
        """Whether the vault has this body and counts it, so that it costs nothing."""
        return bool(self._counted(vault, [(hash, size)]))

    def may_count(self, vault: Vault, hash: str | None, length: int | None) -> bool:
        """Whether what is announced may cost nothing: the vault counts it, or its length is not said."""
        if length is None or not self.limit:
            return True
        return hash is not None and self.counts(vault, hash, length)

    def settle(self, vault: Vault, arrival: Arrival, hash: str, size: int) -> None:
        """Puts the room of a body that has come aside until it is committed. Raises QuotaExceeded."""
        if not self.limit or self._offload(arrival.settle, size) or self.counts(vault, hash, size):
            return
        raise self.exceeded(vault)

    def refuse(self, vault: Vault, items: Sequence[Item], arrival: Arrival) -> None:
        """Refuses the changes of a push that do not fit, each in its turn: what is refused leaves its room to those
        behind it. Their bodies are discarded. The room of the others is put aside until they are committed."""
        if not self.limit:
            return
        costs = {item.received.hash: item.received.size for item in items if item.received}
        if self._offload(arrival.settle, sum(costs.values())):
            return
        for digest in self._counted(vault, list(costs.items())):
            del costs[digest]
        refused: list[Item] = []
        for _ in range(_TRIES):
            if self._offload(arrival.settle, sum(costs.values())):
                break
            left = dict(costs)
            refused, kept = self._over(vault, items, left, self._offload(arrival.room))
            if self._offload(arrival.settle, kept):  # else others were faster
                break
        else:
            refused = [item for item in items if item.received and item.received.hash in costs]
        self._offload(self._bodies.discard, [item.received for item in refused if item.received])
        for item in refused:
            item.received, item.refusal = None, "quota"

    def exceeded(self, vault: Vault) -> QuotaExceeded:
        return QuotaExceeded(
            f"the vault {vault.name} may hold {self.limit // MIB} MB with its history, and this does not fit: "
            "remove something, or ask for a larger quota"
        )

    def _over(self, vault: Vault, items: Sequence[Item], costs: dict[str, int], room: int) -> tuple[list[Item], int]:
        """The items that do not fit, and the room that the others need. `costs`: what has to be paid for each new body;
        it is used up.

        A change that may be refused for another reason uses no room here: the transaction refuses what is too much.
        """
        needed, refused = 0, []
        paths = {path for item in items if item.received for path in (item.path, *ancestors(item.path))}
        heads = self._metadata.heads(vault.id, paths)
        live = {path for path, head in heads.items() if head.live}
        for item in items:
            if item.received is None or item.write is None or item.received.hash not in costs:
                continue
            blocked = not live.isdisjoint(ancestors(item.path))
            if judge(item.write, heads.get(item.path), blocked) not in USES_ROOM:
                continue
            if needed + item.received.size > room:
                refused.append(item)
            else:
                needed += costs.pop(item.received.hash)
        return refused, needed

    def _room(self, vault: Vault) -> int:
        return max(0, self.limit - used(vault))

    def _counted(self, vault: Vault, wanted: Iterable[tuple[str, int]]) -> Collection[str]:
        return self._offload(self._bodies.counted, vault.id, wanted)
