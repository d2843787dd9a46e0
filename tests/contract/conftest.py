"""Every test here runs once for each backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store.base import Bodies, Metadata, Vault
from store.bodies import DiskBodies
from tests.contract.backends import BACKENDS, Backend
from tests.services import ReplicaSet


@pytest.fixture
def mongo_uri(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Starts MongoDB only for a test that asks."""

    def start() -> str:
        one: ReplicaSet = request.getfixturevalue("mongo")
        return one.uri

    return start


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path, mongo_uri: Callable[[], str]) -> Iterator[Backend]:
    one = BACKENDS[request.param](tmp_path, mongo_uri)
    yield one
    one.close()


@pytest.fixture
def metadata(backend: Backend) -> Metadata:
    """An empty store with the users `me` and `you`."""
    one = backend.open()
    one.add_user("me", "$hash of me$")
    one.add_user("you", "$hash of you$")
    return one


@pytest.fixture
def vault(metadata: Metadata) -> Vault:
    """An empty vault of `me`."""
    return metadata.create_vault("notes", "me")


@pytest.fixture(params=["disk"])
def bodies(tmp_path: Path) -> Bodies:
    return DiskBodies(tmp_path / "bodies")
