"""client.ports.FileSystem, OperationQueue and Clock in memory: the same contracts, and a world that a test can turn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import BinaryIO

from client.ignore import FILE as IGNORE_FILE
from client.ports import SMALL, Blocked, Entry, LocalChange, Mount, NoRoom, Skipped
from client.queue import Operation
from client.rules import Rules
from sync.paths import ancestors

SECOND = 1_000_000_000


@dataclass
class ManualClock:
    """Stands still unless it is turned. Starts in 2027, on a machine that started an hour before."""

    now_ns: int = 1_800_000_000 * SECOND
    booted_ns: int = 1_800_000_000 * SECOND - 3600 * SECOND
    date: str = "2027-01-15"

    def time_ns(self) -> int:
        return self.now_ns

    def boot_ns(self) -> int:
        return self.booted_ns

    def today(self) -> str:
        return self.date

    def sleep(self, seconds: float) -> None:
        self.forward(seconds)

    def forward(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)


@dataclass(frozen=True)
class File:
    data: bytes
    mtime_ns: int
    ctime_ns: int
    inode: int

    def entry(self, path: str) -> Entry:
        return Entry(path, len(self.data), self.mtime_ns, self.ctime_ns, self.inode)


@dataclass
class MemoryFileSystem:
    """`tick_ns`: the resolution of its times. `room`: bytes that still fit, None for no limit.

    `meddle` is called with (method, path) before the file system looks at the file: it may change the world.
    """

    clock: ManualClock
    tick_ns: int = 1
    room: int | None = None
    files: dict[str, File] = field(default_factory=dict)
    trash: list[tuple[str, bytes]] = field(default_factory=list)
    staged: dict[str, bytes] = field(default_factory=dict)
    mounted: dict[str, Mount] = field(default_factory=dict)
    meddle: Callable[[str, str], None] = lambda method, path: None
    unflushed: set[str] = field(default_factory=set)
    patterns: Rules = field(default_factory=Rules)
    settled: bool = True  # whether `.gobiignore` has stood for a while
    received: File | None = None  # `.gobiignore` as the client has put it there
    _inodes: int = 0

    # -- what a person does

    def write(self, path: str, data: bytes, mtime_ns: int | None = None) -> None:
        """In place where the file is there. Whatever stood in the way of the path is gone."""
        for above in ancestors(path):
            self.files.pop(above, None)
        for below in [one for one in self.files if one.startswith(path + "/")]:
            del self.files[below]
        old = self.files.get(path)
        mtime_ns = self._now() if mtime_ns is None else mtime_ns
        self.files[path] = File(data, mtime_ns, self._ctime(), old.inode if old else self._new_inode())

    def delete(self, path: str) -> None:
        del self.files[path]

    def move(self, path: str, to: str) -> None:
        file = self.files.pop(path)
        self.write(to, file.data)
        self.files[to] = replace(file, ctime_ns=self._ctime())

    def contents(self) -> dict[str, bytes]:
        return {path: file.data for path, file in self.files.items()}

    # -- FileSystem

    def read_rules(self) -> None:
        file = self.files.get(IGNORE_FILE)
        received = file is not None and file == self.received
        self.patterns.read(file.data if file else None, settled=self.settled or received, received=received)

    def keep_rules(self) -> None:
        self.patterns.kept = self.patterns.good

    def dispute_rules(self, theirs: bytes | None) -> None:
        self.patterns.theirs = theirs

    def forget_rules(self) -> None:
        self.patterns.forget()

    def scan(self) -> tuple[list[Entry], list[Skipped]]:
        self.read_rules()
        return [file.entry(path) for path, file in self.files.items() if not self.ignored(path)], []

    def look_at(self, paths: Iterable[str]) -> tuple[list[Entry], list[Skipped]]:
        return [file.entry(path) for path in paths if (file := self.files.get(path)) and not self.ignored(path)], []

    def mounts(self) -> dict[str, Mount] | None:
        return dict(self.mounted)

    @property
    def rules(self) -> str:
        return self.patterns.ignored.rules

    def ignored(self, path: str) -> bool:
        return path in self.patterns.ignored

    def stat(self, path: str) -> Entry | None:
        self.meddle("stat", path)
        file = self.files.get(path)
        return file.entry(path) if file else None

    def executable(self, path: str) -> bool | None:
        return None

    def set_executable(self, path: str, expected: Entry, on: bool) -> Entry:
        return expected

    def open(self, path: str) -> BinaryIO:
        self.meddle("open", path)
        return BytesIO(self._there(path).data)

    def read(self, path: str) -> tuple[Entry, bytes]:
        self.meddle("read", path)
        file = self._there(path)
        if len(file.data) > SMALL:
            raise LocalChange(path)
        return file.entry(path), file.data

    def digest(self, path: str) -> tuple[Entry, str]:
        self.meddle("digest", path)
        file = self._there(path)
        return file.entry(path), hashlib.sha256(file.data).hexdigest()

    def stage(self, chunks: Iterable[bytes]) -> str:
        data = b"".join(chunks)
        if self.room is not None and len(data) > self.room:
            raise NoRoom("no room left on this disk; free some")
        if self.room is not None:
            self.room -= len(data)
        handle = str(self._new_inode())
        self.staged[handle] = data
        self.unflushed.add(handle)
        return handle

    def unstage(self, handle: str) -> None:
        self.staged.pop(handle, None)
        self.unflushed.discard(handle)

    def trashed(self) -> Iterator[tuple[int, BinaryIO]]:
        for _, data in self.trash:
            yield len(data), BytesIO(data)

    def flush(self) -> None:
        self.unflushed.clear()

    def install(self, handle: str, path: str, mtime_us: int | None, expected: Entry | None, trash: bool) -> Entry:
        assert handle not in self.unflushed, "only what is durable may be installed"
        data = self.staged.pop(handle)
        self.meddle("install", path)
        old = self.files.get(path)
        if (old.entry(path) if old else None) != expected:
            raise LocalChange(path)
        self._check_place(path)
        if old is not None and trash:
            self.trash.append((path, old.data))
        mtime_ns = self._now() if mtime_us is None else mtime_us * 1000 // self.tick_ns * self.tick_ns
        self.files[path] = File(data, mtime_ns, self._ctime(), int(handle))
        if path == IGNORE_FILE:
            self.received = self.files[path]
        return self.files[path].entry(path)

    def remove(self, path: str, expected: Entry, trash: bool, staying: Collection[str] = ()) -> None:
        self.meddle("remove", path)
        old = self.files.get(path)
        if old is None or old.entry(path) != expected:
            raise LocalChange(path)
        if trash:
            self.trash.append((path, old.data))
        del self.files[path]

    def rename(
        self, path: str, to: str, expected: Entry, mtime_us: int | None = None, staying: Collection[str] = ()
    ) -> Entry:
        self.meddle("rename", path)
        old = self.files.get(path)
        if old is None or old.entry(path) != expected:
            raise LocalChange(path)
        if to in self.files:
            raise Blocked(f"{to!r} exists")
        self._check_place(to)
        del self.files[path]
        mtime_ns = old.mtime_ns if mtime_us in (None, old.mtime_ns // 1000) else mtime_us * 1000
        self.files[to] = replace(old, mtime_ns=mtime_ns, ctime_ns=self._ctime())
        return self.files[to].entry(to)

    def folder_mtime(self, path: str) -> int | None:
        """There are no folders here, only files."""
        return None

    def release(self) -> tuple[list[str], bool]:
        return [], False

    def _check_place(self, path: str) -> None:
        if any(above in self.files for above in ancestors(path)):
            raise Blocked("something that is not a folder is in the way")
        if any(one.startswith(path + "/") for one in self.files):
            raise Blocked("a folder is in the way")

    def _there(self, path: str) -> File:
        if path not in self.files:
            raise LocalChange(f"{path!r} is gone")
        return self.files[path]

    def _now(self) -> int:
        return self.clock.now_ns // self.tick_ns * self.tick_ns

    def _ctime(self) -> int:
        return self._now()

    def _new_inode(self) -> int:
        self._inodes += 1
        return self._inodes


@dataclass
class MemoryQueue:
    """client.queue.OperationQueue."""

    operations: list[Operation] = field(default_factory=list)
    _loaded: int = 0

    def load(self) -> tuple[list[Operation], int]:
        self._loaded = len(self.operations)
        return list(self.operations), 0

    def append(self, operations: Sequence[Operation]) -> None:
        self.operations += operations

    def replace(self, operations: Sequence[Operation]) -> None:
        self.operations = [*operations, *self.operations[self._loaded :]]
        self._loaded = len(operations)
