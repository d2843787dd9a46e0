"""Which version is the base of what a client reports: one rule for every backend, whatever its queries look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from store.base import Query
from sync.model import Version
from sync.plan import Facts


def moved(queries: Sequence[Query], newest: Mapping[str, Version]) -> list[Query]:
    """Those whose path has a head other than the reported base: only about them is there more to look up."""
    return [query for query in queries if query.path in newest and newest[query.path].stamp != query.base]


def gather(
    queries: Sequence[Query],
    newest: Mapping[str, Version],
    named: Mapping[tuple[str, int], Version],
    settled: Mapping[str, Version],
    purge_mark: int,
) -> dict[str, Facts]:
    """Facts by path. `newest`: heads; `named`: the versions that reported bases name; `settled`: the newest put above
    the base with one of the reported hashes (docs/protocol.md, section 5), which goes before them.
    """
    result = {}
    for query in queries:
        head = newest.get(query.path)
        base = settled.get(query.path)
        if base is None and query.base is not None:
            base = head if head and head.stamp == query.base else named.get((query.path, query.base))
        result[query.path] = Facts(head, base, purge_mark)
    return result
