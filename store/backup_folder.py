"""Where backups lie: one folder with the metadata of the last few, and every body once that any of them names.

```
gobi-backup.txt     says what this is
lock                held by whoever is at it
snapshots/          the metadata of each backup, named by its time (UTC): 2026-11-28T13-51-33Z.jsonl.gz
bodies/             as in the data folder: <vault id>/ab/cdef…, named by their SHA-256
```
"""

from __future__ import annotations

import calendar
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from store import backup_format
from store.bodies import DiskBodies
from store.errors import BodyMissing, DiskFull, Refused, Unavailable
from store.flush import flush_files

MARKER = "gobi-backup.txt"
_SAYS = """\
gobi backup

The server gobi keeps its backups here: the metadata of the last few in snapshots/ (JSON, an object a line, gzip), and
the content of every file in bodies/, by vault and SHA-256. To restore one:

    gobi restore-backup THIS-FOLDER

The snapshots have people's names and the hashes of their passwords: keep them to yourself. Write nothing else here.
"""
_ENDING = ".jsonl.gz"
_PART = ".part"
_TIME = "%Y-%m-%dT%H-%M-%SZ"
# What a disk's own root folder has beside files.
_NOBODYS = {"lost+found"}
# How many bodies are remembered at once to find those that nobody needs: some 100 bytes each.
_AT_ONCE = 500_000
_MOST_ROUNDS = 256  # a hash is told from another by its first byte


class Busy(Unavailable):
    """Somebody else is at it."""


class _KeptBodies(DiskBodies):
    """What a backup does not have is not written down in it."""

    def open(self, vault_id: str, hash: str) -> BinaryIO:
        with translated(Path(self._root)):
            try:
                return open(self._place(vault_id, hash)[1], "rb", buffering=0)
            except FileNotFoundError:
                raise BodyMissing("the backup does not have it") from None


