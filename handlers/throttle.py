"""Slows down whoever guesses passwords: at a user from one network, at a user from anywhere, and from one network.

Each has a bucket of tokens: an attempt takes one from all three, a success gives them back, time refills. Guesses from
elsewhere leave a user's own network its tokens. What is kept of a name or an address is a digest, so that long ones
take no more room than short ones.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from sync.addresses import network_of

# Failures at once, and seconds until there is room for another.
PER_USER_AND_NETWORK = (10, 6.0)
PER_USER = (100, 6.0)
PER_NETWORK = (30, 2.0)
# Names that nobody has, which an owner of a vault wanted to let in.
PER_OWNER = (10, 60.0)
MOST_BUCKETS = 10_000
_DIGEST_BYTES = 16


class Throttle:
    """`clock` gives seconds that only go forward. `workers` that count for themselves refill so much slower each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, workers: int = 1) -> None:
        self._users_of_networks, self._users, self._networks = (
            Buckets(size, refill_s * workers, clock) for size, refill_s in (PER_USER_AND_NETWORK, PER_USER, PER_NETWORK)
        )
        self._key = secrets.token_bytes(_DIGEST_BYTES)  # nobody can look for names that share a bucket

    def wait(self, address: str, user: str | None) -> int:
        """The whole seconds until another attempt may be made, 0 for now. `user`: None where that which is guessed at
        is nobody's."""
        return math.ceil(max(buckets.wait(key) for buckets, key in self._buckets(address, user)))

    def take(self, address: str, user: str | None) -> int:
        """0, and an attempt is taken; or the whole seconds to wait, and nothing is."""
        wait = self.wait(address, user)
        if not wait:
            for buckets, key in self._buckets(address, user):
                buckets.take(key)
        return wait

    def give_back(self, address: str, user: str | None) -> None:
        """The attempt was no guess."""
        for buckets, key in self._buckets(address, user):
            buckets.give_back(key)

    def _buckets(self, address: str, user: str | None) -> list[tuple[Buckets, bytes]]:
        network = network_of(address)
        found = [(self._networks, self._digest(network))]
        if user is not None:
            found += [(self._users_of_networks, self._digest(network, user)), (self._users, self._digest(user))]
        return found

    def _digest(self, *parts: str) -> bytes:
        text = repr(parts).encode("utf-8", "surrogatepass")  # whatever came in a header
        return hashlib.blake2b(text, digest_size=_DIGEST_BYTES, key=self._key).digest()


class Buckets:
    """Buckets by key, each as the moment at which it is full. A full one need not be kept; of too many the one unused
    for longest is dropped."""

    def __init__(self, size: int, refill_s: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._refill_s = refill_s
        self._clock = clock
        self._full_at: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def wait(self, key: bytes) -> float:
        """Seconds until a token is there."""
        now = self._clock()
        return max(0.0, self._full_at.get(key, now) - now - (self._size - 1) * self._refill_s)

    def take(self, key: bytes) -> None:
        self._move(key, self._refill_s)

    def give_back(self, key: bytes) -> None:
        self._move(key, -self._refill_s)

    def _move(self, key: bytes, by_s: float) -> None:
        now = self._clock()
        full_at = max(now, self._full_at.pop(key, now)) + by_s
        if full_at > now:
            self._full_at[key] = full_at
        if len(self._full_at) > MOST_BUCKETS:
            self._full_at.popitem(last=False)
