"""What one round of a sync knows, and what it notes down while it works."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from client.ahead import Ahead
from client.ignore import FILE as IGNORE_FILE
from client.index import Index, Record
from client.ports import Clock, Entry, FileSystem, Progress, Transport
from client.queue import Operation
from client.report import Report
from client.scan import View
from sync.model import Action, Version

T = TypeVar("T")

MOST_BYTES = 16 * 1024 * 1024  # more than any bundle that is cut by its files' sizes
LEAST_BYTES = 64 * 1024


@dataclass
class Room:
    """How many bytes one push may carry to come through, by what did not. Lasts as long as the process."""

    size: int = MOST_BYTES

    def shrink(self, failed: int) -> None:
        """A push of `failed` bytes was too large."""
        self.size = max(LEAST_BYTES, min(self.size, failed // 2))


@dataclass
class Work:
    """One round. `cursor`: where this client stands once everything that was asked for is done or waits.

    `full`: this sync began from "0", so that the index may be wrong about what the server has. `planned`: the hash that
    the plan in the queue has for a path. `given_up`: files that others deleted in bulk, so that they go to the trash.
    `waiting`: what could not be done, or is held back, by path. `again`: something changed meanwhile; another round
    will settle it.
    `uploaded`, `deleted`: what the server took. `stepped_aside`: files that got another name there. `seen`: the newest
    stamp that `cursor` is known to be past. `room`: what one push may carry.
    """

    fs: FileSystem
    transport: Transport
    clock: Clock
    index: Index
    device: str
    progress: Progress
    ahead: Ahead
    report: Report
    view: View
    full: bool
    cursor: str
    planned: dict[str, str] = field(default_factory=dict)
    given_up: frozenset[str] = frozenset()
    waiting: dict[str, Operation] = field(default_factory=dict)
    uploaded: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    stepped_aside: set[str] = field(default_factory=set)
    again: bool = False
    seen: int = 0
    room: Room = field(default_factory=Room)

    def same(
        self,
        version: Version,
        entry: Entry,
        seen_ns: int,
        executable: bool | None = None,
        before: bool | None = None,
    ) -> None:
        """Both sides have this version. `seen_ns`: a moment before the file was looked at.

        `executable`: as it was sent. Where it was not, the file becomes what the version says, unless somebody changed
        just that here. `before`: what it was before that, where it is not what was recorded of this path.
        """
        assert version.hash is not None, "only a put is the same as a file"
        old = self.index.records.get(version.path)
        if before is None:
            before = old is not None and old.executable
        if executable is None:
            executable = before
            if before or version.executable or version.path in self.view.hashes:
                entry, executable = self._take_executable(version, entry, before)
                if executable is None:  # to be found again, and told
                    seen_ns, executable, self.again = 0, before, True
        new = Record.of(entry, version.stamp, version.hash, seen_ns)._replace(executable=executable)
        if old is None or old._replace(recorded_ns=seen_ns) != new:
            self.index.put(new)

    def _take_executable(self, version: Version, entry: Entry, before: bool) -> tuple[Entry, bool | None]:
        """The file's entry then, and whether it may be run; None where somebody changed that here."""
        here = self.fs.executable(version.path)
        if here is None:
            return entry, before
        if here == version.executable:
            return entry, here
        if here != before:
            return entry, None
        entry = self.fs.set_executable(version.path, entry, version.executable)
        return entry, bool(self.fs.executable(version.path))

    def gone(self, path: str) -> None:
        """Neither side has a file there."""
        self.index.forget(path)
        if path == IGNORE_FILE:  # it was deleted, and everybody knows: from now on nothing is left out
            self.fs.forget_rules()
            self.again = True

    def wait(self, action: Action, why: str, *, refused: bool = False) -> None:
        """The next sync tries again. With `refused` a person has to do something first."""
        self.waiting[action.path] = Operation(
            action.do, action.path, at=self.clock.time_ns() // 1000, why=why, refused=refused
        )

    def wait_for_server(self, action: Action, why: str) -> None:
        """The next sync tries again: it is the server, or what is on the way to it, that could not now."""
        self.wait(action, why)
        self.report.unreached.append(action.path)

    def retry(self, action: Action, why: str = "it changed while it was synced") -> None:
        """Another round decides anew."""
        self.wait(action, why)
        self.again = True

    def on_server(self, path: str) -> bool:
        """Whether the server surely has the bytes that lie at `path`, so that they need no place in the trash."""
        record = self.index.records.get(path)
        if self.full or record is None or record.stamp is None:
            return False
        return self.hash_of(path) == record.hash

    def hash_of(self, path: str) -> str | None:
        """The content of the file at `path`, None where there is none."""
        if path not in self.view.entries:
            return None
        digest = self.view.hashes.get(path)
        if digest is None:
            record = self.index.records.get(path)
            return record.hash if record else None
        return digest


def in_bundles(items: Iterable[T], size_of: Callable[[T], int], most: int, room: int) -> Iterator[list[T]]:
    """Lists of at most `most` items and, but for a single larger one, `room` bytes."""
    bundle: list[T] = []
    size = 0
    for item in items:
        added = size_of(item)
        if bundle and (len(bundle) >= most or size + added > room):
            yield bundle
            bundle, size = [], 0
        bundle.append(item)
        size += added
    if bundle:
        yield bundle
