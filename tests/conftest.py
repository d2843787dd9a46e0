"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import GobiServer


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
