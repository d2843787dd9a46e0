"""The ways to run gobi that have to be the same to its clients: alone, with many workers, on two hosts."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from tests.databases import Database, MongoDatabase, SqliteDatabase
from tests.server import GobiServer
from tests.services import Redis, ReplicaSet

DEPLOYMENTS = ("embedded", "workers", "hosts")
WORKERS = 4


class Deployment:
    """Servers over one database and one folder of bodies, with the user tests.server.USER."""

    def __init__(self, servers: Sequence[GobiServer], database: Database, **settings: str) -> None:
        self.servers = list(servers)
        self.database = database
        self._settings = settings

    def start(self) -> Self:
        """Starts whichever does not run."""
        first_time = not self.servers[0].url
        for server in self.servers:
            if not server.running:
                server.start(**self._settings)
        if first_time:
            self.servers[0].add_user()
        return self

    def stop(self) -> None:
        """Asks every server to stop, as systemd does: all at once, because each takes a second or two."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(GobiServer.stop, self.servers))

    def close(self) -> None:
        for server in self.servers:
            server.close()
        self.database.drop()

    @property
    def bodies(self) -> Path:
        return self.servers[0].data_dir / "bodies"


def embedded(folder: Path) -> Deployment:
    """One server of one worker, and SQLite."""
    server = GobiServer(folder / "server")
    return Deployment([server], SqliteDatabase(server.data_dir / "metadata.db"))


def workers(folder: Path, mongo: ReplicaSet, redis: Redis) -> Deployment:
    """One server of several workers, MongoDB and Redis."""
    database = _database(mongo)
    settings = _settings(database, redis) | {"GOBI_WORKERS": str(WORKERS)}
    return Deployment([GobiServer(folder / "server")], database, **settings)


def hosts(folder: Path, mongo: ReplicaSet, redis: Redis) -> Deployment:
    """Two servers over one MongoDB, one Redis and one folder of bodies."""
    database = _database(mongo)
    one = GobiServer(folder / "one")
    other = GobiServer(folder / "other", data_dir=one.data_dir)
    return Deployment([one, other], database, **_settings(database, redis))


def _database(mongo: ReplicaSet) -> MongoDatabase:
    return MongoDatabase(mongo.uri, f"test-{secrets.token_hex(6)}")


def _settings(database: MongoDatabase, redis: Redis) -> dict[str, str]:
    # The channel in Redis has the database's name in it: many deployments may share one Redis.
    return {"GOBI_MONGO_URI": database.uri, "GOBI_MONGO_DB": database.name, "GOBI_REDIS_URL": redis.url}
