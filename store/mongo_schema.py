"""The collections and indexes in MongoDB, and the steps from each older schema to this one.

`versions` is the log: one document a version, one log a vault. Its two indexes are the `_id`, by which a vault's log is
read in stamp order, and `by_path`. Strings compare by their UTF-8 bytes, which is the byte order that the protocol
promises for paths. Everything with a vault in it can be sharded by `_id.v`: no query crosses vaults.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import pymongo
from bson import Int64
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure

from store.errors import Unusable
from store.mongo_documents import Document

NAMESPACE_EXISTS = 48
# Making an index over a million versions takes longer than any request may.
PATIENCE_S = 600

Mongo = Database[Document]


class Index(NamedTuple):
    collection: str
    name: str
    keys: list[tuple[str, int]]
    options: dict[str, Any]


BY_PATH = "by_path"
INDEXES = [
    Index("versions", BY_PATH, [("_id.v", 1), ("p", 1), ("_id.t", -1)], {}),
    Index("conflicts", BY_PATH, [("_id.v", 1), ("p", 1)], {}),
    # A vault that is being removed has no name any more.
    Index("vaults", "by_name", [("name", 1)], {"unique": True, "partialFilterExpression": {"name": {"$exists": True}}}),
    Index("vaults", "by_member", [("members.user", 1)], {}),
]
COLLECTIONS = ("meta", "users", "invitations", "vaults", "versions", "conflicts")


def _make_collections(db: Mongo) -> None:
    for name in set(COLLECTIONS) - set(db.list_collection_names()):
        try:
            db.create_collection(name, check_exists=False)
        except OperationFailure as error:
            if error.code != NAMESPACE_EXISTS:  # another one was faster
                raise


def _begin(db: Mongo) -> None:
    _make_collections(db)
    db["meta"].update_one({"_id": "secret"}, {"$setOnInsert": {"value": secrets.token_bytes(32)}}, upsert=True)


def _nothing(_db: Mongo) -> None:
    """Documents have fields that an older gobi does not know, and would lose or stumble over."""


def _count_versions(db: Mongo) -> None:
    """Each vault says how many versions its log has."""
    for vault in db["vaults"].find({"versions": {"$exists": False}}, {"_id": 1}):
        log = {
            "_id": {"$gte": {"v": vault["_id"], "t": Int64(-1)}, "$lt": {"v": Int64(vault["_id"] + 1), "t": Int64(-1)}}
        }
        there = {"_id": vault["_id"], "versions": {"$exists": False}}
        db["vaults"].update_one(there, {"$set": {"versions": Int64(db["versions"].count_documents(log))}})


# Each may be run again from its beginning: whoever upgrades may be cut off, or be one of several.
STEPS: list[Callable[[Mongo], None]] = [_begin, _make_collections, _nothing, _count_versions]


def upgrade(db: Mongo) -> None:
    """Brings the database to this schema, and makes indexes that are missing. Raises Unusable where it is newer."""
    db.command("ping")  # where it is out of reach, in the usual time and not in that of an index
    with pymongo.timeout(PATIENCE_S):
        found = schema_version(db)
        if found > len(STEPS):
            raise Unusable(
                f"the database has schema {found}, this gobi knows {len(STEPS)}: start the newer gobi that wrote it, "
                "or restore a backup that this one wrote"
            )
        for number in range(found, len(STEPS)):
            STEPS[number](db)
            _record(db, number + 1)
        for index in INDEXES:
            db[index.collection].create_index(index.keys, name=index.name, **index.options)


def schema_version(db: Mongo) -> int:
    """0 for a database that is not gobi's yet."""
    found = db["meta"].find_one({"_id": "schema"})
    return int(found["version"]) if found else 0


def missing_indexes(db: Mongo) -> list[Index]:
    """Those that ought to be there and are not."""
    there = {(name, one) for name in {index.collection for index in INDEXES} for one in db[name].index_information()}
    return [index for index in INDEXES if (index.collection, index.name) not in there]


def _record(db: Mongo, version: int) -> None:
    """Never back: another gobi may have gone further meanwhile."""
    try:
        db["meta"].update_one(
            {"_id": "schema", "version": {"$lt": version}}, {"$set": {"version": version}}, upsert=True
        )
    except DuplicateKeyError:
        pass  # it is there, and not below
