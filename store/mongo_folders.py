"""One folder's files and folders, in MongoDB: two commands a page at most, whatever lies in the folder.

Within a command there is no leaping from folder to folder. So first a page's worth of index entries is looked at, which
is enough where files lie side by side. If it ends in the middle of a folder, all of that is passed over, and for what
comes after it the database visits one entry a path: of 50,000 paths it takes a fifth of a second.
"""

from __future__ import annotations

from store.folders import past
from store.mongo_documents import Document, version_of
from store.mongo_log import WINDOW, aggregate, beginning, newest_first
from store.mongo_schema import Mongo
from sync.model import Version

_NAME = {"$cond": [{"$lt": ["$slash", 0]}, "$_id", {"$substrBytes": ["$_id", 0, {"$add": ["$slash", 1]}]}]}
# A file's head where that is a put; of a folder only whether there is one.
_LIVE = {"$cond": [{"$gt": ["$head.h", None]}, {"$cond": [{"$lt": ["$slash", 0]}, "$head", True]}, None]}


def folder(db: Mongo, key: int, prefix: str, after: str, limit: int) -> list[Version | str]:
    position = past(prefix, after)
    found, following = _window(db, key, prefix, position, max(limit, WINDOW))
    if following is not None and len(found) < limit:
        where = {"p": beginning(prefix) | {"$gte": following}}
        of_all = [*newest_first(key, where), *_by_name(prefix), {"$match": {"live": {"$ne": None}}}]
        found += [_entry(row) for row in aggregate(db, [*of_all, {"$limit": limit - len(found)}])]
    return found[:limit]


def _window(db: Mongo, key: int, prefix: str, position: str, entries: int) -> tuple[list[Version | str], str | None]:
    """What so many index entries from `position` on show, and where to go on, None at the end.

    A path's first entry is its newest version: one that is cut off lacks only older ones.
    """
    match, sort, newest = newest_first(key, {"p": beginning(prefix) | {"$gte": position}})
    counted = {"$group": newest["$group"] | {"entries": {"$sum": 1}}}
    rows = list(aggregate(db, [match, sort, {"$limit": entries}, counted, *_by_name(prefix)]))
    found = [_entry(row) for row in rows if row["live"] is not None]
    if sum(row["entries"] for row in rows) < entries:
        return found, None
    # A folder of which nothing live was seen so far is not passed over.
    end = rows[-1]
    return found, past(prefix, end["_id"]) if end["live"] is not None else end["last"] + "\0"


def _by_name(prefix: str) -> list[Document]:
    """From newest versions to names, in order. `last` is the last path that was seen of a name."""
    slash = {"$indexOfBytes": ["$_id", "/", len(prefix.encode())]}
    seen: Document = {"live": {"$max": "$live"}, "last": {"$max": "$_id"}, "entries": {"$sum": "$entries"}}
    return [
        {"$set": {"slash": slash}},
        {"$set": {"name": _NAME, "live": _LIVE}},
        {"$group": {"_id": "$name"} | seen},
        {"$sort": {"_id": 1}},
    ]


def _entry(row: Document) -> Version | str:
    return row["_id"] if row["live"] is True else version_of(row["live"])
