"""Putting what was received into the folder, so that the index never says more than the disk holds.

In batches: one flush makes the staged bytes of a batch durable and, with them, the names of the batch before; only
then does the index learn of those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from client.ports import Blocked, Entry, LocalChange, NoRoom
from client.work import Work
from sync.model import Action, Version

BATCH_FILES = 2_000
BATCH_BYTES = 32 * 1024 * 1024


class Damaged(Exception):
    """What came is not what the server announced."""


class Download(NamedTuple):
    """A file to be put at `head.path`, where `expected` is now (None: nothing)."""

    action: Action
    head: Version
    expected: Entry | None
    trash: bool


class _Installed(NamedTuple):
    """`executable`: whether the file may be run by what is known of it; None for what is recorded of its path."""

    download: Download
    entry: Entry
    seen_ns: int
    executable: bool | None


class Installer:
    """Every method may raise Stopped.

    `staying`: folders that are not removed for being empty. `no_room`: why nothing more fits on the disk, once that is
    so.
    """

    def __init__(self, work: Work, staying: Collection[str] = ()) -> None:
        self._work = work
        self._staying = staying
        self._staged: list[tuple[Download, str]] = []
        self._size = 0
        self._installed: list[_Installed] = []
        self._removed: list[Action] = []
        self.no_room: str | None = None

    def stage(self, download: Download, chunks: Iterable[bytes]) -> bool:
        """Writes and verifies a body; whether that went well. Raises whatever `chunks` raises."""
        try:
            handle = self._work.fs.stage(_verified(chunks, download.head))
        except Damaged:
            self._work.wait(
                download.action,
                "what came was not what the server had announced: damaged on its disk or on the way. If that stays "
                "so, run gobi check on the server",
                refused=True,
            )
            return False
        except Blocked as error:
            if isinstance(error, NoRoom):
                self.no_room = str(error)
            self._work.wait(download.action, str(error))
            return False
        self._staged.append((download, handle))
        self._size += download.head.size
        return True

    def remove(self, action: Action, entry: Entry, *, trash: bool) -> None:
        """Deletes a file here."""
        try:
            self._work.fs.remove(action.path, entry, trash, self._staying)
        except LocalChange:
            self._work.retry(action)
        except Blocked as error:
            self._work.wait(action, str(error))
        else:
            self._removed.append(action)
            self._work.report.deleted_here += 1
            self._work.report.trail.append(("deleted here", action.path))

    def move(self, download: Download, old: Action, entry: Entry) -> bool:
        """Renames a file instead of fetching it under its new name; False where that cannot be."""
        seen_ns = self._work.clock.time_ns()
        try:
            moved = self._work.fs.rename(entry.path, download.head.path, entry, download.head.mtime, self._staying)
        except (LocalChange, Blocked):
            return False
        record = self._work.index.records.get(entry.path)
        self._installed.append(_Installed(download, moved, seen_ns, record is not None and record.executable))
        self._removed.append(old)
        self._work.report.renamed += 1
        self._work.report.trail.append(("renamed here", f"{old.path} → {download.head.path}"))
        return True

    def flush_if_due(self) -> None:
        if len(self._staged) >= BATCH_FILES or self._size >= BATCH_BYTES:
            self.flush()

    def install(self) -> None:
        """Puts what is staged in its place."""
        if self._staged:
            self.flush()

    def finish(self) -> None:
        """Installs what is staged, and lets the index know of everything."""
        self.install()
        if self._installed or self._removed:
            self.flush()

    def flush(self) -> None:
        staged, self._staged, self._size = self._staged, [], 0
        try:
            self._work.fs.flush()
        except Blocked as error:
            self._give_up(staged, error)
            return
        for one in self._installed:
            self._work.same(one.download.head, one.entry, one.seen_ns, before=one.executable)
        for action in self._removed:
            self._work.gone(action.path)
        self._installed, self._removed = [], []
        self._work.index.save()
        for download, handle in staged:
            self._install(download, handle)

    def _install(self, download: Download, handle: str) -> None:
        head = download.head
        seen_ns = self._work.clock.time_ns()
        try:
            entry = self._work.fs.install(handle, head.path, head.mtime, download.expected, download.trash)
        except LocalChange:
            self._work.retry(download.action)
        except Blocked as error:
            self._work.wait(download.action, str(error))
        else:
            # A new file cannot be run; one in another's place is as that one was.
            executable = False if download.expected is None else None
            self._installed.append(_Installed(download, entry, seen_ns, executable))
            self._work.report.downloaded += 1
            self._work.report.trail.append(("received", head.path))

    def _give_up(self, staged: list[tuple[Download, str]], error: Blocked) -> None:
        """Nothing is known of files whose flush failed: the staged ones go, the others are compared anew next time."""
        for download, handle in staged:
            self._work.fs.unstage(handle)
            self._work.wait(download.action, str(error))
        for one in self._installed:
            self._work.wait(one.download.action, str(error))
        for action in self._removed:
            self._work.wait(action, str(error))
        self._installed, self._removed = [], []


def _verified(chunks: Iterable[bytes], version: Version) -> Iterator[bytes]:
    digest = hashlib.sha256()
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > version.size:
            raise Damaged
        digest.update(chunk)
        yield chunk
    if size != version.size or digest.hexdigest() != version.hash:
        raise Damaged
