"""The index: replaced together with the cursor or not at all, and never trusted when it is damaged."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from client.index import NAME, Index, Record
from client.ports import Stopped
from tests.client.memory import ManualClock

A = Record("a.md", 1, "aa" * 32, 10, 20, 30, 40, 50)
B = Record("b.md", None, "", 0, 0, 0, 0, 0, ("bb" * 32, "cc" * 32), "conflict-1")


def opened(folder: Path, *, repair: bool = True) -> Index:
    return Index.open(folder, repair=repair, clock=ManualClock())


def test_what_was_finished_is_there_again(tmp_path: Path) -> None:
    index = opened(tmp_path)
    index.put(A)
    index.put(B)
    index.finish("cursor-1", "rules-1")
    index.close()
    again = opened(tmp_path)
    assert again.records == {"a.md": A, "b.md": B}
    assert (again.cursor, again.rules) == ("cursor-1", "rules-1")
    again.forget("a.md")
    again.save()
    again.close()
    last = opened(tmp_path)
    assert last.records == {"b.md": B}
    last.close()


@pytest.mark.parametrize(
    "odd",
    [
        A._replace(inode=(1 << 64) - 1),  # as FUSE disks number files
        A._replace(mtime_ns=253_402_214_400 * 10**9, ctime_ns=1 << 63),  # in the year 9999
        A._replace(mtime_ns=-11_644_473_600 * 10**9),  # 1601, which NTFS has for "no date"
        A._replace(mtime_ns=-(1 << 63) * 10**9, sent=("bb" * 32,), conflict="conflict-1"),
        A._replace(size=(1 << 63) - 1, stamp=1 << 80),
    ],
)
def test_numbers_of_more_than_64_bits_are_kept_exactly_and_their_neighbours_too(tmp_path: Path, odd: Record) -> None:
    neighbour = A._replace(path="neighbour.md")
    index = opened(tmp_path)
    index.put(odd)
    index.put(neighbour)
    index.finish("cursor-1", "")
    index.close()
    again = opened(tmp_path)
    assert again.records == {"a.md": odd, "neighbour.md": neighbour}
    again.put(A)
    again.save()
    again.close()
    last = opened(tmp_path)
    assert last.records["a.md"] == A
    last.close()


def test_a_list_of_hashes_that_an_older_gobi_let_grow_is_cut_to_its_ends(tmp_path: Path) -> None:
    hashes = tuple(f"{number:064x}" for number in range(1_500))
    file = _filled(tmp_path)
    db = sqlite3.connect(file)
    db.execute("UPDATE files SET sent = ?, conflict = 'k' WHERE path = '7.md'", (json.dumps(hashes),))
    db.commit()
    db.close()
    index = opened(tmp_path)
    assert index.records["7.md"].sent == hashes[:8] + hashes[-8:]
    assert index.records["7.md"].sending("ff" * 32).sent == (*hashes[:8], *hashes[-7:], "ff" * 32)
    assert index.records["7.md"].sending(hashes[0]).sent == (*hashes[1:8], *hashes[-8:], hashes[0])
    index.close()


def test_saving_moves_files_but_never_the_cursor(tmp_path: Path) -> None:
    index = opened(tmp_path)
    index.finish("cursor-1", "")
    index.put(A)
    index.save()
    index.put(B)
    index.close()
    again = opened(tmp_path)
    assert (list(again.records), again.cursor) == (["a.md"], "cursor-1")
    again.close()


def test_a_new_index_stands_at_the_start() -> None:
    index = Index()
    assert (index.records, index.cursor, index.rules) == ({}, "0", "")
    index.close()


def test_a_sync_that_changed_nothing_writes_nothing(tmp_path: Path) -> None:
    index = opened(tmp_path)
    index.put(A)
    index.finish("cursor-1", "")
    before = (tmp_path / NAME).stat().st_mtime_ns
    index.finish("cursor-1", "")
    assert (tmp_path / NAME).stat().st_mtime_ns == before
    index.close()


_KILLED_IN_A_BATCH = """
import os, signal, sys
from pathlib import Path
from client.index import Index, Record
from tests.client.memory import ManualClock
index = Index.open(Path(sys.argv[1]), repair=True, clock=ManualClock())
index.finish("cursor-1", "")
for n in range(100):
    index.put(Record(f"{n}.md", n, "aa" * 32, 0, 0, 0, 0, 0))
