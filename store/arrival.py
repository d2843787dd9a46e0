"""The room of one request's bodies: put aside before they are stored, and until they are committed.

What is stored already is in the vault's count; what is on its way, in whichever worker, is in reservations. So what
comes at once is never more than what fits, however long it takes to come.
"""

from __future__ import annotations

import time

from store.base import Bodies, Metadata, Reserved, Vault
from store.log_size import used

# Bodies whose length nobody knows, and those of a push, have this much put aside at a time.
STEP = 1 << 20
# How old what is known of the vault may be when it is decided what fits, in seconds.
FRESH_S = 1.0
# Of bodies on trial there may be this much in any case.
LEAST_ON_TRIAL = 1 << 20
_TRIAL = ".trial"


class Arrival:
    """`limit`: bytes that the vault may hold; 0 is no limit, and then everything is admitted.

    A body that finds no room may still come on trial, where it may turn out to need none: the vault has it already, or
    refuses it for another reason. Of such there is no more at once than the vault may hold. All that takes a size
    blocks for moments.
    """

    def __init__(self, metadata: Metadata, bodies: Bodies, vault: Vault, limit: int) -> None:
        self._metadata = metadata
        self._bodies = bodies
        self._vault = vault
        self._seen_s = time.monotonic()
        self._limit = limit
        self._firm = self._trial = _Lane(None)

    def admit(self, size: int, *, step: int = STEP, trial: bool = True) -> bool:
        """Whether one more body of `size` bytes may come."""
        if not self._limit:
            return True
        return self._lane(firm=True).take(size, step, self._room(self._vault)) or (
            trial and self._lane(firm=False).take(size, step, self._trial_room())
        )

    def extend(self, size: int) -> bool:
        """The same for the only body, of which `size` bytes have come so far."""
        if not self._limit or size <= max(self._firm.size, self._trial.size):
            return True
        if not self._trial.size and self._lane(firm=True).hold(size, STEP, self._room(self._vault)):
            return True
        if not self._lane(firm=False).hold(size, STEP, self._trial_room()):
            return False
        self._firm.hold(0, 0, 0)
        return True

    def covers(self, size: int) -> bool:
        """Whether `extend` has nothing to do. Does not block."""
        return not self._limit or size <= max(self._firm.size, self._trial.size)

    def settle(self, size: int) -> bool:
        """Puts `size` bytes aside for all that is to be committed, and nothing on trial any more; whether they fit."""
        if not self._limit:
            return True
        return self._lane(firm=True).hold(size, 0, self._room(self.vault()))

    def vault(self) -> Vault:
        """The vault as it stands, looked up again only where bodies took their time to come."""
        if self._limit and time.monotonic() - self._seen_s >= FRESH_S:
            found = self._metadata.vault(self._vault.name)
            self._seen_s = time.monotonic()
            if found is not None and found.id == self._vault.id:
                self._vault = found
        return self._vault

    def room(self) -> int:
        """Bytes that the vault has for this request's bodies."""
        return max(0, self._room(self.vault()) - self._lane(firm=True).others())

    def close(self) -> None:
        self._firm.close()
        self._trial.close()

    def _room(self, vault: Vault) -> int:
        return max(0, self._limit - used(vault))

    def _trial_room(self) -> int:
        return max(self._limit, self._vault.stored, LEAST_ON_TRIAL)

    def _lane(self, *, firm: bool) -> _Lane:
        lane = self._firm if firm else self._trial
        if not lane.made:
            lane = _Lane(self._bodies.reserve(self._vault.id + ("" if firm else _TRIAL)))
            if firm:
                self._firm = lane
            else:
                self._trial = lane
        return lane


class _Lane:
    """A reservation, and how much of it is taken."""

    def __init__(self, reserved: Reserved | None) -> None:
        self._reserved = reserved
        self._taken = 0

    @property
    def made(self) -> bool:
        return self._reserved is not None

    @property
    def size(self) -> int:
        return self._reserved.size if self._reserved is not None else 0

    def take(self, size: int, step: int, room: int) -> bool:
        return self.hold(self._taken + size, step, room)

    def hold(self, size: int, step: int, room: int) -> bool:
        """Whether all that is taken may be `size`. With it `step` bytes more are put aside where there is room."""
        if self._reserved is None:
            return size == 0
        enough = step > 0 and size <= self._reserved.size
        held = enough or (step > 0 and self._reserved.set(size + step, room)) or self._reserved.set(size, room)
        if held:
            self._taken = size
        return held

    def others(self) -> int:
        return self._reserved.others() if self._reserved is not None else 0

    def close(self) -> None:
        if self._reserved is not None:
            self._reserved.close()
