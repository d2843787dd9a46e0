"""Fixtures of the tests of what an operator runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from store import mongo_check
from store.mongo import MongoMetadata
from tests.mongo_proxy import MongoProxy
from tests.server import GobiServer
from tests.services import ReplicaSet

_numbers = itertools.count()


@pytest.fixture
def offline(tmp_path: Path) -> GobiServer:
    """The commands alone: no server runs, and nobody was added."""
    return GobiServer(tmp_path / "server")


@pytest.fixture
def prepared(mongo: ReplicaSet) -> str:
    """A database of the test's own, as gobi makes it, with one user."""
    name = f"doctor_{next(_numbers)}"
    metadata = MongoMetadata(mongo.uri, name)
    metadata.prepare()
    metadata.add_user("me", "$hash$")
    metadata.close()
    return name


@pytest.fixture
def proxy(mongo: ReplicaSet) -> Iterator[MongoProxy]:
    with MongoProxy(mongo.members[0].port) as one:
        yield one


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """`gobi doctor` gives up soon on a MongoDB: nothing is slow here."""
    monkeypatch.setattr(mongo_check, "SELECTION_S", 0.7)
