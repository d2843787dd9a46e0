"""`gobi doctor`: looks at everything that a server needs, and says what to do about what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click

from ops import settings_check
from ops.commands import OUT_OF_REACH, ServerCommand, env_file_option
from ops.settings import Settings, SettingsError
from ops.storage import BODIES, DATABASE, become_owner, channel, check_database, open_metadata
from store import belonging, disk_check
from store.errors import Misconfigured, StoreError
from store.findings import Cause, Finding, wrong

# The worst of what was found decides.
EXIT_CODES: dict[Cause, int] = {"setting": SettingsError.exit_code, "reach": OUT_OF_REACH, "state": 1}

_WIDTH = 12
_EXAMPLES = "\b\nExamples:\n  gobi doctor\n  gobi doctor --env-file /etc/gobi/gobi.env --json"


@click.command(cls=ServerCommand, epilog=_EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.option(
    "--quota-mb",
    metavar="N",
    type=click.IntRange(min=0),
    help="What the MongoDB database may hold; 0 for no limit. [default: 512 on Atlas, as in its free tier]",
)
@env_file_option
def doctor(as_json: bool, quota_mb: int | None, env_file: Path | None) -> int:
    """Look at everything that a server needs, beside a running one or without.

    Exit code: 0 where nothing is wrong, 78 for wrong settings, 69 where the database or Redis is out of reach, 1 where
    something else needs a person.
    """
    found: list[Finding] = []
    for one in examine(env_file, quota_mb):
        found.append(one)
        if not as_json:
            click.echo(_lines(one))
    code = exit_code(found)
    if as_json:
        click.echo(json.dumps({"ok": code == 0, "findings": [asdict(one) for one in found]}))
    else:
        click.echo(_summary(found))
    return code


def examine(env_file: Path | None, quota_mb: int | None) -> Iterator[Finding]:
    """One after the other, as they are found. Without good settings nobody knows where to look further."""
    settings, found = settings_check.check(os.environ, env_file)
    yield from found
    if settings is None:
        return
    become_owner(settings.data_dir)
    yield from settings_check.tls(settings)
    yield from disk_check.check(settings.data_dir, settings.data_dir / BODIES)
    found = list(_database(settings, quota_mb))
    yield from found
    if all(one.cause != "reach" for one in found):
        yield from _bodies(settings)
    if settings.redis_url is not None:
        from store import bus_check

        yield from bus_check.check(settings.redis_url, channel(settings))


def exit_code(found: Iterable[Finding]) -> int:
    causes = {one.cause for one in found if one.level == "wrong"}
    return next((code for cause, code in EXIT_CODES.items() if cause in causes), 0)


def _database(settings: Settings, quota_mb: int | None) -> Iterator[Finding]:
    if settings.mongo_uri is None:
        from store import sqlite_check

        return sqlite_check.check(settings.data_dir / DATABASE)
    from store import mongo_check

    return mongo_check.check(settings.mongo_uri, settings.mongo_db, quota_mb=quota_mb)


def _bodies(settings: Settings) -> Iterator[Finding]:
    """Whether they are the database's. Of a database that this gobi does not know, or not yet, nothing is said here."""
    root = os.fspath(settings.data_dir / BODIES)
    try:
        if settings.mongo_uri is None:
            check_database(settings, make=True)
        with closing(open_metadata(settings, prepare=False)) as metadata:
            belonging.check(metadata, root)
    except Misconfigured as error:
        text, _, advice = str(error).partition(": ")
        yield wrong("bodies", text, advice, "setting")
    except (SettingsError, StoreError):
        pass  # told already


def _lines(one: Finding) -> str:
    line = f"{one.level:8} {one.subject:{_WIDTH}} {one.text}"
    return f"{line}\n{'':8} {'':{_WIDTH}} {one.advice}" if one.advice else line


def _summary(found: list[Finding]) -> str:
    wrong, warnings = (sum(one.level == level for one in found) for level in ("wrong", "warning"))
    if wrong:
        return "1 thing is wrong." if wrong == 1 else f"{wrong} things are wrong."
    if warnings:
        return "Nothing is wrong, with 1 warning." if warnings == 1 else f"Nothing is wrong, with {warnings} warnings."
    return "Nothing is wrong."
