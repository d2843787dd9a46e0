"""Processes on one Redis channel, for tests of the bus between them."""

from __future__ import annotations

import uuid

from store.base import Gap, Message, Notice
from store.bus_redis import RedisBus, Timing
from store.errors import Unavailable
from sync.model import Version
from tests.services import Redis, wait_until

SERVER = Timing()
# For outages: a fraction of the waits that a server has.
QUICK = Timing(connect_s=1, answer_s=0.5, idle_s=0.2, first_retry_s=0.02, last_retry_s=0.1)
# Hears nothing of a Redis that hangs for a while, so that a gap can only come from the sender.
PATIENT = Timing(answer_s=60, idle_s=60)
# What does not wait for Redis takes much less, what does takes two seconds.
AT_ONCE_S = 1.0
SECRET = b"s" * 32


def secret() -> bytes:
    """The database's, which all processes on a channel have."""
    return SECRET


def notice(after: int = 1, changes: int = 1) -> Notice:
    stamps = range(after + 1, after + changes + 1)
    versions = (Version(f"{stamp}.md", "put", stamp, None, "ab" * 32, 1, None, "laptop", "me") for stamp in stamps)
    return Notice("v1", after, after + changes, tuple(versions))


class Process:
    """A bus as a worker has it, and what its reader heard."""

    def __init__(self, url: str, channel: str, timing: Timing, **options: int) -> None:
        self.bus = RedisBus(url, channel, secret, timing, **options)
        self.heard: list[Message] = []
        self.bus.subscribe(self.heard.append)

    @property
    def gaps(self) -> int:
        return self.heard.count(Gap())

    def wait_for(self, message: Message) -> None:
        wait_until(lambda: message in self.heard, f"{message} in {self.heard}")

    def wait_for_gap(self, number: int = 1) -> None:
        wait_until(lambda: self.gaps >= number, f"gap {number} in {self.heard}")

    def wait_until_ready(self, ready: bool = True) -> None:
        wait_until(lambda: self.ready is ready, f"the process to be {'' if ready else 'un'}ready")

    @property
    def ready(self) -> bool:
        try:
            self.bus.ping()
        except Unavailable:
            return False
        return True


class Channel:
    """One channel, with all the processes on it."""

    def __init__(self) -> None:
        self.name = f"gobi:{uuid.uuid4().hex}"
        self._started: list[Process] = []

    def start(
        self, redis: Redis, timing: Timing = SERVER, *, url: str = "", wait: bool = True, **options: int
    ) -> Process:
        """Another process. It is subscribed unless `wait` is false."""
        one = Process(url or redis.url, self.name, timing, **options)
        self._started.append(one)
        if wait:
            one.wait_for_gap()
        return one

    def close(self) -> None:
        for one in self._started:
            one.bus.close()
