"""One piece of work at a time in a thread of its own, so that whoever asked for it goes on watching."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Outcome(NamedTuple, Generic[T]):
    """What came out of it: a value, or what it raised."""

    value: T | None
    error: Exception | None


class Errands(Generic[T]):
    """`done` is called in the thread, with the outcome of each."""

    def __init__(self, done: Callable[[Outcome[T]], None]) -> None:
        self._done = done
        self._asked: SimpleQueue[Callable[[], T]] = SimpleQueue()
        self.thread = Thread(target=self._run, name="gobi-sync", daemon=True)
        self.thread.start()

    def ask(self, work: Callable[[], T]) -> None:
        self._asked.put(work)

    def _run(self) -> None:
        while True:
            work = self._asked.get()
            try:
                outcome = Outcome(work(), None)
            except Exception as error:  # noqa: BLE001  it is for whoever asked to know what to do about it
                outcome = Outcome(None, error)
            self._done(outcome)
