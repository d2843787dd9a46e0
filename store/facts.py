"""Which version is the base of what a client reports: one rule for every backend, whatever its queries look like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from store.base import Query
from sync.model import Version
from sync.plan import Facts


def moved(queries: Sequence[Query], newest: Mapping[str, Version]) -> list[Query]:
    """Those whose path has a head other than the reported base: only about them is there more to look up."""
    return [query for query in queries if query.path in newest and newest[query.path].stamp != query.base]


def settled_by_head(query: Query, head: Version) -> bool:
    """Whether the head has the best evidence's bytes, as it nearly always does where anything has: then nothing else
    has to be looked up."""
    return head.stamp > (query.base or 0) and head.hash is not None and query.hashes[:1] == (head.hash,)


def settle(queries: Sequence[Query], versions: Iterable[Version]) -> dict[str, Version]:
    """The settled base by path (docs/protocol.md, section 5). `versions`: at least the puts above each base with one of
    its hashes, oldest first."""
    asked = {query.path: query for query in queries}
    settled: dict[str, Version] = {}
    for version in versions:
        query = asked.get(version.path)
        if query is None or version.hash not in query.hashes or version.stamp <= (query.base or 0):
            continue
        known = settled.get(version.path)
        if known is None or _rank(query, version) <= _rank(query, known):
            settled[version.path] = version
    return settled


def _rank(query: Query, version: Version) -> int:
    assert version.hash is not None, "a put has a hash"
    return query.hashes.index(version.hash)


def gather(
    queries: Sequence[Query],
    newest: Mapping[str, Version],
    named: Mapping[tuple[str, int], Version],
    settled: Mapping[str, Version],
    purge_mark: int,
) -> dict[str, Facts]:
    """Facts by path. `newest`: heads; `named`: the versions that reported bases name; `settled`: what `settle` gave,
    which goes before them.
    """
    result = {}
    for query in queries:
        head = newest.get(query.path)
        base = settled.get(query.path)
        if base is None and query.base is not None:
            base = head if head and head.stamp == query.base else named.get((query.path, query.base))
        result[query.path] = Facts(head, base, purge_mark)
    return result
