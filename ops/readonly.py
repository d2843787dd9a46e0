"""A data folder on a disk that is read-only, as a failing one becomes by itself: what only reads works all the same."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from store.errors import DiskFull, Unavailable

# Kept in memory, where every disk is read-only.
IN_MEMORY = ("/dev/shm", "/run")  # noqa: S108  # a folder of its own is made there


def is_read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def check_writable(folder: Path) -> None:
    """Raises Unavailable."""
    if is_read_only(folder):
        raise Unavailable(
            f"the disk of {folder} is read-only: mount it writable; a failing disk goes read-only by itself: see "
            "dmesg, and save what is there with `gobi backup`, which still works"
        )


@contextmanager
def copied(file: Path) -> Iterator[Path]:
    """A copy of an embedded database on a disk to which nobody writes: SQLite cannot read one there that was not
    closed. Raises DiskFull where there is no room for it."""
    parts = [part for part in (file, file.with_name(f"{file.name}-wal")) if part.exists()]
    size = sum(part.stat().st_size for part in parts)
    with tempfile.TemporaryDirectory(prefix="gobi-", dir=_room_for(size)) as folder:
        for part in parts:
            shutil.copyfile(part, Path(folder) / part.name)
        yield Path(folder) / file.name


def _room_for(size: int) -> str:
    places = list(IN_MEMORY)
    with suppress(FileNotFoundError):
        places.insert(0, tempfile.gettempdir())
    for place in places:
        with suppress(OSError):
            if os.access(place, os.W_OK) and shutil.disk_usage(place).free > size + (16 << 20):
                return place
    raise DiskFull(
        f"the data folder's disk is read-only, and for a copy of its database ({size >> 20} MB) there is no room in "
        f"{', '.join(places)}: set TMPDIR to a folder on another disk"
    )
