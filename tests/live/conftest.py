"""A vault whose live sockets a test watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.peer import Vault
from tests.server import GobiServer


@pytest.fixture
def vault(shared_server: GobiServer) -> Iterator[Vault]:
    one = Vault(shared_server)
    yield one
    one.close()


@pytest.fixture
def open_vault(tmp_path: Path) -> Iterator[Callable[..., Vault]]:
    """Makes a vault on a server of the test's own, with settings of the test's own."""
    vaults: list[Vault] = []

    def make(**settings: str) -> Vault:
        server = GobiServer(tmp_path / f"server-{len(vaults)}").start(**settings)
        server.add_user()
        vaults.append(Vault(server))
        return vaults[-1]

    yield make
    for one in vaults:
        one.close()
        one.server.close()
