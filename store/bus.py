"""Tells other parts of the server what was committed: in-process, for one worker."""

from __future__ import annotations

import logging
from collections.abc import Callable

from store.base import Notice

_log = logging.getLogger("gobi.bus")


class LocalBus:
    """Implements base.Bus by calling the readers one after another."""

    def __init__(self) -> None:
        self._readers: list[Callable[[Notice], None]] = []

    def publish(self, notice: Notice) -> None:
        for reader in list(self._readers):
            try:
                reader(notice)
            except Exception:  # noqa: BLE001  # the commit is done: no reader may fail it
                _log.exception("a reader of notices failed")

    def subscribe(self, reader: Callable[[Notice], None]) -> Callable[[], None]:
        self._readers.append(reader)
        return lambda: self._readers.remove(reader)

    def ping(self) -> None:
        """In-process: always there."""
