"""Commit order is stamp order: a reader that follows its cursor misses nothing and sees nothing twice."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from store.base import Metadata, Vault
from sync.model import Version
from tests.contract.backends import Backend
from tests.contract.writer import write

ROOT = Path(__file__).resolve().parents[2]
PAGE = 17


def follow(metadata: Metadata, vault_id: str, finished: Callable[[], bool]) -> list[Version]:
    """What a reader sees that polls all the while, until the writers are finished and nothing more comes."""
    seen: list[Version] = []
    cursor = 0
    while True:
        over = finished()
        page = metadata.changes(vault_id, cursor, PAGE)
        if over and not page:
            return seen
        seen += page
        cursor = page[-1].stamp if page else cursor


def assert_whole(seen: list[Version], writers: int, each: int) -> None:
    stamps = [version.stamp for version in seen]
    assert all(earlier < later for earlier, later in pairwise(stamps))
    assert sorted(version.path for version in seen) == sorted(f"{w}/{n}" for w in range(writers) for n in range(each))


@pytest.mark.parametrize("stepping", [False, True], ids=["steady", "the clock steps back"])
def test_a_reader_follows_eight_writing_threads(
    metadata: Metadata, backend: Backend, vault: Vault, stepping: bool
) -> None:
    each = 120
    threads = [threading.Thread(target=write, args=(metadata, vault.id, str(number), each)) for number in range(8)]
    for thread in threads:
        thread.start()

    def finished() -> bool:
        if stepping:
            backend.step_back(1_000)
        return not any(thread.is_alive() for thread in threads)

    seen = follow(backend.open(), vault.id, finished)
    assert_whole(seen, 8, each)


def test_a_reader_follows_eight_writers_in_four_processes(metadata: Metadata, backend: Backend, vault: Vault) -> None:
    """5,000 versions: none skipped, none twice, stamps strictly rising."""
    each = 625
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.contract.writer", names, vault.id, str(each), *backend.address], cwd=ROOT
        )
        for names in ("0,1", "2,3", "4,5", "6,7")
    ]
    seen = follow(metadata, vault.id, lambda: all(process.poll() is not None for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert_whole(seen, 8, each)
    assert len(seen) == 5_000
