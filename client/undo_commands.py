"""The command `gobi undo`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from client import config as configuration
from client.command import (
    NEEDS_A_PERSON,
    USAGE,
    Command,
    bring_here,
    example,
    folder_argument,
    json_option,
    note,
    open_connection,
    print_json,
    print_lines,
)
from client.config import Config, shown
from client.ports import Stopped
from sync.model import Json


@click.command(cls=Command, epilog=example("gobi undo ~/notes --since 10m --dry-run"))
@folder_argument
@click.option(
    "--since", "start", required=True, metavar="TIME", help="From then on: 10m, today, 14:30, 2026-11-24, a stamp."
)
@click.option("--device", metavar="D", help="What this device did. Default: what you did on this machine.")
@click.option("--everybody", is_flag=True, help="What anybody did, on any device.")
@click.option("--user", metavar="U", help="Only what this user did.")
@click.option("--prefix", default="", metavar="P", help="Only paths that begin with P.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and stop there.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def undo(
    folder: Path,
    start: str,
    device: str | None,
    everybody: bool,
    user: str | None,
    prefix: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Take back what was changed since TIME, as new versions that can be taken back, too.

    Shows first what it would do. Files that others have changed since, too, stay as they are and are listed.
    """
    from client.past import Past
    from client.since import since

    if everybody and device is not None:
        raise Stopped("--everybody and --device exclude each other", USAGE)
    if as_json and not (dry_run or yes):
        raise Stopped("--json does not ask: give --dry-run to look, or --yes to do it", USAGE)
    config = configuration.load(folder)
    past = Past(open_connection(folder, config), config.vault)
    after = since(past, start, note)
    asked: Json = {"since": after.stamp} | ({"prefix": prefix} if prefix else {})
    asked |= _whose(config, device, user, everybody)
    preview = past.undo(asked | {"dry_run": True})
    if not as_json:
        print_lines(_preview_lines(preview, asked, after.moment))
    if dry_run or not preview["changes"]:
        return _finish(preview, asked, as_json, done=False)
    if not yes:
        _confirm(len(preview["changes"]))
    answer = past.undo(asked | {"until": preview["until"]})
    # Who undoes has seen how much that is, and nothing of what others did.
    meant = frozenset(row["stamp"] for row in answer["changes"])
    return _finish(answer, asked, as_json, done=True) | bring_here(folder, config, quiet=as_json, meant=meant)


def _whose(config: Config, device: str | None, user: str | None, everybody: bool) -> Json:
    """Whose changes are meant. Without a word about it: this person's on this machine."""
    if device is None and not everybody:
        return {"device": config.device, "user": user or config.user}
    return ({} if device is None else {"device": device}) | ({} if user is None else {"user": user})


def _preview_lines(preview: Json, asked: Json, start: int) -> list[str]:
    from client.show_past import undo_lines
    from client.words import moment

    who = shown(asked.get("user", "anybody"))
    where = f" on {shown(asked['device'])}" if "device" in asked else ""
    under = f" to {shown(asked['prefix'])}…" if "prefix" in asked else ""
    return [f"What {who} did{where}{under} since {moment(start)}:", *undo_lines(preview, done=False)]


def _confirm(count: int) -> None:
    if not sys.stdin.isatty():
        raise Stopped("there is no terminal to ask on: give --yes to do it; nothing was changed", USAGE)
    if not click.confirm(f"Take back these {count:,} changes?", err=True):
        raise Stopped("nothing was changed", NEEDS_A_PERSON)


def _finish(answer: Json, asked: Json, as_json: bool, *, done: bool) -> int:
    from client.show_past import undo_lines

    if as_json:
        print_json(asked | {"dry_run": not done} | answer)
    elif done:
        print_lines(undo_lines(answer, done=True))
    return NEEDS_A_PERSON if answer["skipped"] else 0
