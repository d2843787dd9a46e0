"""Moving a database's contents out of MongoDB and in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pymongo
from pymongo import MongoClient
from pymongo.client_session import ClientSession

from store import mongo_log as log
from store import mongo_people as people
from store import mongo_transaction as transaction
from store.base import Invitation, User, Vault
from store.mongo_documents import (
    Document,
    conflict_document,
    key_of,
    move_document,
    move_of,
    vault_document,
    version_document,
)
from store.mongo_errors import translated
from store.mongo_schema import Mongo
from store.moving import Move, overtaken
from sync.model import Conflict, Version

# A shared tier that has had enough for the moment takes its time over 5,000 versions; whoever moves can wait.
PATIENCE_S = 60
# Removing a million versions is one command.
CLEARING_S = 900

# In `meta`: what Metadata.identity tells.
IDENTITY = "identity"
# Vaults first: without them nobody reads the rest.
_CONTENTS = ("vaults", "users", "invitations", "versions", "conflicts")


class MongoMoving:
    """Implements moving.Moving. `db` reads and writes with a majority."""

    def __init__(self, client: MongoClient[Document], db: Mongo) -> None:
        self._client = client
        self._db = db

    def state(self) -> Move | None:
        with translated():
            return move_of(self._db["meta"].find_one(transaction.MOVE))

    def mark(self, old: Move | None, new: Move | None) -> None:
        def change(session: ClientSession) -> None:
            # Those who change people or vaults begin with the same: each of them is before this or sees it.
            if transaction.take_turn(self._db, session) != old:
                raise overtaken()
            value = {"$set": move_document(new)} if new else {"$unset": dict.fromkeys(("id", "state", "notice"), 1)}
            self._db["meta"].update_one(transaction.MOVE, value, session=session)

        with _patiently():
            transaction.run(self._client, change)
            if new is not None and new.frozen:
                # Whoever read a vault before that cannot commit now, reads it again, and sees it. In no transaction:
                # it waits for those that are under way.
                self._db["vaults"].update_many({}, {"$inc": {"revision": 1}})

    def is_empty(self) -> bool:
        with translated():
            return all(self._db[name].find_one({}, {"_id": 1}) is None for name in ("vaults", "users"))

    # -- reading

    def versions(self, vault_id: str, after: int, limit: int) -> list[Version]:
        with _patiently():
            return log.changes(self._db, key_of(vault_id), after, limit)

    def conflicts(self, vault_id: str, after: str, limit: int) -> list[Conflict]:
        with _patiently():
            return log.conflicts(self._db, key_of(vault_id), after, limit)

    def invitations(self) -> list[Invitation]:
        with _patiently():
            return people.invitations(self._db)

    # -- taking in

    def clear(self) -> None:
        # Not dropped: whoever has sharded the collections wants to find them so.
        with _patiently(CLEARING_S):
            for name in _CONTENTS:
                self._db[name].delete_many({})
            self._db["meta"].delete_one({"_id": IDENTITY})

    def take_versions(self, vault_id: str, versions: Sequence[Version]) -> None:
        self._insert("versions", [version_document(key_of(vault_id), one) for one in versions])

    def take_conflicts(self, vault_id: str, conflicts: Sequence[Conflict]) -> None:
        self._insert("conflicts", [conflict_document(key_of(vault_id), one) for one in conflicts])

    def take_people(self, secret: bytes, users: Sequence[User], vaults: Sequence[Vault]) -> None:
        with _patiently():
            self._db["meta"].update_one({"_id": "secret"}, {"$set": {"value": secret}}, upsert=True)
        self._insert("users", [people.user_document(one) for one in users])
        self._insert("vaults", [vault_document(one) for one in vaults])

    def take_invitations(self, invitations: Sequence[Invitation]) -> None:
        self._insert("invitations", [people.invitation_document(one) for one in invitations])

    def _insert(self, name: str, documents: list[Document]) -> None:
        if documents:
            with _patiently():
                self._db[name].insert_many(documents)


@contextmanager
def _patiently(seconds: float = PATIENCE_S) -> Iterator[None]:
    with translated(), pymongo.timeout(seconds):
        yield
