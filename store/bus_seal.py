"""What makes messages on Redis believable: whoever has access to it can send anything, and send again what was sent.

A message is signed with a key that is made of the database's secret, which Redis never sees, and numbered by its
sender. So what a stranger says is refused, and what is repeated is refused by whoever has heard its sender since, and
by everybody once it is older than `MOST_AGE_S`. Refusing costs time, never correctness: the sweep finds what there was
to tell.

The signature is two more fields at the end of the JSON object, which a gobi that knows nothing of them ignores.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable

from store import bus_wire
from store.base import Message

# So far may two hosts' clocks be apart, or a message be under way.
MOST_AGE_S = 300
# Senders whose last message is older than that are forgotten: nothing of theirs is taken again anyway.
MOST_SENDERS = 256

_END = re.compile(rb',"n":([0-9]{1,15}),"at":([0-9]{1,15}),"mac":"([0-9a-f]{64})"\}')
_MAC_BYTES = len(b',"mac":""}') + 64


def is_signed(data: bytes) -> bool:
    """Whether it looks so, to one who does not have the key."""
    end = _END.search(data, max(0, len(data) - _MAC_BYTES - 48))
    return end is not None and end.end() == len(data)


class Refused(Exception):
    """`reason` in a word; the text for people."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Seal:
    """Of one process. `secret` is asked for when it is first needed; `clock` gives seconds since 1970."""

    def __init__(
        self, channel: str, sender: str, secret: Callable[[], bytes], clock: Callable[[], float] = time.time
    ) -> None:
        self._channel = channel
        self._sender = sender
        self._secret = secret
        self._clock = clock
        self._key: bytes | None = None
        self._sent = 0
        self._heard: dict[str, tuple[int, int]] = {}  # by sender: the last number, and when that was sent

    def prepare(self) -> None:
        """Raises StoreError where the database is away."""
        if self._key is None:
            self._key = hmac.digest(self._secret(), f"gobi bus\0{self._channel}".encode(), hashlib.sha256)

    def close(self, encoded: bytes) -> bytes:
        """To be called right before it is sent, in that order. Raises StoreError."""
        self.prepare()
        self._sent += 1
        signed = encoded[:-1] + b',"n":%d,"at":%d' % (self._sent, self._clock())
        return signed + b',"mac":"%s"}' % self._mac(signed)

    def open(self, data: bytes) -> Message | None:
        """What another process says; None where it is this one's own. Raises Refused, StoreError."""
        self.prepare()
        end = _END.search(data, max(0, len(data) - _MAC_BYTES - 48))
        if end is None or end.end() != len(data):
            raise Refused(
                "unsigned",
                "it is not signed: an older gobi's, while hosts are upgraded one by one, or somebody else's who has "
                "access to Redis",
            )
        if not hmac.compare_digest(self._mac(data[:-_MAC_BYTES]), end[3]):
            raise Refused("forged", "it is signed with the secret of another database, or forged")
        sender, message = bus_wire.decode(data)
        if sender == self._sender:
            return None
        self._check_new(sender, int(end[1]), int(end[2]))
        return message

    def _check_new(self, sender: str, number: int, at: int) -> None:
        age_s = self._clock() - at
        if abs(age_s) > MOST_AGE_S:
            raise Refused(
                "old",
                f"it was sent {age_s:.0f} s ago: somebody repeats it, or the hosts' clocks differ (timedatectl)",
            )
        last, _ = self._heard.get(sender, (0, 0))
        if number <= last:
            raise Refused("repeated", "it was heard before")
        if len(self._heard) >= MOST_SENDERS and sender not in self._heard:
            self._forget()
        self._heard[sender] = (number, at)

    def _forget(self) -> None:
        """Also a message of the future is too old only `MOST_AGE_S` after the moment that it names."""
        oldest = self._clock() - MOST_AGE_S
        self._heard = {sender: heard for sender, heard in self._heard.items() if heard[1] >= oldest}

    def _mac(self, signed: bytes) -> bytes:
        assert self._key is not None
        return hmac.new(self._key, signed, hashlib.sha256).hexdigest().encode()
