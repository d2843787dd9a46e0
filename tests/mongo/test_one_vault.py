"""No command on the logs spans vaults: so they can be sharded by vault, and one vault's size is no other's burden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import monitoring

from store.base import Query, Totals
from store.mongo import MongoMetadata
from sync.model import Candidate, Conflict
from tests.contract.log import append, hash_of
from tests.services import ReplicaSet

LOGS = ("versions", "conflicts")
# What works on a collection as such.
ADMINISTRATION = ("create", "createIndexes", "listIndexes", "drop")


class Recorder(monitoring.CommandListener):
    """Every command on a log, as it was sent to the database `name`."""

    def __init__(self) -> None:
        self.name = ""
        self.commands: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.database_name == self.name:
            self.commands.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


RECORDER = Recorder()
monitoring.register(RECORDER)  # for clients made from now on; there is no way to take it back


@pytest.fixture
def metadata(mongo: ReplicaSet, database: str) -> Iterator[MongoMetadata]:
    one = MongoMetadata(mongo.uri, database)
    one.prepare()
    RECORDER.name = database
    yield one
    RECORDER.name = ""
    RECORDER.commands.clear()
    one.close()


def vaults_of(command: dict[str, Any]) -> Iterator[Any]:
    """For every part of a command that reads or writes a log: the vault that it names, or None."""
    kind = next(iter(command))
    if kind == "aggregate":
        yield from _of_stages(command["aggregate"], command["pipeline"])
    elif command[kind] in LOGS:
        match kind:
            case "find":
                yield _of_condition(command["filter"])
            case "insert":
                yield from (document["_id"]["v"] for document in command["documents"])
            case "update":
                yield from (_of_condition(one["q"]) for one in command["updates"])
            case "delete":
                yield from (_of_condition(one["q"]) for one in command["deletes"])
            case _:
                assert kind in ADMINISTRATION, kind


def _of_stages(collection: str, stages: list[dict[str, Any]]) -> Iterator[Any]:
    if collection in LOGS:
        yield _of_condition(stages[0].get("$match", {}))
    for stage in stages:
        if "$unionWith" in stage:
            yield from _of_stages(stage["$unionWith"]["coll"], stage["$unionWith"]["pipeline"])
        if "$lookup" in stage and stage["$lookup"]["from"] in LOGS:
            assert stage["$lookup"]["localField"] == "_id"
            yield "the vault's own" if stage["$lookup"]["foreignField"] == "_id.v" else None


def _of_condition(condition: dict[str, Any]) -> Any:
    whole = condition.get("_id")
    return condition.get("_id.v", whole.get("v") if isinstance(whole, dict) else None)


def test_no_command_on_the_logs_spans_vaults(metadata: MongoMetadata) -> None:
    """Everything a metadata store can be asked, once."""
    metadata.add_user("me", "")
    vault = metadata.create_vault("notes", "me")
    other = metadata.create_vault("other", "me")
    for one in (vault, other):
        a, b = append(metadata, one.id, ("a", "A"), ("b/c", "B"))
        append(metadata, one.id, ("a", "-"), ("d", "D"))
        conflict = Conflict("c1", "a", a.stamp, 1, (Candidate(1, "me", "laptop", hash_of("C"), 1, None, 1),))

        def work(tx: Any, b: Any = b, conflict: Conflict = conflict) -> None:
            tx.heads(["a", "x"]), tx.live_below(["b", "y"]), tx.find([("b/c", b.stamp)])
            tx.conflict("c1"), tx.conflicts_on({"a", "z"})
            tx.append([], Totals(stored=1))
            tx.save_conflict(conflict)

        metadata.transact(one.id, work, {"a", "b"})
        metadata.heads(one.id, ["a"])
        metadata.find(one.id, [("a", a.stamp)])
        metadata.has_stamp(one.id, a.stamp + 10**9)
        metadata.changes(one.id, 0, 10)
        metadata.live(one.id, at=b.stamp, limit=10)
        metadata.listing(one.id, at=b.stamp, after="", limit=10)
        metadata.folder(one.id, prefix="", after="", limit=10)
        metadata.recent(one.id, before=1 << 62, since=0, device="laptop", user=None, prefix="b/", limit=10)
        metadata.history(one.id, "a", before=None, limit=10)
        metadata.facts(one.id, [Query("a", a.stamp, (hash_of("A"), hash_of("Z"))), Query("d", 5, (hash_of("Q"),))])
        metadata.conflict(one.id, "c1")
        metadata.open_conflicts(one.id)
        metadata.vault_and_head(one.name, "a")
    metadata.remove_vault(other.id)
    spans = [command for command in RECORDER.commands if None in list(vaults_of(command))]
    assert spans == []
    mixed = [command for command in RECORDER.commands if len(set(map(str, vaults_of(command)))) > 1]
    assert mixed == []
    assert sum(1 for command in RECORDER.commands for _ in vaults_of(command)) > 50
