"""Working ahead: the next item is made while the last one is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from queue import Full, Queue
from threading import Event, Thread
from typing import Generic, Protocol, TypeVar

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
    worker = _Worker(items, depth)
    worker.thread.start()
    in_peace = True
    try:
        yield worker.items()
    except KeyboardInterrupt:
        in_peace = False  # the process ends; nobody waits for a network that may be silent
        raise
    finally:
        worker.unwanted.set()
        if in_peace:
            worker.thread.join()


class _Worker(Generic[T]):
    """What is made: an item in a tuple, an error, or None at the end."""

    def __init__(self, items: Iterable[T], depth: int) -> None:
        self._items = items
        self._made: Queue[tuple[T] | BaseException | None] = Queue(depth)
        self.unwanted = Event()
        self.thread = Thread(target=self._work, name="gobi-ahead", daemon=True)

    def items(self) -> Iterator[T]:
        while (thing := self._made.get()) is not None:
            if isinstance(thing, BaseException):
                raise thing
            yield thing[0]

    def _work(self) -> None:
        iterator = iter(self._items)
        try:
            for item in iterator:
                if not self._offer((item,)):
                    return
            self._offer(None)
        except BaseException as error:  # noqa: BLE001  it is raised again by whoever waits for the next item
            self._offer(error)
        finally:
            _close(iterator)

    def _offer(self, thing: tuple[T] | BaseException | None) -> bool:
        while not self.unwanted.is_set():
            try:
                self._made.put(thing, timeout=_LOOK_UP)
            except Full:
                continue
            return True
        return False


@contextmanager
def in_turn(items: Iterable[T], depth: int = 1) -> Iterator[Iterator[T]]:  # noqa: ARG001  the same shape as `ahead`
    """The same without a thread: everything happens in one order only."""
    iterator = iter(items)
    try:
        yield iterator
    finally:
        _close(iterator)


def _close(iterator: Iterator[T]) -> None:
    close = getattr(iterator, "close", None)
    if close is not None:
        close()