index.save()
index._db.execute("BEGIN IMMEDIATE")
index._db.execute("DELETE FROM files")
index._db.execute("UPDATE meta SET value = 'cursor-2' WHERE name = 'cursor'")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_between_batches_the_index_has_whole_batches_and_the_old_cursor(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", _KILLED_IN_A_BATCH, str(tmp_path)]
    done = subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == -signal.SIGKILL
    index = opened(tmp_path)
    assert (len(index.records), index.cursor) == (100, "cursor-1")
    index.close()


def _filled(folder: Path) -> Path:
    index = opened(folder)
    for number in range(200):
        index.put(A._replace(path=f"{number}.md"))
    index.finish("cursor-1", "")
    index.close()
    return folder / NAME


@pytest.mark.parametrize("size", [100, 4096, 9000])
def test_a_truncated_index_is_set_aside_and_begun_anew(tmp_path: Path, size: int) -> None:
    file = _filled(tmp_path)
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(Stopped, match="builds it anew"):
        opened(tmp_path, repair=False)
    index = opened(tmp_path)
    assert (index.records, index.cursor) == ({}, "0")
    index.close()
    assert len(list((tmp_path / "trash").rglob(NAME))) == 1


def test_an_index_that_a_power_cut_emptied_is_begun_anew(tmp_path: Path) -> None:
    _filled(tmp_path).write_bytes(b"")
    index = opened(tmp_path)
    assert (index.records, index.cursor) == ({}, "0")
    index.close()


def test_an_index_of_zeros_or_text_is_set_aside(tmp_path: Path) -> None:
    file = _filled(tmp_path)
    for rubbish in (bytes(file.stat().st_size), b"this is no database" * 1000):
        file.write_bytes(rubbish)
        index = opened(tmp_path)
        assert (index.records, index.cursor) == ({}, "0")
        index.close()


def test_a_page_of_rubbish_in_the_middle_is_noticed(tmp_path: Path) -> None:
    file = _filled(tmp_path)
    data = bytearray(file.read_bytes())
    data[-4096:] = os.urandom(4096)
    file.write_bytes(data)
    index = opened(tmp_path)
    assert index.cursor == "0"
    index.close()


def test_an_index_of_a_newer_gobi_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = _filled(tmp_path)
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Stopped, match="newer gobi"):
        opened(tmp_path)
    assert file.exists()
    assert not (tmp_path / "trash").exists()


def test_a_busy_index_is_not_taken_for_a_damaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _filled(tmp_path)
    monkeypatch.setattr("client.index._PATIENCE", 0.0)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Stopped, match="locked"):
        opened(tmp_path)
    other.close()
    assert not (tmp_path / "trash").exists()


_FIRST = """
CREATE TABLE files (
    path TEXT PRIMARY KEY, stamp INTEGER, hash TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, recorded_ns INTEGER NOT NULL, sent TEXT NOT NULL,
    conflict TEXT
) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO files VALUES ('run.sh', 1795000000000000, 'aa', 10, 20, 30, 40, 50, '', NULL);
INSERT INTO files VALUES ('b.md', 0, 'bb', 10, 20, 30, 40, 50, '["cc"]', NULL);
INSERT INTO meta VALUES ('cursor', 'cursor-1');
PRAGMA user_version = 1;
"""


def test_an_index_that_the_first_gobi_wrote_is_unsure_of_what_may_be_run(tmp_path: Path) -> None:
    """It goes on where it was; nobody has looked at that yet, and what is looked at is remembered."""
    with closing(sqlite3.connect(tmp_path / NAME)) as db:
        db.executescript(_FIRST)
    index = opened(tmp_path)
    assert (set(index.records), index.cursor) == ({"run.sh", "b.md"}, "cursor-1")
    assert index.unsure == {"run.sh", "b.md"}
    index.put(index.records["run.sh"]._replace(executable=True))
    index.save()
    index.close()
    again = opened(tmp_path)
    assert again.unsure == {"b.md"}
    assert [one.executable for one in (again.records["run.sh"], again.records["b.md"])] == [True, False]
    assert again.records["b.md"].sent == ("cc",)
    again.close()
