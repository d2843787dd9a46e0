"""Waiting for what time may mend: longer and longer, and not at all once it is well again."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

from client.intervals import Intervals
from client.ports import ServerAway, ServerRefused, StateTrouble

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def time_may_mend(error: Exception) -> bool:
    """A server that is away, or has a fault, or a proxy that answers in its place; a disk that is full, or fails.

    Also a vault that is not there: its server may have started on an empty disk, or be restored just now.
    """
    match error:
        case ServerRefused():
            return error.status >= 500 or error.code.startswith("http-") or error.code == "not-found"
        case OSError():
            return error.errno in _DISK
    return isinstance(error, ServerAway | StateTrouble)


class Patience:
    """`retry_at`: when to try again; None while nothing is wrong. `moment` gives seconds that only go forward."""

    def __init__(self, moment: Callable[[], float], intervals: Intervals) -> None:
        self._moment = moment
        self._intervals = intervals
        self._wait = intervals.retry
        self._failed_at = 0.0
        self._asked = 0.0
        self.retry_at: float | None = None

    @property
    def over(self) -> bool:
        """Whether it is time to try."""
        return self.retry_at is None or self._moment() >= self.retry_at

    def failed(self, asked: float) -> None:
        """`asked`: seconds to wait at least."""
        self._failed_at, self._asked = self._moment(), asked
        wait = max(asked, self._wait * random.uniform(0.5, 1))  # noqa: S311  no secret
        self.retry_at = self._failed_at + wait
        self._wait = min(self._wait * 2, self._intervals.longest)

    def went_well(self) -> None:
        self.retry_at, self._wait = None, self._intervals.retry

    def now(self) -> None:
        """There is a sign that it is well again."""
        if self.retry_at is not None:
            self.retry_at = self._moment()

    def sooner(self) -> None:
        """Somebody works here, and will want it to arrive."""
        if self.retry_at is not None:
            self.retry_at = min(self.retry_at, self._failed_at + max(self._asked, self._intervals.hurry))
