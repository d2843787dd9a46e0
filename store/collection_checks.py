"""When nothing is collected at all: where the time may be wrong, or the database is not the one that has the bodies."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence

from store.aging import Aging
from store.base import Metadata, Vault
from store.errors import Misconfigured, WrongClock
from store.findings import span
from sync.model import Version

# A database's own clock, and that of the host by which files are dated.
MOST_APART_S = 3600
# Without a clock of the database's own: longer than this nobody has ever waited, if a timer collects every week.
MOST_SILENT_DAYS = 40
_DAY_US = 24 * 3600 * 1_000_000
_ADVICE = "set the clock (timedatectl set-ntp true)"


def newest_change(metadata: Metadata, vaults: Sequence[Vault]) -> int:
    """When the last change was made, µs; 0 where there is none. Stamps may run ahead of that."""
    last = [_last(metadata, vault) for vault in vaults if vault.clock]
    return max((version.made if version else 0 for version in last), default=0)


def _last(metadata: Metadata, vault: Vault) -> Version | None:
    page, _ = metadata.recent(vault.id, before=vault.clock + 1, since=0, device=None, user=None, prefix="", limit=1)
    return page[0] if page else None


def check_clock(aging: Aging, newest: int, host_s: float, force: bool) -> None:
    """`newest`: as `newest_change` says. Raises WrongClock.

    `force` goes for a host's clock only: where two disagree, one of them is known to be wrong.
    """
    clock = aging.clock()
    if clock.source == "database":
        apart = clock.now / 1e6 - host_s
        if abs(apart) > MOST_APART_S:
            where = "ahead of" if apart > 0 else "behind"
            raise WrongClock(
                f"the database's clock is {span(abs(apart))} {where} this machine's, and nothing is removed by a time "
                f"that may be wrong: {_ADVICE} on the machine that is wrong, then try again"
            )
        return
    if force or newest == 0:
        return
    if clock.now < newest:
        raise WrongClock(
            f"this machine's clock is {span((newest - clock.now) / 1e6)} behind the newest change, so nothing is "
            f"removed by it: {_ADVICE}, then try again; --force if it is right all the same"
        )
    last = aging.last_collection()
    # One in the future was made by a wrong clock, and says nothing.
    seen = max(newest, last.at if last is not None and last.at <= clock.now else 0)
    if clock.now - seen > MOST_SILENT_DAYS * _DAY_US:
        raise WrongClock(
            f"by this machine's clock nothing was changed or collected for {span((clock.now - seen) / 1e6)}. That may "
            f"be the clock's fault, so nothing is removed: if it is wrong, {_ADVICE}; if it is right, try again with "
            "--force"
        )


def check_disk_clock(file: str, host_s: float) -> None:
    """Whoever dates the files, perhaps another machine: a body would look older than it is. Raises WrongClock."""
    os.utime(file)
    apart = os.stat(file).st_mtime - host_s
    if abs(apart) > MOST_APART_S:
        where = "ahead of" if apart > 0 else "behind"
        raise WrongClock(
            f"the files' clock is {span(abs(apart))} {where} this machine's, and nothing is removed by a time that may "
            "be wrong: set the clock of the machine that has the disk, then try again"
        )


def check_vaults(vaults: Sequence[Vault], folders: Collection[str], has_bodies: Callable[[str], bool]) -> None:
    """`folders`: ids of the vaults that have one for bodies. Raises Misconfigured: by the wrong database all would be
    garbage."""
    if {vault.id for vault in vaults}.intersection(folders):
        return
    count = sum(has_bodies(vault_id) for vault_id in folders)
    if count:
        there = "only other vaults" if vaults else "no vault at all"
        raise Misconfigured(
            f"there are bodies of {count} {'vault' if count == 1 else 'vaults'}, and the database knows {there}: it is "
            "not the one that belongs to them. See to GOBI_MONGO_URI, GOBI_MONGO_DB and GOBI_DATA_DIR. If what the "
            "bodies belong to was removed on purpose, remove their folders by hand"
        )
