"""Moments in a vault whose stamps ran ahead of the clock (store/moments.py)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from store.bodies import DiskBodies
from store.moments import Moment, stamp_at
from sync.model import Version
from tests.contract.backends import Backend
from tests.store.world import World

SECOND = 1_000_000
HOUR = 3600 * SECOND


class Clockwork:
    """A world whose database's clock is set to so many seconds before now; negative ones are in the future."""

    def __init__(self, backend: Backend, folder: Path) -> None:
        self._backend = backend
        self._behind = 0
        self.world = World(backend.open(), DiskBodies(folder / "bodies"))
        self._count = 0

    def set(self, hours_ago: int) -> None:
        self._backend.step_back(hours_ago * HOUR - self._behind)
        self._behind = hours_ago * HOUR

    def write(self, hours_ago: int) -> Version:
        self.set(hours_ago)
        self._count += 1
        return self.world.new(f"{self._count}", b"%d" % self._count)

    def moment(self, hours_ago: float) -> Moment:
        self.set(0)
        return stamp_at(self.world.metadata, self.world.vault, int(time.time() * SECOND - hours_ago * HOUR))


@pytest.fixture
def clock(backend: Backend, tmp_path: Path) -> Clockwork:
    return Clockwork(backend, tmp_path)


def test_a_version_that_is_stamped_ahead_of_the_clock_says_when_it_was_made(clock: Clockwork) -> None:
    right = clock.write(3)
    wrong = clock.write(-1000)
    after = clock.write(1)
    assert (right.at, wrong.at) == (None, None)
    assert after.stamp == wrong.stamp + 1
    assert after.at == pytest.approx(time.time() * SECOND - HOUR, abs=60 * SECOND)
    assert after.to_json()["at"] == after.at
    assert clock.world.log() == [right, wrong, after]
    conflict = clock.world.keep("1", b"other", None)
    assert conflict.candidates[0].at == pytest.approx(time.time() * SECOND - HOUR, abs=60 * SECOND)


def test_where_stamps_do_not_run_ahead_a_moment_is_its_own_stamp(clock: Clockwork) -> None:
    clock.write(3)
    clock.write(1)
    now = int(time.time() * SECOND)
    assert stamp_at(clock.world.metadata, clock.world.vault, now - 2 * HOUR) == Moment(now - 2 * HOUR, True)


def test_where_they_do_only_what_was_made_since_is_later(clock: Clockwork) -> None:
    clock.write(10)
    wrong = clock.write(-1000)
    second, third, fourth = clock.write(5), clock.write(3), clock.write(1)
    assert fourth.stamp == wrong.stamp + 3
    assert clock.moment(0) == Moment(fourth.stamp, True)
    assert clock.moment(2) == Moment(third.stamp, True)
    assert clock.moment(4) == Moment(second.stamp, True)


def test_what_the_wrong_clock_stamped_is_left_out_where_nobody_knows_when_it_was_made(clock: Clockwork) -> None:
    first = clock.write(10)
    clock.write(-1000)
    wrong = clock.write(-1001)
    clock.write(5)
    assert clock.moment(7) == Moment(wrong.stamp, False)
    hours_11 = clock.moment(11)
    assert hours_11.stamp < first.stamp, "what is older than a change that is later than that is known to be later"
    assert hours_11.sure


def test_right_after_it_nothing_is_known(clock: Clockwork) -> None:
    clock.write(10)
    wrong = clock.write(-1000)
    assert clock.moment(1) == Moment(wrong.stamp, False)
    only = clock.world.undo(clock.moment(1).stamp)
    assert only.changes == []
