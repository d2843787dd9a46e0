"""Taking what is too old out of the logs in MongoDB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Protocol, TypeVar

from bson import Int64
from pymongo.client_session import ClientSession

from store.aging import Clock, Collected, Counters, permitted
from store.mongo_documents import Document, key_of, version_id
from store.mongo_errors import translated
from store.mongo_schema import BY_PATH, Mongo
from store.mongo_transaction import microseconds
from sync.model import Version

T = TypeVar("T")

COLLECTION = {"_id": "collection"}


class Run(Protocol):
    def __call__(self, work: Callable[[ClientSession], T], /) -> T:
        """Does it in one transaction, and again from its start where that is needed."""


class MongoAging:
    """Implements aging.Aging. `run` makes sure that no move is under way; `now` is given the database's time in µs."""

    def __init__(self, db: Mongo, run: Run, now: Callable[[int], int]) -> None:
        self._db = db
        self._run = run
        self._now = now

    def clock(self) -> Clock:
        """From a database that gobi has prepared: it has the document that is asked for."""
        stages: list[Document] = [{"$match": {"_id": "secret"}}, {"$project": {"_id": 0, "now": "$$NOW"}}]
        with translated():
            row = next(iter(self._db["meta"].aggregate(stages)))
        return Clock(self._now(microseconds(row["now"])), "database")

    def last_collection(self) -> Collected | None:
        with translated():
            found = self._db["meta"].find_one(COLLECTION)
        return Collected(**{one.name: int(found[one.name]) for one in fields(Collected)}) if found else None

    def note_collection(self, collected: Collected) -> None:
        value = {name: Int64(one) for name, one in asdict(collected).items()}
        self._run(
            lambda session: self._db["meta"].update_one(COLLECTION, {"$set": value}, upsert=True, session=session)
        )

    def purge(self, vault_id: str, versions: Sequence[Version], before: int) -> list[Version]:
        key = key_of(vault_id)

        def work(session: ClientSession) -> list[Version]:
            # A write of what every commit writes: of a commit at the same time and this, one begins anew.
            if not self._change(key, {}, session):
                return []
            paths = sorted({version.path for version in versions})
            open_on = {"_id.v": key, "p": {"$in": paths}, "r": {"$exists": False}}
            disputed = self._db["conflicts"].find(open_on, {"_id": 0, "p": 1}, session=session).hint(BY_PATH)
            ended = sorted({version.path for version in versions if not version.live})
            there: list[tuple[str, int]] = []
            if ended:
                rows = self._db["versions"].find({"_id.v": key, "p": {"$in": ended}}, {"p": 1}, session=session)
                there = [(row["p"], int(row["_id"]["t"])) for row in rows.hint(BY_PATH)]
            going = permitted(versions, before, {row["p"] for row in disputed}, there)
            wanted = {"_id.v": key, "_id": {"$in": [version_id(key, one.stamp) for one in going]}}
            known = {int(row["_id"]["t"]) for row in self._db["versions"].find(wanted, {"_id": 1}, session=session)}
            if known:
                self._db["versions"].delete_many(wanted, session=session)
                self._change(key, {"versions": Int64(-len(known))}, session)
            return [one for one in going if one.stamp in known]

        return self._run(work) if versions else []

    def adjust(self, vault_id: str, by: Counters) -> None:
        changes = {name: Int64(value) for name, value in by._asdict().items() if value}
        self._run(lambda session: self._change(key_of(vault_id), changes, session))

    def _change(self, key: int, increments: Document, session: ClientSession) -> bool:
        there = {"_id": key, "name": {"$exists": True}}
        change = {"$inc": {"revision": 1} | increments}
        return self._db["vaults"].update_one(there, change, session=session).matched_count == 1
