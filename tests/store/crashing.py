"""A server whose n-th system call kills it or fails, for every n: `python -m tests.store.crashing FOLDER FAULT`.

FOLDER/template is the server's data before. For every n FOLDER/n is what is left of a copy after the two requests
below, with the fault at the n-th call; FOLDER/n/told.json has what was called and what the client was told.
FOLDER/0 had no fault. Faults: `kill`, or the name of an errno.

A program of its own, so that it can fork: the test's process has threads.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store import flush
from store.bodies import DiskBodies
from store.errors import StoreError
from store.sqlite import SqliteMetadata
from tests.store.world import World, change, parcel, removal

NEVER_REACHED = 3
CALLS = ("open", "write", "close", "fsync", "fdatasync", "link", "rename", "mkdir", "unlink", "utime", "stat")
# What a full disk fails; everything fails on a broken one.
NEEDS_ROOM = ("open", "write", "fsync", "link", "rename", "mkdir", "syncfs")

OLD = {"a.md": b"the old a", "b.md": b"the old b", "gone.md": b"deleted, its body stays"}
NEW_A = b"the new a" * 500
PUSHED = {f"folder {n}/note.md": b"note %d" % n * n for n in range(1, 4)} | {"b.md/now a folder": b"the new b"}


def prepare(folder: Path) -> None:
    """The server's data before the requests."""
    world = World.at(folder)
    for path, body in OLD.items():
        world.new(path, body)
    world.delete("gone.md", base(world, "gone.md"))
    world.metadata.close()


def base(world: World, path: str) -> int:
    """The stamp of a path's first version."""
    return world.reader.history(world.vault, path, None, 10)[0][-1].stamp


def put(world: World) -> str:
    return world.put("a.md", NEW_A, base(world, "a.md")).verdict.name


def push(world: World) -> list[str]:
    """Four new bodies, one that the vault has already, and a file that makes way for a folder."""
    changes = [removal("b.md", base(world, "b.md"))]
    changes += [change(path, body) for path, body in PUSHED.items()]
    changes.append(change("gone.md", OLD["gone.md"]))
    return world.statuses(parcel(changes, PUSHED.items()))


REQUESTS: dict[str, Callable[[World], Any]] = {"put": put, "push": push}


class Disk:
    """Counts the calls from `arm` on, and makes the n-th one go wrong."""

    def __init__(self, nth: int, fault: str) -> None:
        self.trace: list[tuple[str, str]] = []
        self.told: dict[str, Any] = {}
        self._nth, self._fault = nth, fault
        self._names: dict[int, str] = {}
        self._points = 0

    def arm(self) -> None:
        for name in CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        flush._syncfs = self._syncfs
        flush.FEW = 3  # so that the put flushes file by file, and the push all at once

    def point(self, name: str, argument: str = "") -> bool:
        """Whether this call is to go wrong; a kill happens right here."""
        self.trace.append((name, argument))
        if self._fault != "kill" and name in ("sql", "reply"):
            return False
        if self._fault == "ENOSPC" and name not in NEEDS_ROOM:
            return False
        self._points += 1
        wrong = self._points == self._nth
        if wrong and self._fault == "kill" and name != "write":
            self.leave(9)
        return wrong

    def leave(self, code: int) -> None:
        """Ends the process as kill -9 does, once the test's own notes are written."""
        with open("told.json", "w") as notes:
            json.dump({"told": self.told, "trace": self.trace}, notes)
        os._exit(code if self._points >= self._nth else NEVER_REACHED)

    def _wrapped(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            first = self._names.get(arguments[0], "?") if isinstance(arguments[0], int) else str(arguments[0])
            if self.point(name, str(arguments[1]) if name in ("link", "rename") else first):
                if self._fault == "kill":
                    original(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                    self.leave(9)
                if name == "close":
                    original(*arguments)
                code = getattr(errno, self._fault)
                raise OSError(code, os.strerror(code))
            result = original(*arguments, **options)
            if name == "open":
                self._names[result] = first
            return result

        return call

    def _syncfs(self, descriptor: int) -> int:
        if not self.point("syncfs"):
            return 0
        ctypes.set_errno(getattr(errno, self._fault))
        return -1


class WatchedMetadata(SqliteMetadata):
    """Every statement is a moment at which the process may be killed."""

    disk: Disk | None = None

    def _connect(self, mode: str = "rw") -> sqlite3.Connection:
        db = super()._connect(mode)
        db.set_trace_callback(lambda sql: self.disk.point("sql", sql.split()[0]) if self.disk else None)
        return db


def serve(folder: Path, disk: Disk) -> None:
    metadata = WatchedMetadata(folder / "gobi.db")
    world = World(metadata, DiskBodies(folder / "bodies"))
    metadata.disk = disk
    disk.arm()
    for name, request in REQUESTS.items():
        try:
            reply = request(world)
        except StoreError as error:
            reply = type(error).__name__
        disk.point("reply", name)
        disk.told[name] = reply
    disk.leave(0)


def at_every_call(
    folder: Path, fault: str, prepare: Callable[[Path], None], work: Callable[[Path, Disk], None]
) -> None:
    """`work` does something in a copy of what was prepared, arms the disk, and leaves by it."""
    prepare(folder / "template")
    nth = status = 0
    while os.waitstatus_to_exitcode(status) != NEVER_REACHED:
        shutil.copytree(folder / "template", folder / str(nth))
        child = os.fork()
        if not child:
            os.chdir(folder / str(nth))
            work(folder / str(nth), Disk(nth or 1 << 30, fault))
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) in (0, 9, NEVER_REACHED), f"call {nth} ended the process"
        if not nth:
            status = 0
        nth += 1
    shutil.rmtree(folder / str(nth - 1))


if __name__ == "__main__":
    at_every_call(Path(sys.argv[1]), sys.argv[2], prepare, serve)
