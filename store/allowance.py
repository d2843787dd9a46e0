"""What one person may write in a day: versions, and bytes of bodies.

Nobody meets it by honest use. It bounds what a member, or who has stolen their password, can do to the disk and the
database before somebody looks. Each worker counts for itself, in memory: that costs no look anywhere, and a restart
forgives.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from store.errors import SlowDown

DAY_S = 24 * 3600
# What is nearly full again is not worth remembering.
_MOST_KEPT = 1_000


class Allowance:
    """`versions` and `size` (bytes): of one user in a day; 0 is no limit. What was written is forgiven bit by bit, all
    of it after a day. `clock` gives seconds that only go forward."""

    def __init__(self, versions: int = 0, size: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = (versions, size)
        self._clock = clock
        self._spent: dict[str, _Spent] = {}

    def check(self, user: str) -> None:
        """Raises SlowDown where nothing is left, before anything is read or done."""
        wait_s = max(self._wait_s(user, which) for which in (0, 1))
        if wait_s > 0:
            raise _too_much(wait_s)

    def left(self, user: str) -> int | None:
        """How many versions; None where there is no limit."""
        return max(0, int(self._limits[0] - self._now(user)[0])) if self._limits[0] else None

    def spend(self, user: str, versions: int, size: int = 0) -> None:
        """Counts what was written, also where it was more than was left."""
        if not any(self._limits):
            return
        spent = self._now(user)
        self._spent[user] = _Spent(self._clock(), (spent[0] + versions, spent[1] + size))
        if len(self._spent) > _MOST_KEPT:
            self._spent = {name: one for name, one in self._spent.items() if any(self._now(name))}

    def _now(self, user: str) -> tuple[float, float]:
        """What of it is not forgiven yet."""
        one = self._spent.get(user)
        if one is None:
            return 0.0, 0.0
        share = (self._clock() - one.at_s) / DAY_S
        versions, size = (max(0.0, much - limit * share) for much, limit in zip(one.much, self._limits, strict=True))
        return versions, size

    def _wait_s(self, user: str, which: int) -> float:
        """Seconds until one more of it fits; 0 or less for now."""
        limit = self._limits[which]
        if not limit:
            return 0.0
        over = self._now(user)[which] + 1 - limit
        return over / limit * DAY_S


class _Spent:
    __slots__ = ("at_s", "much")

    def __init__(self, at_s: float, much: tuple[float, float]) -> None:
        self.at_s = at_s
        self.much = much


def _too_much(wait_s: float) -> SlowDown:
    return SlowDown(
        "that is more than one person may write here in a day: it goes on later by itself, or ask whoever runs the "
        "server (GOBI_VERSIONS_PER_DAY, GOBI_UPLOAD_MB_PER_DAY)",
        max(1, math.ceil(wait_s)),
    )
