"""One server at a time over an embedded database, unless all have a Redis to hear of each other's commits by."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from store.errors import InUse

LOCK = "serving"
# The workers of a server that was killed end within a second or two.
PATIENCE_S = 5.0


def take(folder: Path, *, alone: bool, patience_s: float = PATIENCE_S) -> None:
    """Holds the data folder, `alone` or with others, until this process, and what it becomes and starts, has ended. A
    file system without locks is as good as locked. Raises InUse, OSError."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(descriptor, True)
    until = time.monotonic() + patience_s
    while True:
        try:
            return fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                return None
        if time.monotonic() > until:
            os.close(descriptor)
            raise InUse(
                f"another `gobi serve` works on {folder}: stop that one, or name another folder in GOBI_DATA_DIR "
                "(several servers over one folder need GOBI_REDIS_URL, all of them)"
            )
        time.sleep(0.1)
