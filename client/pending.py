"""Which files somebody touched, and when each is worth a look: a single edit at once, a burst when it is over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

FEW = 5  # files in a second that are single edits; more are a burst
MANY = 20  # deletes that somebody could have made one by one


class Times(NamedTuple):
    """Seconds.

    `settle`: what a program still has to do to a file that it has just closed. `renamed`, `gone`: how long a name may
    be missing in the middle of a program's saving. `found`: for a file of a new folder to be written to, if it is still
    being written. `open`: how long a file that is open is left alone after the last write; `without_end`: how long one
    that is written to without a pause is left alone, at first, and then twice as long each time, up to `rarely`.
    `together`: what is due so soon goes along. `quiet`: a burst is over. `most`: how long a burst may go on before what
    has come is sent.
    `patience`: the same for a burst of deletes, which the guard against deleting most of a folder can only judge as a
    whole.
    """

    settle: float = 0.005
    renamed: float = 0.1
    gone: float = 0.25
    found: float = 0.25
    open: float = 2.0
    without_end: float = 30.0
    rarely: float = 600.0
    together: float = 0.05
    quiet: float = 0.1
    most: float = 1.0
    patience: float = 30.0


class Touched(NamedTuple):
    """`moved`: of `paths`, those that nobody has written to.

    `busy`: what somebody is in the middle of: it is being written, or its name is missing, perhaps for a moment only.
    """

    paths: frozenset[str] = frozenset()
    moved: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()


class _Wait(NamedTuple):
    """`written`: its bytes may be others than before, whatever else happened to it."""

    due: float
    written: bool
    open: bool = False
    gone: bool = False


class _Writing(NamedTuple):
    """A file that is written to: since when, until when it is no pause yet, and how long it is left alone."""

    since: float
    until: float
    patience: float


class Pending:
    """`clock` gives seconds that only go forward."""

    def __init__(self, clock: Callable[[], float], times: Times) -> None:
        self._clock = clock
        self._times = times
        self._waiting: dict[str, _Wait] = {}
        self._writing: dict[str, _Writing] = {}
        self._taken: deque[tuple[float, int]] = deque()  # when, how many
        self._latest = 0.0  # when something happened last
        self._since = 0.0  # when what waits began to wait, about

    # -- what happened

    def written(self, path: str) -> None:
        self._wait(path, self._times.settle, written=True)

    def moved(self, path: str, *, renamed: bool) -> None:
        """`renamed`: from another name, so that both have to go together, or come back together."""
        self._wait(path, self._times.renamed if renamed else self._times.settle)

    def gone(self, path: str, *, renamed: bool = False) -> None:
        self._wait(path, self._times.renamed if renamed else self._times.gone, gone=True)

    def open(self, path: str) -> None:
        now, times = self._clock(), self._times
        before = self._writing.get(path, _Writing(now, now, times.without_end))
        self._writing[path] = before._replace(until=now + times.open)
        self._wait(path, min(times.open, max(0.0, before.since + before.patience - now)), written=True, open=True)

    def look_in(self, path: str, seconds: float) -> None:
        """Nothing happens to it any more, and yet it is not worth a look before."""
        self._wait(path, seconds, written=True, open=True)

    def found(self, path: str) -> None:
        self._wait(path, self._times.found, written=True)

    def again(self, touched: Touched) -> None:
        """What was taken came to nothing."""
        now = self._clock()
        for path in touched.paths:
            self._waiting.setdefault(path, _Wait(now, path not in touched.moved))

    # -- what to do about it

    def __contains__(self, path: str) -> bool:
        return path in self._waiting

    def due_in(self) -> float | None:
        """Seconds until something is to be taken; None: nothing waits."""
        if not self._waiting:
            return None
        now, times = self._clock(), self._times
        due = min(one.due for one in self._waiting.values())
        if sum(one.gone for one in self._waiting.values()) > MANY:
            due = min(max(due, self._latest + times.most), max(due, self._since + times.patience))
        elif self._is_burst(now):
            due = min(max(due, self._latest + times.quiet), max(due, self._since + times.most))
        return max(0.0, due - now)

    def take(self) -> Touched:
        """What is due."""
        now = self._clock()
        soon = now + self._times.together
        due = {path: one for path, one in self._waiting.items() if one.due <= (now if one.open else soon)}
        for path in due:
            del self._waiting[path]
            writing = self._writing.pop(path, None)
            if writing is not None and now < writing.until:  # no pause: it goes as it is, and less often from now on
                patience = min(writing.patience * 2, self._times.rarely)
                self._writing[path] = _Writing(now, writing.until, patience)
        self._taken.append((now, len(due)))
        self._since = now
        return Touched(
            frozenset(due),
            frozenset(path for path, one in due.items() if not one.written),
            frozenset(path for path, one in self._waiting.items() if one.open or one.gone),
        )

    def _wait(
        self, path: str, seconds: float, *, written: bool = False, open: bool = False, gone: bool = False
    ) -> None:
        now = self._latest = self._clock()
        if not open:
            self._writing.pop(path, None)
        if not self._waiting:
            self._since = now
        before = self._waiting.get(path)
        written = written or (before is not None and before.written)
        self._waiting[path] = _Wait(now + seconds, written, open, gone)

    def _is_burst(self, now: float) -> bool:
        while self._taken and self._taken[0][0] < now - self._times.most:
            self._taken.popleft()
        return len(self._waiting) + sum(count for _, count in self._taken) > FEW
