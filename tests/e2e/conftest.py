"""Machines and a vault for each test."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.e2e.machines import House, Machine
from tests.server import GobiServer

_numbers = itertools.count(1)


@pytest.fixture
def house(shared_server: GobiServer, tmp_path: Path) -> House:
    """A vault of the test's own, on the server that all tests share."""
    return House(shared_server, f"vault-{next(_numbers)}", tmp_path)


@pytest.fixture
def own_house(server: GobiServer, tmp_path: Path) -> House:
    """A vault on a server of the test's own, which it may stop."""
    return House(server, "notes", tmp_path)


@pytest.fixture
def laptop(house: House) -> Machine:
    return house.machine("laptop")


@pytest.fixture
def desktop(house: House, laptop: Machine) -> Machine:
    return house.machine("desktop")
