"""What was read once and is not in step is not read again by every sync."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client import readings
from client.index import NAME, Index, Record
from client.ports import ServerAway
from tests.client.direct import Server
from tests.client.machines import MemoryMachine
from tests.client.memory import ManualClock


@pytest.fixture
def vault(tmp_path: Path) -> Server:
    """A vault that takes files up to 100 bytes."""
    return Server(tmp_path / "server", max_file=100)


class Reader(MemoryMachine):
    """A machine that notes which files are read, and thinks it worth remembering."""

    def __init__(self, vault: Server, name: str) -> None:
        super().__init__(vault, name)
        self.read: list[str] = []
        self.memory.meddle = lambda method, path: self.read.append(path) if method == "digest" else None

    def read_by_a_sync(self) -> list[str]:
        self.read.clear()
        self.sync()
        return list(self.read)


@pytest.fixture
def laptop(vault: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.setattr(readings, "WORTH", 1)
    one = Reader(vault, "laptop")
    yield one
    one.close()


def test_a_file_that_the_server_refuses_is_read_once(laptop: Reader) -> None:
    laptop.write("large.img", "x" * 200)
    laptop.clock.forward(10)
    assert laptop.read_by_a_sync() == ["large.img"]
    assert laptop.read_by_a_sync() == []
    report = laptop.sync()
    assert [path for path, _ in report.refused] == ["large.img"]
    laptop.read.clear()
    assert [path for path, _ in laptop.status().refused] == ["large.img"]
    assert laptop.read == []


def test_a_file_that_grew_beyond_what_the_server_takes_is_read_once(vault: Server, laptop: Reader) -> None:
    laptop.write("large.img", "small")
    laptop.sync()
    laptop.write("large.img", "x" * 200)
    laptop.clock.forward(10)
    assert laptop.read_by_a_sync() == ["large.img"]
    assert laptop.read_by_a_sync() == []
    laptop.write("large.img", "small again")
    laptop.clock.forward(10)
    assert laptop.read_by_a_sync() == ["large.img"]
    assert vault.files() == {"large.img": b"small again"}
    assert laptop.index.readings == {}


def test_a_file_in_conflict_is_read_once_and_its_settlement_arrives(vault: Server, laptop: Reader) -> None:
    laptop.write("a.md", "base")
    laptop.sync()
    vault.put("a.md", b"theirs")
    laptop.write("a.md", "mine")
    laptop.clock.forward(10)
    assert laptop.read_by_a_sync() == ["a.md"]
    assert laptop.read_by_a_sync() == []
    vault.resolve("server")
    assert laptop.sync().in_step
    assert laptop.files() == {"a.md": b"theirs"}
    laptop.sync()
    assert laptop.index.readings == {}


def test_what_was_read_before_the_server_was_away_is_not_read_again(vault: Server, laptop: Reader) -> None:
    for number in range(3):
        laptop.write(f"{number}.img", f"{number}")
    laptop.clock.forward(10)

    def away(method: str, when: str) -> None:
        raise ServerAway("the network is gone")

    laptop.transport.meddle = away
    with pytest.raises(ServerAway):
        laptop.sync()
    laptop.transport.meddle = lambda method, when: None
    assert laptop.read_by_a_sync() == []
    assert len(vault.files()) == 3
    assert laptop.index.readings == {}


def test_a_file_that_is_as_young_as_its_reading_is_read_again(vault: Server, laptop: Reader) -> None:
    vault.put("a.md", b"theirs")
    laptop.memory.tick_ns = 2 * 10**9
    laptop.memory.write("a.md", b"mine")
    laptop.engine().sync()
    assert laptop.index.readings == {}
    laptop.memory.write("a.md", b"ours")
    laptop.sync()
    assert len(vault.conflicts()[0].candidates) >= 1
    assert {one.hash for one in laptop.index.readings.values()} == {laptop.index.records["a.md"].sent[-1]}


def test_readings_outlive_the_process_with_numbers_of_any_size(tmp_path: Path) -> None:
    reading = Record("a.img", None, "aa" * 32, (1 << 63) - 1, -(1 << 70), 1 << 70, (1 << 64) - 1, 5)
    index = Index(tmp_path / NAME)
    index.put_reading(reading)
    index.save()
    index.close()
    again = Index.open(tmp_path, repair=False, clock=ManualClock())
    assert again.readings == {"a.img": reading}
    again.put(reading._replace(stamp=7))
    again.save()
    again.close()
    last = Index.open(tmp_path, repair=False, clock=ManualClock())
    assert (last.readings, list(last.records)) == ({}, ["a.img"])
    last.close()
