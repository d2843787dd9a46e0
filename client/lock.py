"""One client at a time in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from client.ports import Stopped

TRY_LATER = 75


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Holds `.gobi/lock`. Raises Stopped where another process has it. Ends with the process, however that ends."""
    try:
        descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Stopped(f"{state}/lock cannot be opened ({error.strerror}); check who owns the folder", 78) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            who = f" (process {holder})" if holder.isdigit() else ""
            raise Stopped(
                f"another gobi is at work in {state.parent}{who}; wait until it is done, or stop it", TRY_LATER
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
