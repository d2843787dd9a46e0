"""`.gobi/queue.jsonl`: the operations that wait, one JSON object a line, for people to read.

Two kinds of lines. `delete` is what a person did while gobi was there to see it (`gobi rm`): it is reported to the
server until it is settled. All others are what the server's last answer asked for and is not done yet: written before
the work begins, cleared when it is done. What is left, for whatever reason, the next sync reports again, so that the
cursor may move on meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from client.index import bounded
from client.ports import StateTrouble, Stopped
from client.state import read_own

DELETE = "delete"
NAME, _NEW = "queue.jsonl", "queue.new"


class Operation(NamedTuple):
    """`op`: `delete`, or the protocol's word for what the server asked (section 5). `at` is in µs since 1970.

    `base`: the version a delete was made on. `by`: who deleted (`rm`, `watch`; `others`: held back here). `why`: what
    kept it from being done; `refused`: it takes a person to get on. `sent`: hashes that may have been sent for the
    path, should the sync break off here.
    """

    op: str
    path: str
    base: int | None = None
    by: str = ""
    at: int = 0
    why: str = ""
    refused: bool = False
    sent: tuple[str, ...] = ()

    def to_line(self) -> str:
        return _encode({name: value for name, value in zip(self._fields, self, strict=True) if value}) + "\n"

    @classmethod
    def from_line(cls, line: bytes) -> Operation:
        """Raises ValueError."""
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError("not an object")
        known = {name: row[name] for name in cls._fields if row.get(name) is not None}
        if not all(isinstance(value, _KINDS[name]) for name, value in known.items()):
            raise ValueError("not an operation")
        return cls(**known | {"sent": bounded(tuple(map(str, known.get("sent", ()))))})


_KINDS = {"op": str, "path": str, "base": int, "by": str, "at": int, "why": str, "refused": bool, "sent": list}
_encode = json.JSONEncoder(ensure_ascii=False).encode


class OperationQueue(Protocol):
    """What the engine needs of a queue."""

    def load(self) -> tuple[list[Operation], int]:
        """What waits, oldest first, and how many lines were not readable."""

    def append(self, operations: Sequence[Operation]) -> None:
        """Durable on return. May happen in another process at any time."""

    def replace(self, operations: Sequence[Operation]) -> None:
        """Puts these in the place of what was last loaded; what was appended since stays. Durable on return."""


class FileQueue:
    """The queue in a file of the folder `state`. Every method raises StateTrouble where the disk says no.

    Stopped where that folder is gone.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._file = state / NAME
        self._loaded = 0  # bytes of the file that `load` saw or `replace` wrote

    def load(self) -> tuple[list[Operation], int]:
        with self._held():
            data = self._read()
        self._loaded = len(data)
        found, damaged = [], 0
        for line in data.splitlines():
            try:
                found.append(Operation.from_line(line))
            except (ValueError, TypeError):
                damaged += bool(line.strip())
        return found, damaged

    def append(self, operations: Sequence[Operation]) -> None:
        if not operations:
            return
        with self._held() as folder:
            present = self._read()
            cut = b"\n" if present and not present.endswith(b"\n") else b""  # by a power failure
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(NAME, flags, 0o600, dir_fd=folder)
            try:
                _write_all(descriptor, cut + _encoded(operations))
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, len(present))  # all of it or nothing, as for a full disk
                raise
            finally:
                os.close(descriptor)
            if not present:
                os.fsync(folder)

    def replace(self, operations: Sequence[Operation]) -> None:
        with self._held() as folder:
            present = self._read()
            data = _encoded(operations)
            appended = present[self._loaded :]
            if data + appended != present:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
                with open(os.open(_NEW, flags, 0o600, dir_fd=folder), "wb") as file:
                    file.write(data + appended)
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(_NEW, NAME, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            self._loaded = len(data)

    def _read(self) -> bytes:
        try:
            return read_own(self._file)
        except FileNotFoundError:
            return b""

    @contextmanager
    def _held(self) -> Iterator[int]:
        """Keeps other processes off the file, but not for the length of a sync."""
        try:
            folder = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
                yield folder
            finally:
                os.close(folder)
        except FileNotFoundError as error:
            raise Stopped(f"{self._state} is not there any more; run gobi connect", 78) from error
        except OSError as error:
            raise StateTrouble(f"{self._file} cannot be used ({error.strerror})") from error


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _encoded(operations: Sequence[Operation]) -> bytes:
    return "".join(operation.to_line() for operation in operations).encode("utf-8", "surrogateescape")
