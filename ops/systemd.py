# ruff: noqa: ANN401  # gunicorn has no types
"""What systemd is told of the server, and the sockets it hands over (sd_notify(3), sd_listen_fds(3)).

gunicorn says READY=1 before there is a worker, and beats no watchdog. So its arbiter says it here, once every worker
has loaded the application; and beats from its own loop, so that the beats end when that hangs. A worker that hangs is
gunicorn's business: systemd would end all of them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping
from typing import Any, Self


class Systemd:
    """The arbiter's line to systemd. `address`: of a datagram socket, `@` for an abstract one."""

    def __init__(self, address: str, *, watched: bool) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watched = watched
        self._started = 0
        self._ready = False
        self._reading, self._writing = os.pipe()
        for end in (self._reading, self._writing):
            os.set_blocking(end, False)

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Self | None:
        """None where nobody wants to know. Takes the variables out, or gunicorn would speak too."""
        address = environ.pop("NOTIFY_SOCKET", None)
        interval = environ.pop("WATCHDOG_USEC", "0")
        pid = environ.pop("WATCHDOG_PID", None)
        if not address:
            return None
        return cls(address, watched=interval != "0" and pid in (None, str(os.getpid())))

    def attach(self, arbiter: Any) -> None:
        """gunicorn has no hook for a turn of its loop, nor for the beginning of a stop."""
        turn, stop = arbiter.manage_workers, arbiter.stop

        def manage_workers() -> None:
            turn()
            self._after_turn(arbiter.num_workers)

        def stop_telling(*arguments: Any) -> None:
            self._say("STOPPING=1")
            stop(*arguments)

        arbiter.manage_workers, arbiter.stop = manage_workers, stop_telling

    def worker_started(self) -> None:
        """To be called in the worker."""
        try:
            os.write(self._writing, b".")
        except BlockingIOError:  # full of those who started since: nobody counts any more
            pass

    def _after_turn(self, workers: int) -> None:
        if not self._ready:
            try:
                self._started += len(os.read(self._reading, 4_096))
            except BlockingIOError:
                pass
            self._ready = self._started >= workers
            if self._ready:
                self._say(f"READY=1\nSTATUS=Serving, workers: {workers}")
        if self._watched:
            self._say("WATCHDOG=1")

    def _say(self, state: str) -> None:
        """Whoever does not listen is not waited for: the server is worth more than the report."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.sendto(state.encode(), self._address)
        except OSError:
            pass


def hands_over_sockets(environ: Mapping[str, str]) -> bool:
    """Whether gunicorn is going to find its sockets open already, and makes none."""
    return environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS", "0") != "0"
