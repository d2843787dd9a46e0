"""Working ahead: the next item is made while the last one is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from queue import Full, Queue
from threading import Event, Thread
from typing import Protocol, TypeVar

T = TypeVar("T")


class Ahead(Protocol):
    """`ahead`, or `in_turn` where threads are not welcome."""

    def __call__(self, items: Iterable[T], depth: int = 1) -> AbstractContextManager[Iterator[T]]: ...


_LOOK_UP = 0.2  # seconds between looks whether anybody still wants the next item


@contextmanager
def ahead(items: Iterable[T], depth: int = 1) -> Iterator[Iterator[T]]:
    """Runs `items` in a thread of its own, up to `depth` finished items ahead.

    What it raises comes out where the next item was expected. When the block is left, the thread has ended.
    """
    made: Queue[tuple[T] | BaseException | None] = Queue(depth)
    unwanted = Event()

    def offer(thing: tuple[T] | BaseException | None) -> bool:
        while not unwanted.is_set():
            try:
                made.put(thing, timeout=_LOOK_UP)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not offer((item,)):
                    break
            else:
                offer(None)
        except BaseException as error:  # noqa: BLE001  it is raised again by whoever waits for the next item
            offer(error)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    def use() -> Iterator[T]:
        while (thing := made.get()) is not None:
            if isinstance(thing, BaseException):
                raise thing
            yield thing[0]

    thread = Thread(target=work, name="gobi-ahead", daemon=True)
    thread.start()
    try:
        yield use()
    finally:
        unwanted.set()
        thread.join()


@contextmanager
def in_turn(items: Iterable[T], depth: int = 1) -> Iterator[Iterator[T]]:  # noqa: ARG001  the same shape as `ahead`
    """The same without a thread: everything happens in one order only."""
    iterator = iter(items)
    try:
        yield iterator
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
