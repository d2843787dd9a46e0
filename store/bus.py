"""Tells other parts of the server what was committed: in-process, for one worker."""

from __future__ import annotations

import logging
from collections.abc import Callable

from store.base import Message

_log = logging.getLogger("gobi.bus")


class LocalBus:
    """Implements base.Bus by calling the readers one after another."""

    def __init__(self) -> None:
        self._readers: list[Callable[[Message], None]] = []

    def publish(self, message: Message) -> None:
        for reader in list(self._readers):
            try:
                reader(message)
            except Exception:  # noqa: BLE001  # the commit is done: no reader may fail it
                _log.exception("a reader of notices failed")

    def subscribe(self, reader: Callable[[Message], None]) -> Callable[[], None]:
        self._readers.append(reader)
        return lambda: self._readers.remove(reader)

    def ping(self) -> None:
        """In-process: always there."""

    @property
    def refused(self) -> int:
        """Nobody else has a word here."""
        return 0

    @property
    def waiting(self) -> int:
        """Nothing ever waits here."""
        return 0

    def close(self) -> bool:
        """Nothing ever waits here."""
        return True
