"""A real `gobi serve` in a process of its own, for tests from the outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tests.spawn import spawn

GOBI = Path(sys.executable).with_name("gobi")
USER = "me"
PASSWORD = "correct horse"
PATIENCE_S = 30


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
            self._process = spawn(
                self.command,
                env=self.environment(),
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        overdue = threading.Timer(PATIENCE_S, self._process.kill)
        overdue.start()
        line = self._process.stdout.readline()
        overdue.cancel()
        if " on " not in line:
            self.kill9()
            raise AssertionError(f"gobi serve did not start:\n{line}{self.log}")
        self.url = line.rsplit(" on ", 1)[1].strip()
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
        return kept | own | self._env

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
        return self.log_file.read_text()

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
        finally:
            if process.stdout is not None:
                process.stdout.close()
        return code

    @staticmethod
    def _kill_group(process: subprocess.Popen[str]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
