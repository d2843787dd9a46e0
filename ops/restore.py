"""`gobi restore-backup`: what `gobi backup` made, put back into an empty database and data folder."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from ops.backup import NEEDS_A_PERSON, TRY_LATER, check_apart, complain, counted, locked, lost_rows, progress
from ops.commands import REFUSED, Refusal, ServerCommand, env_file_option
from ops.settings import Settings, load
from ops.storage import BODIES, DATABASE, become_owner, open_bodies, open_unprepared, prepare_folder
from store import backup_format
from store.backup_folder import BackupFolder
from store.base import Metadata
from store.errors import Refused, StoreError, Unavailable
from store.restore import Restored, check_clock, check_empty, restore

INTERRUPTED = 130

_EXAMPLES = """\b
Examples:
  gobi restore-backup /mnt/usb/gobi --list
  gobi restore-backup /mnt/usb/gobi
  gobi restore-backup /mnt/usb/gobi --snapshot 2026-11-28T13-51-33Z --yes"""


@click.command("restore-backup", cls=ServerCommand, epilog=_EXAMPLES)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--snapshot", metavar="NAME", help="Restore this one instead of the newest.")
@click.option("--list", "only_list", is_flag=True, help="List the backups in DIR, and do nothing else.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also where this machine's clock, which is right, is before the backup's.")
@click.option("--json", "as_json", is_flag=True, help="Say what was done, or what there is, as JSON.")
@env_file_option
def restore_backup(
    folder: Path, snapshot: str | None, only_list: bool, yes: bool, force: bool, as_json: bool, env_file: Path | None
) -> None:
    """Put a backup from DIR back into the database and the data folder that the settings name.

    These have to be empty, and no server may run on them; the backup may come from another kind of database. Bodies
    that are in the data folder already are used where they are whole. Cut off anywhere, run it again.

    Every client then looks at everything anew: files that are newer than the backup come back from them.
    """
    settings = load(os.environ, env_file)
    become_owner(settings.data_dir)
    there = BackupFolder(folder.absolute())
    there.check()
    if only_list:
        _list(there, as_json)
        return
    check_apart(there.path, settings)
    prepare_folder(settings.data_dir)
    with locked(there, alone=False), _alone(settings.data_dir):
        name = _chosen(there, snapshot)
        summary = backup_format.summary(there.file(name))
        if not force:
            check_clock(summary, time.time())
        with _opened(settings) as metadata:
            check_empty(metadata, _elsewhere(settings))
            if not yes:
                _ask(settings, name, summary)
            done = _restore(settings, metadata, there, name, summary.made if force else 0)
    click.echo(json.dumps(_as_json(name, done), ensure_ascii=False) if as_json else _report(name, done))
    complain(done.lost, "the backup does not have it; a client that has the file brings it back")
    if done.lost:
        raise SystemExit(NEEDS_A_PERSON)


def _restore(settings: Settings, metadata: Metadata, folder: BackupFolder, name: str, above: int) -> Restored:
    # A terminal that goes away, or a stop, is no other than Ctrl-C: the database is to be left empty.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with progress("bodies") as tell:
            return restore(
                metadata,
                open_bodies(settings, make=True),
                settings.data_dir / BODIES,
                folder,
                name,
                place=_elsewhere(settings),
                above=above,
                tell=tell,
            )
    except KeyboardInterrupt:
        raise Refusal("stopped: nothing was restored; run this again", INTERRUPTED) from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Neither two of these at once, nor one beside `gobi migrate`: the lock is gone with its process."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(
                "another `gobi restore-backup` or `gobi migrate` is running: wait for it", TRY_LATER
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _opened(settings: Settings) -> Iterator[Metadata]:
    """The database, also where it is half restored. A server on a file is known by its lock; one on MongoDB is not,
    and is kept from writing by the database's own mark."""
    file = settings.data_dir / DATABASE
    if settings.mongo_uri is None:
        from store.sqlite_target import only_user

        try:
            with only_user(file):
                pass
            metadata = open_unprepared(settings)
        except Unavailable as error:
            raise Unavailable(f"{error}. For a new database move {file}* away, then run this again") from error
    else:
        metadata = open_unprepared(settings)
    with closing(metadata):
        yield metadata


def _elsewhere(settings: Settings) -> str:
    if settings.mongo_uri is not None:
        return "set GOBI_MONGO_DB to the name of another one"
    return f"stop the server and move {settings.data_dir / DATABASE}* away, or set GOBI_DATA_DIR to an empty folder"


def _chosen(folder: BackupFolder, snapshot: str | None) -> str:
    names = folder.names()
    if not names:
        raise Refused(f"no backup in {folder.path} was ever finished")
    if snapshot is None:
        return names[-1]
    if snapshot not in names:
        raise Refused(f"there is no {snapshot} in {folder.path}: see --list")
    return snapshot


def _ask(settings: Settings, name: str, there: backup_format.Summary) -> None:
    if not sys.stdin.isatty():
        raise Refusal("add --yes to restore without being asked", REFUSED)
    database = (
        f"the database {settings.mongo_db} in MongoDB" if settings.mongo_uri else str(settings.data_dir / DATABASE)
    )
    click.echo(f"{name}: {counted(there.counts)}.")
    click.confirm(f"Restore this to {database} and {settings.data_dir / BODIES}?", abort=True)


def _list(folder: BackupFolder, as_json: bool) -> None:
    rows: list[dict[str, object]] = []
    damaged = False
    for name in folder.names():
        try:
            there = backup_format.summary(folder.file(name))
        except StoreError as error:
            damaged = True
            rows.append({"snapshot": name, "whole": False, "problem": str(error)})
            continue
        row: dict[str, object] = {"snapshot": name, "whole": True, "gobi": there.program}
        rows.append(row | {f"{kind}s": count for kind, count in there.counts.items()})
    if as_json:
        click.echo(json.dumps({"snapshots": rows}, ensure_ascii=False))
    else:
        for row in rows:
            said = row.get("problem") or ", ".join(f"{row[one]:,} {one}" for one in ("users", "vaults", "versions"))
            click.echo(f"{row['snapshot']}  {said}")
        if not rows:
            click.echo(f"No backup in {folder.path} was ever finished.")
    if damaged:
        raise SystemExit(NEEDS_A_PERSON)


def _report(name: str, done: Restored) -> str:
    moved = done.moved
    counts = {"user": moved.users, "vault": moved.vaults, "version": moved.versions, "conflict": moved.conflicts}
    return (
        f"{name} is restored: {counted(counts)}.\n"
        f"{done.copied:,} bodies copied, {done.there:,} were there.\n"
        "Next: start the server. Clients look at everything anew with their next sync, and what is newer than the "
        "backup comes back from them."
    )


def _as_json(name: str, done: Restored) -> dict[str, object]:
    moved = done.moved
    return {
        "snapshot": name,
        "users": moved.users,
        "vaults": moved.vaults,
        "versions": moved.versions,
        "conflicts": moved.conflicts,
        "bodies": {"copied": done.copied, "there": done.there},
        "lost": lost_rows(done.lost),
    }
