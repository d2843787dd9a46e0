"""Metadata and Bus that tell somebody what they do, for measuring. What they do stays the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from store.base import Bus, Message, Metadata, Notice


def timed(metadata: Metadata, tell: Callable[[str, float], None]) -> Metadata:
    """`tell` hears the name of every operation that ended, well or not, and the seconds that it took."""
    return cast(Metadata, _Timed(metadata, tell))


def counted(bus: Bus, tell: Callable[[Notice], None]) -> Bus:
    """`tell` hears of every commit of this process, in its own words; not of those of others."""
    return cast(Bus, _Counted(bus, tell))


class _Timed:
    def __init__(self, metadata: Metadata, tell: Callable[[str, float], None]) -> None:
        self._metadata = metadata
        self._tell = tell

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever Metadata has
        method = getattr(self._metadata, name)
        if not callable(method):
            return method

        def timing(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            began = time.perf_counter()
            try:
                return method(*arguments, **named)
            finally:
                self._tell(name, time.perf_counter() - began)

        return timing


class _Counted:
    def __init__(self, bus: Bus, tell: Callable[[Notice], None]) -> None:
        self._bus = bus
        self._tell = tell

    def publish(self, message: Message) -> None:
        if isinstance(message, Notice):
            self._tell(message)
        self._bus.publish(message)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # the rest of Bus
        return getattr(self._bus, name)
