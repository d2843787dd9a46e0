"""What the client reports to the server (docs/protocol.md, section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from client.ignore import FILE as IGNORE_FILE
from client.index import Record
from client.ports import Clock, FileSystem, Stopped
from client.queue import DELETE, Operation
from client.renames import recognise
from client.scan import View
from sync.model import Change

FEW = 20  # deletes that are always believed
BY_HAND, BY_WATCH = "rm", "watch"


class MassDelete(Stopped):
    """Most files, `paths`, are about to be deleted everywhere, and nobody has named them."""

    def __init__(self, message: str, paths: set[str]) -> None:
        super().__init__(message)
        self.paths = paths


@dataclass
class Outgoing:
    """The report, in path order.

    `renamed`: old path → new path. `deletes`: the queue's deletes that are part of it, by path. `doubtful`: the
    deletes that nobody asked for by name.
    """

    changes: list[Change] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    deletes: dict[str, Operation] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)

    def hashes(self) -> dict[str, str]:
        """The content that was reported, by path."""
        return {change.path: change.hash for change in self.changes if change.hash is not None}


def collect(
    view: View,
    records: Mapping[str, Record],
    waiting: Iterable[Operation],
    fs: FileSystem,
    *,
    full: bool,
    propagate_deletes: bool,
) -> Outgoing:
    """`waiting` is the queue. `full`: the sync begins from "0", so everything tracked is reported, changed or not."""
    return _Collector(view, records, waiting, fs, full, propagate_deletes).collect()


def check_mass_delete(outgoing: Outgoing, tracked: int) -> None:
    """Raises MassDelete: more than half of the files; and, once they were held back, for as long as they are many."""
    doubtful = outgoing.doubtful
    held = any(one.refused for path, one in outgoing.deletes.items() if path in doubtful)
    if len(doubtful) > FEW and (held or len(doubtful) * 2 > tracked):
        raise MassDelete(
            f"{len(doubtful):,} of {tracked:,} files would be deleted everywhere, so nothing was done. If that is "
            "what you want, sync again with --allow-mass-delete; if not, put the files back first, or sync again "
            "without --propagate-deletes to get them back from the server",
            doubtful,
        )


def deletes_of(
    paths: Iterable[str], records: Mapping[str, Record], waiting: Iterable[Operation], clock: Clock, by: str
) -> list[Operation]:
    """What somebody deleted while gobi was there to see it, for the queue.

    `waiting`: what is in the queue. Nothing is said of a path of which nothing can have reached the server, nor of one
    whose delete is in the queue.
    """
    waiting = list(waiting)
    known = {one.path for one in waiting if one.op == DELETE}
    planned = {one.path for one in waiting if one.sent}
    now = clock.time_ns() // 1000
    deletes = []
    for path in paths:
        record = records.get(path)
        if path not in known and (path in planned or (record is not None and record.may_be_there)):
            deletes.append(Operation(DELETE, path, record.stamp if record else None, by=by, at=now))
    return deletes


class _Collector:
    def __init__(
        self,
        view: View,
        records: Mapping[str, Record],
        waiting: Iterable[Operation],
        fs: FileSystem,
        full: bool,
        propagate_deletes: bool,
    ) -> None:
        self._view = view
        self._records = records
        self._fs = fs
        self._full = full
        self._propagate_deletes = propagate_deletes
        self._waiting = {one.path for one in waiting if one.op != DELETE}
        self._deletes = {one.path: one for one in waiting if one.op == DELETE}
        # What is to be sent on top of a tombstone is no older version of the path, whatever its bytes are.
        self._bases = {one.path: one.base for one in waiting if one.op == "upload"}
        self._found = Outgoing()
        self._kept: set[str | None] = set()  # content that is sent under some name

    def collect(self) -> Outgoing:
        present = list(self._present())
        self._kept = {change.hash for change in present}
        changes = [*present, *self._absent()]
        changes.sort(key=lambda change: change.path)
        self._found.changes = changes
        return self._found

    def _present(self) -> Iterable[Change]:
        """Files that are there. Most are not worth a word; this runs once for each of them."""
        entries, hashes, records = self._view.entries, self._view.hashes, self._records
        unsettled = self._waiting | {path for path, one in records.items() if one.sent or one.conflict}
        for path in entries if self._full else hashes.keys() | unsettled:
            entry = entries.get(path)
            if entry is None:
                continue
            record = records.get(path, Record.unknown(path))
            if self._view.why_unknown(path) is not None:
                if self._full and record.stamp is not None:
                    yield _same(record)  # as far as anybody can tell
                continue
            digest = hashes.get(path, record.hash)
            if record.stamp is None or digest != record.hash:
                yield self._put(path, record, digest)
            elif self._full:
                yield _same(record)
            elif path in unsettled or self._view.made_executable(path, record) is not None:
                yield self._put(path, record, digest)

    def _put(self, path: str, record: Record, digest: str) -> Change:
        entry = self._view.entries[path]
        executable = self._view.made_executable(path, record)
        base = self._bases.get(path) if record.stamp is None else record.stamp
        return Change(path, "put", base, digest, entry.size, entry.mtime_us, record.sent, executable)

    def _absent(self) -> Iterable[Change]:
        """Files that are gone, hidden, or never were here."""
        gone: dict[str, Record] = {}
        for path in (self._records.keys() | self._waiting | self._deletes.keys()) - self._view.entries.keys():
            record = self._records.get(path, Record.unknown(path))
            if path in self._deletes:
                yield self._delete(path, record)
            elif not self._fs.ignored(path):
                if self._view.why_unknown(path) is None:
                    gone[path] = record
                elif self._full and record.stamp is not None:
                    yield _same(record)
        missing = (one for one in gone.values() if one.stamp is not None and one.path != IGNORE_FILE)  # out of the way
        self._found.renamed = recognise(missing, self._new())
        for path, record in gone.items():
            if path in self._found.renamed:
                yield Change(path, "delete", record.stamp, sent=record.sent)
            elif self._propagate_deletes and record.stamp is not None and path not in self._waiting:
                self._found.doubtful.add(path)
                yield Change(path, "delete", record.stamp, sent=record.sent)
            else:
                yield Change(path, "missing", record.stamp, sent=record.sent)

    def _delete(self, path: str, record: Record) -> Change:
        operation = self._deletes[path]
        self._found.deletes[path] = operation
        if operation.by != BY_HAND and record.hash not in self._kept:
            self._found.doubtful.add(path)
        base = operation.base if record.stamp is None else record.stamp
        return Change(path, "delete", base, sent=record.sent)

    def _new(self) -> dict[str, tuple[str, int]]:
        return {
            path: (digest, self._view.entries[path].inode)
            for path, digest in self._view.hashes.items()
            if (record := self._records.get(path)) is None or record.stamp is None
        }


def _same(record: Record) -> Change:
    return Change(record.path, "same", record.stamp, record.hash)
