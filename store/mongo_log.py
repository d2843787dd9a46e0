"""Queries on a vault's log of versions and conflicts, in MongoDB.

Every query names the vault by `_id.v`, by which the collections can be sharded. A newest version is found by the index
`by_path` alone: sorted so that it comes first for its path, of which the server then visits no other (DISTINCT_SCAN).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

from bson import Int64, MaxKey
from pymongo import ReadPreference
from pymongo.errors import ExecutionTimeout, OperationFailure
from pymongo.read_concern import ReadConcern

from store.base import LOOKED_AT, Query, as_lapses
from store.facts import Purged, gather, moved, settle
from store.mongo_documents import ALL_STAMPS, Document, conflict_of, version_id, version_of
from store.mongo_schema import BY_PATH, Mongo
from sync.model import Conflict, Version
from sync.plan import Facts

# A command holds 16 MB. Paths are cut into commands of at most so many and so many bytes.
MOST_PATHS, MOST_BYTES = 10_000, 4 << 20
# Documents that a reply brings if they fit: the driver asks for the rest, which costs a command more.
BATCH = 20_000
# Index entries that one page of a listing looks at, at least.
WINDOW = 1_000

_BY_PATH = {"_id.v": 1, "p": 1, "_id.t": -1}
_NEWEST = {"$group": {"_id": "$p", "head": {"$first": "$$ROOT"}}}


def newest_first(key: int, condition: Document) -> list[Document]:
    """A pipeline's stages: `{_id: path, head: document}` for the newest version of every path that matches."""
    return [{"$match": {"_id.v": key, **condition}}, {"$sort": _BY_PATH}, _NEWEST]


def below(paths: Iterable[str]) -> Document:
    """The condition for whatever lies in these folders. `0` is the character after `/`."""
    return {"$or": [{"p": {"$gt": f"{path}/", "$lt": f"{path}0"}} for path in paths]}


