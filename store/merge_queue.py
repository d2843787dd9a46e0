"""Merges for whoever looks at conflicts: of each user one at a time, and nothing that is asked for twice is done twice.

A merge may take seconds of a processor. So what one person asks for waits in that person's own queue, which is short,
and leaves the processor to the others in between.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from store.one_by_one import OneByOne

# Answers that are remembered, in bytes together: the window of a conflict asks for the same one again and again.
REMEMBERED_BYTES = 8 << 20


class MergeQueue:
    """`most`: merges of one user that may be at work or wait, in this process."""

    def __init__(self, most: int, room: int = REMEMBERED_BYTES) -> None:
        self._turns = OneByOne("merge", most)
        self._room = room
        self._answers: OrderedDict[Hashable, bytes] = OrderedDict()
        self._size = 0

    def run(self, user: str, key: Hashable, work: Callable[[], bytes]) -> bytes:
        """What `work` gives in the user's turn, or gave for `key` before. Raises SlowDown where too many wait."""
        answer = self._remembered(key)
        if answer is not None:
            return answer
        with self._turns.turn(user):
            answer = self._remembered(key)  # whoever was before this one may have asked for the same
            if answer is None:
                answer = work()
                self._remember(key, answer)
        return answer

    def _remembered(self, key: Hashable) -> bytes | None:
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def _remember(self, key: Hashable, answer: bytes) -> None:
        if len(answer) > self._room or key in self._answers:
            return
        self._answers[key] = answer
        self._size += len(answer)
        while self._size > self._room:
            _, oldest = self._answers.popitem(last=False)
            self._size -= len(oldest)
