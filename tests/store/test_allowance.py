"""What one person may write in a day, whatever it is that writes (docs/operating.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from store.allowance import DAY_S, Allowance
from store.errors import SlowDown
from store.undo import Asked, Undo
from store.vaults import Vaults
from tests.store.world import USER, World, change, parcel, removal


@dataclass
class Time:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bounded:
    """A world whose user may write 10 versions and 1,000 bytes a day."""

    world: World
    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        world = self.world
        self.allowance = Allowance(10, 1_000, self.time)
        world.vaults = Vaults(world.metadata, world.bodies, world.bus, allowance=self.allowance)
        world.undoing = Undo(world.metadata, world.bodies, world.bus, world.reader, allowance=self.allowance)

    def write(self, *names: str) -> list[str]:
        files = [(name, name.encode()) for name in names]
        return self.world.statuses(parcel([change(path, body) for path, body in files], files))


@pytest.fixture
def bounded(tmp_path: Path) -> Bounded:
    return Bounded(World.at(tmp_path / "server"))


def test_of_a_push_what_is_too_much_for_a_day_is_refused_alone_and_nothing_is_left_of_it(
    bounded: Bounded, tmp_path: Path
) -> None:
    assert bounded.write(*[f"{number}" for number in range(8)]) == ["stored"] * 8
    assert bounded.write(*"abcde") == ["stored"] * 2 + ["slow-down"] * 3
    assert len(bounded.world.log()) == 10
    assert list((tmp_path / "server" / "bodies" / "tmp").iterdir()) == []
    with pytest.raises(SlowDown) as refused:
        bounded.write("c")
    assert 0 < refused.value.retry_after <= DAY_S / 10


def test_what_was_written_is_forgiven_bit_by_bit(bounded: Bounded) -> None:
    bounded.write(*"abcdefghij")
    bounded.time.now += DAY_S / 10
    assert bounded.write(*"kl") == ["stored", "slow-down"]
    bounded.time.now += 3 * DAY_S
    assert bounded.write(*"klmnopqrstu") == ["same", *["stored"] * 9, "slow-down"]


def test_when_everything_is_spent_no_way_of_writing_goes_on(bounded: Bounded) -> None:
    world = bounded.world
    base = world.new("a", b"1")
    first = world.new("a", b"2", base.stamp)
    conflict = world.keep("a", b"mine", base.stamp)
    bounded.write(*"bcdefgh")
    before = world.log()
    with pytest.raises(SlowDown):
        world.put("z", b"z")
    with pytest.raises(SlowDown):
        world.vaults.restore(world.vault, "a", base.stamp, first.stamp, by=world.by())
    with pytest.raises(SlowDown):
        world.resolve(conflict, "server", first.stamp)
    with pytest.raises(SlowDown):
        world.undoing.run(world.vault, Asked(base.stamp), by=world.by())
    with pytest.raises(SlowDown):
        world.delete("a", first.stamp)
    with pytest.raises(SlowDown):
        world.push(parcel([removal("a", first.stamp)]))
    assert world.log() == before
    assert world.files()["a"] == b"2", "reading goes on"


def test_bytes_count_also_where_nothing_came_of_them(bounded: Bounded) -> None:
    world = bounded.world
    base = world.new("a", b"x" * 400)
    files = [("a", b"y" * 700)]
    assert world.statuses(parcel([change("a", files[0][1], base.stamp - 1)], files)) == ["conflict"]
    with pytest.raises(SlowDown):
        world.put("b", b"")


def test_one_persons_writing_is_no_concern_of_others(bounded: Bounded) -> None:
    bounded.write(*"abcdefghijk")
    bounded.allowance.check("you")
    with pytest.raises(SlowDown):
        bounded.allowance.check(USER)


def test_without_limits_nothing_is_counted() -> None:
    allowance = Allowance()
    allowance.spend("me", 1 << 40, 1 << 60)
    allowance.check("me")
    assert allowance.left("me") is None
