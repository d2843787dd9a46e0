"""What costs much is done for each user one after the other, and few requests of one may wait for that."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from store.errors import SlowDown

RETRY_S = 5


class OneByOne:
    """`most`: of one user at work and waiting together, in this process. `what` they are, for people."""

    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._most = most
        self._asking: defaultdict[str, int] = defaultdict(int)
        self._turns: dict[str, threading.Lock] = {}

    @contextmanager
    def turn(self, user: str) -> Iterator[None]:
        """Waits until it is the user's next turn. Raises SlowDown where too many wait."""
        if self._asking[user] >= self._most:
            raise SlowDown(f"one {self._what} after the other: wait until the last is done, then ask again", RETRY_S)
        self._asking[user] += 1
        try:
            with self._turns.setdefault(user, threading.Lock()):
                yield
        finally:
            self._asking[user] -= 1
            if not self._asking[user]:
                del self._asking[user], self._turns[user]
