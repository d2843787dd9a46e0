"""Where blocking work runs: who waits for whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context

import pytest

from store.offload import BULK, Queue


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        threading.Event().wait(0.001)


class _Row:
    """Work that waits for a place, and in which order it gets there."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.order: list[str] = []
        self.threads: list[threading.Thread] = []

    def add(self, name: str, *, bulk: bool) -> None:
        def work() -> None:
            BULK.set(bulk)
            self._queue.enter()
            self.order.append(name)
            self._queue.leave()

        before = self._queue.waiting
        thread = threading.Thread(target=copy_context().run, args=(work,))
        thread.start()
        self.threads.append(thread)
        _until(lambda: self._queue.waiting > before)

    def run(self) -> list[str]:
        self._queue.leave()
        for thread in self.threads:
            thread.join()
        return self.order


def test_work_without_a_large_body_goes_before_that_of_uploads_which_came_earlier() -> None:
    queue = Queue(1)
    queue.enter()
    row = _Row(queue)
    for name in ("upload 1", "upload 2"):
        row.add(name, bulk=True)
    for name in ("listing 1", "listing 2"):
        row.add(name, bulk=False)
    assert row.run() == ["listing 1", "listing 2", "upload 1", "upload 2"]


def test_uploads_have_their_turn_however_much_is_asked_for_meanwhile() -> None:
    queue = Queue(1)
    queue.enter()
    row = _Row(queue)
    row.add("upload", bulk=True)
    for number in range(20):
        row.add(f"listing {number}", bulk=False)
    assert row.run().index("upload") == 8


def test_whoever_gives_up_waiting_takes_no_place_along(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(1)
    queue.enter()

    class GivesUp:
        """A lock that is waited for in vain."""

        def __init__(self) -> None:
            self._taken = False

        def acquire(self) -> None:
            if self._taken:
                raise TimeoutError
            self._taken = True

    monkeypatch.setattr("store.offload.threading.Lock", GivesUp)
    with pytest.raises(TimeoutError):
        queue.enter()
    assert queue.waiting == 0
    queue.leave()
    queue.enter()  # the place is free again
