"""Redis is stopped, killed, restarted and hung under two workers: files are stored and fetched as ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machines import House, in_step
from tests.mongo.asking import put, readiness
from tests.server import GobiServer
from tests.services import Redis, ReplicaSet, wait_until


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    one = Redis(tmp_path / "redis").start()
    yield one
    one.stop()


@pytest.fixture
def house(mongo: ReplicaSet, database: str, own_redis: Redis, tmp_path: Path) -> Iterator[House]:
    server = GobiServer(tmp_path / "server").start(
        GOBI_MONGO_URI=mongo.uri, GOBI_MONGO_DB=database, GOBI_REDIS_URL=own_redis.url, GOBI_WORKERS="2"
    )
    server.add_user()
    one = House([server], "notes", tmp_path)
    one.api("PUT", "")
    yield one
    server.close()


@pytest.mark.parametrize("how", ["stop", "kill9", "pause"])
def test_whatever_becomes_of_redis_files_are_stored_and_fetched(house: House, own_redis: Redis, how: str) -> None:
    laptop, desktop = house.machine("laptop"), house.machine("desktop")
    laptop.write("before.md", "before")
    laptop.sync()
    getattr(own_redis, how)()
    for number in range(20):
        assert put(house, f"meanwhile/{number}.md", b"text").status == 201
    laptop.write("meanwhile.md", "by a client")
    laptop.sync()
    desktop.sync()
    laptop.sync()
    assert in_step(laptop, desktop)
    wait_until(lambda: readiness(house)["notify"] != "ok", "the server to see that Redis is away")
    assert readiness(house)["metadata"] == "ok"
    if how == "pause":
        own_redis.resume()
    else:
        own_redis.start()
    # Each request may come to either worker: both have to be subscribed again.
    wait_until(lambda: all(readiness(house)["notify"] == "ok" for _ in range(8)), "both workers to be subscribed again")
    assert put(house, "after.md", b"after").status == 201
    desktop.sync()
    assert desktop.read("after.md") == "after"
    assert len(house.live()) == 23
