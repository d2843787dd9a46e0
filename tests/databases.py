"""A server's metadata in a test's own hands: what an operator does with it, or an accident."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Protocol

import pymongo

from store.base import Metadata
from store.mongo import MongoMetadata
from store.mongo_documents import Document
from store.sqlite import SqliteMetadata


class Database(Protocol):
    def open(self) -> Metadata:
        """One more client of it, which the caller closes."""

    def save(self) -> None:
        """Takes a copy of all that is in it. No server runs meanwhile."""

    def put_back(self) -> None:
        """Makes it what it was when it was saved. No server runs meanwhile."""

    def forget(self, path: str) -> None:
        """Removes every version of the path, as collection does."""

    def drop(self) -> None:
        """Nobody needs it any more."""


class SqliteDatabase:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._copy = b""

    def open(self) -> Metadata:
        return SqliteMetadata(self._file)

    def save(self) -> None:
        self._copy = self._file.read_bytes()

    def put_back(self) -> None:
        for leftover in self._file.parent.glob(self._file.name + "-*"):
            leftover.unlink()
        self._file.write_bytes(self._copy)

    def forget(self, path: str) -> None:
        db = sqlite3.connect(self._file)
        with db:
            db.execute("DELETE FROM versions WHERE path = ?", (path,))
        db.close()

    def drop(self) -> None:
        pass  # it goes with the test's folder


class MongoDatabase:
    """One database of a MongoDB that has others."""

    def __init__(self, uri: str, name: str) -> None:
        self.uri = uri
        self.name = name
        self._copy: dict[str, list[Document]] = {}

    def open(self) -> Metadata:
        return MongoMetadata(self.uri, self.name)

    def save(self) -> None:
        with pymongo.MongoClient[Document](self.uri) as client:
            db = client[self.name]
            self._copy = {name: list(db[name].find()) for name in db.list_collection_names()}

    def put_back(self) -> None:
        with pymongo.MongoClient[Document](self.uri) as client:
            db = client[self.name]
            for name in db.list_collection_names():
                db[name].delete_many({})
            for name, documents in self._copy.items():
                if documents:
                    db[name].insert_many(documents)

    def forget(self, path: str) -> None:
        with pymongo.MongoClient[Document](self.uri) as client:
            client[self.name]["versions"].delete_many({"p": path})

    def drop(self) -> None:
        with pymongo.MongoClient[Document](self.uri) as client:
            client.drop_database(self.name)
