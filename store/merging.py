"""Three-way merges of a conflict's texts, and settling by them where a vault wants it (docs/protocol.md, section 8)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from store.base import Bodies, Metadata, Vault
from store.commit import Committed
from store.errors import BodyMissing, NotFound, StoreError
from store.offload import Offload, inline
from store.settle import Choice
from sync.judge import Write
from sync.merge import MOST_BYTES, Merge, NotMergeable, Reason, merge
from sync.model import Conflict

log = logging.getLogger("gobi.merge")

# The name of the server's side behind a marker, where its version has no device.
_SERVER = "server"


@dataclass(frozen=True, slots=True)
class Merged:
    """What candidate `candidate` and the head with stamp `head` come to."""

    merge: Merge
    candidate: int
    head: int


@dataclass(frozen=True, slots=True)
class Declined:
    """`reason`: not-text, too-large; no-base: it was purged; deleted: the server's side is a tombstone; settled."""

    reason: Reason | Literal["no-base", "deleted", "settled"]


@dataclass(frozen=True, slots=True)
class Sides:
    """What a merge is made of: (hash, size) of the base, where there is one, the candidate and the head."""

    vault_id: str
    base: tuple[str, int] | None
    client: tuple[str, int]
    server: tuple[str, int]
    names: tuple[str, str]
    candidate: int
    head: int


class Merging:
    """Reads a conflict's sides and merges them, both off the event loop. `offload`: best one of its own, of one thread:
    a merge keeps the processor to itself, and several of them at once keep everybody waiting."""

    def __init__(self, metadata: Metadata, bodies: Bodies, *, offload: Offload = inline) -> None:
        self._metadata = metadata
        self._bodies = bodies
        self._offload = offload

    def merge(self, vault: Vault, conflict_id: str, number: int | None = None) -> Merged | Declined:
        """Candidate `number` (None: the newest) with the present head. Raises NotFound, BodyMissing."""
        return self._merged(self.sides(vault, conflict_id, number))

    def merge_of(self, vault: Vault, conflict: Conflict, number: int | None) -> Merged | Declined:
        """The same for a conflict that is known."""
        return self._merged(self._sides_of(vault, conflict, number))

    def sides(self, vault: Vault, conflict_id: str, number: int | None = None) -> Sides | Declined:
        """What is to be merged: no more is read than a few rows. Raises NotFound."""
        conflict = self._metadata.conflict(vault.id, conflict_id)
        if conflict is None:
            raise NotFound("there is no such conflict")
        return self._sides_of(vault, conflict, number)

    def answer(self, sides: Sides, form: Callable[[Merged | Declined], bytes]) -> bytes:
        """The merge, as `form` puts it; all of that off the event loop. Raises BodyMissing."""
        return self._offload(lambda: form(self._merge_now(sides)))

    def _merged(self, sides: Sides | Declined) -> Merged | Declined:
        return sides if isinstance(sides, Declined) else self._offload(self._merge_now, sides)

    def _sides_of(self, vault: Vault, conflict: Conflict, number: int | None) -> Sides | Declined:
        candidate = conflict.candidate(number)
        if candidate is None:
            raise NotFound(f"the conflict has no candidate {number}: it has {conflict.numbers}")
        if not conflict.open:
            return Declined("settled")
        path = conflict.path
        head = self._metadata.heads(vault.id, [path]).get(path)
        if head is None or head.hash is None:
            return Declined("deleted")
        base: tuple[str, int] | None = None  # both sides made the file new, or after it was deleted
        if conflict.base is not None:
            version = self._metadata.find(vault.id, [(path, conflict.base)]).get((path, conflict.base))
            if version is None:
                return Declined("no-base")
            base = (version.hash, version.size) if version.hash is not None else None
        client, server = (candidate.hash, candidate.size), (head.hash, head.size)
        if any(side and side[1] > MOST_BYTES for side in (base, client, server)):
            return Declined("too-large")
        names = (candidate.device, head.device or _SERVER)
        return Sides(vault.id, base, client, server, names, candidate.n, head.stamp)

    def _merge_now(self, sides: Sides) -> Merged | Declined:
        base, client, server = (
            self._read(sides.vault_id, *side) if side else b"" for side in (sides.base, sides.client, sides.server)
        )
        try:
            done = merge(base, client, server, client_name=sides.names[0], server_name=sides.names[1])
        except NotMergeable as declined:
            return Declined(declined.reason)
        return Merged(done, sides.candidate, sides.head)

    def _read(self, vault_id: str, hash: str, size: int) -> bytes:
        with self._bodies.open(vault_id, hash) as file:
            body = file.read(size + 1)
        if len(body) != size:
            raise BodyMissing(f"the body {hash} is damaged on the server's disk: restore it from a backup")
        return body


def settle_by_merge(
    merging: Merging, settle: Callable[[Vault, str, Choice], Committed], vault: Vault, conflict: Conflict, write: Write
) -> Conflict:
    """The conflict as it is after an attempt to settle it by what its only candidate, which came as `write`, and the
    head come to. It stays open where that is not certain, or anything fails: what was sent is stored already."""
    if not conflict.open or len(conflict.candidates) != 1 or conflict.candidates[0].hash != write.hash:
        return conflict
    try:
        done = merging.merge_of(vault, conflict, None)
        if isinstance(done, Declined) or not done.merge.clean:
            return conflict
        choice = Choice(
            "merged", done.head, write.device, write.user, done.candidate, done.merge.text, only_candidate=True
        )
        settled = settle(vault, conflict.id, choice).conflicts
    except StoreError as error:  # somebody was faster, or there is no room
        log.info("the conflict %s stays open: %s", conflict.id, error)
        return conflict
    except Exception:
        log.exception("the conflict %s stays open", conflict.id)
        return conflict
    return next((one for one in settled if one.id == conflict.id), conflict)
