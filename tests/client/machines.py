"""Machines whose client runs in this process: one on a real folder, one in memory, with the same handles."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

from client.ahead import in_turn
from client.disk import Disk
from client.engine import Engine
from client.index import NAME, Index
from client.options import Options
from client.ports import FileSystem
from client.queue import FileQueue, OperationQueue
from client.quiet import Quiet
from client.remove import remove
from client.report import Removal, Report, Status
from client.status import status
from client.witness import Witness
from tests.client.memory import ManualClock, MemoryFileSystem, MemoryQueue
from tests.client.one_vault import OneVault
from tests.client.overheard import Overheard


class Machine(ABC):
    """One client and the person at it. Time passes between what they do."""

    fs: FileSystem
    queue: OperationQueue

    def __init__(self, server: OneVault, name: str) -> None:
        self.name = name
        self.transport: Overheard = server.transport(name)
        self.clock = ManualClock()
        self.index = Index()
        self.chunk = 5000

    def sync(
        self, *, propagate_deletes: bool = False, allow_mass_delete: bool = False, meant: Iterable[int] = ()
    ) -> Report:
        self.clock.forward(60)
        options = Options(propagate_deletes, allow_mass_delete, frozenset(meant))
        self.transport.calls.clear()
        self.transport.reported.clear()
        self.transport.pushed.clear()
        self.transport.pulled.clear()
        return self.engine().sync(options)

    def engine(self, *, watching: bool = False) -> Engine:
        """`watching`: what vanishes from the first look on vanishes before its eyes."""
        return Engine(
            self.fs,
            self.transport,
            self.clock,
            self.index,
            self.queue,
            device=self.name,
            chunk=self.chunk,
            work_ahead=in_turn,
            witness=Witness() if watching else None,
            quiet=Quiet(lambda: self.clock.now_ns / 1e9) if watching else None,
        )

    def rm(self, *names: str) -> Removal:
        self.clock.forward(60)
        return remove(self.fs, self.index, self.queue, self.clock, names)

    def status(self) -> Status:
        return status(self.fs, self.index, self.queue, self.clock)

    @abstractmethod
    def write(self, path: str, content: str | bytes) -> None: ...

    @abstractmethod
    def delete(self, path: str) -> None: ...

    @abstractmethod
    def move(self, path: str, to: str) -> None: ...

    @abstractmethod
    def files(self) -> dict[str, bytes]: ...

    @abstractmethod
    def trash(self) -> list[bytes]: ...

    @abstractmethod
    def restart(self) -> None:
        """The process ended, however; another one starts on the same folder."""

    @abstractmethod
    def lose_state(self) -> None:
        """What gobi knew is gone; the files are there."""

    @abstractmethod
    def close(self) -> None: ...


class MemoryMachine(Machine):
    def __init__(self, server: OneVault, name: str) -> None:
        super().__init__(server, name)
        self.memory = MemoryFileSystem(self.clock)
        self.fs = self.memory
        self.queue = MemoryQueue()

    def write(self, path: str, content: str | bytes) -> None:
        self.clock.forward(10)
        self.memory.write(path, content.encode() if isinstance(content, str) else content)

    def delete(self, path: str) -> None:
        self.memory.delete(path)

    def move(self, path: str, to: str) -> None:
        self.memory.move(path, to)

    def files(self) -> dict[str, bytes]:
        return self.memory.contents()

    def trash(self) -> list[bytes]:
        return [data for _, data in self.memory.trash]

    def restart(self) -> None:
        self.memory.staged.clear()

    def lose_state(self) -> None:
        self.close()
        self.index = Index()
        self.queue = MemoryQueue()

    def close(self) -> None:
        self.index.close()


class DiskMachine(Machine):
    def __init__(self, server: OneVault, name: str, root: Path) -> None:
        super().__init__(server, name)
        self.index.close()
        self.root = root
        self.state = root / ".gobi"
        self.state.mkdir(parents=True)
        self._open()

    def _open(self) -> None:
        self.index = Index.open(self.state, repair=True, clock=self.clock)
        self.queue = FileQueue(self.state)
        self.disk = Disk(self.root, clock=self.clock)
        self.fs = self.disk

    def write(self, path: str, content: str | bytes) -> None:
        target = self.root / path
        for above in reversed(target.relative_to(self.root).parents):
            if (self.root / above).is_file():
                (self.root / above).unlink()
        if target.is_dir():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def delete(self, path: str) -> None:
        (self.root / path).unlink()

    def move(self, path: str, to: str) -> None:
        target = self.root / to
        if target.is_dir():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).rename(target)

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())
        named = {str(path.relative_to(self.root)): path for path in found}
        return {name: path.read_bytes() for name, path in named.items() if not name.startswith(".gobi/")}

    def trash(self) -> list[bytes]:
        return [path.read_bytes() for path in (self.state / "trash").rglob("*") if path.is_file()]

    def restart(self) -> None:
        self.close()
        self._open()
        self.disk.sweep()

    def lose_state(self) -> None:
        self.close()
        (self.state / NAME).unlink()
        (self.state / "queue.jsonl").unlink(missing_ok=True)
        self._open()

    def close(self) -> None:
        self.index.close()
        self.disk.close()


def settle(machines: Sequence[Machine], rounds: int = 4) -> None:
    """Everybody syncs until nothing moves any more."""
    for _ in range(rounds):
        for machine in machines:
            machine.sync()
