"""Slows down whoever guesses passwords, by address and by user.

Each has a bucket of tokens: an attempt takes one from both, a success gives them back, time refills. So guesses that
are made at once cannot all slip in before the first of them has failed.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from sync.addresses import parse_address

# Failures at once, and seconds until there is room for another.
PER_USER = (10, 6.0)
PER_ADDRESS = (30, 2.0)
MOST_BUCKETS = 10_000


class Throttle:
    """`clock` gives seconds that only go forward. `workers` that count for themselves refill so much slower each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, workers: int = 1) -> None:
        self._users = _Buckets(PER_USER[0], PER_USER[1] * workers, clock)
        self._addresses = _Buckets(PER_ADDRESS[0], PER_ADDRESS[1] * workers, clock)

    def take(self, address: str, user: str | None) -> int:
        """0, and an attempt is taken from both; or the whole seconds to wait, and nothing is. `user`: None where that
        which is guessed at is nobody's."""
        network = _network(address)
        wait = max(self._users.wait(user) if user is not None else 0.0, self._addresses.wait(network))
        if wait > 0:
            return math.ceil(wait)
        self._change(network, user, -1)
        return 0

    def give_back(self, address: str, user: str | None) -> None:
        """The attempt was no guess."""
        self._change(_network(address), user, +1)

    def _change(self, network: str, user: str | None, by: int) -> None:
        if user is not None:
            self._users.change(user, by)
        self._addresses.change(network, by)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class _Buckets:
    """Buckets by key. A full bucket need not be kept; of too many the one unused for longest is dropped."""

    def __init__(self, size: int, refill_s: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._refill_s = refill_s
        self._clock = clock
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def wait(self, key: Hashable) -> float:
        """Seconds until a token is there."""
        return max(0.0, (1 - self._tokens(key)) * self._refill_s)

    def change(self, key: Hashable, by: int) -> None:
        tokens = min(self._size, self._tokens(key) + by)
        self._buckets.pop(key, None)
        if tokens < self._size:
            self._buckets[key] = _Bucket(tokens, self._clock())
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)

    def _tokens(self, key: Hashable) -> float:
        bucket = self._buckets.get(key)
        if bucket is None:
            return self._size
        return min(self._size, bucket.tokens + (self._clock() - bucket.at) / self._refill_s)


def _network(address: str) -> str:
    """IPv6 by its /64, of which one household has at least one."""
    ip = parse_address(address)
    if ip is None:
        return address
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)
