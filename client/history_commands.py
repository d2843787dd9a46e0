"""The commands for older versions: history, restore, log. What they return is the exit code; None is 0."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from client import config as configuration
from client.command import (
    USAGE,
    Command,
    bring_here,
    example,
    folder_argument,
    json_option,
    note,
    open_connection,
    open_transport,
    print_json,
    print_lines,
    say,
)
from client.config import Config, shown
from client.ports import Stopped
from sync.model import Version

if TYPE_CHECKING:
    from client.past import Past

HISTORY, LOG = 50, 100  # versions listed where nothing else is asked for

path_argument = click.argument("path", metavar="PATH")
limit_option = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="List no more than N versions.")


@click.command(cls=Command, epilog=example("gobi history ~/notes today.md"))
@folder_argument
@path_argument
@limit_option
@json_option
def history(folder: Path, path: str, limit: int | None, as_json: bool) -> None:
    """List the versions of PATH, newest first, also of a file that is deleted. Changes nothing."""
    from client.binding import vault_path
    from client.show_past import history_lines

    _, past = _enter(folder)
    name = vault_path(folder, path)
    wanted = limit or HISTORY
    versions = past.history(name, wanted + 1)
    more = len(versions) > wanted
    if as_json:
        print_json({"path": name, "versions": [row.to_json() for row in versions[:wanted]], "more": more})
    else:
        print_lines(history_lines(versions, more, name, folder))


@click.command(cls=Command, epilog=example("gobi restore ~/notes today.md --stamp 1795430000000000"))
@folder_argument
@path_argument
@click.option(
    "--stamp", type=click.IntRange(min=1), required=True, metavar="N", help="Which version: see gobi history."
)
@click.option("--to", "target", metavar="FILE", help="Write that version to FILE instead, and change nothing else.")
def restore(folder: Path, path: str, stamp: int, target: str | None) -> int:
    """Put an older version of PATH back, as its newest one. Then DIR is brought in step.

    What stood until now stays in the history, and what you edited here meanwhile is kept.
    """
    from client.binding import vault_path

    config, past = _enter(folder)
    name = vault_path(folder, path)
    if target is not None:
        return _save(folder, config, past.version(name, stamp), target)
    (head,) = past.history(name, 1)
    say(_put_back(past, past.version(name, stamp), head))
    return bring_here(folder, config)


def _put_back(past: Past, wanted: Version, head: Version) -> str:
    """Puts `wanted` on top of `head`; what became of it, in words."""
    from client.words import moment

    path, when = shown(wanted.path), moment(wanted.made)
    if (wanted.live, wanted.hash, wanted.executable) == (head.live, head.hash, head.executable):
        return f"{path} is as it was on {when} already"
    if not wanted.live:
        past.delete(wanted.path, head.stamp)
        return f"{path} is deleted again, as it was on {when}; it stays in the history"
    past.restore(wanted.path, wanted.stamp, head.stamp)
    return f"{path} is as it was on {when} again; what stood there until now is version {head.stamp}"


def _save(folder: Path, config: Config, version: Version, target: str) -> int:
    from client.save import save

    if not version.live:
        raise Stopped(f"version {version.stamp} of {shown(version.path)} is a deletion: it has no content", USAGE)
    place = Path(target).absolute()
    save(open_transport(folder, config), version, place, folder)
    say(f"Wrote {shown(version.path)} as it was in version {version.stamp} to {shown(place)}")
    return 0


@click.command(cls=Command, epilog=example("gobi log ~/notes --since yesterday"))
@folder_argument
@click.option("--since", "start", metavar="TIME", help="From then on: 2h, today, 14:30, 2026-11-24, a stamp.")
@click.option("--device", metavar="D", help="Only what this device did.")
@click.option("--prefix", default="", metavar="P", help="Only paths that begin with P.")
@limit_option
@json_option
def log(folder: Path, start: str | None, device: str | None, prefix: str, limit: int | None, as_json: bool) -> None:
    """List who changed what, newest first, each with the command that takes it back. Changes nothing.

    Without --since and --limit the last 100 changes.
    """
    from client.past import PAGE
    from client.show_past import log_lines
    from client.since import since
    from client.words import command

    _, past = _enter(folder)
    after = 0 if start is None else since(past, start, note).stamp
    wanted = limit or (LOG if start is None else None)
    page = PAGE if wanted is None else min(wanted + 1, PAGE)
    versions = past.log(since=after, device=device, prefix=prefix, page=page)
    if as_json:
        rows = [row.to_json() for row in islice(versions, wanted)]
        print_json({"versions": rows, "more": next(versions, None) is not None})
        return
    shown_any = False
    for version in islice(versions, wanted):
        print_lines(log_lines(version, folder))
        shown_any = True
    if not shown_any:
        say("Nothing was changed.")
    elif next(versions, None) is not None:
        say(f"… and older ones: {command('log', folder)} --limit {2 * (wanted or LOG)}")


def _enter(folder: Path) -> tuple[Config, Past]:
    from client.past import Past

    config = configuration.load(folder)
    return config, Past(open_connection(folder, config), config.vault)
