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


@pytest.fixture
def silent(laptop: Reader, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """The laptop, with a server that does not say how large a file may be, as an older one."""
    asked = laptop.transport.sync
    monkeypatch.setattr(laptop.transport, "sync", lambda *given: asked(*given)._replace(max_file=0))
    return laptop


def test_a_file_larger_than_the_server_takes_is_not_read(vault: Server, laptop: Reader) -> None:
    laptop.write("plain.md", "plain")
    laptop.sync()
    laptop.write("large.img", "x" * 101)
    laptop.write("plain.md", "x" * 101)
    laptop.clock.forward(10)
    assert laptop.read_by_a_sync() == []
    report = laptop.sync()
    assert [path for path, _ in report.refused] == ["large.img", "plain.md"]
    assert report.exit_code == 1
    assert [path for path, _ in laptop.status().refused] == ["large.img", "plain.md"]
    laptop.write("large.img", "x" * 100)
    laptop.write("plain.md", "small again")
    assert laptop.sync().in_step
    assert vault.files() == {"large.img": b"x" * 100, "plain.md": b"small again"}


def test_a_vast_file_is_not_read_before_the_server_has_said_how_large_a_file_may_be(
    vault: Server, laptop: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.scan.LARGE", 150)
    laptop.write("vast.img", "x" * 200)
    laptop.write("plain.md", "plain")
    laptop.clock.forward(10)
    assert laptop.read_by_a_sync() == ["plain.md"]
    assert vault.files() == {"plain.md": b"plain"}


def test_a_server_that_does_not_say_how_large_a_file_may_be_gets_all_of_them(
    vault: Server, silent: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.scan.LARGE", 10)
    silent.write("large.img", "x" * 100)
    silent.sync()
    assert vault.files() == {"large.img": b"x" * 100}
    assert silent.sync().in_step


def test_a_limit_that_was_raised_lets_the_file_go(vault: Server, laptop: Reader) -> None:
    laptop.write("large.img", "x" * 200)
    laptop.sync()
    assert laptop.sync().exit_code == 1
    vault.vaults._max_file = 300
    laptop.sync()
    assert laptop.sync().in_step
    assert vault.files() == {"large.img": b"x" * 200}


def test_a_file_that_the_server_refuses_is_read_once(silent: Reader) -> None:
    laptop = silent
    laptop.write("large.img", "x" * 200)
    laptop.clock.forward(10)
    assert laptop.read_by_a_sync() == ["large.img"]
    assert laptop.read_by_a_sync() == []
    report = laptop.sync()
    assert [path for path, _ in report.refused] == ["large.img"]
    laptop.read.clear()
    assert [path for path, _ in laptop.status().refused] == ["large.img"]
    assert laptop.read == []


def test_a_file_that_grew_beyond_what_the_server_takes_is_read_once(vault: Server, silent: Reader) -> None:
    laptop = silent
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
