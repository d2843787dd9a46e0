"""The queue: a simple file that a person can read, and that survives whatever happens to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.ports import Stopped
from client.queue import FileQueue, Operation

DELETE = Operation("delete", "alt/🌱.md", 17, by="rm", at=1)
DOWNLOAD = Operation("download", "b.md", at=2, why="no room left")


def lines(folder: Path) -> list[str]:
    return (folder / "queue.jsonl").read_text().splitlines()


def test_an_operation_is_one_readable_line(tmp_path: Path) -> None:
    FileQueue(tmp_path).append([DELETE])
    assert lines(tmp_path) == ['{"op": "delete", "path": "alt/🌱.md", "base": 17, "by": "rm", "at": 1}']


def test_a_queue_that_never_was_is_empty(tmp_path: Path) -> None:
    assert FileQueue(tmp_path).load() == ([], 0)


def test_what_is_appended_and_replaced_is_loaded_again(tmp_path: Path) -> None:
    queue = FileQueue(tmp_path)
    queue.append([DELETE])
    queue.append([DOWNLOAD])
    assert queue.load() == ([DELETE, DOWNLOAD], 0)
    queue.replace([DOWNLOAD])
    assert FileQueue(tmp_path).load() == ([DOWNLOAD], 0)
    queue.replace([])
    assert FileQueue(tmp_path).load() == ([], 0)


def test_what_another_process_appends_while_a_sync_runs_is_not_lost(tmp_path: Path) -> None:
    syncing, removing = FileQueue(tmp_path), FileQueue(tmp_path)
    syncing.append([DOWNLOAD])
    syncing.load()
    removing.append([DELETE])
    syncing.replace([])
    assert FileQueue(tmp_path).load() == ([DELETE], 0)
    syncing.replace([DOWNLOAD])
    assert FileQueue(tmp_path).load() == ([DOWNLOAD, DELETE], 0)
    assert syncing.load() == ([DOWNLOAD, DELETE], 0)
    syncing.replace([])
    assert syncing.load() == ([], 0)


def test_a_line_cut_by_a_power_failure_is_dropped_and_counted(tmp_path: Path) -> None:
    queue = FileQueue(tmp_path)
    queue.append([DELETE])
    file = tmp_path / "queue.jsonl"
    file.write_bytes(file.read_bytes() + b'{"op": "dele')
    queue.append([DOWNLOAD])
    assert queue.load() == ([DELETE, DOWNLOAD], 1)


@pytest.mark.parametrize(
    "line", ["[]", "17", "\x00\x00", '{"op": "delete"}', '{"op": "delete", "path": 1}', '{"path": "a", "base": "x"}']
)
def test_a_line_that_is_no_operation_is_dropped_and_counted(tmp_path: Path, line: str) -> None:
    (tmp_path / "queue.jsonl").write_text(line + "\n\n" + DELETE.to_line())
    assert FileQueue(tmp_path).load() == ([DELETE], 1)


def test_fields_that_a_later_gobi_added_are_no_trouble(tmp_path: Path) -> None:
    row = json.loads(DELETE.to_line()) | {"colour": "blue", "why": None}
    (tmp_path / "queue.jsonl").write_text(json.dumps(row) + "\n")
    assert FileQueue(tmp_path).load() == ([DELETE], 0)


def test_replacing_by_the_same_writes_nothing(tmp_path: Path) -> None:
    queue = FileQueue(tmp_path)
    queue.append([DELETE])
    queue.load()
    before = (tmp_path / "queue.jsonl").stat()
    queue.replace([DELETE])
    assert (tmp_path / "queue.jsonl").stat() == before


def test_a_queue_that_cannot_be_used_stops_with_words(tmp_path: Path) -> None:
    (tmp_path / "queue.jsonl").mkdir()
    with pytest.raises(Stopped, match=r"queue\.jsonl"):
        FileQueue(tmp_path).load()


def test_hashes_without_end_in_a_line_are_cut_to_a_few(tmp_path: Path) -> None:
    hashes = tuple(f"{number:064x}" for number in range(1_500))
    queue = FileQueue(tmp_path)
    queue.append([Operation("upload", "a.md", sent=hashes)])
    ((operation,), damaged) = queue.load()
    assert (operation.sent, damaged) == (hashes[:8] + hashes[-8:], 0)
