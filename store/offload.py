"""Where blocking work runs. In the server: a small pool of native threads, so that one slow flush delays nobody.

The pool is gobi's own because gevent's default one also resolves names. A hand-over costs about 90 µs.

Hundreds of uploads at once have hundreds of things for a pool to do, and whoever asks for a listing meanwhile waited
behind all of them, for seconds. So what bodies need waits for what is asked without one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any, ParamSpec, Protocol, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


# Whether a request has so large a body that its work may wait for others'.
BULK: ContextVar[bool] = ContextVar("bulk", default=False)

# In a row of work without a body, how often some with one has its turn all the same.
_BULK_EVERY = 8


class Offload(Protocol):
    def __call__(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `work` and returns what it returns or raises what it raises; other greenlets go on meanwhile."""


def inline(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls directly: for commands, tests and whatever has no event loop."""
    return work(*args, **kwargs)


class ThreadPoolOffload:
    """For a gevent worker. Make it after the fork."""

    def __init__(self, threads: int = 4) -> None:
        from gevent.threadpool import ThreadPool  # here: commands never need gevent

        self._pool: Any = ThreadPool(threads)
        self._queue = Queue(threads)

    def __call__(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        self._queue.enter()
        try:
            # What is raised comes back as a value: gevent prints every exception that leaves a function in a pool.
            result, error = self._pool.apply(copy_context().run, (_attempt, work, args, kwargs))
        finally:
            self._queue.leave()
        if error is not None:
            raise error
        return cast(T, result)


class Queue:
    """Lets `room` of those who come be at work at once; of those who wait, the ones without a large body first."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._prompt: deque[threading.Lock] = deque()
        self._bulk: deque[threading.Lock] = deque()
        self._in_a_row = 0

    @property
    def waiting(self) -> int:
        return len(self._prompt) + len(self._bulk)

    def enter(self) -> None:
        if self._room:
            self._room -= 1
            return
        waiting = self._bulk if BULK.get() else self._prompt
        turn = threading.Lock()  # of greenlets
        turn.acquire()
        waiting.append(turn)
        try:
            turn.acquire()
        except BaseException:  # the worker ends, or a time is over
            if turn in waiting:
                waiting.remove(turn)
            else:
                self.leave()
            raise

    def leave(self) -> None:
        """Hands the place over."""
        bulk = self._bulk and (not self._prompt or self._in_a_row >= _BULK_EVERY)
        if bulk:
            self._in_a_row = 0
            self._bulk.popleft().release()
        elif self._prompt:
            self._in_a_row += 1
            self._prompt.popleft().release()
        else:
            self._room += 1


def _attempt(work: Callable[..., T], args: Any, kwargs: Any) -> tuple[T | None, BaseException | None]:  # noqa: ANN401
    try:
        return work(*args, **kwargs), None
    except BaseException as error:  # noqa: BLE001  # raised again, where the work was asked for
        return None, error
