"""Tells other workers and hosts what was committed: Redis pub/sub.

redis-py's own loop is not used: beside a Redis that restarted within half a second it lost 13 messages without a sign,
and after one that was away for eight seconds it was dead. Here connecting never ends, and whoever may have missed
something hears a Gap.
"""

from __future__ import annotations

import logging
import math
import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from store import bus_wire
from store.base import Gap, Message
from store.bus import LocalBus
from store.bus_options import check_options
from store.bus_outbox import Outbox
from store.bus_seal import Refused, Seal
from store.errors import Unavailable

MOST_WAITING = 1_000
MOST_WAITING_BYTES = 4 << 20
CLOSE_S = 2.0
# Between two lines about what was refused.
QUIET_S = 60

_log = logging.getLogger("gobi.bus")


@dataclass(frozen=True, slots=True)
class Timing:
    """In seconds: how long connecting and an answer may take; the silence after which an answer is asked for, without
    which the connection is given up; and the waits between tries, from the first to the longest."""

    connect_s: float = 2.0
    answer_s: float = 2.0
    idle_s: float = 5.0
    first_retry_s: float = 0.1
    last_retry_s: float = 2.5


class RedisBus:
    """Implements base.Bus over one channel, with one subscription however many readers there are.

    Readers in this process are called directly, so that they hear of everything whether Redis is there or not. They are
    also called by the thread that receives: a slow one keeps it from receiving.

    Nothing is connected before the first reader or message, and that in the background. Make it after a fork.
    """

    def __init__(
        self,
        url: str,
        channel: str,
        secret: Callable[[], bytes],
        timing: Timing = Timing(),
        most_waiting: int = MOST_WAITING,
        most_waiting_bytes: int = MOST_WAITING_BYTES,
    ) -> None:
        """`secret`: gives the database's, which signs the messages, when it is first needed.

        Raises ValueError for a URL that cannot be one, and says nothing of what is in it.
        """
        self._channel = channel
        self._timing = timing
        self._id = secrets.token_hex(8)
        self._seal = Seal(channel, self._id, secret)
        self._strangers = _Strangers(channel)
        self._local = LocalBus()
        self._outbox = Outbox(bus_wire.encode(self._id, Gap()), most_waiting, most_waiting_bytes)
        self._outgoing = _pool(url, timing)
        self._incoming = _pool(url, timing)
        self._reach = _Reach()
        self._subscribed = False
        self._ended = threading.Event()
        self._starting = threading.Lock()
        self._sender: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        return len(self._outbox)

    @property
    def refused(self) -> int:
        return self._strangers.count

    def publish(self, message: Message) -> None:
        try:
            self._outbox.put(bus_wire.encode(self._id, message))
        except Exception:  # noqa: BLE001  # the commit is done: nothing here may fail it
            _log.exception("cannot tell other workers of a message")
            self._outbox.lose()
        self._local.publish(message)
        self._start()

    def subscribe(self, reader: Callable[[Message], None]) -> Callable[[], None]:
        end = self._local.subscribe(reader)
        self._start()
        return end

    def ping(self) -> None:
        away = "Redis does not answer: other workers learn of changes up to half a minute late"
        if not self._subscribed or self._reach.away or self._ended.is_set():
            raise Unavailable(away)
        try:
            redis.Redis(connection_pool=self._outgoing).ping()
        except (redis.RedisError, OSError):
            raise Unavailable(away) from None

    def close(self) -> bool:
        self._outbox.close()
        if self._sender is not None:
            self._sender.join(CLOSE_S)
        sent = self._outbox.empty and not (self._sender and self._sender.is_alive())
        self._ended.set()
        return sent

    def _start(self) -> None:
        with self._starting:
            if self._sender is not None or self._ended.is_set():
                return
            self._sender = threading.Thread(target=self._send, name="gobi-bus-sender", daemon=True)
            self._sender.start()
            threading.Thread(target=self._receive, name="gobi-bus-receiver", daemon=True).start()

    # -- sending

    def _send(self) -> None:
        waits = _Waits(self._timing)
        while messages := self._outbox.take():
            try:
                self._deliver(messages)
            except Exception as error:  # noqa: BLE001  # whatever it is, this thread has to go on
                self._outbox.lose()
                self._reach.failed("sending", error)
                if self._ended.wait(waits.next_s()):
                    break
            else:
                waits.reset()
                self._reach.works("sending")
        self._outgoing.disconnect()

    def _deliver(self, messages: list[bytes]) -> None:
        """All in one round: Redis may be far away."""
        with redis.Redis(connection_pool=self._outgoing).pipeline(transaction=False) as pipeline:
            for message in messages:
                pipeline.publish(self._channel, self._seal.close(message))
            pipeline.execute()

    # -- receiving

    def _receive(self) -> None:
        waits = _Waits(self._timing)
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001  # whatever it is, this thread has to go on
                if not self._ended.is_set():
                    self._reach.failed("receiving", error)
            self._subscribed = False
            if time.monotonic() - began > self._timing.last_retry_s:
                waits.reset()  # it held for a while: not one that is subscribed and thrown out again and again
            self._ended.wait(waits.next_s())
        self._incoming.disconnect()

    def _listen(self) -> None:
        """Until the connection fails, or falls silent: a Redis that hangs, or is cut off, does not say so."""
        self._seal.prepare()
        client = redis.Redis(connection_pool=self._incoming)
        with client.pubsub() as subscription:  # type: ignore[no-untyped-call]  # it has no types
            subscription.subscribe(self._channel)
            answer_due = True
            while not self._ended.is_set():
                wait_s = self._timing.answer_s if answer_due else self._timing.idle_s
                message = subscription.get_message(timeout=wait_s)
                if message is not None:
                    answer_due = False
                    self._hear(message)
                    time.sleep(0)  # others' turn: gevent gives nobody one while there is more to read
                elif answer_due:
                    raise redis.TimeoutError(f"no answer within {wait_s:g} s")
                else:
                    subscription.ping()
                    answer_due = True

    def _hear(self, message: dict[str, Any]) -> None:
        if self._ended.is_set():
            return
        if message["type"] == "subscribe":
            # Also the very first time: others have published since the readers looked.
            self._reach.works("receiving")
            self._subscribed = True
            self._local.publish(Gap())
        elif message["type"] == "message":
            try:
                content = self._seal.open(message["data"])
            except (Refused, bus_wire.Malformed) as error:
                self._strangers.refuse(error)
                return
            if content is not None:  # its own were heard when they were published
                self._local.publish(content)