def chunks(paths: Iterable[str]) -> Iterator[list[str]]:
    """The paths in lists that fit into one command each."""
    chunk: list[str] = []
    size = 0
    for path in paths:
        length = len(path.encode())
        if chunk and (len(chunk) == MOST_PATHS or size + length > MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(path)
        size += length
    if chunk:
        yield chunk


def aggregate(db: Mongo, stages: list[Document]) -> Iterator[Document]:
    """From the log. Where its index is missing this fails, instead of reading all of it."""
    with db["versions"].aggregate(stages, hint=BY_PATH, batchSize=BATCH) as found:
        yield from found


def heads(db: Mongo, key: int, paths: Collection[str]) -> dict[str, Version]:
    found: dict[str, Version] = {}
    for chunk in chunks(paths):
        for row in aggregate(db, newest_first(key, {"p": {"$in": chunk}})):
            found[row["_id"]] = version_of(row["head"])
    return found


def find(db: Mongo, key: int, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Version]:
    found: dict[tuple[str, int], Version] = {}
    wanted = set(wanted)
    pending = iter(wanted)
    while some := list(islice(pending, MOST_PATHS)):
        condition = {"_id.v": key, "_id": {"$in": [version_id(key, stamp) for _, stamp in some]}}
        for document in db["versions"].find(condition, batch_size=BATCH):
            version = version_of(document)
            if (version.path, version.stamp) in wanted:
                found[version.path, version.stamp] = version
    return found


def has_stamp(db: Mongo, key: int, stamp: int) -> bool:
    """A no is asked for again: right after a failover a new primary may not yet show all that was acknowledged."""
    wanted = {"_id.v": key, "_id": version_id(key, stamp)}
    if db["versions"].find_one(wanted, {"_id": 1}) is not None:
        return True
    certain = db["versions"].with_options(
        read_concern=ReadConcern("linearizable"), read_preference=ReadPreference.PRIMARY
    )
    try:
        return certain.find_one(wanted, {"_id": 1}) is not None
    except ExecutionTimeout:
        raise
    except OperationFailure:
        return False  # a cluster that does not offer such reads


def stamps(key: int, after: int, until: int = ALL_STAMPS) -> Document:
    """The condition for the versions with `after` < stamp <= `until`, which the `_id` finds."""
    return {"_id.v": key, "_id": {"$gt": version_id(key, after), "$lte": version_id(key, until)}}


def changes(db: Mongo, key: int, after: int, limit: int) -> list[Version]:
    found = db["versions"].find(stamps(key, after)).sort("_id", 1).limit(limit).batch_size(limit)
    return [version_of(document) for document in found]


def live(db: Mongo, key: int, *, at: int, after: str, prefix: str, limit: int) -> list[Version]:
    then = {"_id.t": {"$lte": at}}
    found: list[Version] = []
    position: str | None = after
    while position is not None and len(found) < limit:
        some, position = page(db, key, position, prefix, limit - len(found), among=then)
        found += some
    return found


def listing(db: Mongo, key: int, *, at: int, after: str, limit: int) -> tuple[list[Version], str | None]:
    found: list[Version] = []
    position: str | None = after
    while position is not None and not found:
        found, position = page(db, key, position, "", limit, at=at)
    return found, position


def page(
    db: Mongo,
    key: int,
    after: str,
    prefix: str,
    limit: int,
    *,
    at: int = ALL_STAMPS,
    among: Document | None = None,
) -> tuple[list[Version], str | None]:
    """Up to `limit` paths above `after` by byte order: of each the newest version `among` which there are, where that
    is a put not newer than `at`. And the path to go on after, None at the end.

    It looks at a number of index entries that does not depend on the size of the vault or of any path's history.
    """
    where: Document = {"$gt": after} | beginning(prefix)
    entries = db["versions"].find({"_id.v": key, "p": where}, {"_id": 0, "p": 1}).hint(BY_PATH)
    last = next(entries.sort(list(_BY_PATH.items())).skip(max(limit, WINDOW)).limit(1), None)
    window = where | ({"$lte": last["p"]} if last else {})
    stages = newest_first(key, {"p": window, **(among or {})})
    stages += [{"$match": {"head.h": {"$exists": True}, "head._id.t": {"$lte": at}}}, {"$sort": {"_id": 1}}]
    found = [version_of(row["head"]) for row in aggregate(db, [*stages, {"$limit": limit}])]
    if len(found) == limit:
        return found, found[-1].path
    return found, last["p"] if last else None


def beginning(prefix: str) -> Document:
    """The condition for strings with this beginning: a range, because letters of a pattern could mean something."""
    if not prefix:
        return {}
    trimmed = prefix.rstrip("\U0010ffff")  # nothing comes after it
    if not trimmed:
        return {"$gte": prefix}
    following = ord(trimmed[-1]) + 1
    return {"$gte": prefix, "$lt": trimmed[:-1] + chr(0xE000 if following == 0xD800 else following)}


def recent(
    db: Mongo,
    key: int,
    *,
    before: int,
    since: int,
    device: str | None,
    user: str | None,
    prefix: str,
    limit: int,
) -> tuple[list[Version], int | None]:
    """Two commands; one where all match, for then it is only the page."""
    matching: Document = {"p": beginning(prefix)} if prefix else {}
    matching |= {name: value for name, value in (("d", device), ("u", user)) if value is not None}
    window = {"_id.v": key, "_id": {"$gt": version_id(key, since), "$lt": version_id(key, before)}}
    last = None
    if matching:
        # First where the window ends: whatever is purged meanwhile, nothing falls between two pages.
        entries = db["versions"].find(window, {"_id": 1}).hint("_id_").sort("_id", -1)
        last = next(entries.skip(max(limit, LOOKED_AT) - 1).limit(1), None)
        if last:
            window["_id"] = {"$gte": last["_id"], "$lt": version_id(key, before)}
    found = db["versions"].find(window | matching).hint("_id_").sort("_id", -1).limit(limit).batch_size(limit)
    page = [version_of(document) for document in found]
    if len(page) == limit:
        return page, page[-1].stamp
    return page, int(last["_id"]["t"]) if last else None


def history(db: Mongo, key: int, path: str, before: int | None, limit: int) -> list[Version]:
    condition = {"_id.v": key, "p": path, "_id.t": {"$lt": ALL_STAMPS if before is None else before}}
    found = db["versions"].find(condition).hint(BY_PATH).sort(list(_BY_PATH.items())).limit(limit).batch_size(limit)
    return [version_of(document) for document in found]


def facts(db: Mongo, key: int, queries: Sequence[Query]) -> dict[str, Facts]:
    newest, purged = _heads_and_purged(db, key, [query.path for query in queries])
    changed = moved(queries, newest)
    named = find(db, key, {(q.path, q.base) for q in changed if q.base is not None})
    settled = settle(changed, newest, partial(_puts, db, key), partial(conflicts_on, db, key))
    return gather(queries, newest, named, settled, purged)


def _heads_and_purged(db: Mongo, key: int, paths: list[str]) -> tuple[dict[str, Version], Purged]:
    """The mark is read last: a purge raises it first and then removes, and what was removed must be below it."""
    newest: dict[str, Version] = {}
    purged = Purged()
    its_mark = [{"$match": {"_id": key}}, {"$project": {"_id": 0, "purge_mark": 1, "lapses": 1}}]
    for chunk in chunks(paths):
        stages = [*newest_first(key, {"p": {"$in": chunk}}), {"$unionWith": {"coll": "vaults", "pipeline": its_mark}}]
        for row in aggregate(db, stages):
            if "head" in row:
                newest[row["_id"]] = version_of(row["head"])
            else:
                purged = Purged(int(row["purge_mark"]), as_lapses(row.get("lapses", ())))
    return newest, purged


def _puts(db: Mongo, key: int, queries: Sequence[Query]) -> Iterator[Version]:
    """Puts with a hash that one of the queries has, on one of their paths, oldest first."""
    asked = {query.path: query for query in queries}
    for chunk in chunks(asked):
        hashes = [bytes.fromhex(digest) for digest in {digest for path in chunk for digest in asked[path].hashes}]
        condition = {"_id.v": key, "p": {"$in": chunk}, "h": {"$in": hashes}}
        yield from map(version_of, db["versions"].find(condition, batch_size=BATCH).hint(BY_PATH).sort("_id.t", 1))


# -- conflicts


def conflict(db: Mongo, key: int, conflict_id: str) -> Conflict | None:
    wanted = {"_id.v": key, "_id": {"v": key, "i": conflict_id}}
    found = db["conflicts"].find_one(wanted)
    return conflict_of(found) if found else None


def conflicts_on(db: Mongo, key: int, paths: Collection[str]) -> list[Conflict]:
    found = []
    for chunk in chunks(paths):
        rows = db["conflicts"].find({"_id.v": key, "p": {"$in": chunk}}, batch_size=BATCH).hint(BY_PATH)
        found += [conflict_of(row) for row in rows]
    return sorted(found, key=lambda one: one.opened)


def conflicts(db: Mongo, key: int, after: str, limit: int) -> list[Conflict]:
    """By id, open and settled."""
    beyond = {"$gt": {"v": Int64(key), "i": after}, "$lt": {"v": Int64(key), "i": MaxKey()}}
    rows = db["conflicts"].find({"_id.v": key, "_id": beyond}).sort("_id", 1).limit(limit).batch_size(limit)
    return [conflict_of(row) for row in rows]


def open_conflicts(db: Mongo, key: int, after: tuple[int, str] = (0, ""), limit: int | None = None) -> list[Conflict]:
    condition: Document = {"_id.v": key, "r": {"$exists": False}}
    if limit is None:
        rows = db["conflicts"].find(condition, batch_size=BATCH).hint(BY_PATH)
        return sorted(map(conflict_of, rows), key=lambda one: one.opened)
    opened, last = after
    condition["$or"] = [{"o": {"$gt": Int64(opened)}}, {"o": Int64(opened), "_id.i": {"$gt": last}}]
    page = db["conflicts"].find(condition).sort([("o", 1), ("_id.i", 1)]).limit(limit).hint(BY_PATH)
    return [conflict_of(row) for row in page]
