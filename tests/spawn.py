"""Processes that end with the tests that started them, also where those are killed and can put nothing in order."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
# The system sends the signal when the *thread* that started a process ends, and some tests start servers in threads
# of a moment. So one thread starts all; it ends with the interpreter.
_starter = ThreadPoolExecutor(1, "spawn")


def spawn(
    command: Sequence[str | Path], last_signal: signal.Signals = signal.SIGTERM, **options: Any
) -> subprocess.Popen[Any]:
    """Starts a process like subprocess.Popen; it gets `last_signal` when the tests are gone.

    SIGTERM is for what has processes of its own and ends them then.
    """
    tie = partial(_tie, last_signal, os.getpid())

    def start() -> subprocess.Popen[Any]:
        return subprocess.Popen(command, preexec_fn=tie, **options)  # noqa: PLW1509  # two system calls

    return _starter.submit(start).result()


def _tie(last_signal: signal.Signals, parent: int) -> None:
    """Runs in the new process, before it becomes the program (prctl(2))."""
    _libc.prctl(_PR_SET_PDEATHSIG, last_signal)
    if os.getppid() != parent:  # the tests were gone before that
        os._exit(1)
