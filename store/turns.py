"""One at a time, whichever worker or host over the data folder it is: a lock on a file, which ends with its process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from store.errors import Unavailable


class Turns:
    """Turns by name. `folder` is made where it is missing, but not what it lies in. Names have to be fit for files:
    users' are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, name: str) -> Callable[[], None] | None:
        """What ends the turn, or None where somebody else has it. Raises Unavailable."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(f"the data folder cannot be used ({error.strerror}): see to its disk", 10) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return partial(os.close, descriptor)
