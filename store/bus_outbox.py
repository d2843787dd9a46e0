"""What waits to be sent to other processes: never more than a few megabytes, however long they are out of reach."""

from __future__ import annotations

import threading


class Outbox:
    """A queue that forgets: where too much waits, or sending fails, all of it makes room for `gap`.

    Whoever hears the gap reads the log again, so it tells of all that it stands for. That includes what is put in while
    it waits; only once it is taken are messages kept again.
    """

    def __init__(self, gap: bytes, most_messages: int, most_bytes: int) -> None:
        self._gap = gap
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._gap_waits = False
        self._closed = False
        self._changed = threading.Condition()

    def put(self, message: bytes) -> None:
        with self._changed:
            if self._gap_waits:
                return
            self._waiting.append(message)
            self._bytes += len(message)
            if len(self._waiting) > self._most_messages or self._bytes > self._most_bytes:
                self._replace_all()
            self._changed.notify()

    def lose(self) -> None:
        """Says that something was lost, taken before or never put in."""
        with self._changed:
            self._replace_all()
            self._changed.notify()

    def take(self) -> list[bytes]:
        """All that waits, in its order; waits for something. Nothing once it is closed and empty. For one caller."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            taken, self._waiting, self._bytes, self._gap_waits = self._waiting, [], 0, False
            return taken

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def empty(self) -> bool:
        return not self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def _replace_all(self) -> None:
        self._waiting, self._bytes, self._gap_waits = [self._gap], len(self._gap), True
