"""`gobi invite`: a one-time code that connects a machine."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click

from ops.commands import REFUSED, Refusal, ServerCommand, env_file_option, opened
from ops.settings import Settings, SettingsError, address
from store.base import Metadata, Vault
from store.devices import VALID_HOURS, Invitations, check_device
from store.refusals import no_user
from sync.addresses import is_loopback
from sync.invitation import Code


@click.command(cls=ServerCommand, epilog="\b\nExample:\n  gobi invite me notes --device phone")
@click.argument("user")
@click.argument("vault")
@click.option("--device", metavar="D", help="What to call the machine. Default: its own name.")
@click.option("--valid-hours", metavar="N", type=int, default=VALID_HOURS, show_default=True, help="For how long.")
@click.option("--url", metavar="URL", help="The server's address, where GOBI_PUBLIC_URL does not say it.")
@click.option("--insecure", is_flag=True, help="Allow plain http to another machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@env_file_option
def invite(
    user: str,
    vault: str,
    device: str | None,
    valid_hours: int,
    url: str | None,
    insecure: bool,
    as_json: bool,
    env_file: Path | None,
) -> None:
    """Make a one-time code with which USER connects one machine to VAULT.

    Whoever has the code first comes in as USER, so hand it over as you would a password. On the machine, `gobi connect
    DIR CODE` needs nothing else: it gets a password of its own, which `gobi user token revoke` takes back.
    """
    with opened(env_file) as (settings, metadata):
        address = _address(settings, url, insecure)
        if device is not None:
            check_device(device)
        there = _vault(metadata, user, vault)
        secret, expires = Invitations(metadata).make(user, there, None, valid_hours)
    code = str(Code(address, vault, secret, device))
    until = datetime.fromtimestamp(expires / 1_000_000, UTC)
    if as_json:
        about = {"user": user, "vault": vault, "device": device, "expires": expires}
        click.echo(json.dumps({"code": code, "url": address} | about))
        return
    extra = " --insecure" if _is_plain(address) else ""
    click.echo(
        f"On the machine, good once, until {until:%Y-%m-%d %H:%M} UTC:\n\n"
        f"  gobi connect DIR {shlex.quote(code)}{extra}\n"
    )
    if sys.stdout.isatty():
        _show_picture(code)


def _address(settings: Settings, url: str | None, insecure: bool) -> str:
    if url is not None:
        try:
            found: str | None = address("--url", url)
        except SettingsError as error:
            raise click.UsageError(str(error)) from None
    else:
        found = settings.public_url
    if found is None:
        raise Refusal(
            "the code has the server's address in it, and nobody said what that is: give --url "
            "https://gobi.example.org, or set GOBI_PUBLIC_URL",
            REFUSED,
        )
    if _is_plain(found) and not insecure:
        raise Refusal(
            f"{found} would send the password and all files unencrypted: use https, or add --insecure if you trust "
            "every machine on the way",
            REFUSED,
        )
    return found


def _is_plain(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _vault(metadata: Metadata, user: str, name: str) -> Vault:
    if metadata.user(user) is None:
        raise no_user(user)
    there = metadata.vault(name)
    if there is None:
        raise Refusal(
            f"there is no vault {name}: gobi vault list shows all, gobi vault create {name} --owner {user} makes it",
            REFUSED,
        )
    if user not in there.members:
        raise Refusal(
            f"{user} is not a member of {name}: let them in first, with gobi vault member {name} {user} --role write",
            REFUSED,
        )
    return there


def _show_picture(code: str) -> None:
    import segno

    segno.make(code, error="l", micro=False).terminal(compact=True)
    click.echo("A phone that reads this opens the server's page, which shows the same. That does not use the code up.")
