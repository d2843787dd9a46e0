"""`gobi backup`: the metadata and every body it names, into a folder that keeps the last few backups."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ops.commands import REFUSED, Refusal, ServerCommand, env_file_option, opened_with_bodies
from ops.settings import Settings, SettingsError
from ops.storage import open_bodies, place
from store.backup import BackedUp, back_up
from store.backup_folder import BackupFolder, Busy
from store.base import Metadata
from store.body_copies import Lost, Tell
from store.findings import STAMPS_AHEAD, span

TRY_LATER = 75
NEEDS_A_PERSON = 1
KEPT = 7

_EXAMPLES = """\b
Examples:
  gobi backup /mnt/usb/gobi
  gobi backup /mnt/usb/gobi --keep 30 --json"""


@click.command(cls=ServerCommand, epilog=_EXAMPLES)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--keep", metavar="N", type=click.IntRange(min=1), default=KEPT, help=f"Keep the last N. [{KEPT}]")
@click.option("--verify", is_flag=True, help="Also read what earlier backups copied, and copy anew what is rotten.")
@click.option("--json", "as_json", is_flag=True, help="Say what was done as JSON.")
@env_file_option
def backup(folder: Path, keep: int, verify: bool, as_json: bool, env_file: Path | None) -> None:
    """Back up everything into DIR: people, vaults, histories, conflicts, and every body that they name.

    Beside a running server or without one. A body that DIR has is not copied again, so it takes as long as there is
    news. Each is hashed on its way; one that the server has lost or that is rotten is named, and the exit code is 1.
    Cut off anywhere, the backups before this one are whole.

    DIR has password hashes: keep it to yourself. Put it on another disk.

    Exit code: 0 where all is there, 1 where a body is missing, 2 where DIR is no place for it, 69 where the database or
    a disk is out of reach or full, 75 where another backup writes there, 78 where the bodies are another database's,
    the database is damaged, or there is nothing to back up.
    """
    folder = Path(folder).absolute()
    with opened_with_bodies(env_file, reading=True) as (settings, metadata, root):
        check_apart(folder, settings)
        _check_something(settings, metadata)
        there = BackupFolder(folder)
        there.prepare()
        with locked(there, alone=True), progress("bodies") as tell:
            done = back_up(
                metadata,
                open_bodies(settings, make=True),
                root,
                there,
                keep=keep,
                program=_program(),
                clock=time.time,
                again=verify,
                tell=tell,
            )
    click.echo(json.dumps(_as_json(done), ensure_ascii=False) if as_json else _report(folder, done))
    complain(done.lost, "no backup in this folder has it; a client that has the file brings it back")
    if done.problem is not None:
        click.echo(f"gobi: {done.problem}", err=True)
    if done.ahead:
        longest = span(max(done.ahead.values()))
        click.echo(
            f"gobi: stamps of {', '.join(done.ahead)} run {longest} ahead of the clock: {STAMPS_AHEAD}", err=True
        )
    if done.lost or done.problem is not None:
        raise SystemExit(NEEDS_A_PERSON)


def _check_something(settings: Settings, metadata: Metadata) -> None:
    """A backup of nothing would pass for one every night. Raises SettingsError."""
    if not metadata.users() and not metadata.vaults():
        raise SettingsError(
            f"nobody and nothing is in {place(settings)}, so there is nothing to back up: see to GOBI_DATA_DIR, "
            "GOBI_MONGO_URI and GOBI_MONGO_DB"
        )


def _program() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gobi-sync")
    except PackageNotFoundError:
        return "unknown"


def check_apart(folder: Path, settings: Settings) -> None:
    """One inside the other would back itself up, or be lost with what it is for. Raises Refusal."""
    here, data = folder.resolve(), settings.data_dir.resolve()
    if here == data or data in here.parents or here in data.parents:
        raise Refusal(f"{folder} and the data folder {data} are one inside the other: name another folder", REFUSED)


@contextmanager
def locked(folder: BackupFolder, *, alone: bool) -> Iterator[None]:
    try:
        with folder.locked(alone=alone):
            yield
    except Busy as error:
        raise Refusal(str(error), TRY_LATER) from None


@contextmanager
def progress(what: str) -> Iterator[Tell]:
    """Counts on a terminal; says nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    last = 0

    def tell(count: int) -> None:
        nonlocal last
        if count % 100 == 0:
            last = count
            click.echo(f"\r{count:,} {what}", nl=False, err=True)

    try:
        yield tell
    finally:
        if last:
            click.echo("\r\033[K", nl=False, err=True)


def complain(lost: list[Lost], why: str) -> None:
    for one in lost:
        click.echo(f"gobi: {one.vault}: {one.path} ({one.hash[:12]}…) is {one.reason}: {why}", err=True)


def counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {what if count == 1 else what + 's'}" for what, count in counts.items())


def lost_rows(lost: list[Lost]) -> list[dict[str, str]]:
    return [{"vault": one.vault, "path": one.path, "hash": one.hash, "reason": one.reason} for one in lost]


def _report(folder: Path, done: BackedUp) -> str:
    lines = [
        f"{done.snapshot} in {folder}: {counted(done.counts)}.",
        f"{done.copied:,} bodies copied ({done.copied_bytes / 1e6:,.1f} MB), {done.there:,} were there.",
    ]
    if done.dropped:
        lines.append(f"Removed: {', '.join(done.dropped)}.")
    return "\n".join(lines)


def _as_json(done: BackedUp) -> dict[str, object]:
    return {
        "snapshot": done.snapshot,
        **{f"{kind}s": count for kind, count in done.counts.items()},
        "bodies": {"copied": done.copied, "bytes": done.copied_bytes, "there": done.there},
        "lost": lost_rows(done.lost),
        "dropped": done.dropped,
        "problem": done.problem,
        "ahead_s": {name: round(apart) for name, apart in done.ahead.items()},
    }
