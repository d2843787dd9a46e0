"""Where blocking work runs. In the server: a small pool of native threads, so that one slow flush delays nobody.

The pool is gobi's own because gevent's default one also resolves names. A hand-over costs about 90 µs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any, ParamSpec, Protocol, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


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

    def __call__(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        # What is raised comes back as a value: gevent prints every exception that leaves a function in a pool.
        result, error = self._pool.apply(copy_context().run, (_attempt, work, args, kwargs))
        if error is not None:
            raise error
        return cast(T, result)


def _attempt(work: Callable[..., T], args: Any, kwargs: Any) -> tuple[T | None, BaseException | None]:  # noqa: ANN401
    try:
        return work(*args, **kwargs), None
    except BaseException as error:  # noqa: BLE001  # raised again, where the work was asked for
        return None, error
