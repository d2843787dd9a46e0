"""Which changes were made by a moment, also in a vault whose stamps ran ahead of the clock.

There a stamp says in which order a change came, and `Version.at` when. When a change was made that the wrong clock
itself stamped, nobody knows; those before and after it may tell on which side of a moment it was.
"""

from __future__ import annotations

from typing import NamedTuple

from store.base import Metadata, Vault
from store.commit import MOST_AHEAD_US

_PAGE = 1_000


class Moment(NamedTuple):
    """Every version with a stamp up to this one had been made by then, and every later one had not.

    `sure`: False where the last of them may have been made after it, for nobody knows when they were.
    """

    stamp: int
    sure: bool


def stamp_at(metadata: Metadata, vault: Vault, time: int) -> Moment:
    """`time` in µs since 1970, by the database's clock."""
    now = metadata.aging().clock().now + MOST_AHEAD_US
    if vault.clock <= now:
        return Moment(time, True)
    unknown: int | None = None  # the newest of those, right before what is known to be later
    before: int | None = vault.clock + 1
    while before is not None:
        page, before = metadata.recent(vault.id, before=before, since=0, device=None, user=None, prefix="", limit=_PAGE)
        for version in page:
            if version.made > now:
                unknown = unknown or version.stamp
            elif version.made > time:
                unknown = None
            elif unknown is not None:
                return Moment(unknown, False)
            else:
                return Moment(time if version.at is None else version.stamp, True)
    return Moment(unknown or vault.purge_mark, unknown is None)
