"""`gobi serve`: looks at everything that would go wrong, then becomes gunicorn."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import click

from ops import listening, tls
from ops.commands import ServerCommand, env_file_option
from ops.readonly import check_writable
from ops.settings import PREFIX, Settings, gather, parse, unknown
from ops.storage import (
    BODIES,
    IDENTITY,
    become_owner,
    check_database,
    close_to_others,
    open_bodies,
    open_bus,
    open_metadata,
    prepare_folder,
)
from ops.systemd import hands_over_sockets
from store import belonging, serving

# How long a start may read an embedded database for damage. 100,000 versions (20 MB) take 0.05 s once in memory.
READING_S = 10.0


@click.command(cls=ServerCommand, epilog="\b\nExample:\n  GOBI_DATA_DIR=/srv/gobi gobi serve")
@env_file_option
def serve(env_file: Path | None) -> None:
    """Run the server until it is stopped.

    The settings come from the environment, and from /etc/gobi/gobi.env or --env-file for what is not set there.

    Exit code: 78 where a person has to do something first, 69 where the database or the disk is out of reach, 75 where
    another server works on the same embedded database.
    """
    variables = gather(os.environ, env_file)
    settings = parse(variables)
    for name in unknown(variables):
        click.echo(f"gobi: {name} is no setting and is ignored; is it spelled right?", err=True)
    become_owner(settings.data_dir)
    close_to_others()
    tls.load(settings)
    if not hands_over_sockets(os.environ):
        listening.check(settings)
    open_bus(settings, bytes).close()  # only to see that it can be one
    identity = prepare(settings)
    _raise_file_limit()
    _become_gunicorn(variables | {IDENTITY: identity})


def prepare(settings: Settings) -> str:
    """Makes or upgrades what a server needs; returns the identity of its database. Nothing is made where database and
    bodies do not belong together, or the database is damaged. Raises SettingsError, store.errors.StoreError."""
    root = os.fspath(settings.data_dir / BODIES)
    if settings.mongo_uri is None:
        check_database(settings, make=True)
        prepare_folder(settings.data_dir)
        check_writable(settings.data_dir)
        serving.take(settings.data_dir, alone=settings.redis_url is None)
    with closing(open_metadata(settings)) as metadata:
        if not metadata.check_sound(READING_S):
            click.echo(
                f"gobi: of the database as much was read as {READING_S:.0f} s allow, and is sound; `gobi backup` reads "
                "all of it",
                err=True,
            )
        belonging.check(metadata, root)
        prepare_folder(settings.data_dir)
        open_bodies(settings, make=True).sweep()
        return belonging.bind(metadata, root)


# What glibc's allocator is told, unless the environment says otherwise. Left alone it keeps an arena a thread and gives
# little back: after 10,000 notes came and went a worker held 43 MiB of its own, with these 35.
_ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "131072"}


_FILES = 16_384


def _raise_file_limit() -> None:
    """A live socket is a file, and the soft limit is often 1,024, for the sake of programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _become_gunicorn(variables: dict[str, str]) -> NoReturn:
    """From the root folder and with a safe path: gunicorn imports from the folder it was started in, and a synced
    folder may well hold a `store.py`."""
    environ = _ALLOCATOR | {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environ |= variables | {"PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "gunicorn", "--config", "python:ops.gunicorn_conf"]
    if sys.flags.no_site:  # a package: its folder is known to no Python, and holds all that is needed
        command.insert(1, "-S")
        environ["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    os.chdir("/")
    os.execve(command[0], command, environ)  # noqa: S606  # no shell is wanted
