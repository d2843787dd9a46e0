"""What is heard of a vault: what was told and is not done yet, and when the server has to be asked."""

from __future__ import annotations

from collections.abc import Callable

from client.foresee import Heard, lacks_new_names
from client.index import Index
from client.intervals import Intervals
from client.live import Lost, Opened

MOST_HEARD = 100  # messages that wait, of up to a hundred versions each


class Hearing:
    """`moment` gives seconds that only go forward."""

    def __init__(self, index: Index, moment: Callable[[], float], intervals: Intervals) -> None:
        self._index = index
        self._moment = moment
        self._intervals = intervals
        self._heard: list[Heard] = []
        self._at = (0.0, 0.0)  # when the first and the last of them came
        self._ask = False  # whether more may have happened than was told
        self._asked_at = moment()
        self._ask_at: float | None = None
        self._listening = False

    # -- what comes

    def told(self, message: Heard) -> None:
        now = self._moment()
        self._at = (self._at[0] if self._heard else now, now)
        self._heard.append(message)
        if len(self._heard) > MOST_HEARD:  # faster than it can be done: what it comes to is one question
            self._heard.clear()
            self.ask()

    def opened(self, live: Opened) -> None:
        self._listening = True
        self._ask_at = None
        if live.cursor != self._index.cursor:
            self._ask_at = self._moment() + self._intervals.poll  # should nothing be told of it

    def lost(self, live: Lost) -> None:
        if self._listening or live.doubtful:
            self.ask()
        self._listening = False
        self.ask_in(self._intervals.poll)

    def ask(self) -> None:
        """More happened than was told."""
        self._ask, self._asked_at = True, self._moment()

    def ask_in(self, seconds: float) -> None:
        at = self._moment() + seconds
        self._ask_at = at if self._ask_at is None else min(self._ask_at, at)

    # -- what to do about it

    def due_at(self) -> float | None:
        """None: there is nothing to do."""
        if self._ask:
            return self._asked_at
        moments = [self._told_at()] if self._heard else []
        moments += [self._ask_at] if self._ask_at is not None else []
        return min(moments, default=None)

    def take(self, *, whole: bool) -> tuple[Heard, ...] | None:
        """What is to be done now; None: ask. `whole`: the server is asked anyway."""
        now = self._moment()
        ask = self._ask or (self._ask_at is not None and now >= self._ask_at)
        self._ask = False
        self._ask_at = None if self._listening else now + self._intervals.poll
        if not (ask or whole or now >= self._told_at()):
            return ()
        heard, self._heard = self._heard, []
        return None if ask else tuple(heard)

    def _told_at(self) -> float:
        """When to do what was told. Deletes wait a little for the new names of what was only renamed."""
        first, last = self._at
        if not lacks_new_names(self._heard, self._index.records):
            return last
        return min(last + self._intervals.renamed, first + self._intervals.told)
