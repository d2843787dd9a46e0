"""What threads tell the one that waits for many things at once."""

from __future__ import annotations

import os
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """`descriptor` is readable when there is something in it."""

    def __init__(self) -> None:
        self.descriptor, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._letters: deque[T] = deque()

    def put(self, letter: T) -> None:
        self._letters.append(letter)
        self.ring()

    def ring(self) -> None:
        """Wakes the one that waits. Also for a signal handler."""
        try:
            os.write(self._bell, b"\0")
        except BlockingIOError:
            pass  # it has been rung often enough

    def empty(self) -> list[T]:
        try:
            os.read(self.descriptor, 4096)
        except BlockingIOError:
            pass
        letters = []
        while self._letters:
            letters.append(self._letters.popleft())
        return letters

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self._bell)
