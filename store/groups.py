"""Group commit: requests of one vault queue up, and whoever is free commits all that wait in one transaction.

At 50 ms to a database far away, one commit at a time would be five files a second.
"""

from __future__ import annotations

import threading
from collections import deque

from store.base import Bus, Metadata, Notice
from store.commit import NO_LIMITS, Batch, Committed, Limits, Outcome, commit

# Writes in one transaction. A batch is never split here.
MOST_WRITES = 1_000


class GroupCommit:
    """Commits, then publishes, in that order."""

    def __init__(self, metadata: Metadata, bus: Bus, limits: Limits = NO_LIMITS) -> None:
        self._metadata = metadata
        self._bus = bus
        self._limits = limits
        self._lanes: dict[str, _Lane] = {}

    def commit(self, vault_id: str, batch: Batch) -> tuple[list[Outcome], frozenset[str]]:
        """One outcome a write, and the hashes that the whole group's versions and candidates name.

        Raises what Metadata.transact raises, and Unauthorized, NotFound or Forbidden where `batch.by` may not write
        (any more); then nothing of the batch was stored.
        """
        ticket = _Ticket(batch)
        lane = self._lanes.setdefault(vault_id, _Lane())
        lane.waiting.append(ticket)
        with lane.turn:
            while not ticket.done:
                self._commit_waiting(vault_id, lane)
        if ticket.error is not None:
            raise ticket.error
        return ticket.outcomes, ticket.named

    @property
    def waiting(self) -> int:
        """Requests whose turn has not come."""
        return sum(len(lane.waiting) for lane in list(self._lanes.values()))

    def _commit_waiting(self, vault_id: str, lane: _Lane) -> None:
        tickets = lane.take()
        batches = [ticket.batch for ticket in tickets]
        about = {write.path for batch in batches for write in batch.writes}
        by = {batch.by for batch in batches if batch.by is not None}
        try:
            done = self._metadata.transact(vault_id, lambda tx: commit(tx, batches, self._limits), about, by)
        except BaseException as error:  # noqa: BLE001  # raised again, by every request that waited
            for ticket in tickets:
                ticket.fail(error)
            return
        for number, (ticket, outcomes) in enumerate(zip(tickets, done.outcomes, strict=True)):
            if number in done.refused:
                ticket.fail(done.refused[number])
            else:
                ticket.succeed(outcomes, done.named)
        publish(self._bus, vault_id, done)


def publish(bus: Bus, vault_id: str, done: Committed) -> None:
    """Tells the others what a transaction did, if it did anything."""
    if done.versions or done.conflicts:
        cursor = done.versions[-1].stamp if done.versions else done.after
        bus.publish(Notice(vault_id, done.after, cursor, tuple(done.versions), tuple(done.conflicts)))


class _Ticket:
    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.done = False
        self.outcomes: list[Outcome] = []
        self.named: frozenset[str] = frozenset()
        self.error: BaseException | None = None

    def succeed(self, outcomes: list[Outcome], named: frozenset[str]) -> None:
        self.outcomes, self.named, self.done = outcomes, named, True

    def fail(self, error: BaseException) -> None:
        self.error, self.done = error, True


class _Lane:
    """One vault's queue. Whoever holds `turn` commits."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.waiting: deque[_Ticket] = deque()

    def take(self) -> list[_Ticket]:
        tickets = [self.waiting.popleft()]
        writes = len(tickets[0].batch.writes)
        while self.waiting and writes + len(self.waiting[0].batch.writes) <= MOST_WRITES:
            tickets.append(self.waiting.popleft())
            writes += len(tickets[-1].batch.writes)
        return tickets
