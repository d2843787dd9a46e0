"""A `gobi watch` at work on a machine, and what it says."""

from __future__ import annotations

import signal
import subprocess
from threading import Thread
from typing import Self

from tests.e2e.machines import Machine, in_step
from tests.proxy import Direction, Proxy
from tests.services import PATIENCE_S, wait_until


class Watching:
    """Runs from the start of the block, in step once; ended with it at the latest."""

    def __init__(self, machine: Machine, *, in_step: bool = True) -> None:
        self.machine = machine
        self.lines: list[str] = []
        self._in_step = in_step
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[Thread] = []

    def __enter__(self) -> Self:
        self._process = self.machine.start("watch", str(self.machine.folder))
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            reader = Thread(target=lambda stream=stream: self.lines.extend(stream))
            reader.start()
            self._readers.append(reader)
        if self._in_step:
            self.wait_for("watching")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._end(signal.SIGKILL)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def said(self, text: str) -> bool:
        return any(text in line for line in list(self.lines))

    def wait_for(self, text: str) -> None:
        wait_until(lambda: self.said(text) or self._has_ended(), f"{self.machine.name} to say {text!r}")
        assert self.said(text), self.lines

    def stop(self) -> int:
        """As systemd does; the exit code."""
        return self._end(signal.SIGTERM)

    def kill9(self) -> None:
        self._end(signal.SIGKILL)

    def ended(self) -> int:
        """Waits until it ends by itself; the exit code."""
        return self._end(None)

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _end(self, number: signal.Signals | None) -> int:
        process, self._process = self._process, None
        assert process is not None
        if number is not None:
            process.send_signal(number)
        with process:  # closes what it said all that into
            code = process.wait(30)
            for reader in self._readers:
                reader.join()
        assert not self.said("Traceback"), "".join(self.lines)
        return code


class Deaf(Proxy):
    """A network on which no live socket can be opened."""

    def _pass(self, direction: Direction, data: bytes) -> int:
        return 0 if direction == "up" and b"/live?" in data else super()._pass(direction, data)


def wait_until_in_step(*machines: Machine, patience_s: float = PATIENCE_S) -> None:
    def are_in_step() -> bool:
        try:
            return in_step(*machines)
        except FileNotFoundError:
            return False  # it goes at this very moment

    wait_until(are_in_step, "the machines to be in step", patience_s)
