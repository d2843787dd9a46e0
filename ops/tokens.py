"""`gobi user token`: passwords for single devices."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from ops.commands import ServerCommand, env_file_option, example, opened, telling
from store.devices import Devices


@click.group(epilog=example("gobi user token add me laptop"))
def token() -> None:
    """Passwords for single devices, each revocable alone."""


@token.command(cls=ServerCommand, epilog=example("gobi user token add me laptop"))
@click.argument("name")
@click.argument("device")
@env_file_option
def add(name: str, device: str, env_file: Path | None) -> None:
    """Make a password for one DEVICE of a person, and show it once.

    It is as good as the person's own, and whatever is written with it is that device's.
    """
    with opened(env_file) as (_, metadata):
        password = Devices(metadata).add(name, device)
    click.echo(f"Added {device} of {name}.\nPassword: {password}\nIt is not shown again.")


@token.command("list", cls=ServerCommand, epilog=example("gobi user token list me --json"))
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@env_file_option
def list_devices(name: str, as_json: bool, env_file: Path | None) -> None:
    """List a person's devices that have a password of their own, by name."""
    with opened(env_file) as (_, metadata):
        devices = Devices(metadata).of(name)
    if as_json:
        click.echo(json.dumps({"devices": [{"name": one.name, "added": one.added} for one in devices]}))
    for one in () if as_json else devices:
        click.echo(f"{one.name}: since {datetime.fromtimestamp(one.added / 1_000_000, UTC):%Y-%m-%d %H:%M} UTC")
    if not devices and not as_json:
        click.echo(f"None yet. Add one: gobi user token add {name} DEVICE, or gobi invite {name} VAULT")


@token.command(cls=ServerCommand, epilog=example("gobi user token revoke me laptop"))
@click.argument("name")
@click.argument("device")
@env_file_option
def revoke(name: str, device: str, env_file: Path | None) -> None:
    """Make the password of one DEVICE useless. What it wrote stays; so do the other devices."""
    with opened(env_file) as (settings, metadata), telling(settings, metadata) as bus:
        Devices(metadata, bus).revoke(name, device, None)
    click.echo(f"Revoked {device} of {name}.")