class BackupFolder:
    """`path` has to be there already for whoever only reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._snapshots = path / "snapshots"

    # -- preparing

    def prepare(self) -> None:
        """Makes the folder what it has to be. Raises Refused where it holds something else."""
        with self._translated():
            self.path.mkdir(mode=0o700, exist_ok=True)
            if not (self.path / MARKER).exists():
                if set(os.listdir(self.path)) - _NOBODYS - {MARKER + _PART}:
                    raise Refused(f"{self.path} holds something else: name a folder that is empty, or a new one")
                self._put(self.path / MARKER, _SAYS.encode())
            self._snapshots.mkdir(mode=0o700, exist_ok=True)
            flush_files([str(self.path)], on=str(self.path))

    def check(self) -> None:
        """Raises Refused where this is no folder of backups."""
        with self._translated():
            there = self._snapshots.is_dir()
        if not there:
            raise Refused(f"{self.path} has no backups: name the folder that was given to `gobi backup`")

    @contextmanager
    def locked(self, *, alone: bool) -> Iterator[None]:
        """`alone` to write, with others to read. Raises Busy."""
        with self._translated():
            flags = os.O_RDWR | os.O_CREAT if alone else os.O_RDONLY
            try:
                descriptor = os.open(self.path / "lock", flags | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                if alone:
                    raise
                yield  # a copy without it, perhaps on a disk that cannot be written to: nobody does
                return
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                yield
            except BlockingIOError:
                raise Busy(f"another gobi is at work in {self.path}: try again when it has ended", 60) from None
            finally:
                os.close(descriptor)

    def bodies(self) -> DiskBodies:
        try:
            return _KeptBodies(self.path / "bodies")
        except Unavailable as error:
            raise unusable(self.path, error) from error

    # -- snapshots

    def names(self) -> list[str]:
        """Oldest first; before them those that somebody has given a name of their own."""
        with self._translated():
            names = [one.removesuffix(_ENDING) for one in os.listdir(self._snapshots) if one.endswith(_ENDING)]
        return sorted(names, key=lambda name: (_moment(name), name))

    def file(self, name: str) -> Path:
        return self._snapshots / (name + _ENDING)

    def part(self) -> Path:
        """Where the next snapshot's file is written."""
        return self._snapshots / ("next" + _PART)

    def publish(self, now: float) -> str:
        """What was written becomes a snapshot, durably; returns its name. Later than all others by its name, whatever
        the clock says."""
        names = self.names()
        if names:
            now = max(now, _moment(names[-1]) + 1)
        name = time.strftime(_TIME, time.gmtime(now))
        with self._translated():
            flush_files([str(self.part())], on=str(self.path))
            self.part().rename(self.file(name))
            flush_files([str(self._snapshots)], on=str(self.path))
        return name

    def sweep(self) -> None:
        """Removes what one that was killed has left. Only for who has the lock alone."""
        with self._translated():
            self.part().unlink(missing_ok=True)
            for leftover in (self.path / "bodies" / "tmp").glob("*"):
                leftover.unlink()

    def keep(self, count: int) -> list[str]:
        """Removes all snapshots but the newest `count`, and then the bodies that only those named; returns their names.

        What does not have the name of a time stays, with its bodies, and counts for none.
        Raises Refused where one that stays cannot be read: what it needs is not known, so every body stays.
        """
        names = self.names()
        dropped = [name for name in names if _moment(name)][:-count]
        if not dropped:
            return []
        with self._translated():
            for name in dropped:
                self.file(name).unlink()
            flush_files([str(self._snapshots)], on=str(self.path))
        self._remove_unneeded([self.file(name) for name in names if name not in dropped])
        return dropped

    def _remove_unneeded(self, kept: list[Path]) -> None:
        """In several rounds, each for some of the folders, where there are too many bodies to be remembered at once."""
        number, rounds = 0, 1
        while number < rounds:
            needed = _needed(kept, number, rounds)
            if needed is None:
                number, rounds = 0, rounds * 2
                continue
            with self._translated():
                for vault, digest, file in self._there():
                    if _round(digest, rounds) == number and (vault, digest) not in needed:
                        file.unlink()
            number += 1

    def _there(self) -> Iterator[tuple[str, str, Path]]:
        for vault in (self.path / "bodies").iterdir():
            if vault.name == "tmp" or not vault.is_dir():
                continue
            for folder in vault.iterdir():
                for file in folder.iterdir():
                    digest = folder.name + file.name
                    if len(digest) == 64:
                        yield vault.name, digest, file

    # -- the disk

    def _put(self, path: Path, data: bytes) -> None:
        part = path.with_name(path.name + _PART)
        part.write_bytes(data)
        flush_files([str(part)], on=str(self.path))
        part.rename(path)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translated(self.path):
            yield


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The disk's failures as the store's, in words about this folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_room(path) from error
        if isinstance(error, FileNotFoundError):
            raise Refused(f"there is no {error.filename}: make the folder, or mount its disk") from error
        if isinstance(error, PermissionError):
            raise Refused(
                f"{error.filename} is not for this user ({error.strerror}): give {path} to the one who runs the server "
                "(chown -R)"
            ) from error
        raise Unavailable(f"{path} cannot be used ({error.strerror}): see to its disk") from error


def unusable(path: Path, error: Unavailable) -> Unavailable:
    """What bodies say of their folder, in words about this one."""
    cause = error.__cause__
    reason = getattr(cause, "strerror", None) or str(error)
    return Unavailable(f"{path} cannot be used ({reason}): see to its disk and permissions, then run this again")


def no_room(path: Path, how: str = "") -> DiskFull:
    return DiskFull(
        f"no room on the disk of {path}: {how}free some, then run this again. What was there before is whole"
    )


def _moment(name: str) -> int:
    try:
        return calendar.timegm(time.strptime(name, _TIME))
    except ValueError:
        return 0


def _named(path: Path) -> Iterator[tuple[str, str]]:
    """(vault id, hash) of every body that a snapshot names."""
    vault = ""
    for kind, fields in backup_format.rows(path):
        if kind == "vault":
            vault = fields["id"]
        for _, digest, _ in backup_format.bodies_of(kind, fields):
            yield vault, digest


def _needed(kept: list[Path], number: int, rounds: int) -> set[tuple[str, str]] | None:
    """What these snapshots name of this round's bodies; None where that is too much to be remembered."""
    needed: set[tuple[str, str]] = set()
    for path in kept:
        needed.update(one for one in _named(path) if _round(one[1], rounds) == number)
        if len(needed) > _AT_ONCE and rounds < _MOST_ROUNDS:
            return None
    return needed


def _round(digest: str, rounds: int) -> int:
    return int(digest[:2], 16) % rounds
