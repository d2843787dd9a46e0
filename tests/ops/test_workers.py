"""Several workers that tell each other over Redis, as real processes."""

from __future__ import annotations

import base64
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.server import PASSWORD, USER, GobiServer, complaints
from tests.services import Redis, wait_until

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE_S = 15  # half of what a remembered password is good for where nobody tells


class Caller:
    """A connection that stays open, and so with one worker."""

    def __init__(self, server: GobiServer) -> None:
        self.connection = http.client.HTTPConnection(*server.address, timeout=20)
        self.ask("GET", "/healthz")
        self.port: int = self.connection.sock.getsockname()[1]

    def ask(self, method: str, path: str, password: str = PASSWORD, body: bytes | None = None, **headers: str) -> int:
        credentials = base64.b64encode(f"{USER}:{password}".encode()).decode()
        self.connection.request(method, path, body, {"Authorization": f"Basic {credentials}"} | headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


class Office:
    """A server of two workers, and callers that both of them serve."""

    def __init__(self, folder: Path, redis: Redis) -> None:
        self.redis = redis
        self.server = GobiServer(folder / "server")
        self.server._env = {"GOBI_WORKERS": "2", "GOBI_REDIS_URL": redis.url}
        self.server.add_user()
        self.callers: list[Caller] = []

    def open(self) -> None:
        self.server.start()
        wait_until(self._both_serve, "both workers to serve somebody")

    def _both_serve(self) -> bool:
        self.callers.append(Caller(self.server))
        return len(self.served()) == 2

    def served(self) -> set[int]:
        """The workers that have one of our connections."""
        ours = {caller.port for caller in self.callers}
        workers = psutil.Process(self.server.pid).children()
        return {worker.pid for worker in workers if ours & set(_remote_ports(worker))}

    def statuses(self, path: str = "/v1/vaults") -> set[int]:
        """What both workers answer."""
        return {caller.ask("GET", path) for caller in self.callers}

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.statuses("/readyz") == {200}, "both workers to hear each other")

    def change_password(self, new: str) -> str:
        """What the command says on stderr."""
        done = self.server.gobi("user", "passwd", USER, "--password-file", "-", input=new)
        assert done.returncode == 0
        return done.stderr

    def close(self) -> None:
        for caller in self.callers:
            caller.connection.close()
        self.server.close()


def _remote_ports(process: psutil.Process) -> Iterator[int]:
    for one in process.net_connections("tcp"):
        yield from one.raddr[1:2]  # a listening socket has none


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    one = Redis(tmp_path / "redis")
    yield one.start()
    one.stop()


@pytest.fixture
def office(tmp_path: Path, redis: Redis) -> Iterator[Office]:
    one = Office(tmp_path, redis)
    yield one
    one.close()


def test_a_password_changed_by_command_is_refused_by_every_worker_at_once(office: Office) -> None:
    office.open()
    office.wait_until_ready()
    assert office.statuses() == {200}, "both remember the old password now"
    assert office.change_password("another") == ""
    # 429 is what too many wrong passwords come to.
    wait_until(lambda: office.statuses() <= {401, 429}, "the old password to be refused", AT_ONCE_S)
    assert len(office.served()) == 2
    assert office.server.stop() == 0
    assert {"wrong password for" in line for line in complaints(office.server.log)} <= {True}


def test_while_redis_hangs_the_workers_serve_and_say_that_they_are_not_ready(office: Office) -> None:
    office.open()
    office.wait_until_ready()
    office.redis.pause()
    assert office.statuses("/readyz") == {503}
    began = time.monotonic()
    assert office.callers[0].ask("PUT", "/v1/vaults/notes") == 201
    for caller in office.callers:
        path = f"/v1/vaults/notes/files/{caller.port}.md"
        assert caller.ask("PUT", path, body=b"text", **{"If-None-Match": "*"}) == 201
    assert time.monotonic() - began < 5
    office.redis.resume()
    office.wait_until_ready()


def test_workers_start_without_redis_and_find_it_later(office: Office) -> None:
    office.redis.stop()
    office.open()
    assert office.statuses() == {200}
    assert office.statuses("/readyz") == {503}
    wait_until(lambda: office.server.log.count("Redis is out of reach") == 2, "a line from each")
    office.redis.start()
    office.wait_until_ready()
    wait_until(lambda: office.server.log.count("Redis is back") == 2, "a line from each")
    assert office.server.stop() == 0


@pytest.mark.parametrize("hangs", [False, True], ids=["away", "hanging"])
def test_a_command_that_cannot_tell_the_workers_says_so_soon(office: Office, hangs: bool) -> None:
    if hangs:
        office.redis.pause()
    else:
        office.redis.stop()
    began = time.monotonic()
    said = office.change_password("another")
    assert time.monotonic() - began < 10
    assert said == "gobi: Redis is out of reach: running workers learn of this up to 30 s late\n"


def test_a_command_with_nothing_to_tell_does_not_ask_for_redis(office: Office) -> None:
    office.redis.stop()
    done = office.server.gobi("user", "remove", "nobody")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Redis" not in done.stderr


def test_an_option_that_redis_has_not_stops_the_start_without_showing_the_password(office: Office) -> None:
    office.server._env["GOBI_REDIS_URL"] = "redis://:hunter2@127.0.0.1/0?colour=blue"
    for command in (["serve"], ["user", "passwd", USER, "--generate"]):
        done = office.server.gobi(*command)
        assert (done.returncode, done.stderr.count("\n")) == (78, 1)
        assert done.stderr.startswith("gobi: GOBI_REDIS_URL")
        assert "hunter2" not in done.stderr


_LATER = """
import os, sys
from gevent import monkey
monkey.patch_all()
import gobi, ops.logs, ops.tls, ops.worker
from ops.settings import parse
settings = parse(os.environ)
gobi.load_once(settings)
before = set(sys.modules)
gobi.create_app(settings)
print(*sorted(set(sys.modules) - before))
"""
_ELSEWHERE = {
    "GOBI_MONGO_URI": "mongodb://127.0.0.1:1/?replicaSet=rs0",
    "GOBI_REDIS_URL": "redis://127.0.0.1:1/0",
    "GOBI_WORKERS": "4",
}


@pytest.mark.parametrize("settings", [{}, _ELSEWHERE], ids=["embedded", "elsewhere"])
def test_what_workers_import_is_imported_once_before_them(tmp_path: Path, settings: dict[str, str]) -> None:
    """Else each has it for itself."""
    environment = {"PATH": os.environ["PATH"], "GOBI_DATA_DIR": str(tmp_path), **settings}
    (tmp_path / "metadata.db").touch()
    done = subprocess.run([sys.executable, "-c", _LATER], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_workers_share_the_memory_of_what_was_imported(office: Office) -> None:
    office.open()
    for worker in psutil.Process(office.server.pid).children():
        memory = worker.memory_full_info()
        assert memory.uss < 0.6 * memory.rss, memory
