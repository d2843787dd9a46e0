"""`gobi user`: people and their passwords."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import IO

import click

from ops.commands import F, ServerCommand, env_file_option, example, opened, telling
from ops.storage import place
from ops.tokens import token
from store.users import Users


def _password_options(command: F) -> F:
    file = click.option(
        "--password-file",
        metavar="F",
        type=click.File(),
        help="Read the password there (- is stdin) instead of asking.",
    )
    generate = click.option("--generate", is_flag=True, help="Make a password and show it once.")
    return file(generate(command))


@click.group()
def user() -> None:
    """People and their passwords."""


user.add_command(token)


@user.command(cls=ServerCommand, epilog=example("gobi user add me"))
@click.argument("name")
@_password_options
@env_file_option
def add(name: str, password_file: IO[str] | None, generate: bool, env_file: Path | None) -> None:
    """Add a person. Asks for a password unless told where to find one."""
    password = _password(password_file, generate)
    with opened(env_file, make=True) as (settings, metadata):
        Users(metadata).add(name, password)
    _report(f"Added {name}, in {place(settings)}.", password if generate else None)


@user.command(cls=ServerCommand, epilog=example("gobi user passwd me --generate"))
@click.argument("name")
@_password_options
@click.option("--revoke-devices", is_flag=True, help="Take all their devices' own passwords and open invitations, too.")
@env_file_option
def passwd(
    name: str, password_file: IO[str] | None, generate: bool, revoke_devices: bool, env_file: Path | None
) -> None:
    """Change a person's password. It ends their sessions.

    Devices that have a password of their own go on as before, unless told otherwise.
    """
    password = _password(password_file, generate)
    with opened(env_file) as (settings, metadata), telling(settings, metadata) as bus:
        Users(metadata, bus).set_password(name, password, revoke_devices=revoke_devices)
    _report(f"Changed the password of {name}.", password if generate else None)


@user.command(cls=ServerCommand, epilog=example("gobi user rename me anna"))
@click.argument("old")
@click.argument("new")
@env_file_option
def rename(old: str, new: str, env_file: Path | None) -> None:
    """Give a person another name. Passwords, devices and vaults stay; what they wrote keeps the old name.

    Each of their machines has to be told: gobi connect DIR URL VAULT --user NEW. On the page they sign in again.
    """
    with opened(env_file) as (settings, metadata), telling(settings, metadata) as bus:
        Users(metadata, bus).rename(old, new)
    click.echo(
        f"{old} is called {new} now, with the same passwords.\n"
        f"Next: on each of their machines, gobi connect DIR URL VAULT --user {new}; and on the page, sign in again."
    )


@user.command(cls=ServerCommand, epilog=example("gobi user remove me"))
@click.argument("name")
@click.option("--vaults-to", "heir", metavar="USER", help="Who becomes the owner of vaults that have no other one.")
@env_file_option
def remove(name: str, heir: str | None, env_file: Path | None) -> None:
    """Remove a person with all their devices, and take them out of every vault. What they wrote stays."""
    with opened(env_file) as (settings, metadata), telling(settings, metadata) as bus:
        inherited = Users(metadata, bus).remove(name, heir)
    click.echo(f"Removed {name}.")
    if inherited:
        click.echo(f"{heir} owns {', '.join(inherited)} now.")


@user.command("list", cls=ServerCommand, epilog=example("gobi user list --json"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@env_file_option
def list_users(as_json: bool, env_file: Path | None) -> None:
    """List everybody, by name."""
    with opened(env_file, reading=True) as (_, metadata):
        names = Users(metadata).names()
    if as_json:
        click.echo(json.dumps({"users": [{"name": name} for name in names]}))
    elif names:
        click.echo("\n".join(names))
    else:
        click.echo("Nobody yet. Add somebody: gobi user add NAME")


def _password(file: IO[str] | None, generate: bool) -> str:
    if file is not None and generate:
        raise click.UsageError("give --password-file or --generate, not both")
    if generate:
        return secrets.token_urlsafe(15)
    if file is not None:
        try:
            return file.read().removeprefix("\ufeff").rstrip("\r\n")  # a byte order mark is an editor's
        except UnicodeDecodeError:
            raise click.UsageError("the password file is not UTF-8 text: write the password alone into it") from None
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for a password: give --password-file or --generate")
    answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer


def _report(done: str, password: str | None) -> None:
    click.echo(done)
    if password is not None:
        click.echo(f"Password: {password}\nIt is not shown again.")
