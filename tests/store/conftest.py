"""Fixtures for the tests of the store."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from store.base import Metadata
from store.mongo import MongoMetadata
from tests.services import Redis, ReplicaSet
from tests.store.backups import Backups
from tests.store.channel import Channel
from tests.store.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.at(tmp_path)


@pytest.fixture
def channel() -> Iterator[Channel]:
    one = Channel()
    yield one
    one.close()


@pytest.fixture
def absent_redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of the test's own that does not run yet."""
    one = Redis(tmp_path / "redis")
    yield one
    one.stop()


@pytest.fixture
def own_redis(absent_redis: Redis) -> Redis:
    """A running Redis of the test's own, to be ill-treated."""
    return absent_redis.start()


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(tmp_path)


@pytest.fixture
def far(mongo: ReplicaSet) -> Iterator[Metadata]:
    """An empty database in MongoDB."""
    name = f"test-{secrets.token_hex(6)}"
    with closing(MongoMetadata(mongo.uri, name)) as one:
        one.prepare()
        yield one
    mongo.drop(name)
