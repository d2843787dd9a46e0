"""Whose folder it is: root leaves a user's folder alone, unless that is meant."""

from __future__ import annotations

import os
from pathlib import Path

from client.ports import Stopped

ALLOW = "GOBI_ALLOW_ROOT"


def check_owner(folder: Path, state: Path) -> None:
    """`state`: gobi's own folder in it, which may not be there.

    Raises Stopped for root in a user's folder: the files, the state and the password that root leaves behind would lock
    the user out.
    """
    if os.geteuid() != 0 or os.environ.get(ALLOW) == "1":
        return
    for place in (state, folder):
        try:
            owner = os.lstat(place).st_uid
        except OSError:
            continue
        if owner != 0:
            name = name_of(owner)
            raise Stopped(
                f"{folder} belongs to {name}, who could not use what root leaves in it; run this as {name}: "
                f"sudo -u '{name}' gobi … (or set {ALLOW}=1 if root is meant to keep it in step)",
                78,
            )
        return


def name_of(uid: int) -> str:
    """A user's name, or `#1000` where there is none, which sudo understands as well."""
    from pwd import getpwuid

    try:
        return getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
