"""A synced folder: its files, and gobi's own state beside them in `.gobi`, put together for the commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from client.clock import SystemClock
from client.index import Index
from client.ports import Clock, Progress, Stopped, Transport
from client.queue import FileQueue
from client.state import STATE, read_own, write_own

if TYPE_CHECKING:
    from client.http import HttpTransport
    from client.report import Removal, Report, Status
    from client.verify import Verified
    from client.watch import Watch

LAST_SYNC = "last-sync"


class Folder:
    """One folder that is kept in step. `root` must exist; `create` makes its state."""

    def __init__(self, root: Path, *, clock: Clock | None = None) -> None:
        self.root = root
        self.state = root / STATE
        self._clock = clock or SystemClock()

    def create(self) -> None:
        """Makes `.gobi`, readable for its owner only. May be repeated."""
        self.state.mkdir(mode=0o700, exist_ok=True)

    def check(self) -> None:
        """Raises Stopped where the folder or its state is gone: an unmounted disk looks just like this."""
        if not self.root.is_dir():
            raise Stopped(f"there is no folder {self.root}; is its disk mounted? Nothing was changed anywhere", 78)
        if self.state.is_symlink() or not self.state.is_dir():
            raise Stopped(
                f"{self.root} is not connected to a vault (it has no {STATE} folder). If it was before, is its disk "
                "mounted? If not, run gobi connect. Nothing was changed anywhere",
                78,
            )

    def sync(
        self,
        transport: Transport,
        device: str,
        *,
        progress: Progress | None = None,
        propagate_deletes: bool = False,
        allow_mass_delete: bool = False,
        accept_mounts: bool = False,
        meant: frozenset[int] = frozenset(),
    ) -> Report:
        """One sync, as in client.options. Raises Stopped, ServerAway, ServerRefused; what was done by then is kept."""
        from client.disk import Disk
        from client.engine import Engine
        from client.lock import locked
        from client.options import Options

        self.check()
        options = Options(propagate_deletes, allow_mass_delete, meant, accept_mounts=accept_mounts, patient=True)
        with locked(self.state), self._index(repair=True) as index, Disk(self.root, clock=self._clock) as disk:
            disk.sweep()
            engine = Engine(disk, transport, self._clock, index, self._queue(), device=device, progress=progress)
            report = engine.sync(options)
            self._note_sync()
        return report

    @contextmanager
    def watching(
        self, transport: HttpTransport, device: str, place: str, say: Callable[[str], None]
    ) -> Iterator[Watch]:
        """To be run until it is stopped. `place`: what to call the vault. Raises Stopped."""
        from client.diary import Diary
        from client.disk import Disk
        from client.engine import Engine
        from client.live import Live
        from client.lock import locked
        from client.quiet import Quiet
        from client.tree import Tree
        from client.watch import Watch
        from client.witness import Witness

        self.check()
        with ExitStack() as held:
            held.enter_context(locked(self.state, watching=True))
            index = held.enter_context(self._index(repair=True))
            disk = held.enter_context(Disk(self.root, clock=self._clock))
            disk.sweep()
            disk.read_rules()
            tree = held.enter_context(closing(Tree(str(self.root), disk.ignored_folder)))
            engine = Engine(
                disk,
                transport,
                self._clock,
                index,
                self._queue(),
                device=device,
                witness=Witness(),
                quiet=Quiet(time.monotonic),
            )
            diary = Diary(say, self._note_sync, str(self.root), place)
            watch = Watch(
                str(self.root), engine, index, self._queue(), tree, diary, disk.ignored, self._clock, time.monotonic
            )
            watch.listen_with(lambda tell: Live(lambda: transport.live(index.cursor), tell))
            try:
                yield watch
            finally:
                if watch.busy:
                    held.pop_all()  # a sync is under way that will end with the process: not on closed files

    def remove(self, names: Iterable[str]) -> Removal:
        """Deletes files or whole folders (vault paths) here, into the trash, and with the next sync everywhere.

        May run beside a sync. Raises Stopped for a name that is neither here nor tracked; then nothing was removed.
        """
        from client.disk import Disk
        from client.remove import remove

        self.check()
        with self._index() as index, Disk(self.root, clock=self._clock) as disk:
            return remove(disk, index, self._queue(), self._clock, names)

    def verify(self, transport: HttpTransport, progress: Progress) -> Verified:
        """Compares every file with the server's, byte for byte. Changes nothing, and lets nobody sync meanwhile.

        Raises Stopped, ServerAway, ServerRefused.
        """
        from client.disk import Disk
        from client.lock import locked
        from client.queue import DELETE
        from client.verify import verify

        self.check()
        with locked(self.state), self._index() as index, Disk(self.root, clock=self._clock) as disk:
            deletes = [one.path for one in self._queue().load()[0] if one.op == DELETE]
            return verify(disk, transport, index.records, deletes, progress)

    def status(self) -> Status:
        """What waits here. Asks no server, changes nothing, and may run beside a sync."""
        from client.disk import Disk
        from client.status import status

        self.check()
        with self._index() as index, Disk(self.root, clock=self._clock) as disk:
            found = status(disk, index, self._queue(), self._clock)
        try:
            found.last_sync = int(read_own(self.state / LAST_SYNC))
        except (OSError, ValueError):
            pass  # never synced, or the power went while it was written: it is information only
        return found

    def _note_sync(self) -> None:
        try:
            write_own(self.state, LAST_SYNC, f"{self._clock.time_ns() // 1000}\n")
        except OSError:
            pass  # it is information only, and the sync is done

    def _queue(self) -> FileQueue:
        return FileQueue(self.state)

    @contextmanager
    def _index(self, *, repair: bool = False) -> Iterator[Index]:
        index = Index.open(self.state, repair=repair, clock=self._clock)
        try:
            yield index
        finally:
            index.close()
