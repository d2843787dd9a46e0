"""One client at a time in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from client.ports import Stopped

TRY_LATER = 75
_WATCH = " watch"


class Held(Stopped):
    """Another process is at work in the folder. `watching`: it keeps the folder in step until somebody stops it."""

    def __init__(self, message: str, *, watching: bool) -> None:
        super().__init__(message, TRY_LATER)
        self.watching = watching


@contextmanager
def locked(state: Path, *, watching: bool = False) -> Iterator[None]:
    """Holds `.gobi/lock`. Raises Held where another process has it. Ends with the process, however that ends.

    `watching`: for as long as nobody stops it.
    """
    try:
        descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Stopped(f"{state}/lock cannot be opened ({error.strerror}); check who owns the folder", 78) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _holder(descriptor, state.parent) from None
        with suppress(OSError):  # on a full disk nobody can say who holds it, but it is held
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}{_WATCH if watching else ''}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int, folder: Path) -> Held:
    said = os.pread(descriptor, 30, 0).decode("ascii", "replace").strip()
    process = said.removesuffix(_WATCH)
    who = f" (process {process})" if process.isdigit() else ""
    if said.endswith(_WATCH):
        return Held(
            f"gobi watch{who} keeps {folder} in step already; leave it to that, or stop that first", watching=True
        )
    return Held(f"another gobi is at work in {folder}{who}; wait until it is done, or stop it", watching=False)
