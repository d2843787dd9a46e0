"""`gobi migrate`: moves the metadata between SQLite and MongoDB. Clients notice nothing."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import click

from ops.commands import OUT_OF_REACH, Refusal, ServerCommand, env_file_option, opened
from ops.settings import Settings
from ops.storage import DATABASE, prepare_folder
from store import migration
from store.base import Metadata, Vault
from store.errors import Refused
from store.migration import Moved, Target

INTERRUPTED = 130
EMBEDDED = "sqlite:"
ADDRESSES = ("mongodb://", "mongodb+srv://")

_EXAMPLES = """\b
Examples:
  gobi migrate --to-file /etc/gobi/mongo-uri
  gobi migrate --to sqlite:"""


@click.command(cls=ServerCommand, epilog=_EXAMPLES)
@click.option(
    "--to",
    metavar="URI",
    help="sqlite: for the data folder's own database, or mongodb://… or mongodb+srv://… for the database GOBI_MONGO_DB "
    "there.",
)
@click.option(
    "--to-file",
    metavar="F",
    type=click.File(),
    help="Read the URI there (- is stdin): everybody on this machine sees a password that is in a command.",
)
@click.option("--replace", is_flag=True, help="Overwrite a database that was left behind by an earlier move.")
@click.option("--cancel", is_flag=True, help="Give up a move that was cut off; with --to, remove what came there, too.")
@env_file_option
def migrate(to: str | None, to_file: IO[str] | None, replace: bool, cancel: bool, env_file: Path | None) -> None:
    """Move the metadata from the database that the settings name to another one.

    Servers may run meanwhile: they answer reads, and ask whoever writes to come again. When all is there, the command
    says which setting to change; then restart them. Vaults, histories, conflicts, people and their sessions stay as
    they are. Bodies stay where they are. What was moved is kept in the old database, which takes no more writes.
    """
    uri = _address(to, to_file)
    if uri is None and not cancel:
        raise click.UsageError("give --to or --to-file: where is the metadata to go?")
    with (
        opened(env_file) as (settings, metadata),
        _alone(settings),
        _closing(settings, uri) as target,
    ):
        if cancel:
            migration.cancel(metadata, target)
            click.echo("Given up. Writing is possible again.")
            return
        assert target is not None, "there is an address"
        moved = _move(metadata, target, replace)
    click.echo(_report(settings, target, moved))


def _address(to: str | None, file: IO[str] | None) -> str | None:
    if to is not None and file is not None:
        raise click.UsageError("give --to or --to-file, not both")
    uri = to
    if file is not None:
        try:
            uri = file.read().strip()
        except UnicodeDecodeError:
            raise click.UsageError("the file is not UTF-8 text: write the URI alone into it") from None
    if uri is not None and uri != EMBEDDED and not uri.startswith(ADDRESSES):
        raise click.UsageError(f"name {EMBEDDED} or an address that begins with mongodb:// or mongodb+srv://")
    return uri


@contextmanager
def _closing(settings: Settings, uri: str | None) -> Iterator[Target | None]:
    if uri is None:
        yield None
    else:
        with closing(_target(settings, uri)) as target:
            yield target


def _target(settings: Settings, uri: str) -> Target:
    if uri == EMBEDDED:
        from store.sqlite_target import SqliteTarget

        if settings.mongo_uri is None:
            raise Refused("the metadata is in SQLite already: set GOBI_MONGO_URI to move it out of MongoDB")
        return SqliteTarget(settings.data_dir / DATABASE)
    from store.mongo_target import MongoTarget, hosts

    if settings.mongo_uri is not None and hosts(settings.mongo_uri) == hosts(uri):
        raise Refused("the metadata is there already: it is what GOBI_MONGO_URI names")
    return MongoTarget(uri, settings.mongo_db)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Two of these at once would be in each other's way; the lock is gone with its process, however that ends."""
    prepare_folder(settings.data_dir)
    descriptor = os.open(settings.data_dir, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal("another `gobi migrate` is running: wait for it", OUT_OF_REACH) from None
        yield
    finally:
        os.close(descriptor)


def _move(source: Metadata, target: Target, replace: bool) -> Moved:
    # A terminal that goes away, or a stop, is no other than Ctrl-C: the source is not to be left as it is.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        return migration.migrate(source, target, replace=replace, tell=_tell)
    except KeyboardInterrupt:
        state = source.moving().state()
        if state is None or not state.frozen:
            raise Refusal("stopped: nothing was moved, and writing is possible again", INTERRUPTED) from None
        raise Refusal("stopped when all was there: run this again, which finishes the move", INTERRUPTED) from None


def _tell(vault: Vault, versions: int, finished: bool) -> None:
    """A line for each vault; on a terminal it counts."""
    line = f"{vault.name}: {versions:,} versions"
    if sys.stdout.isatty():
        click.echo(f"\r{line}", nl=finished)
    elif finished:
        click.echo(line)


def _report(settings: Settings, target: Target, moved: Moved) -> str:
    into_mongo = target.place.startswith("mongodb")
    setting = "set GOBI_MONGO_URI to that address" if into_mongo else "take GOBI_MONGO_URI out of the settings"
    old = f"The database {settings.mongo_db} in MongoDB" if settings.mongo_uri else str(settings.data_dir / DATABASE)
    counted = {"user": moved.users, "vault": moved.vaults, "version": moved.versions, "conflict": moved.conflicts}
    counts = ", ".join(f"{count:,} {what if count == 1 else what + 's'}" for what, count in counted.items())
    return (
        f"Everything is in {target.place} now{'' if moved == Moved() else f': {counts}'}.\n"
        f"Next: {setting}, and restart every server. Until then they answer reads only.\n"
        f"{old} stays as it was, and is not used any more."
    )
