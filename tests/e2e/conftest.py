"""Machines and a vault for each test, and the test once for each deployment."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployments import DEPLOYMENTS, Deployment, embedded, hosts, workers
from tests.e2e.machines import House, Machine
from tests.server import GobiServer
from tests.services import Redis, ReplicaSet

_numbers = itertools.count(1)


@pytest.fixture(params=DEPLOYMENTS)
def deployed(request: pytest.FixtureRequest) -> str:
    """How gobi runs in this test. What that needs is started only for a test that asks."""
    return str(request.param)


@pytest.fixture
def house(deployed: str, request: pytest.FixtureRequest, tmp_path: Path) -> House:
    """A vault of the test's own, on servers that many tests share."""
    servers: list[GobiServer] = request.getfixturevalue(f"{deployed}_servers")
    return House(servers, f"vault-{next(_numbers)}", tmp_path)


@pytest.fixture
def embedded_servers(shared_server: GobiServer) -> list[GobiServer]:
    return [shared_server]


@pytest.fixture
def workers_servers(shared_workers: Deployment) -> list[GobiServer]:
    return shared_workers.servers


@pytest.fixture
def hosts_servers(shared_hosts: Deployment) -> list[GobiServer]:
    return shared_hosts.servers


@pytest.fixture
def own_deployment(deployed: str, request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """Servers of the test's own, which it may stop."""
    one: Deployment = request.getfixturevalue(f"own_{deployed}")
    yield one.start()
    one.close()


@pytest.fixture
def own_embedded(tmp_path: Path) -> Deployment:
    return embedded(tmp_path)


@pytest.fixture
def own_workers(tmp_path: Path, mongo: ReplicaSet, redis_server: Redis) -> Deployment:
    return workers(tmp_path, mongo, redis_server)


@pytest.fixture
def own_hosts(tmp_path: Path, mongo: ReplicaSet, redis_server: Redis) -> Deployment:
    return hosts(tmp_path, mongo, redis_server)


@pytest.fixture
def own_house(own_deployment: Deployment, tmp_path: Path) -> House:
    """A vault on servers of the test's own."""
    return House(own_deployment.servers, "notes", tmp_path)


@pytest.fixture
def laptop(house: House) -> Machine:
    return house.machine("laptop")


@pytest.fixture
def desktop(house: House, laptop: Machine) -> Machine:
    return house.machine("desktop")
