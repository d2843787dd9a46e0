"""Machines and their server, for tests of the engine: each runs on a real folder and in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.clock import SystemClock
from client.disk import Disk
from tests.client.direct import Server
from tests.client.machines import DiskMachine, Machine, MemoryMachine


@pytest.fixture
def vault(tmp_path: Path) -> Server:
    """An empty vault on a server of the test's own."""
    return Server(tmp_path / "server")


@pytest.fixture(params=["disk", "memory"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, vault: Server) -> Iterator[Callable[[str], Machine]]:
    """Makes machines that sync with `vault`."""
    made: list[Machine] = []

    def make(name: str) -> Machine:
        on_disk = request.param == "disk"
        made.append(DiskMachine(vault, name, tmp_path / name) if on_disk else MemoryMachine(vault, name))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def laptop(machine: Callable[[str], Machine]) -> Machine:
    return machine("laptop")


@pytest.fixture
def desktop(machine: Callable[[str], Machine]) -> Machine:
    return machine("desktop")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that is connected."""
    root = tmp_path / "vault"
    (root / ".gobi").mkdir(parents=True)
    return root


@pytest.fixture
def disk(root: Path) -> Iterator[Disk]:
    with Disk(root, clock=SystemClock()) as disk:
        yield disk
