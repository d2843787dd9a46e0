"""A program has a file open, as loggers, databases and some editors do, while another version of it arrives."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.client.direct import Server
from tests.client.machines import DiskMachine

LATE = b"line 2, written after the other version came\n"


@pytest.fixture
def laptop(vault: Server, tmp_path: Path) -> Iterator[DiskMachine]:
    machine = DiskMachine(vault, "laptop", tmp_path / "laptop")
    machine.write("logs/today.log", "line 1\n")
    machine.sync()
    yield machine
    machine.close()


@pytest.fixture
def program(laptop: DiskMachine) -> Iterator[BinaryIO]:
    with open(laptop.root / "logs/today.log", "ab", buffering=0) as program:
        yield program


def left(laptop: DiskMachine) -> list[str]:
    return os.listdir(laptop.state / "tmp")


def replace(vault: Server) -> None:
    vault.put("logs/today.log", b"line 1\nfrom elsewhere\n")


def delete(vault: Server) -> None:
    vault.delete("logs/today.log")


@pytest.mark.parametrize("restarts", [False, True], ids=["gobi runs on", "gobi is started again"])
@pytest.mark.parametrize("change", [replace, delete])
def test_what_a_program_writes_into_a_file_that_was_replaced_or_removed_is_kept_and_said(
    vault: Server, laptop: DiskMachine, program: BinaryIO, change: Callable[[Server], None], restarts: bool
) -> None:
    change(vault)
    report = laptop.sync()
    assert report.held
    assert laptop.trash() == []
    assert any("logs/today.log" in note and "open" in note for note in report.notes)
    program.write(LATE)
    if restarts:
        laptop.restart()
    report = laptop.sync()
    assert laptop.trash() == [b"line 1\n" + LATE]
    assert any("today.log" in note and ".gobi/trash/" in note for note in report.notes)
    assert left(laptop) == []
    program.write(LATE)
    assert laptop.trash() == [b"line 1\n" + LATE + LATE]


@pytest.mark.parametrize("restarts", [False, True], ids=["gobi runs on", "gobi is started again"])
def test_a_file_that_nobody_wrote_to_goes_when_the_program_is_done_with_it(
    vault: Server, laptop: DiskMachine, program: BinaryIO, restarts: bool
) -> None:
    replace(vault)
    laptop.sync()
    assert len(left(laptop)) == 1
    if restarts:
        laptop.restart()
    assert laptop.sync().held
    assert len(left(laptop)) == 1
    program.close()
    report = laptop.sync()
    assert (report.held, report.notes, left(laptop), laptop.trash()) == (False, [], [], [])


def test_a_program_that_only_reads_keeps_nothing(vault: Server, laptop: DiskMachine) -> None:
    with open(laptop.root / "logs/today.log", "rb"):
        replace(vault)
        report = laptop.sync()
    assert (report.held, report.notes, left(laptop), laptop.trash()) == (False, [], [], [])


def test_who_has_an_only_copy_open_is_told_where_it_went(vault: Server, laptop: DiskMachine, program: BinaryIO) -> None:
    laptop.lose_state()
    conflict = b"from elsewhere"
    entry = laptop.fs.stat("logs/today.log")
    assert entry is not None
    handle = laptop.fs.stage([conflict])
    laptop.fs.flush()
    laptop.fs.install(handle, "logs/today.log", None, entry, trash=True)
    program.write(LATE)
    notes, held = laptop.fs.release()
    assert laptop.trash() == [b"line 1\n" + LATE]
    assert ".gobi/trash/" in notes[0]
    assert not held


@pytest.mark.parametrize("refusal", [BlockingIOError, PermissionError], ids=["always busy", "never"])
def test_where_the_system_does_not_say_who_has_a_file_open_it_is_kept_for_some_seconds(
    vault: Server, laptop: DiskMachine, monkeypatch: pytest.MonkeyPatch, refusal: type[OSError]
) -> None:
    def refuse(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with open(laptop.root / "logs/today.log", "ab", buffering=0) as program:
        replace(vault)
        assert laptop.sync().held
        program.write(LATE)
    report = laptop.sync()
    assert laptop.trash() == [b"line 1\n" + LATE]
    assert not report.held
    vault.put("logs/today.log", b"another one from elsewhere")
    assert laptop.sync().held
    laptop.clock.forward(20)
    report = laptop.sync()
    assert (report.held, report.notes, left(laptop)) == (False, [], [])


def test_what_cannot_go_to_the_trash_now_goes_there_later(
    vault: Server, laptop: DiskMachine, program: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(vault)
    laptop.sync()
    program.write(LATE)
    real = os.mkdir

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "mkdir", full)
    laptop.restart()
    assert laptop.sync().held
    assert laptop.trash() == []
    monkeypatch.setattr(os, "mkdir", real)
    laptop.sync()
    assert laptop.trash() == [b"line 1\n" + LATE]
