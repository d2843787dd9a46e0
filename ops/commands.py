"""What the server's commands share: `--env-file`, and errors as one line with an exit code."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from ops.readonly import check_writable, copied, is_read_only
from ops.settings import Settings, SettingsError, load
from ops.storage import (
    BODIES,
    DATABASE,
    become_owner,
    check_database,
    close_to_others,
    open_bus,
    open_copy,
    open_metadata,
    prepare_folder,
)
from store import belonging
from store.base import Bus, Metadata
from store.errors import Full, InUse, Misconfigured, StoreError, Unavailable, Unusable, WrongClock

F = TypeVar("F", bound=Callable[..., Any])

NEEDS_A_PERSON, REFUSED, OUT_OF_REACH, LATER = 1, 2, 69, 75


class Refusal(Exception):
    """What a command cannot do, in words for a person."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ServerCommand(click.Command):
    """Turns what the store refuses into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> object:
        logging.getLogger("gobi").addHandler(logging.NullHandler())  # a command says in its own words what is wrong
        try:
            return super().invoke(ctx)
        except StoreError as error:
            raise Refusal(str(error), exit_code(error)) from None


def example(text: str) -> str:
    """To stand below a command's help."""
    return "\b\nExample:\n  " + text


def exit_code(error: StoreError) -> int:
    if isinstance(error, Misconfigured | Unusable):
        return SettingsError.exit_code
    if isinstance(error, WrongClock):
        return NEEDS_A_PERSON
    if isinstance(error, InUse):
        return LATER
    return OUT_OF_REACH if isinstance(error, Unavailable | Full) else REFUSED


def env_file_option(command: F) -> F:
    option: Callable[[F], F] = click.option(
        "--env-file",
        metavar="F",
        type=click.Path(path_type=Path),
        help="Read settings there instead of /etc/gobi/gobi.env.",
    )
    return option(command)


@contextmanager
def opened(env_file: Path | None, *, make: bool = False, reading: bool = False) -> Iterator[tuple[Settings, Metadata]]:
    """The settings and the database they name, beside a running server or without one.

    `make`: with a data folder and an embedded database where there are none. Without that a mistaken folder is said.
    `reading`: nothing is to be written, so that a read-only disk will do.
    """
    settings = load(os.environ, env_file)
    become_owner(settings.data_dir)
    close_to_others()
    if settings.mongo_uri is None:
        check_database(settings, make=make)
        if make:
            prepare_folder(settings.data_dir)
    with ExitStack() as stack:
        if reading and settings.mongo_uri is None and is_read_only(settings.data_dir):
            click.echo(
                f"gobi: the disk of {settings.data_dir} is read-only: a copy of its database is read, and what "
                "turns out to be lost or damaged cannot be noted there",
                err=True,
            )
            metadata = open_copy(stack.enter_context(copied(settings.data_dir / DATABASE)))
        else:
            if settings.mongo_uri is None:
                check_writable(settings.data_dir)
            metadata = open_metadata(settings)
        stack.callback(metadata.close)
        yield settings, metadata


@contextmanager
def opened_with_bodies(env_file: Path | None, *, reading: bool = False) -> Iterator[tuple[Settings, Metadata, str]]:
    """The same, and the folder of the bodies, which may not be there yet. Raises Misconfigured where what is there is
    not this database's, Unusable where the database is damaged: by what it has lost, bodies would be taken for garbage,
    and a backup for whole."""
    with opened(env_file, reading=reading) as (settings, metadata):
        metadata.check_sound(None)
        root = os.fspath(settings.data_dir / BODIES)
        belonging.check(metadata, root)
        yield settings, metadata, root


@contextmanager
def telling(settings: Settings, metadata: Metadata) -> Iterator[Bus]:
    """What tells the workers that run. Where it cannot, a line says so: the command has succeeded all the same."""
    bus = open_bus(settings, metadata.secret)
    try:
        yield bus
    finally:
        if not bus.close():
            click.echo("gobi: Redis is out of reach: running workers learn of this up to 30 s late", err=True)
