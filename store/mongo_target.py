"""A database in MongoDB that takes in what another one had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from store.base import Metadata
from store.errors import Misconfigured, StoreError
from store.mongo import MongoMetadata
from store.moving import Move, overtaken
from store.reach import loses_its_end


class MongoTarget:
    """Implements migration.Target. Raises Misconfigured for an impossible address."""

    def __init__(self, uri: str, database: str) -> None:
        if loses_its_end(uri):
            raise Misconfigured(
                "the address has an @ after the host: write such characters of the password as %XX: @ is %40, / %2F, "
                "? %3F, : %3A, and % itself %25"
            )
        self.place = f"mongodb at {hosts(uri)}"
        with self._named():
            self._metadata = MongoMetadata(uri, database)
        self._moving = self._metadata.moving()

    @property
    def notice(self) -> str:
        return f"the metadata was moved to {self.place}: set GOBI_MONGO_URI to that and restart the server"

    def look(self) -> tuple[Move | None, bool]:
        with self._named():
            return self._moving.state(), self._moving.is_empty()

    def open(self, old: Move | None, new: Move) -> Metadata:
        with self._named():
            self._metadata.prepare()
            self._moving.mark(old, new)
            if (old is None or not old.frozen) and not self._moving.is_empty():
                self._moving.mark(new, old)  # somebody began to use it a moment ago
                raise overtaken()
            self._moving.clear()
        return self._metadata

    def complete(self, old: Move, new: Move) -> None:
        with self._named():
            self._moving.mark(old, new)

    def abandon(self, mark: Move) -> None:
        with self._named():
            there = self._moving.state()
            if there is not None and (there.id, there.state) == (mark.id, mark.state):
                self._moving.clear()
                self._moving.mark(there, None)

    def close(self) -> None:
        self._metadata.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """There are two databases: errors say that it is this one, and not the one in the settings."""
        try:
            yield
        except StoreError as error:
            raise type(error)(f"{self.place}: {error}".replace("GOBI_MONGO_URI", "its address")) from error


def hosts(uri: str) -> str:
    """The part of the address that is no secret, as long as the address does not lose its end."""
    place = uri.partition("://")[2].partition("/")[0].partition("?")[0]
    return ",".join(sorted(place.rpartition("@")[2].lower().split(",")))
