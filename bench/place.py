"""One peer's place in one run: folder A, the hub, folder B, and the processes that serve there."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

OWN_FOLDERS = {".gobi"}  # a client's own, no part of the vault


# As people start programs: Python may keep what it compiled, which a machine for building things often forbids.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Failed(Exception):
    """A peer did not do what it should have; the message has the end of its output."""


class Place:
    """Folders under `root`, with A a copy of `vault`. `stop` ends every process that was started here."""

    def __init__(self, root: Path, vault: Path) -> None:
        self.root = root
        self.a, self.b, self.hub, self.meta = (root / name for name in ("A", "B", "hub", "meta"))
        for folder in (self.b, self.hub, self.meta):
            folder.mkdir(parents=True)
        subprocess.run(["cp", "-a", str(vault), str(self.a)], check=True)
        self._servers: list[subprocess.Popen[bytes]] = []
        self._log = self.meta / "output.log"

    def serve(self, command: Sequence[str | Path], env: Mapping[str, str], port: int) -> None:
        """Starts a part of the hub and waits until it listens. Raises Failed."""
        with open(self._log, "ab") as log:
            server = subprocess.Popen(
                [str(word) for word in command],
                env={**ENVIRONMENT, **env},
                cwd=self.meta,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._servers.append(server)
        deadline = time.monotonic() + 20
        while not _listens(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{command[0]} does not listen on port {port}: {self._said()}")
            time.sleep(0.05)

    def run(self, command: Sequence[str | Path], env: Mapping[str, str]) -> None:
        """Runs a command to its end. Raises Failed where it does not exit with 0."""
        words = [str(word) for word in command]
        with open(self._log, "ab") as log:
            done = subprocess.run(
                words, env={**ENVIRONMENT, **env}, cwd=self.meta, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if done.returncode:
            raise Failed(f"exit {done.returncode} from {' '.join(words)}: {self._said()}")

    def hub_pss(self) -> float:
        """Memory of the hub's processes in MiB, with what they share counted once."""
        return sum(pss(pid) for server in self._servers for pid in family(server.pid))

    def stop(self) -> None:
        for server in self._servers:
            server.send_signal(signal.SIGTERM)
        for server in self._servers:
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()

    def _said(self) -> str:
        return " ".join(self._log.read_text(errors="replace").split())[-300:]


class PeakMemory:
    """The hub's highest PSS while the block runs, looked at five times a second."""

    def __init__(self, place: Place) -> None:
        self.mib = 0.0
        self._place = place
        self._over = Event()
        self._thread = Thread(target=self._watch)

    def _watch(self) -> None:
        while True:
            self.mib = max(self.mib, self._place.hub_pss())
            if self._over.wait(0.2):
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its path in the folder."""
    found = {}
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in OWN_FOLDERS]
        for name in names:
            path = os.path.join(at, name)
            with open(path, "rb") as body:
                found[os.path.relpath(path, folder)] = hashlib.file_digest(body, "sha256").hexdigest()
    return found


def wait_until_quiet(limit: float, cores: float = 0.3) -> None:
    """Waits until the whole machine has used less than `cores` for a second, for at most `limit` seconds."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        busy, began = _busy_seconds(), time.monotonic()
        time.sleep(1)
        if (_busy_seconds() - busy) / (time.monotonic() - began) < cores:
            return


def _busy_seconds() -> float:
    """CPU time that the machine has spent on anything but waiting (proc(5), /proc/stat)."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []  # ended meanwhile
    return [pid, *(one for child in children for one in family(int(child)))]


def pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0  # ended meanwhile
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
