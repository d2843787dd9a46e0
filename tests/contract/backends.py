"""What keeps metadata, as the contract suite sees it. Another backend is one more entry in `BACKENDS`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pymongo

from store.base import Metadata
from store.mongo import MongoMetadata
from store.mongo_documents import Document
from store.sqlite import SqliteMetadata


class Backend(Protocol):
    """One empty store, and the clients that open it."""

    @property
    def address(self) -> list[str]:
        """For `open_at`, perhaps in another process."""

    def open(self) -> Metadata:
        """One more client of the same store."""

    def step_back(self, microseconds: int) -> None:
        """Makes the database's clock go back, for the clients that `open` gave and will give."""

    def close(self) -> None:
        """Closes every client that `open` gave."""


class SqliteBackend:
    def __init__(self, folder: Path, _mongo: Callable[[], str]) -> None:
        self._path = folder / "gobi.db"
        self._behind = 0
        self._opened: list[Metadata] = []

    @property
    def address(self) -> list[str]:
        return ["sqlite", str(self._path)]

    def open(self) -> Metadata:
        self._opened.append(SqliteMetadata(self._path, now=lambda: time.time_ns() // 1000 - self._behind))
        return self._opened[-1]

    def step_back(self, microseconds: int) -> None:
        self._behind += microseconds

    def close(self) -> None:
        for one in self._opened:
            one.close()


class MongoBackend:
    """A database of its own in a real mongod that many tests share."""

    def __init__(self, _folder: Path, mongo: Callable[[], str]) -> None:
        self._uri = mongo()
        self._name = f"test-{secrets.token_hex(6)}"
        self._behind = 0
        self._opened: list[MongoMetadata] = []

    @property
    def address(self) -> list[str]:
        return ["mongo", self._uri, self._name]

    def open(self) -> Metadata:
        self._opened.append(MongoMetadata(self._uri, self._name, now=lambda now: now - self._behind))
        self._opened[-1].prepare()
        return self._opened[-1]

    def step_back(self, microseconds: int) -> None:
        self._behind += microseconds

    def close(self) -> None:
        for one in self._opened:
            one.close()
        with pymongo.MongoClient[Document](self._uri) as client:
            client.drop_database(self._name)


# Each is made with a folder of its own, and what starts MongoDB on demand and gives its address.
Make = Callable[[Path, Callable[[], str]], Backend]
BACKENDS: dict[str, Make] = {"sqlite": SqliteBackend, "mongo": MongoBackend}


def open_at(address: list[str]) -> Metadata:
    """The store that another process's backend speaks of."""
    kind, *where = address
    return SqliteMetadata(where[0]) if kind == "sqlite" else MongoMetadata(*where)
