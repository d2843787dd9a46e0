"""The data folder, and the backends that the settings name."""

from __future__ import annotations

import encodings
import os
import pwd
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ops.settings import Settings, SettingsError
from store import belonging
from store.accounts import user_name
from store.moving import check_in_use
from store.offload import Offload, inline

if TYPE_CHECKING:
    from store.base import Bus, Metadata
    from store.bodies import DiskBodies

DATABASE = "metadata.db"
BODIES = "bodies"
# By which `gobi serve` tells its workers the mark that the bodies have to have.
IDENTITY = "_GOBI_IDENTITY"


def become_owner(folder: Path) -> None:
    """Run as root, goes on as the owner of `folder`, so that whatever is made there is the server's own.

    Does nothing where the folder is missing or root's. Raises SettingsError where the owner may not read this program,
    most of which is imported later.
    """
    if os.geteuid() != 0:
        return
    try:
        there = folder.stat()
    except OSError:
        return
    if there.st_uid == 0:
        return
    needed = [path for path in (sys.executable, __file__, encodings.__file__, *sys.path) if os.path.exists(path)]
    try:
        owner = pwd.getpwuid(there.st_uid)
        os.initgroups(owner.pw_name, owner.pw_gid)
        group = owner.pw_gid
    except KeyError:  # a uid without a name, as in containers
        os.setgroups([])
        group = there.st_gid
    os.setgid(group)
    os.seteuid(there.st_uid)
    closed = next((path for path in needed if not os.access(path, os.R_OK, effective_ids=True)), None)
    os.seteuid(0)
    if closed is not None:
        raise SettingsError(
            f"run as root, gobi goes on as {user_name(there.st_uid)}, who owns {folder} and may not read {closed}: "
            "install gobi where everybody may read it (under /opt, say), or run it as that user"
        )
    os.setuid(there.st_uid)


def close_to_others() -> None:
    """Nobody else may look into what this process makes from now on."""
    os.umask(0o077)


def prepare_folder(folder: Path) -> None:
    """Makes the data folder, closed to others. Raises SettingsError."""
    close_to_others()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise SettingsError(
            f"GOBI_DATA_DIR: cannot use {folder} ({error.strerror}): name a folder that this user may write to"
        ) from None


def backends(settings: Settings) -> list[str]:
    """The modules of the backends that the settings name."""
    return [
        "store.bodies",
        "store.sqlite" if settings.mongo_uri is None else "store.mongo",
        "store.bus" if settings.redis_url is None else "store.bus_redis",
    ]


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

    near = SqliteMetadata(settings.data_dir / DATABASE, offload=offload, prepare=prepare)
    if prepare:
        with _closed_on_error(near):
            check_in_use(near.moving().state())
    return near


def open_copy(file: Path) -> Metadata:
    """An embedded database elsewhere than in the data folder. Raises store.errors.Unavailable, Misconfigured."""
    from store.sqlite import SqliteMetadata

    metadata = SqliteMetadata(file)
    with _closed_on_error(metadata):
        check_in_use(metadata.moving().state())
    return metadata


def open_unprepared(settings: Settings) -> Metadata:
    """Also a database that takes part in a move, or that is not complete: for whoever looks at that himself."""
    if settings.mongo_uri is not None:
        from store.mongo import MongoMetadata

        metadata = MongoMetadata(settings.mongo_uri, settings.mongo_db)
        with _closed_on_error(metadata):
            metadata.prepare()
        return metadata
    from store.sqlite import SqliteMetadata

    return SqliteMetadata(settings.data_dir / DATABASE)


@contextmanager
def _closed_on_error(metadata: Metadata) -> Iterator[None]:
    try:
        yield
    except BaseException:
        metadata.close()
        raise


def check_database(settings: Settings, *, make: bool) -> None:
    """Raises SettingsError where there is no embedded database, and it is not to be made: most likely this is not the
    folder that was meant. Raises Misconfigured where it is gone and the bodies are there."""
    folder, file = settings.data_dir, settings.data_dir / DATABASE
    try:
        if file.stat().st_size > 0:
            return
    except FileNotFoundError:
        pass
    except OSError as error:
        raise SettingsError(
            f"GOBI_DATA_DIR: cannot use {folder} ({error.strerror}): name a folder of this user's"
        ) from None
    belonging.check_without_database(os.fspath(folder / BODIES))
    if make:
        return
    if not folder.is_dir():
        raise SettingsError(f"GOBI_DATA_DIR: there is no folder {folder}: name the server's, or mount its disk")
    raise SettingsError(
        f"GOBI_DATA_DIR: there is no database in {folder}: name the server's folder, or begin here with `gobi user add`"
    )


def open_bodies(settings: Settings, *, make: bool = False, identity: str | None = None) -> DiskBodies:
    """`make`, `identity`: see DiskBodies. Raises store.errors.Full, Unavailable."""
    from store.bodies import DiskBodies

    return DiskBodies(settings.data_dir / BODIES, make=make, identity=identity)


def place(settings: Settings) -> str:
    """Where people and vaults are kept, for people; without passwords."""
    if settings.mongo_uri is not None:
        return f"the database {settings.mongo_db} in MongoDB"
    return os.fspath(settings.data_dir)


def open_bus(settings: Settings, secret: Callable[[], bytes]) -> Bus:
    """Connects to nothing yet: that is left to whoever uses it, after the fork. `secret`: gives the database's, then.

    Raises SettingsError.
    """
    if settings.redis_url is None:
        from store.bus import LocalBus

        return LocalBus()
    from store.bus_redis import RedisBus

    try:
        return RedisBus(settings.redis_url, channel(settings), secret)
    except ValueError as error:
        raise SettingsError(f"GOBI_REDIS_URL: {error}") from None


def channel(settings: Settings) -> str:
    """Where the workers over one database tell each other."""
    return f"gobi:{settings.mongo_db}"
