"""Every test here runs once for each backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.base import Bodies, Metadata, Vault
from store.bodies import DiskBodies
from tests.contract.backends import BACKENDS, Backend


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    one = BACKENDS[request.param](tmp_path)
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
