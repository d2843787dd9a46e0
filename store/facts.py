"""Which version is the base of what a client reports: one rule for every backend, whatever its queries look like."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from store.base import Query
from sync.model import Conflict, Version
from sync.plan import Facts, Lapse


class Purged(NamedTuple):
    """What of a vault's log is not there any more: its purge mark and its lapses (store.base.Vault)."""

    mark: int = 0
    lapses: tuple[Lapse, ...] = ()


def moved(queries: Sequence[Query], newest: Mapping[str, Version]) -> list[Query]:
    """Those whose path has a head other than the reported base: only about them is there more to look up."""
    return [query for query in queries if query.path in newest and newest[query.path].stamp != query.base]


def settle(
    queries: Sequence[Query],
    newest: Mapping[str, Version],
    puts: Callable[[Sequence[Query]], Iterable[Version]],
    conflicts: Callable[[Collection[str]], Iterable[Conflict]],
) -> dict[str, Version]:
    """The settled bases by path (docs/protocol.md, section 5).

    `puts` gives at least the puts above each query's base with one of its hashes, oldest first; `conflicts` those on
    some paths. Nearly always the head decides, and neither is asked.
    """
    asked = [query for query in queries if query.hashes]
    settled = {query.path: newest[query.path] for query in asked if _by_head(query, newest[query.path])}
    left = {query.path: query for query in asked if query.path not in settled}
    found = list(puts(list(left.values()))) if left else []
    bases = _best(left, found)
    doubtful = [path for path, version in bases.items() if version.stamp != newest[path].stamp]
    for conflict in conflicts(doubtful) if doubtful else ():
        query = left[conflict.path]
        if conflict.open and _is_own(conflict, query, found):
            # What it has put into the history is a candidate still, and not what the server has.
            head = newest[conflict.path]
            server = [version for version in found if version.stamp <= conflict.opened or version == head]
            bases.pop(conflict.path, None)
            bases |= _best({conflict.path: query}, server)
    return settled | bases


def _is_own(conflict: Conflict, query: Query, found: Iterable[Version]) -> bool:
    """Whether the conflict is about what the client reports: it has the base that the report had when it was opened."""
    then = _best({query.path: query}, (version for version in found if version.stamp <= conflict.opened))
    base = then[query.path].stamp if then else query.base
    return conflict.base == base


def _by_head(query: Query, head: Version) -> bool:
    """Whether the head has the bytes of the best evidence."""
    return head.stamp > (query.base or 0) and head.hash is not None and query.hashes[0] == head.hash


def _best(asked: Mapping[str, Query], versions: Iterable[Version]) -> dict[str, Version]:
    """For each path the newest version with the best of its query's hashes."""
    best: dict[str, Version] = {}
    for version in versions:
        query = asked.get(version.path)
        if query is None or version.hash not in query.hashes or version.stamp <= (query.base or 0):
            continue
        known = best.get(version.path)
        if known is None or _rank(query, version) <= _rank(query, known):
            best[version.path] = version
    return best


def _rank(query: Query, version: Version) -> int:
    assert version.hash is not None, "a put has a hash"
    return query.hashes.index(version.hash)


def gather(
    queries: Sequence[Query],
    newest: Mapping[str, Version],
    named: Mapping[tuple[str, int], Version],
    settled: Mapping[str, Version],
    purged: Purged,
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
        result[query.path] = Facts(head, base, purged.mark, purged.lapses)
    return result
