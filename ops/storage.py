"""The data folder, and the backends that the settings name."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from ops.settings import Settings, SettingsError
from store.offload import Offload, inline

if TYPE_CHECKING:
    from store.base import Metadata
    from store.bodies import DiskBodies

DATABASE = "metadata.db"
BODIES = "bodies"


def become_owner(folder: Path) -> None:
    """Run as root, goes on as the owner of `folder`, so that whatever is made there is the server's own.

    Does nothing where the folder is missing or root's.
    """
    if os.geteuid() != 0:
        return
    try:
        there = folder.stat()
    except OSError:
        return
    if there.st_uid == 0:
        return
    try:
        owner = pwd.getpwuid(there.st_uid)
        os.initgroups(owner.pw_name, owner.pw_gid)
        group = owner.pw_gid
    except KeyError:  # a uid without a name, as in containers
        os.setgroups([])
        group = there.st_gid
    os.setgid(group)
    os.setuid(there.st_uid)


def prepare_folder(folder: Path) -> None:
    """Makes the data folder, closed to others, as is all that this process makes from now on. Raises SettingsError."""
    os.umask(0o077)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise SettingsError(
            f"GOBI_DATA_DIR: cannot use {folder} ({error.strerror}): name a folder that this user may write to"
        ) from None


def open_metadata(settings: Settings, offload: Offload = inline) -> Metadata:
    """Raises store.errors.Unavailable."""
    from store.sqlite import SqliteMetadata

    return SqliteMetadata(settings.data_dir / DATABASE, offload=offload)


def open_bodies(settings: Settings) -> DiskBodies:
    """Raises store.errors.Full, Unavailable."""
    from store.bodies import DiskBodies

    return DiskBodies(settings.data_dir / BODIES)
