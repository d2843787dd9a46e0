"""What a vault may hold: the judgment before anything is kept. The transaction judges once more (store/commit.py).

A body costs its size once, however many versions name it; one that the vault counts already costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from store.base import Bodies, Metadata, Vault
from store.errors import QuotaExceeded
from store.intake import Item
from store.offload import Offload
from sync.judge import USES_ROOM, judge
from sync.paths import ancestors

MIB = 1 << 20


class Quota:
    """`limit` is in bytes; 0 is none."""

    def __init__(self, metadata: Metadata, bodies: Bodies, offload: Offload, limit: int) -> None:
        self.limit = limit
        self._metadata = metadata
        self._bodies = bodies
        self._offload = offload

    def holds(self, vault: Vault, size: int) -> bool:
        """Whether there is room for one more body of `size` bytes."""
        return not self.limit or size <= self._room(vault)

    def counts(self, vault: Vault, hash: str, size: int) -> bool:
        """Whether the vault has this body and counts it, so that it costs nothing."""
        return bool(self._counted(vault, [(hash, size)]))

    def check(self, vault: Vault, hash: str, size: int) -> None:
        """Raises QuotaExceeded where this body does not fit."""
        if not self.holds(vault, size) and not self.counts(vault, hash, size):
            raise self.exceeded(vault)

    def refuse(self, vault: Vault, items: Sequence[Item]) -> None:
        """Refuses the changes of a push that do not fit, each in its turn: what is refused leaves its room to those
        behind it. Their bodies are discarded."""
        if not self.limit:
            return
        costs = {item.received.hash: item.received.size for item in items if item.received}
        if sum(costs.values()) <= self._room(vault):
            return
        for digest in self._counted(vault, list(costs.items())):
            del costs[digest]
        if sum(costs.values()) <= self._room(vault):
            return
        refused = self._over(vault, items, costs)
        self._offload(self._bodies.discard, [item.received for item in refused if item.received])
        for item in refused:
            item.received, item.refusal = None, "quota"

    def exceeded(self, vault: Vault) -> QuotaExceeded:
        return QuotaExceeded(
            f"the vault {vault.name} may hold {self.limit // MIB} MB and this does not fit: remove something, or "
            "ask for a larger quota"
        )

    def _over(self, vault: Vault, items: Sequence[Item], costs: dict[str, int]) -> list[Item]:
        """The items that do not fit. `costs`: what has to be paid for each new body; it is used up.

        A change that may be refused for another reason uses no room here: the transaction refuses what is too much.
        """
        room, refused = self._room(vault), []
        paths = {path for item in items if item.received for path in (item.path, *ancestors(item.path))}
        heads = self._metadata.heads(vault.id, paths)
        live = {path for path, head in heads.items() if head.live}
        for item in items:
            if item.received is None or item.write is None or item.received.hash not in costs:
                continue
            blocked = not live.isdisjoint(ancestors(item.path))
            if judge(item.write, heads.get(item.path), blocked) not in USES_ROOM:
                continue
            if item.received.size > room:
                refused.append(item)
            else:
                room -= costs.pop(item.received.hash)
        return refused

    def _room(self, vault: Vault) -> int:
        return max(0, self.limit - vault.stored)

    def _counted(self, vault: Vault, wanted: Iterable[tuple[str, int]]) -> Collection[str]:
        return self._offload(self._bodies.counted, vault.id, wanted)
