"""How long `.gobiignore` has been seen to be away, or empty, before a client that watches believes that it is meant.

Some programs take the file away while they save it, some empty it first, and a slow disk or a busy machine can make
that last. What it leaves out is worth the wait: nobody gets it back from a server.
"""

from __future__ import annotations

from collections.abc import Callable

QUIET = 20.0  # seconds


class Quiet:
    """Counts from the first look at which the file was so, and anew with whatever happens to it in between.

    `moment` gives seconds that only go forward, and not while the machine sleeps. `seen`: whether this client has seen
    the file, and that it was good; what was away before it began has only vanished.
    """

    def __init__(self, moment: Callable[[], float], seconds: float = QUIET) -> None:
        self._moment = moment
        self._seconds = seconds
        self._since: float | None = None
        self.seen = False

    def has_passed(self) -> bool:
        """To be asked at every look at which the file is away or empty."""
        if self._since is None:
            self._since = self._moment()
        return self._moment() - self._since >= self._seconds

    def broken(self) -> None:
        """Something happened to the file, or it was seen to be as it should be. For any thread."""
        self._since = None

    @property
    def left(self) -> float | None:
        """Seconds, None where nothing is waited for."""
        since = self._since
        return None if since is None else max(0.0, since + self._seconds - self._moment())
