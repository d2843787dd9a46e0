"""A server whose database is a real MongoDB behind a proxy that can make it far, slow, full or gone."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machines import House
from tests.mongo_proxy import MongoProxy
from tests.server import GobiServer
from tests.services import ReplicaSet


@pytest.fixture
def proxy(mongo: ReplicaSet) -> Iterator[MongoProxy]:
    with MongoProxy(mongo.members[0].port) as one:
        yield one


@pytest.fixture
def database(mongo: ReplicaSet) -> Iterator[str]:
    """The name of a database of the test's own."""
    name = f"test-{secrets.token_hex(6)}"
    yield name
    mongo.drop(name)


@pytest.fixture
def far_house(proxy: MongoProxy, database: str, tmp_path: Path) -> Iterator[House]:
    """A vault on a server that reaches its database through `proxy`."""
    server = GobiServer(tmp_path / "server").start(GOBI_MONGO_URI=proxy.uri, GOBI_MONGO_DB=database)
    server.add_user()
    yield House([server], "notes", tmp_path)
    server.close()
    proxy.clear()
    proxy.resume()
