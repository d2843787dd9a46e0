"""Transactions in MongoDB: what a group commit needs in four commands, however many changes it has.

One command reads the vault and all that judging the changes needs. Then a transaction writes the vault's document, if
nobody else did meanwhile, and the log. Every writer writes that document, so commit order is stamp order: of two that
read the same clock, only one can commit, and the other one begins anew. A move to another database writes every vault,
so nobody commits who did not see it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import TypeVar

from bson import Int64
from pymongo import MongoClient, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError
from pymongo.operations import ReplaceOne
from pymongo.read_concern import ReadConcern

from store import mongo_log as log
from store.base import Identity, Totals, Vault
from store.errors import Unavailable
from store.mongo_documents import (
    Document,
    conflict_document,
    conflict_of,
    move_of,
    vault_of,
    version_document,
    version_of,
)
from store.mongo_schema import Mongo
from store.moving import Move, check_writable
from store.refusals import no_vault
from sync.model import Conflict, Version
from sync.paths import ancestors

T = TypeVar("T")

# How long a transaction is tried again.
PATIENCE_S = 15.0
# After a first failure a writer waits as long as so many tries took, after each further one less. Measured with 8
# processes writing into one vault, 50 ms away: 14 commands a transaction; with short waits that grow, 26.
MOST_PATIENT = 4
LONGEST_TRY_S = 0.3

# Live paths in the way that one command brings. Where there are more, the rest is asked for path by path.
MOST_BELOW = 200

# What of a database's part in a move is kept where.
MOVE = {"_id": "move"}
# To be read after the vault's document: see MongoMoving.mark.
_MOVE = {"$unionWith": {"coll": "meta", "pipeline": [{"$match": MOVE}, {"$project": {"_id": 0, "move": "$$ROOT"}}]}}
_WITH_TIME = {"$project": {"_id": 0, "vault": "$$ROOT", "now": "$$NOW"}}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # the driver's times are naive UTC


class Moved(Exception):
    """Somebody else wrote first: what the work was based on is not so any more."""


def run(client: MongoClient[Document], work: Callable[[ClientSession], T], *, patience_s: float = PATIENCE_S) -> T:
    """Runs `work` in a transaction and commits it; again from the start where the database asks for that.

    Raises PyMongoError, and Unavailable where others were faster all the time.
    """

    def once(deadline: float) -> T:
        return commit(client, work, deadline)

    return again_and_again(once, patience_s)


def again_and_again(once: Callable[[float], T], patience_s: float = PATIENCE_S) -> T:
    """Calls `once`, with the moment at which patience ends, until it gets through: somebody was faster, or the
    database elects a new primary."""
    deadline = time.monotonic() + patience_s
    for attempt in count():
        began = time.monotonic()
        try:
            return once(deadline)
        except (PyMongoError, Moved) as error:
            if isinstance(error, PyMongoError) and not error.has_error_label("TransientTransactionError"):
                raise
            if time.monotonic() > deadline:
                raise Unavailable("the database is too busy with other changes: try again in a moment") from error
        # Of those that meet one gets through, and the others need that one's time. Who has waited longest is the most
        # eager: with ever longer waits, late comers would go first.
        took = min(time.monotonic() - began, LONGEST_TRY_S)
        time.sleep(took * max(MOST_PATIENT - attempt, 1) * random.uniform(0.5, 1.5))  # noqa: S311
    raise AssertionError("unreachable")


def commit(client: MongoClient[Document], work: Callable[[ClientSession], T], deadline: float) -> T:
    """Runs `work` in a transaction once. A commit of which the result is unknown is asked for again: MongoDB knows the
    transaction by its number and never commits it twice. Raises PyMongoError, and what `work` raises."""
    with client.start_session() as session:
        session.start_transaction(ReadConcern("snapshot"), WriteConcern(w="majority", j=True))
        result = work(session)
        while True:
            try:
                session.commit_transaction()
                return result
            except PyMongoError as error:
                if not error.has_error_label("UnknownTransactionCommitResult") or time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(0, LONGEST_TRY_S))  # noqa: S311


def take_turn(db: Mongo, session: ClientSession) -> Move | None:
    """Puts all transactions that begin with this in an order; returns the move that is under way, if there is one."""
    before = db["meta"].find_one_and_update(MOVE, {"$inc": {"turn": 1}}, upsert=True, session=session)
    return move_of(before)


def microseconds(moment: datetime) -> int:
    """The driver's time as ours."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


