"""What `gobi doctor` finds out about the database in MongoDB. Whatever it writes there it takes back."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from store import findings
from store.findings import Finding, megabytes, ok, span, warning, wrong
from store.mongo_documents import Document, move_of
from store.mongo_reach import (
    SELECTION_S,
    SETTING,
    SUBJECT,
    Client,
    Connection,
    connect,
    never_initiated,
    no_replica_set,
    old,
    refused,
    unreachable,
)
from store.mongo_schema import STEPS, Mongo, missing_indexes, schema_version
from store.mongo_transaction import MOVE

# For all of it: a database that crawls shall not hold anybody up.
IN_ALL_S = 10.0
PINGS = 5
OLDEST = (5, 0)
# Collection refuses to work beside a clock that is off by more than an hour.
CLOCK_WARNING_S, CLOCK_WRONG_S = 5.0, 3600.0

ATLAS_DOMAIN = ".mongodb.net"
FREE_TIER_MB = 512
FULL_WARNING, FULL_WRONG = 0.80, 0.95


def check(
    uri: str, database: str, *, quota_mb: int | None = None, now: Callable[[], float] = time.time
) -> Iterator[Finding]:
    """`quota_mb`: what the database may hold, 0 for no limit. Without it Atlas is taken for its free tier."""
    connection, complaints = connect(uri)
    yield from complaints
    if connection is None:
        return
    with pymongo.timeout(IN_ALL_S), connection.client:
        try:
            yield from _look(connection, database, quota_mb, now)
        except OperationFailure as error:
            yield refused(error, database)
        except PyMongoError as error:
            yield unreachable(connection, error)


def _look(connection: Connection, database: str, quota_mb: int | None, now: Callable[[], float]) -> Iterator[Finding]:
    client = connection.client
    with pymongo.timeout(SELECTION_S):
        client.admin.command("ping")
    yield _round_trip(client)
    yield _version(client.server_info()["version"])
    before, hello, after = now(), client.admin.command("hello"), now()
    yield _clock(hello["localTime"].replace(tzinfo=UTC).timestamp() - (before + after) / 2)
    membership = _membership(hello)
    yield membership
    if membership.level == "wrong":
        return
    db = client[database]
    on_atlas = any(str(host).endswith(ATLAS_DOMAIN) for host, _ in client.nodes)
    looks: list[Callable[[], Iterator[Finding]]] = [
        lambda: _rights(client, db),
        lambda: _schema(db),
        lambda: _stamps(db, hello["localTime"].replace(tzinfo=UTC).timestamp()),
        lambda: _size(db, quota_mb, on_atlas),
        lambda: findings.move(SUBJECT, move_of(db["meta"].find_one(MOVE))),
        lambda: iter([findings.people(db["users"].count_documents({}))]),
    ]
    refusals: set[Finding] = set()
    for look in looks:
        try:
            yield from look()
        except OperationFailure as error:
            if (refusal := refused(error, database)) not in refusals:  # a missing right shows in many places
                yield refusal
            refusals.add(refusal)


def _round_trip(client: Client) -> Finding:
    taken = []
    for _ in range(PINGS):
        start = time.perf_counter()
        client.admin.command("ping")
        taken.append(time.perf_counter() - start)
    host, port = client.address or ("?", 0)
    return ok(SUBJECT, f"{host}:{port} answers within {1000 * statistics.median(taken):.1f} ms")


def _version(text: str) -> Finding:
    if tuple(int(part) for part in text.split(".")[:2]) < OLDEST:
        return old(f"version {text}")
    return ok(SUBJECT, f"version {text}")


def _clock(ahead_s: float) -> Finding:
    off = abs(ahead_s)
    text = f"its clock is {span(off)} {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
    advice = "set the clock that is wrong; here: timedatectl set-ntp true"
    if off > CLOCK_WRONG_S:
        return wrong(SUBJECT, text, advice)
    if off > CLOCK_WARNING_S:
        return warning(SUBJECT, text, advice)
    return ok(SUBJECT, "its clock and this machine's agree")


def _membership(hello: Document) -> Finding:
    if hello.get("msg") == "isdbgrid":
        return ok(SUBJECT, "a sharded cluster")
    if hello.get("isreplicaset"):
        return never_initiated()
    if "setName" not in hello:
        return no_replica_set()
    if not hello["isWritablePrimary"]:
        advice = f"name the other members too, and replicaSet={hello['setName']} instead of directConnection=true"
        return wrong(SUBJECT, "this member of the replica set takes no writes", f"{advice}, in {SETTING}")
    return ok(SUBJECT, f"replica set {hello['setName']}")


def _rights(client: Client, db: Mongo) -> Iterator[Finding]:
    """Reads, and writes in a transaction that is not committed."""
    db["meta"].find_one({"_id": "schema"})
    with client.start_session() as session, session.start_transaction():
        db["meta"].insert_one({"_id": f"doctor-{secrets.token_hex(8)}"}, session=session)
        session.abort_transaction()
    yield ok(SUBJECT, f"may read and write in {db.name}, in transactions")


def _schema(db: Mongo) -> Iterator[Finding]:
    found = schema_version(db)
    if found == 0:
        yield ok(SUBJECT, f"{db.name} holds nothing of gobi's yet: the first start prepares it")
        return
    yield findings.schema(SUBJECT, found, len(STEPS))
    if found == len(STEPS) and (missing := missing_indexes(db)):
        names = ", ".join(f"{one.collection}.{one.name}" for one in missing)
        yield wrong(SUBJECT, f"missing indexes: {names}", "restart the server, which makes them")


def _stamps(db: Mongo, now: float) -> Iterator[Finding]:
    newest = db["vaults"].find_one({}, {"clock": 1}, sort=[("clock", pymongo.DESCENDING)])
    yield findings.stamps(SUBJECT, int(newest["clock"]) if newest else 0, now)


def _size(db: Mongo, quota_mb: int | None, on_atlas: bool) -> Iterator[Finding]:
    stats: Document = db.command("dbStats")
    used = stats["dataSize"] + stats["indexSize"]
    if quota_mb is None:
        # More than the free tier can hold: it is none.
        quota_mb = FREE_TIER_MB if on_atlas and used <= FREE_TIER_MB << 20 else 0
        of = f"the {FREE_TIER_MB} MB of Atlas's free tier"
        larger = " (on a larger one say --quota-mb)"
    else:
        of, larger = f"{quota_mb} MB", ""
    if quota_mb == 0:
        yield ok(SUBJECT, f"{megabytes(used)} of data and indexes")
        return
    share = used / (quota_mb << 20)
    text = f"{megabytes(used)} of data and indexes, {share:.0%} of {of}"
    advice = "move to a larger tier, or remove vaults that nobody needs: gobi vault list shows what they hold" + larger
    if share >= FULL_WRONG:
        yield wrong(SUBJECT, text, advice)
    elif share >= FULL_WARNING:
        yield warning(SUBJECT, text, advice)
    else:
        yield ok(SUBJECT, text)
