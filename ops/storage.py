"""The data folder, and the backends that the settings name."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ops.settings import Settings, SettingsError
from store.moving import check_in_use
from store.offload import Offload, inline

if TYPE_CHECKING:
    from store.base import Bus, Metadata
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


def open_metadata(settings: Settings, offload: Offload = inline, *, prepare: bool = True) -> Metadata:
    """`prepare`: makes or upgrades what the database needs, and looks whether it is in use and not left behind by
    `gobi migrate`; a worker leaves that to whoever started it.

    Raises store.errors.Unavailable, Misconfigured.
    """
    if settings.mongo_uri is not None:
        from store.mongo import MongoMetadata

        far = MongoMetadata(settings.mongo_uri, settings.mongo_db)
        if prepare:
            with _closed_on_error(far):
                check_in_use(far.moving().state())
                far.prepare()
        return far
    from store.sqlite import SqliteMetadata

    near = SqliteMetadata(settings.data_dir / DATABASE, offload=offload)
    if prepare:
        with _closed_on_error(near):
            check_in_use(near.moving().state())
    return near


def open_unprepared(settings: Settings) -> Metadata:
    """Also a database that takes part in a move, or that is not complete: for whoever looks at that himself."""
    metadata = open_metadata(settings, prepare=False)
    if settings.mongo_uri is not None:
        from store.mongo import MongoMetadata

        assert isinstance(metadata, MongoMetadata)
        with _closed_on_error(metadata):
            metadata.prepare()
    return metadata


@contextmanager
def _closed_on_error(metadata: Metadata) -> Iterator[None]:
    try:
        yield
    except BaseException:
        metadata.close()
        raise


def open_bodies(settings: Settings) -> DiskBodies:
    """Raises store.errors.Full, Unavailable."""
    from store.bodies import DiskBodies

    return DiskBodies(settings.data_dir / BODIES)


def open_bus(settings: Settings) -> Bus:
    """Connects to nothing yet: that is left to whoever uses it, after the fork. Raises SettingsError."""
    if settings.redis_url is None:
        from store.bus import LocalBus

        return LocalBus()
    from store.bus_redis import RedisBus

    try:
        return RedisBus(settings.redis_url, channel(settings))
    except ValueError as error:
        raise SettingsError(f"GOBI_REDIS_URL: {error}") from None


def channel(settings: Settings) -> str:
    """Where the workers over one database tell each other."""
    return f"gobi:{settings.mongo_db}"
