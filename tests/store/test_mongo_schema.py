"""The database's schema in MongoDB: made, upgraded step by step, by one or by several at once."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pymongo
import pytest
from pymongo.database import Database

from store import mongo_schema
from store.errors import Unavailable
from store.mongo import MongoMetadata
from store.mongo_schema import INDEXES, STEPS, Mongo, missing_indexes, schema_version
from tests.contract.log import append
from tests.services import ReplicaSet

Step = Callable[[Mongo], None]


@pytest.fixture
def database(mongo: ReplicaSet) -> Iterator[Database[dict[str, Any]]]:
    """An empty one of the test's own."""
    with pymongo.MongoClient[dict[str, Any]](mongo.uri) as client:
        one = client[f"test-{secrets.token_hex(6)}"]
        yield one
        client.drop_database(one.name)


@pytest.fixture
def open_it(mongo: ReplicaSet, database: Mongo) -> Iterator[Callable[[], MongoMetadata]]:
    """One more client of the database."""
    opened: list[MongoMetadata] = []

    def one() -> MongoMetadata:
        opened.append(MongoMetadata(mongo.uri, database.name))
        return opened[-1]

    yield one
    for each in opened:
        each.close()


def at_once(work: Callable[[], None], count: int = 6) -> None:
    """Runs it so many times in parallel; every one has to go well."""
    start = threading.Barrier(count)

    def run() -> None:
        start.wait()
        work()

    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(run) for _ in range(count)]
    for one in running:
        one.result()


def test_many_prepare_a_new_database_at_once(database: Mongo, open_it: Callable[[], MongoMetadata]) -> None:
    """All find collections, indexes and the one secret."""
    found: list[bytes] = []

    def prepare() -> None:
        one = open_it()
        one.prepare()
        found.append(one.secret())

    at_once(prepare)
    assert len(found) == 6
    assert len(set(found)) == 1
    assert missing_indexes(database) == []
    assert schema_version(database) == len(STEPS)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A later gobi, which has two more steps; what they did, in order."""
    done: list[str] = []

    def second(db: Mongo) -> None:
        done.append("second")
        db["users"].update_many({"colour": {"$exists": False}}, {"$set": {"colour": "blue"}})

    def third(db: Mongo) -> None:
        done.append("third")
        db["users"].update_many({"colour": "blue"}, {"$set": {"colour": "green"}})

    monkeypatch.setattr(mongo_schema, "STEPS", [*STEPS, second, third])
    return done


def old(open_it: Callable[[], MongoMetadata], monkeypatch: pytest.MonkeyPatch) -> None:
    """A database as the gobi of today leaves it, with one user."""
    with monkeypatch.context() as today:
        today.setattr(mongo_schema, "STEPS", STEPS)
        one = open_it()
        one.prepare()
        one.add_user("me", "$hash$")


def colours(database: Mongo) -> list[str]:
    return [one["colour"] for one in database["users"].find()]


def test_an_older_schema_is_upgraded_step_by_step(
    database: Mongo, open_it: Callable[[], MongoMetadata], later: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old(open_it, monkeypatch)
    open_it().prepare()
    assert later == ["second", "third"]
    assert colours(database) == ["green"]
    assert schema_version(database) == len(STEPS) + 2
    open_it().prepare()
    assert later == ["second", "third"], "nothing is left to do"


def test_many_upgrade_at_once(
    database: Mongo, open_it: Callable[[], MongoMetadata], later: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step may run more than once; the version never goes back."""
    old(open_it, monkeypatch)
    at_once(lambda: open_it().prepare())
    assert colours(database) == ["green"]
    assert schema_version(database) == len(STEPS) + 2


def test_an_upgrade_that_was_cut_off_goes_on_where_it_was(
    database: Mongo, open_it: Callable[[], MongoMetadata], later: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old(open_it, monkeypatch)

    def cut_off(db: Mongo) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as unlucky:
        unlucky.setattr(mongo_schema, "STEPS", [*mongo_schema.STEPS[:-1], cut_off])
        with pytest.raises(KeyboardInterrupt):
            open_it().prepare()
    assert schema_version(database) == len(STEPS) + 1
    open_it().prepare()
    assert later == ["second", "third"]


def test_a_database_of_a_newer_gobi_is_left_alone(database: Mongo, open_it: Callable[[], MongoMetadata]) -> None:
    open_it().prepare()
    database["meta"].update_one({"_id": "schema"}, {"$inc": {"version": 1}})
    database["versions"].drop_index(mongo_schema.BY_PATH)
    with pytest.raises(Unavailable, match="newer gobi"):
        open_it().prepare()
    assert [one.name for one in missing_indexes(database)] == [mongo_schema.BY_PATH]


def test_indexes_that_somebody_dropped_are_made_again(database: Mongo, open_it: Callable[[], MongoMetadata]) -> None:
    open_it().prepare()
    for index in INDEXES:
        database[index.collection].drop_index(index.name)
    assert missing_indexes(database) == INDEXES
    open_it().prepare()
    assert missing_indexes(database) == []


def test_a_user_of_an_older_gobi_has_no_session(database: Mongo, open_it: Callable[[], MongoMetadata]) -> None:
    """The document has no such field."""
    one = open_it()
    one.prepare()
    database["users"].insert_one({"_id": "me", "password": "$hash$", "devices": []})
    assert [user.sessions for user in one.users()] == [()]
    began = one.add_session("me", "a" * 16, None, "a browser", 60)
    assert [user.sessions for user in one.users()] == [(began,)]


def test_a_vault_of_an_older_gobi_does_not_merge_by_itself(
    database: Mongo, open_it: Callable[[], MongoMetadata], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its document has no such field."""
    old(open_it, monkeypatch)
    one = open_it()
    made = one.create_vault("notes", "me")
    database["vaults"].update_one({"name": "notes"}, {"$unset": {"auto_merge": 1}})
    assert one.vault("notes") == made
    one.set_auto_merge(made.id, True)
    there = one.vault("notes")
    assert there is not None
    assert there.auto_merge


def test_the_versions_of_an_older_gobis_vaults_are_counted(
    database: Mongo, open_it: Callable[[], MongoMetadata], monkeypatch: pytest.MonkeyPatch
) -> None:
    old(open_it, monkeypatch)
    one = open_it()
    vaults = [one.create_vault(name, "me") for name in ("a", "b", "c")]
    append(one, vaults[0].id, ("x", "X"), ("y", "Y"), ("x", "-"))
    append(one, vaults[1].id, ("x", "X"))
    database["vaults"].update_many({}, {"$unset": {"versions": 1}})
    database["meta"].update_one({"_id": "schema"}, {"$set": {"version": 3}})
    assert [vault.versions for vault in one.vaults()] == [0, 0, 0]
    open_it().prepare()
    assert [vault.versions for vault in one.vaults()] == [3, 1, 0]
