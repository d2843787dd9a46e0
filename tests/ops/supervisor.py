"""Plays systemd to `gobi serve`: hears what it reports, hands it a socket, and confines it as the unit file says."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.server import GOBI, PATIENCE_S, listening_address

ROOT = Path(__file__).resolve().parent.parent.parent
UNIT = ROOT / "systemd" / "gobi.service"

# Where systemd puts the first socket, and in which process.
_HAND_OVER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3);"
    "os.execve(sys.argv[2], sys.argv[2:], os.environ | {'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())})"
)


class Supervisor:
    """One service over `folder`. `listener`: the socket that it is handed; `confine` runs in its process first."""

    def __init__(
        self, folder: Path, *, listener: socket.socket | None = None, confine: Callable[[], None] | None = None
    ) -> None:
        folder.mkdir()
        self._folder = folder
        self._listener = listener
        self._confine = confine
        self._process: subprocess.Popen[str] | None = None
        self._started_at = 0
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._line.bind(str(folder / "notify"))
        self._unread: list[str] = []

    def start(self, **settings: str) -> Supervisor:
        """Returns at once: READY=1 says when it serves."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GOBI_")}
        own = {"HOME": str(self._folder), "GOBI_DATA_DIR": str(self._folder / "data"), "GOBI_LISTEN": "127.0.0.1:0"}
        report = {"NOTIFY_SOCKET": str(self._folder / "notify"), "WATCHDOG_USEC": "30000000"}
        command = [str(GOBI), "serve"]
        if self._listener is not None:
            command = [sys.executable, "-c", _HAND_OVER, str(self._listener.fileno()), *command]
        with (self._folder / "log").open("a") as log:
            self._started_at = log.tell()
            self._process = subprocess.Popen(
                command,
                env=kept | own | report | settings,
                stdout=log,
                stderr=log,
                text=True,
                pass_fds=(self._listener.fileno(),) if self._listener is not None else (),
                preexec_fn=self._confine,  # noqa: PLW1509  # system calls, no more
            )
        return self

    def hear(self, timeout_s: float = PATIENCE_S) -> str:
        """The next thing it reports. Raises TimeoutError."""
        if not self._unread:
            self._line.settimeout(timeout_s)
            try:
                self._unread = self._line.recv(4_096).decode().splitlines()
            except TimeoutError:
                raise TimeoutError(f"nothing was reported:\n{self.log}") from None
        return self._unread.pop(0)

    def hear_until(self, wanted: str) -> list[str]:
        """Everything it reports up to `wanted`."""
        heard = [self.hear()]
        while heard[-1] != wanted:
            heard.append(self.hear())
        return heard

    def heard_already(self) -> list[str]:
        """What it reported and nobody has heard yet."""
        found, self._unread = self._unread, []
        self._line.setblocking(False)
        try:
            while True:
                found += self._line.recv(4_096).decode().splitlines()
        except BlockingIOError:
            return found

    @property
    def address(self) -> str:
        """Where it says that it listens."""
        assert self._process is not None
        return listening_address(self._process, self._folder / "log", self._started_at)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        assert self._process is not None
        with self._process as process:
            return process.wait(PATIENCE_S)

    def close(self) -> None:
        self._line.close()
        if self._process is not None and self._process.poll() is None:
            for pid in (self.pid, *self.workers):
                os.kill(pid, signal.SIGKILL)
            self.wait()


# -- confinement


def unit_lines(name: str, unit: Path = UNIT) -> list[str]:
    """The values of a setting in the unit file, in its order."""
    return [line.partition("=")[2] for line in unit.read_text().splitlines() if line.startswith(f"{name}=")]


def allowed_calls(unit: Path = UNIT) -> set[str]:
    """The names of the system calls that the unit file allows, by systemd's own lists."""
    allowed = _group("@default")
    for line in unit_lines("SystemCallFilter", unit):
        named = set().union(*(_group(one) for one in line.removeprefix("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


def _group(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    shown = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    names = [line.strip() for line in shown.stdout.splitlines()[1:]]
    return set().union(*(_group(one) for one in names if one and not one.startswith("#")))


def confinement(names: set[str]) -> Callable[[], None]:
    """What makes a process live with these system calls, and without memory that becomes executable.

    Raises OSError where this machine has no libseccomp.
    """
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    libc = ctypes.CDLL(None)
    refuse, allow = 0x00050000 | errno.EPERM, 0x7FFF0000
    numbers = [seccomp.seccomp_syscall_resolve_name(name.encode()) for name in sorted(names)]
    no_new_privileges, deny_execute, refuse_gain = 38, 65, 1

    def confine() -> None:
        context = ctypes.c_void_p(seccomp.seccomp_init(refuse))
        for number in numbers:
            if number >= 0:  # others are of other processors
                assert seccomp.seccomp_rule_add(context, allow, number, 0) == 0
        assert libc.prctl(no_new_privileges, 1, 0, 0, 0) == 0
        libc.prctl(deny_execute, refuse_gain, 0, 0, 0)  # since Linux 6.3
        assert seccomp.seccomp_load(context) == 0

    return confine
