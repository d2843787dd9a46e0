"""`gobi check`: the metadata against the bodies."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ops.commands import NEEDS_A_PERSON, ServerCommand, env_file_option, opened, opened_with_bodies
from ops.storage import BODIES, open_bodies, prepare_folder
from store import belonging
from store.aging import Counters
from store.audit import Audit, Lost, Report

_EXAMPLES = "\b\nExamples:\n  gobi check\n  gobi check --bodies --repair"
_WORDS = {
    "missing": "its body is missing",
    "truncated": "its body has the wrong size",
    "rotten": "its body is damaged",
}


@click.command(cls=ServerCommand, epilog=_EXAMPLES)
@click.option("--bodies", "deep", is_flag=True, help="Read every body, and compare it with its hash.")
@click.option("--repair", is_flag=True, help="Put damaged bodies aside, ask clients for them, put counters right.")
@click.option(
    "--adopt", is_flag=True, help="From now on the bodies that are there are this database's, whatever is missing."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@env_file_option
def check(deep: bool, repair: bool, adopt: bool, as_json: bool, env_file: Path | None) -> int:
    """Compare the metadata with the bodies, beside running servers or without.

    It tells of versions whose body is missing or damaged, of counters that are wrong, of bodies that nothing refers to
    (gobi gc removes those), and of whatever lies among the bodies and is not gobi's. Nothing is ever deleted.

    Exit code: 0 where all is well, 1 where something needs a person, 69 where the database is out of reach,
    75 where counters have to be put right and a collection runs, 78 where the bodies are another database's
    or it is damaged.
    """
    reports: list[Report] = []
    if adopt:
        _adopt(env_file)
    with opened_with_bodies(env_file, reading=not repair) as (settings, metadata, root):
        bodies = open_bodies(settings)
        tell = _Progress() if sys.stderr.isatty() and not as_json else lambda _vault, _done, _all: None
        for one in Audit(metadata, bodies, root, deep=deep, repair=repair, tell=tell).run():
            reports.append(one)
            if not as_json:
                for line in _lines(one, deep, repair):
                    click.echo(line)
    bad = [one for one in reports if _needs_a_person(one, repair)]
    if as_json:
        click.echo(
            json.dumps({"ok": not bad, "vaults": [_as_json(one) for one in reports if one.vault], **_last(reports)})
        )
    else:
        click.echo("Something needs you: see above." if bad else "All is well.")
    return NEEDS_A_PERSON if bad else 0


def _adopt(env_file: Path | None) -> None:
    with opened(env_file) as (settings, metadata):
        prepare_folder(settings.data_dir)
        open_bodies(settings, make=True)
        belonging.adopt(metadata, str(settings.data_dir / BODIES))


class _Progress:
    """One line on a terminal that is written over."""

    def __call__(self, vault: str, done: int, total: int) -> None:
        end = "\r" if done < total else "\r" + " " * 70 + "\r"
        text = f"{vault[:40]}: {done * 100 // total}% of the bodies" if done < total else ""
        click.echo(f"{text}{end}", nl=False, err=True)


def _needs_a_person(one: Report, repair: bool) -> bool:
    return bool(one.lost or one.strays or (one.counters is not None and not repair))


def _lines(one: Report, deep: bool, repair: bool) -> Iterator[str]:
    for lost in one.lost:
        yield f"{one.vault}: {_words(lost)}"
    for stray in one.strays:
        yield f"{stray}: not gobi's; look what it is, and move it away"
    if one.counters is not None and one.counted is not None:
        yield f"{one.vault}: {_difference(one.counted, one.counters)}{', put right' if repair else ' (--repair)'}"
    if one.lost and repair:
        yield f"{one.vault}: machines that have these files are asked for them with their next sync; check again then"
    if one.quarantined:
        yield f"{one.vault}: {one.quarantined:,} damaged bodies are in the quarantine"
    orphans, size = one.orphans
    if orphans:
        yield f"{one.vault}: nothing refers to {orphans:,} bodies of {size:,} bytes; gobi gc takes them"
    if one.trashed[0]:
        yield f"{one.vault}: {one.trashed[0]:,} bodies of {one.trashed[1]:,} bytes are in the trash"
    if one.versions:
        read = f", {one.read:,} bodies read" if deep else ""
        yield f"{one.vault}: {one.versions:,} versions looked at{read}"


def _words(lost: Lost) -> str:
    which = "the newest version" if lost.head else "an older version"
    if lost.conflict is not None:
        which = f"candidate {lost.candidate} of the conflict {lost.conflict}"
    return f"{lost.path}: {which} ({lost.stamp}): {_WORDS[lost.state]} ({lost.hash}, {lost.size:,} bytes)"


def _difference(counted: Counters, right: Counters) -> str:
    parts = [
        f"{name} says {is_:,} and ought to say {wanted:,}"
        for name, is_, wanted in zip(Counters._fields, counted, right, strict=True)
        if is_ != wanted
    ]
    return "the count of " + ", of ".join(parts)


def _as_json(one: Report) -> dict[str, Any]:
    told = asdict(one)
    told["lost"] = [lost._asdict() for lost in one.lost]
    for name in ("orphans", "trashed"):
        count, size = told[name]
        told[name] = {"bodies": count, "bytes": size}
    for name in ("counted", "counters"):
        value = getattr(one, name)
        told[name] = value._asdict() if value is not None else None
    return told


def _last(reports: list[Report]) -> dict[str, Any]:
    """What belongs to no vault."""
    return {"strays": [stray for one in reports if not one.vault for stray in one.strays]}
