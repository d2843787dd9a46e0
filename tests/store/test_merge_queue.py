"""How merges that people ask for wait for each other, and which of them are done (docs/protocol.md, section 8)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from store.errors import SlowDown
from store.merge_queue import MergeQueue


class Work:
    """A merge that is at work until it is let go."""

    def __init__(self, answer: bytes = b"merged") -> None:
        self.answer = answer
        self.times = self.at_once = self.most_at_once = 0
        self.began = threading.Event()
        self.may_end = threading.Event()
        self._lock = threading.Lock()

    def __call__(self) -> bytes:
        with self._lock:
            self.times += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.began.set()
        assert self.may_end.wait(10)
        with self._lock:
            self.at_once -= 1
        return self.answer


@contextmanager
def asked(queue: MergeQueue, work: Work, *keys: object, user: str = "me") -> Iterator[list[bytes]]:
    """Requests that wait for their answers in here, and have them at the end."""
    answers: list[bytes] = []
    with ThreadPoolExecutor(len(keys)) as pool:
        futures = [pool.submit(queue.run, user, key, work) for key in keys]
        assert work.began.wait(10)
        try:
            yield answers
        finally:
            work.may_end.set()
        answers += [future.result() for future in futures]


def test_what_many_ask_for_at_once_is_merged_once() -> None:
    queue, work = MergeQueue(30), Work()
    with asked(queue, work, *["a"] * 30) as answers:
        pass
    assert answers == [b"merged"] * 30
    assert work.times == 1
    assert queue.run("you", "a", work) == b"merged"
    assert work.times == 1


def test_different_merges_of_one_user_are_made_one_after_the_other() -> None:
    queue, work = MergeQueue(8), Work()
    with asked(queue, work, *range(8)):
        pass
    assert (work.times, work.most_at_once) == (8, 1)


def test_a_user_who_has_too_many_waiting_is_told_when_to_ask_again_and_others_are_served() -> None:
    queue, work = MergeQueue(1), Work()
    others = Work()
    others.may_end.set()
    with asked(queue, work, "a"):
        with pytest.raises(SlowDown) as refused:
            queue.run("me", "b", work)
        assert refused.value.retry_after > 0
        assert queue.run("you", "b", others) == b"merged"
        assert queue.run("me", "b", work) == b"merged", "what is known needs no turn"
    assert queue.run("me", "c", work) == b"merged"


def test_a_merge_that_fails_leaves_the_turn_to_the_next_and_is_not_remembered() -> None:
    queue, work = MergeQueue(1), Work()
    work.may_end.set()

    def fail() -> bytes:
        raise RuntimeError

    for _ in range(3):
        with pytest.raises(RuntimeError):
            queue.run("me", "a", fail)
    assert queue.run("me", "a", work) == b"merged"


def test_what_is_remembered_is_bounded_and_the_oldest_goes() -> None:
    queue, work = MergeQueue(1, room=10), Work(b"1234")
    work.may_end.set()
    for key in ("a", "b", "a", "c"):
        queue.run("me", key, work)
    assert work.times == 3
    queue.run("me", "a", work)
    assert work.times == 3
    queue.run("me", "b", work)
    assert work.times == 4
    large = Work(b"x" * 11)
    large.may_end.set()
    assert queue.run("me", "large", large) == queue.run("me", "large", large)
    assert large.times == 2
