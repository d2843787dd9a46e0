"""The three clients of three_clients.py, wherever their vault may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.client.direct import Server
from tests.client.one_vault import OneVault
from tests.client.over_http import Lines, SharedVault
from tests.deployments import Deployment
from tests.property.three_clients import ThreeClients

Make = Callable[[Path], OneVault]

SHARED = ("workers", "hosts")


@pytest.fixture
def shared(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Vaults on several workers or hosts, over HTTP; each machine's requests go to all of them in turn."""
    deployment: Deployment = request.getfixturevalue(f"shared_{request.param}")
    lines = Lines(deployment)
    yield lambda _folder: SharedVault(deployment, lines)
    lines.close()


def check(make: Make, examples: int, steps: int) -> None:
    some = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(lambda: ThreeClients(make), settings=some)  # type: ignore[arg-type]  # any factory will do


def test_three_clients_lose_nothing_and_agree() -> None:
    """The server's own code on SQLite and real files, called without HTTP."""
    check(Server, examples=150, steps=40)


@pytest.mark.parametrize("shared", SHARED, indirect=True)
def test_three_clients_lose_nothing_and_agree_over_many_servers(shared: Make) -> None:
    check(shared, examples=12, steps=40)


@pytest.mark.soak
def test_three_clients_lose_nothing_and_agree_for_minutes() -> None:
    check(Server, examples=1_500, steps=80)


@pytest.mark.soak
@pytest.mark.parametrize("shared", SHARED, indirect=True)
def test_three_clients_lose_nothing_and_agree_over_many_servers_for_minutes(shared: Make) -> None:
    check(shared, examples=100, steps=80)