class MongoTransaction:
    """Implements base.Transaction. It reads at once what `about` will need, and writes when `write` is called.

    What it reads is not older than the vault's document, which comes first: so where that is still the same when
    `write` gets to it, all of it is as it was.
    """

    def __init__(
        self,
        db: Mongo,
        key: int,
        about: Collection[str],
        now: Callable[[int], int],
        by: Collection[Identity] = (),
    ) -> None:
        self._db = db
        self._key = key
        self._by = frozenset(by)
        self._good: set[Identity] = set()
        self._heads: dict[str, Version | None] = {}
        self._below: list[Version] = []
        self._below_known: set[str] = set()
        self._on: dict[str, list[Conflict]] = {}
        self._saved: dict[str, Conflict] = {}
        self._opened = 0
        self._versions: Sequence[Version] = ()
        self._totals = Totals()
        row = self._read(about)
        self.vault: Vault = vault_of(row["vault"])
        self._revision = row["vault"]["revision"]
        self.now = now(microseconds(row["now"]))
        self.first_stamp = max(self.vault.clock + 1, self.now)

    def _read(self, about: Collection[str]) -> Document:
        """Everything about these paths in one command; returns the vault's row. Raises Unavailable during a move."""
        paths = next(log.chunks(about), [])
        folders = next(log.chunks({folder for path in paths for folder in ancestors(path)}), [])
        rows = list(self._aggregate(paths, folders)) if paths else self._only_vault()
        self._good = {who for who in self._by for row in rows if "good" in row and _matches(row["good"], who)}
        check_writable(next((move_of(row["move"]) for row in rows if "move" in row), None))
        vault = next((row for row in rows if "vault" in row), None)
        if vault is None or "name" not in vault["vault"]:
            raise no_vault()
        self._heads.update(dict.fromkeys([*paths, *folders]))
        self._heads.update((row["_id"], version_of(row["head"])) for row in rows if "head" in row)
        self._below = [version_of(row["below"]) for row in rows if "below" in row]
        if len(self._below) < MOST_BELOW:
            self._below_known = set(paths)
        self._on = {path: [] for path in paths}
        for one in sorted((conflict_of(row["conflict"]) for row in rows if "conflict" in row), key=_opened):
            self._on[one.path].append(one)
        return vault

    def _aggregate(self, paths: list[str], folders: list[str]) -> Iterator[Document]:
        key = self._key
        lying_below = [
            *log.newest_first(key, log.below(paths)),
            {"$match": {"head.h": {"$exists": True}}},
            {"$limit": MOST_BELOW},
            {"$project": {"_id": 0, "below": "$head"}},
        ]
        on = [{"$match": {"_id.v": key, "p": {"$in": paths}}}, {"$project": {"_id": 0, "conflict": "$$ROOT"}}]
        newest = log.newest_first(key, {"p": {"$in": [*paths, *folders]}})
        stages: list[Document] = [
            # Nothing, by the index that all the rest stands on: where it is missing, this refuses.
            {"$match": {"_id.v": key, "p": ""}},
            {"$unionWith": {"coll": "vaults", "pipeline": [{"$match": {"_id": key}}, _WITH_TIME]}},
            _MOVE,
            *_credentials(self._by),
            {"$unionWith": {"coll": "versions", "pipeline": newest}},
            {"$unionWith": {"coll": "versions", "pipeline": lying_below}},
            {"$unionWith": {"coll": "conflicts", "pipeline": on}},
        ]
        return log.aggregate(self._db, stages)

    def _only_vault(self) -> list[Document]:
        stages: list[Document] = [{"$match": {"_id": self._key}}, _WITH_TIME, _MOVE, *_credentials(self._by)]
        return list(self._db["vaults"].aggregate(stages))

    # -- reading

    def heads(self, paths: Collection[str]) -> dict[str, Version]:
        unknown = [path for path in paths if path not in self._heads]
        if unknown:
            self._heads.update(dict.fromkeys(unknown))
            self._heads.update(log.heads(self._db, self._key, unknown))
        return {path: head for path in paths if (head := self._heads[path]) is not None}

    def live_below(self, paths: Collection[str], excluding: Collection[str] = ()) -> dict[str, Version]:
        left_out = set(excluding)
        found: dict[str, Version] = {}
        for one in self._below:
            if one.path not in left_out:
                for folder in ancestors(one.path):
                    found.setdefault(folder, one)
        unknown = [path for path in paths if path not in found and path not in self._below_known]
        if len(unknown) == 1:
            found.update(self._look_below(unknown[0], left_out))
        elif unknown:
            found.update(self._look_below_all(unknown, left_out))
        return {path: found[path] for path in paths if path in found}

    def _look_below_all(self, paths: Collection[str], excluding: set[str]) -> dict[str, Version]:
        """A command for all, and one more as often as something was found below a path and others had no room."""
        left = dict.fromkeys(paths)
        found: dict[str, Version] = {}
        while left:
            live = {"head.h": {"$exists": True}, "_id": {"$nin": list(excluding)}}
            stages = [*log.newest_first(self._key, log.below(left)), {"$match": live}, {"$limit": MOST_BELOW}]
            rows = [version_of(row["head"]) for row in log.aggregate(self._db, stages)]
            for one in rows:
                for folder in left.keys() & set(ancestors(one.path)):
                    found[folder] = one
            if len(rows) < MOST_BELOW:
                break
            left = {path: None for path in left if path not in found}
        return found

    def _look_below(self, path: str, excluding: set[str]) -> dict[str, Version]:
        after: str | None = f"{path}/"
        while after is not None:
            page, after = log.page(self._db, self._key, after, f"{path}/", MOST_BELOW)
            there = next((one for one in page if one.path not in excluding), None)
            if there is not None:
                return {path: there}
        return {}

    def is_good(self, who: Identity) -> bool:
        assert who in self._by, "whoever is asked about was named before the transaction began"
        return who in self._good

    def find(self, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Version]:
        return log.find(self._db, self._key, wanted)

    def conflict(self, conflict_id: str) -> Conflict | None:
        if conflict_id in self._saved:
            return self._saved[conflict_id]
        known = (one for on in self._on.values() for one in on if one.id == conflict_id)
        return next(known, None) or log.conflict(self._db, self._key, conflict_id)

    def conflicts_on(self, paths: Collection[str]) -> list[Conflict]:
        unknown = [path for path in paths if path not in self._on]
        if unknown:
            self._on.update((path, []) for path in unknown)
            for one in log.conflicts_on(self._db, self._key, unknown):
                self._on[one.path].append(one)
        found = {one.id: one for path in paths for one in self._on[path]}
        found.update((one.id, one) for one in self._saved.values() if one.path in paths)
        return sorted(found.values(), key=_opened)

    # -- writing

    def append(self, versions: Sequence[Version], totals: Totals) -> None:
        self._versions, self._totals = versions, totals
        self._heads.update((version.path, version) for version in versions)

    def save_conflict(self, conflict: Conflict) -> None:
        known = any(one.id == conflict.id for one in self._on.get(conflict.path, ()))
        new = conflict.path in self._on and not known and conflict.id not in self._saved
        before = None if new else self.conflict(conflict.id)
        self._opened += int(conflict.open) - int(before is not None and before.open)
        self._saved[conflict.id] = conflict

    @property
    def writes(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._versions or self._saved or self._totals != Totals())

    def write(self, session: ClientSession) -> None:
        """Two commands: the vault, and what comes into the log; a third for conflicts. Raises Moved."""
        change: Document = {"$inc": _increments(self._totals, self._opened, len(self._versions))}
        if self._versions:
            change["$set"] = {"clock": Int64(self._versions[-1].stamp)}
        as_read = {"_id": self._key, "revision": self._revision}
        if self._db["vaults"].update_one(as_read, change, session=session).matched_count == 0:
            raise Moved
        if self._versions:
            documents = [version_document(self._key, version) for version in self._versions]
            self._db["versions"].insert_many(documents, session=session)
        if self._saved:
            documents = [conflict_document(self._key, one) for one in self._saved.values()]
            replacing = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in documents]
            self._db["conflicts"].bulk_write(replacing, session=session)


