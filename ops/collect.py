"""`gobi gc`: collects what is too old to be kept."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from ops.commands import ServerCommand, env_file_option, opened_with_bodies
from ops.storage import open_bodies
from store.aging import Collected
from store.collection import Collector, Limits

_EXAMPLES = "\b\nExamples:\n  gobi gc --dry-run\n  gobi gc --json"


@click.command("gc", cls=ServerCommand, epilog=_EXAMPLES)
@click.option("--dry-run", is_flag=True, help="Change nothing, and tell what would go.")
@click.option(
    "--force", is_flag=True, help="With SQLite: this machine's clock is right, although it has gone far or back."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@env_file_option
def collect(dry_run: bool, force: bool, as_json: bool, env_file: Path | None) -> None:
    """Remove old versions, old deletions, and bodies that nothing refers to, beside running servers or without.

    A version goes GOBI_KEEP_DAYS after the one that followed it, a deletion so long after itself; the newest version of
    a file that is there never goes. A body that no version needs goes to a trash, and a week later for good.

    Exit code: 0 where it is done, 1 where the clock is too doubtful, 69 where the database is out of reach, 75 where a
    backup or another collection runs, 78 where the database is not the bodies' own or is damaged.
    """
    vaults = []
    total = Collected()
    with opened_with_bodies(env_file) as (settings, metadata, root):
        if not dry_run:
            open_bodies(settings, make=True)
        for name, one in Collector(metadata, root, Limits(settings.keep_days), dry=dry_run).run(force=force):
            if name:
                vaults.append({"vault": name, **_as_json(one)})
                if not as_json:
                    click.echo(f"{name}: {_words(one)}")
            else:
                total = one
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "vaults": vaults, "total": _as_json(total)}))
    else:
        click.echo(f"{'Would go' if dry_run else 'Gone'} in all: {_words(total)}")


def _as_json(one: Collected) -> dict[str, int]:
    counted = asdict(one)
    del counted["at"]
    return counted


def _words(one: Collected) -> str:
    text = (
        f"{_count(one.versions, 'old version')}, {_count(one.tombstones, 'old deletion')}; to the trash "
        f"{_count(one.bodies, 'body', 'bodies')} of {one.bytes:,} bytes; out of it {one.removed:,} of "
        f"{one.removed_bytes:,} bytes for good"
    )
    return f"{text}, {one.restored:,} back" if one.restored else text


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
