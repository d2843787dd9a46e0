"""What a query costs the database does not depend on the length of a history, nor on the size of a vault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pymongo
import pytest

from store.base import Query, Vault
from store.expiry import expired
from store.mongo import MongoMetadata
from sync.model import Version
from tests.contract.log import append, hash_of
from tests.services import ReplicaSet

PATHS, EDITS = 200, 30
ASKED = [f"dir/{number:03}" for number in range(0, PATHS, 20)]
Database = pymongo.database.Database[dict[str, Any]]


@pytest.fixture(scope="module")
def metadata(mongo: ReplicaSet) -> Iterator[MongoMetadata]:
    one = MongoMetadata(mongo.uri, "plans")
    one.prepare()
    one.add_user("me", "")
    yield one
    one.close()
    mongo.drop("plans")


@pytest.fixture(scope="module")
def vault(metadata: MongoMetadata) -> Vault:
    """Two hundred files, each edited thirty times; and another vault beside it."""
    for name in ("notes", "other"):
        one = metadata.create_vault(name, "me")
        for edit in range(EDITS):
            append(metadata, one.id, *((f"dir/{number:03}", f"{edit}") for number in range(PATHS)))
    there = metadata.vault("notes")
    assert there is not None
    return there


@pytest.fixture(scope="module")
def written(metadata: MongoMetadata, vault: Vault) -> list[Version]:
    return metadata.changes(vault.id, 0, 10_000)


@pytest.fixture
def database(mongo: ReplicaSet) -> Iterator[Database]:
    client: pymongo.MongoClient[dict[str, Any]]
    with pymongo.MongoClient(mongo.uri) as client:
        client.plans.command("profile", 2)
        yield client.plans
        client.plans.command("profile", 0)
        client.plans.drop_collection("system.profile")


Asking = Callable[[MongoMetadata, Vault, list[Version]], object]
# Each with the most documents and index entries that it may look at.
QUERIES: dict[str, tuple[Asking, int, int]] = {
    "heads": (lambda m, v, _: m.heads(v.id, ASKED), 10, 25),
    "heads of new paths": (lambda m, v, _: m.heads(v.id, [f"new/{n}" for n in range(100)]), 0, 105),
    "find": (lambda m, v, w: m.find(v.id, {(one.path, one.stamp) for one in w[:10]}), 10, 25),
    "has_stamp": (lambda m, v, w: m.has_stamp(v.id, w[0].stamp), 1, 2),
    "changes": (lambda m, v, w: m.changes(v.id, w[100].stamp, 10), 10, 12),
    "history": (lambda m, v, _: m.history(v.id, ASKED[3], before=None, limit=5), 5, 7),
    # A page looks at 1,000 index entries to see where it ends, and then at one a path.
    "live": (lambda m, v, _: m.live(v.id, at=v.clock, limit=10), 40, 1_300),
    "live below a prefix": (lambda m, v, _: m.live(v.id, at=v.clock, prefix="dir/19", limit=100), 20, 700),
    "live in the past": (lambda m, v, w: m.live(v.id, at=w[3_000].stamp, limit=5), 40, 1_700),
    "listing": (lambda m, v, _: m.listing(v.id, at=v.clock, after="", limit=10), 40, 1_300),
    "folder": (lambda m, v, _: m.folder(v.id, prefix="dir/", after="", limit=30), 1_000, 1_001),
    # Past the folder in which a page's worth of entries ends there is nothing more to see.
    "folder of folders": (lambda m, v, _: m.folder(v.id, prefix="", after="", limit=30), 1_000, 1_010),
    "recent": (lambda m, v, w: _recent(m, v, w, None), 10, 12),
    # What a page looks at, once to see where it ends and once for what matches.
    "recent of nobody": (lambda m, v, w: _recent(m, v, w, "nobody"), 10_000, 10_010),
    "facts": (lambda m, v, w: m.facts(v.id, [Query(p, w[0].stamp, (hash_of("29"),)) for p in ASKED]), 25, 60),
    "vault_and_head": (lambda m, v, _: m.vault_and_head("notes", ASKED[0]), 2, 4),
    # A vault in which nothing is old costs one page.
    "expired": (lambda m, v, w: list(expired(m, v.id, w[0].stamp)), 500, 502),
    "purge": (lambda m, v, w: m.aging().purge(v.id, [_tombstone_before(w[0])], w[0].stamp), 35, 40),
    "clock": (lambda m, _, __: m.aging().clock(), 1, 1),
    "transact": (lambda m, v, _: m.transact(v.id, lambda tx: tx.heads(ASKED), ASKED), 15, 100),
    "transact on new paths": (lambda m, v, _: m.transact(v.id, lambda _: 0, [f"n/{n}" for n in range(100)]), 5, 500),
}


def _tombstone_before(version: Version) -> Version:
    """One that is not there: nothing goes."""
    return version._replace(stamp=version.stamp - 1, kind="delete", hash=None)


def _recent(metadata: MongoMetadata, vault: Vault, written: list[Version], device: str | None) -> object:
    before = written[-1].stamp
    return metadata.recent(vault.id, before=before, since=0, device=device, user=None, prefix="", limit=10)


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_looks_at_little_more_than_it_brings(
    metadata: MongoMetadata, vault: Vault, written: list[Version], database: Database, name: str
) -> None:
    asking, documents, keys = QUERIES[name]
    asking(metadata, vault, written)
    looked = list(database.system.profile.find({"appName": "gobi", "op": {"$in": ["query", "command"]}}))
    assert looked
    assert sum(one.get("docsExamined", 0) for one in looked) <= documents
    assert sum(one.get("keysExamined", 0) for one in looked) <= keys
    assert not any("COLLSCAN" in one.get("planSummary", "") for one in looked)
