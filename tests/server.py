"""A real `gobi serve` in a process of its own, for tests from the outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tests.services import wait_until
from tests.spawn import spawn

GOBI = Path(sys.executable).with_name("gobi")
USER = "me"
PASSWORD = "correct horse"
PATIENCE_S = 30


_LISTENING = re.compile(r'gobi is listening on ([^\s"]+)"')  # with the quote: the line was written whole


def listening_address(process: subprocess.Popen[str], log_file: Path, after: int) -> str:
    """What the server says in its log, from this position on. Raises AssertionError where it ends before it does."""

    def said() -> str:
        with log_file.open() as log:
            log.seek(after)
            return log.read()

    wait_until(lambda: _LISTENING.search(said()) is not None or process.poll() is not None, "it to listen", PATIENCE_S)
    found = _LISTENING.search(said())
    assert found, f"gobi serve did not start:\n{said()}"
    return found[1]


def complaints(log: str) -> list[str]:
    """What a log in logfmt has beside what it says of every run and every request."""
    return [line for line in log.splitlines() if not re.match(r"time=\S+ level=(info|debug) ", line)]


NAME_BEHIND_PROXIES = "pi.example.org"


class GobiServer:
    """One server over `folder`: data in `data/`, output in `server.log`. Listens on a free port and keeps it.

    `data_dir`: another place for the data, perhaps another server's. `settings`: environment variables.
    """

    command: Sequence[str | Path] = (GOBI, "serve")

    def __init__(self, folder: Path, *, data_dir: Path | None = None, **settings: str) -> None:
        self.folder = folder
        self.data_dir = data_dir or folder / "data"
        self.log_file = folder / "server.log"
        self.url = ""
        self._listen = "127.0.0.1:0"
        self._env = dict(settings)
        self._process: subprocess.Popen[str] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    # -- running

    def start(self, **settings: str) -> GobiServer:
        """Returns once the server accepts connections. `settings` are environment variables; they last."""
        assert self._process is None, "it runs already"
        self._env.update(settings)
        with self.log_file.open("a") as log:
            before = log.tell()
            self._process = spawn(
                self.command,
                env=self.environment(),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        try:
            self.url = listening_address(self._process, self.log_file, before)
        except AssertionError:
            self.kill9()
            raise
        if "://" in self.url:
            self._listen = urlsplit(self.url).netloc
        return self

    def stop(self) -> int:
        """Asks it to stop, as systemd does; returns the exit code."""
        process = self._take()
        process.send_signal(signal.SIGTERM)
        return self._reap(process)

    def kill9(self) -> None:
        """Kills the master and its workers in one stroke, as a power cut would."""
        process = self._take()
        self._kill_group(process)
        self._reap(process)

    def restart(self, **settings: str) -> GobiServer:
        """The same data under the same address, whether it runs or was killed."""
        if self._process is not None:
            self.stop()
        return self.start(**settings)

    def close(self) -> None:
        """At the end of a test: there is nothing to wait for."""
        if self._process is not None:
            self.kill9()

    # -- using

    def add_user(self, name: str = USER, password: str = PASSWORD) -> tuple[str, str]:
        secret = self.folder / f"password-{name}"
        secret.write_text(password)
        done = self.gobi("user", "add", name, "--password-file", str(secret))
        assert done.returncode == 0, done.stderr
        return name, password

    def gobi(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a server command beside the server, with its settings."""
        return subprocess.run(
            [GOBI, *arguments],
            env=self.environment(),
            cwd=self.folder,
            input=input,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GOBI_")}
        own = {"HOME": str(self.folder), "GOBI_DATA_DIR": str(self.data_dir), "GOBI_LISTEN": self._listen}
        # One server serves hundreds of tests, each with its own vault, and some by a name that only a proxy knows.
        shared = {"GOBI_VAULTS_PER_USER": "0", "GOBI_ALLOWED_HOSTS": NAME_BEHIND_PROXIES}
        return kept | own | shared | self._env

    @property
    def address(self) -> tuple[str, int]:
        """For a socket of the test's own."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    @property
    def pid(self) -> int:
        """The master's; its workers are its children."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def _take(self) -> subprocess.Popen[str]:
        assert self._process is not None, "it does not run"
        process, self._process = self._process, None
        return process

    def _reap(self, process: subprocess.Popen[str]) -> int:
        try:
            code = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._kill_group(process)
            raise AssertionError(f"gobi serve did not stop:\n{self.log}") from None
        return code

    @staticmethod
    def _kill_group(process: subprocess.Popen[str]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
