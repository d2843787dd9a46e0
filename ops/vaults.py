"""`gobi vault`: which vaults there are."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ops.commands import ServerCommand, env_file_option, example, opened, telling
from ops.storage import open_bodies
from store.base import Metadata, Vault
from store.errors import NameTaken, NotFound
from store.registry import Registry
from sync.model import Json


@click.group()
def vault() -> None:
    """Vaults."""


@vault.command("list", cls=ServerCommand, epilog=example("gobi vault list --json"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@env_file_option
def list_vaults(as_json: bool, env_file: Path | None) -> None:
    """List all vaults, by name, with what they hold and who may enter."""
    with opened(env_file, reading=True) as (settings, metadata):
        vaults = Registry(metadata, open_bodies(settings)).all()
    if as_json:
        click.echo(json.dumps({"vaults": [_as_json(one) for one in vaults]}))
        return
    for one in vaults:
        members = ", ".join(f"{name} ({role})" for name, role in sorted(one.members.items()))
        click.echo(f"{one.name}: {one.files} files, {one.bytes} bytes, {one.conflicts} open conflicts; {members}")
    if not vaults:
        click.echo("No vault yet. Make one: gobi vault create NAME --owner USER")


@vault.command(cls=ServerCommand, epilog=example("gobi vault create notes --owner me"))
@click.argument("name")
@click.option("--owner", required=True, metavar="USER", help="Who may do everything in it.")
@env_file_option
def create(name: str, owner: str, env_file: Path | None) -> None:
    """Make a vault."""
    with opened(env_file) as (settings, metadata):
        _, made = Registry(metadata, open_bodies(settings)).create(owner, name, None)
    if not made:
        raise NameTaken(f"there is a vault {name} already: choose another name")
    click.echo(f"Made the vault {name}. Its owner is {owner}.")


@vault.command("set", cls=ServerCommand, epilog=example("gobi vault set notes --auto-merge on"))
@click.argument("name")
@click.option(
    "--auto-merge",
    type=click.Choice(["on", "off"]),
    required=True,
    help="Whether the server settles a conflict itself where both sides' texts merge without doubt.",
)
@env_file_option
def change(name: str, auto_merge: str, env_file: Path | None) -> None:
    """Change a vault's settings."""
    with opened(env_file) as (settings, metadata):
        there = _require(metadata, name)
        Registry(metadata, open_bodies(settings)).set_auto_merge(there, auto_merge == "on", None)
    click.echo(f"{name}: auto-merge is {auto_merge}.")


@vault.command(cls=ServerCommand, epilog=example("gobi vault rename notes family"))
@click.argument("old")
@click.argument("new")
@env_file_option
def rename(old: str, new: str, env_file: Path | None) -> None:
    """Give a vault another name. Its files, history and members stay.

    Each machine that has it has to be told: gobi connect DIR URL NEW --user USER.
    """
    with opened(env_file) as (settings, metadata):
        there = _require(metadata, old)
        with telling(settings, metadata) as bus:
            Registry(metadata, open_bodies(settings), bus).rename(there, new)
    click.echo(
        f"The vault {old} is called {new} now.\n"
        f"Next: on each machine that has it, gobi connect DIR URL {new} --user USER."
    )


@vault.command(cls=ServerCommand, epilog=example("gobi vault member notes you --role write"))
@click.argument("name")
@click.argument("user")
@click.option(
    "--role",
    required=True,
    type=click.Choice(["read", "write", "owner", "none"]),
    help="What they may: owners also say who else may enter; none takes them out.",
)
@env_file_option
def member(name: str, user: str, role: str, env_file: Path | None) -> None:
    """Let somebody into a vault, change what they may, or take them out. What they wrote stays."""
    with opened(env_file) as (settings, metadata):
        there = _require(metadata, name)
        with telling(settings, metadata) as bus:
            registry = Registry(metadata, open_bodies(settings), bus)
            if role == "none":
                registry.remove_member(there, user, None)
            else:
                registry.set_member(there, user, role, None)
    click.echo(
        f"{name}: {user} is not a member any more." if role == "none" else f"{name}: {user} has the role {role}."
    )


@vault.command(cls=ServerCommand, epilog=example("gobi vault remove notes --yes"))
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do it: the vault with its whole history is gone then.")
@env_file_option
def remove(name: str, yes: bool, env_file: Path | None) -> None:
    """Remove a vault, its history and its conflicts. What lies in people's folders stays."""
    with opened(env_file) as (settings, metadata):
        there = _require(metadata, name)
        if not yes:
            raise click.UsageError(f"{name} holds {there.files} files and their history: add --yes to remove it")
        with telling(settings, metadata) as bus:
            Registry(metadata, open_bodies(settings), bus).remove(there, None)
    click.echo(f"Removed the vault {name}.")


def _require(metadata: Metadata, name: str) -> Vault:
    there = metadata.vault(name)
    if there is None:
        raise NotFound(f"there is no vault {name}: gobi vault list shows all")
    return there


def _as_json(one: Vault) -> Json:
    return {
        "name": one.name,
        "members": dict(one.members),
        "files": one.files,
        "bytes": one.bytes,
        "stored": one.stored,
        "conflicts": one.conflicts,
        "auto_merge": one.auto_merge,
    }
