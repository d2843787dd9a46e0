"""Waiting for what time may mend: longer and longer, and not at all once it is well again."""

from __future__ import annotations

import random
from collections.abc import Callable

from client.intervals import Intervals


class Patience:
    """`retry_at`: when to try again; None while nothing is wrong. `moment` gives seconds that only go forward."""

    def __init__(self, moment: Callable[[], float], intervals: Intervals) -> None:
        self._moment = moment
        self._intervals = intervals
        self._wait = intervals.retry
        self._failed_at = 0.0
        self._may_hurry = True
        self.retry_at: float | None = None

    @property
    def over(self) -> bool:
        """Whether it is time to try."""
        return self.retry_at is None or self._moment() >= self.retry_at

    def failed(self, asked: float) -> None:
        """`asked`: seconds to wait at least."""
        self._failed_at = self._moment()
        wait = max(asked, self._wait * random.uniform(0.5, 1))  # noqa: S311  no secret
        self.retry_at = self._failed_at + wait
        self._wait = min(self._wait * 2, self._intervals.longest)
        self._may_hurry = not asked

    def went_well(self) -> None:
        self.retry_at, self._wait = None, self._intervals.retry

    def now(self) -> None:
        """There is a sign that it is well again."""
        if self.retry_at is not None:
            self.retry_at = self._moment()

    def sooner(self) -> None:
        """Somebody works here, and will want it to arrive."""
        if self.retry_at is not None and self._may_hurry:
            self.retry_at = min(self.retry_at, self._failed_at + self._intervals.hurry)
