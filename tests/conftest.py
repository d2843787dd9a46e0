"""Fixtures that every test may use."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployments import Deployment, hosts, workers
from tests.server import GobiServer
from tests.services import Redis, ReplicaSet

# Started in the background of a script, SIGINT is ignored here, and would be in every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GobiServer]:
    """A running server of the test's own, with the user tests.server.USER."""
    one = GobiServer(tmp_path / "server").start()
    one.add_user()
    yield one
    one.close()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobiServer]:
    """A running server that many tests share, with the user tests.server.USER. Use an own vault; never stop it."""
    one = GobiServer(tmp_path_factory.mktemp("shared") / "server").start()
    one.add_user()
    yield one
    one.close()


@pytest.fixture(scope="session")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    """A real MongoDB, a replica set of one, that many tests share. Use an own database; never stop it."""
    one = ReplicaSet(tmp_path_factory.mktemp("mongo")).start()
    yield one
    one.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A real Redis that many tests share. Use an own channel; never stop it."""
    one = Redis(tmp_path_factory.mktemp("redis")).start()
    yield one
    one.stop()


@pytest.fixture(scope="session")
def shared_workers(
    tmp_path_factory: pytest.TempPathFactory, mongo: ReplicaSet, redis_server: Redis
) -> Iterator[Deployment]:
    """A running server of several workers that many tests share. Use an own vault; never stop it."""
    one = workers(tmp_path_factory.mktemp("workers"), mongo, redis_server).start()
    yield one
    one.close()


@pytest.fixture(scope="session")
def shared_hosts(
    tmp_path_factory: pytest.TempPathFactory, mongo: ReplicaSet, redis_server: Redis
) -> Iterator[Deployment]:
    """Two running servers over one database that many tests share. Use an own vault; never stop them."""
    one = hosts(tmp_path_factory.mktemp("hosts"), mongo, redis_server).start()
    yield one
    one.close()
