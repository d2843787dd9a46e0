"""What keeps metadata, as the contract suite sees it. Another backend is one more entry in `BACKENDS`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from store.base import Metadata
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
    def __init__(self, folder: Path) -> None:
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


BACKENDS: dict[str, Callable[[Path], Backend]] = {"sqlite": SqliteBackend}


def open_at(address: list[str]) -> Metadata:
    """The store that another process's backend speaks of."""
    kind, where = address
    assert kind == "sqlite", kind
    return SqliteMetadata(where)