def _credentials(by: Collection[Identity]) -> list[Document]:
    """A stage that adds what is kept of these credentials: the users, each with no more devices than are asked about.

    It comes after the vault's document, whose revision goes up with whatever makes one of them useless.
    """
    if not by:
        return []
    names = sorted({one.device for one in by if one.device is not None})
    devices = {"$filter": {"input": "$devices", "cond": {"$in": ["$$this.name", names]}}}
    good = {"user": "$_id", "password": "$password", "devices": devices, "sessions": "$sessions.id"}
    chosen = {"$match": {"_id": {"$in": sorted({one.user for one in by})}}}
    return [{"$unionWith": {"coll": "users", "pipeline": [chosen, {"$project": {"_id": 0, "good": good}}]}}]


def _matches(kept: Document, who: Identity) -> bool:
    devices = {one["name"]: one["hash"] for one in kept["devices"] or ()}
    stored = kept["password"] if who.device is None else devices.get(who.device)
    if kept["user"] != who.user or stored != who.stored:
        return False
    return who.session is None or who.session in (kept.get("sessions") or ())


def _increments(totals: Totals, opened: int, versions: int) -> Document:
    changes = {"files": totals.files, "bytes": totals.bytes, "stored": totals.stored, "conflicts": opened}
    changes["versions"] = versions
    return {"revision": 1} | {name: Int64(change) for name, change in changes.items() if change}


def _opened(conflict: Conflict) -> int:
    return conflict.opened