class _Reach:
    """Whether Redis can be reached, for the log: one line when it goes away and one when it is back, not one a try."""

    def __init__(self) -> None:
        self._failing: set[str] = set()
        self._lock = threading.Lock()

    @property
    def away(self) -> bool:
        return bool(self._failing)

    def failed(self, what: str, error: Exception) -> None:
        with self._lock:
            news = not self._failing
            self._failing.add(what)
        if news:
            reason = str(error) or type(error).__name__
            _log.warning("Redis is out of reach (%s): commits go on, other workers learn of them late", reason)

    def works(self, what: str) -> None:
        with self._lock:
            news = self._failing == {what}
            self._failing.discard(what)
        if news:
            _log.info("Redis is back")


class _Strangers:
    """What was refused: how much of it, and a line in the log a minute, for whoever can send one can send a million."""

    def __init__(self, channel: str) -> None:
        self.count = 0
        self._channel = channel
        self._quiet_until = -math.inf

    def refuse(self, error: Exception) -> None:
        self.count += 1
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET_S
            _log.warning("ignored what a stranger sent to the Redis channel %s: %s", self._channel, error)


class _Waits:
    """Between tries: longer each time, and not the same for all who wait."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._next_s = timing.first_retry_s

    def reset(self) -> None:
        self._next_s = self._timing.first_retry_s

    def next_s(self) -> float:
        longest = self._next_s
        self._next_s = min(2 * longest, self._timing.last_retry_s)
        return random.uniform(longest / 2, longest)  # noqa: S311  # no secret


def _pool(url: str, timing: Timing) -> redis.BlockingConnectionPool:
    """Raises ValueError."""
    check_options(url)
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=4,  # the sender's, and those of a few pings at once
            timeout=timing.connect_s,
            socket_connect_timeout=timing.connect_s,
            socket_timeout=timing.answer_s,
            retry=Retry(NoBackoff(), 0),  # trying again is the loops' business
            protocol=2,  # which every Redis and Valkey speaks
        )
        pool.connection_class(**pool.connection_kwargs)  # not connected: only to see that its options make sense
    except (ValueError, TypeError, redis.RedisError):
        raise ValueError("it cannot be a Redis URL, or has an option that there is not") from None
    return pool
