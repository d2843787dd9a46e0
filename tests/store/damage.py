"""What a failing disk, or half a copy, makes of an embedded database."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path


def spoil_index(file: Path) -> None:
    """The index of versions by path is lost, all else is whole; also beside a server that runs, which then sees it."""
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'versions_by_path'").fetchone()
        size = db.execute("PRAGMA page_size").fetchone()[0]
        with file.open("r+b") as raw:
            raw.seek((page - 1) * size)
            raw.write(b"\xff" * size)
        db.execute("UPDATE meta SET value = value")  # whoever has pages in memory reads them again


def spoil_pages(file: Path) -> None:
    """Every fifth page is garbage, from the seventh on."""
    with file.open("r+b") as raw:
        for start in range(6 * 4096, file.stat().st_size, 5 * 4096):
            raw.seek(start)
            raw.write(b"\xff" * 4096)


def cut_in_half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)
