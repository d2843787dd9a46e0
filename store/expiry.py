"""Which versions are too old to be kept: those that were followed by another one before a moment, and tombstones from
before it that nothing followed. The newest version of a living file is never among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from store.base import Metadata
from sync.model import Version

# Versions of the log that are looked at in one go. Of each at most itself and the one before it goes, so a transaction
# takes a thousand out of the log at most.
PAGE = 500


class Expired(NamedTuple):
    """Versions by stamp, so that each path's oldest comes first and its tombstone last. `mark`: from when on all is
    still known that ever stood, once these are gone."""

    versions: list[Version]
    mark: int


def expired(metadata: Metadata, vault_id: str, before: int) -> Iterator[Expired]:
    """Page by page, in the order in which they have to go. Removing a page does not disturb the next one."""
    disputed = {conflict.path for conflict in metadata.open_conflicts(vault_id)}
    after, more = 0, True
    while more:
        page = metadata.changes(vault_id, after, PAGE)
        old = [version for version in page if version.stamp < before]
        more = len(old) == PAGE
        after = old[-1].stamp if old else after
        one = _of_page(metadata, vault_id, [version for version in old if version.path not in disputed])
        if one.versions:
            yield one


def _of_page(metadata: Metadata, vault_id: str, page: list[Version]) -> Expired:
    """A version's base is what stood before it: see store.commit."""
    followed = metadata.find(vault_id, {(one.path, one.base) for one in page if one.base is not None}) if page else {}
    ended = {one.path: one for one in page if not one.live}
    heads = metadata.heads(vault_id, set(ended)) if ended else {}
    gone = [one for path, one in ended.items() if heads.get(path) == one]
    followers = [one.stamp for one in page if (one.path, one.base) in followed]
    going = {one.stamp: one for one in [*followed.values(), *gone]}
    mark = max([*followers, *(one.stamp for one in gone)], default=0)
    return Expired([going[stamp] for stamp in sorted(going)], mark)
