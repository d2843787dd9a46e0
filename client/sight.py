"""What the engine sees of the folder, and what it notes down of it at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from client.changes import BY_WATCH, deletes_of
from client.ignore import FILE as IGNORE_FILE
from client.index import Index
from client.mounts import changed
from client.pending import Touched
from client.ports import Clock, FileSystem, Mount, Progress
from client.queue import Operation, OperationQueue
from client.readings import remember
from client.scan import View, glance, look
from client.witness import Witness
from sync.model import Action


class Sight:
    """`witness`: None for a client that comes, syncs and goes: nothing is deleted before its eyes."""

    def __init__(
        self,
        fs: FileSystem,
        index: Index,
        queue: OperationQueue,
        clock: Clock,
        progress: Progress,
        witness: Witness | None,
    ) -> None:
        self._fs = fs
        self._index = index
        self._queue = queue
        self._clock = clock
        self._progress = progress
        self.witness = witness
        self._mounts: dict[str, Mount] = {}  # at the latest look at everything

    def everything(
        self, waiting: Iterable[Operation], busy: Collection[str], *, accept_mounts: bool = False
    ) -> tuple[View, bool]:
        """Also says whether deletes were added to the queue, of which `waiting` is what it has."""
        if accept_mounts:
            self._index.mounts = None
        view = look(self._fs, self._index, self._clock, self._progress, busy)
        self._note_mounts(view)
        self._note_fresh(view)
        remember(self._index, view)
        if self.witness is None:
            return view, False
        deleted = self._note_deletes(view, self._index.records.keys() - view.entries.keys(), waiting)
        self.witness.saw_everything(view, self._perhaps_away(busy))
        return view, deleted

    def of(self, paths: Collection[str], touched: Touched, waiting: Iterable[Operation]) -> tuple[View, bool]:
        """The same for single paths."""
        view = glance(
            self._fs, self._index, self._clock, paths, moved=touched.moved, busy=touched.busy, places=self.lost()
        )
        self._note_fresh(view)
        if self.witness is None:
            return view, False
        deleted = self._note_deletes(view, paths, waiting)
        self.witness.saw(view, paths, self._perhaps_away(touched.busy), self._fs.ignored)
        return view, deleted

    def received(self, actions: Iterable[Action]) -> None:
        """Of what was asked for, some files are here now."""
        if self.witness is None:
            return
        for action in actions:
            record = self._index.records.get(action.path)
            if action.do == "download" and action.head and record and record.stamp == action.head.stamp:
                self.witness.put([action.path])

    def lost(self) -> set[str]:
        """Places at which something was mounted or unmounted since the latest look, or is not what is remembered.

        For any thread.
        """
        mounts = self._fs.mounts()
        if mounts is None:
            return set()
        what = {place: mount.what for place, mount in mounts.items()}
        return changed(self._mounts, mounts) | (changed(self._index.mounts, what) if self._index.mounts else set())

    def mounted_anew(self) -> bool:
        """Whether something was mounted or unmounted since the latest look. For any thread."""
        mounts = self._fs.mounts()
        return mounts is not None and mounts != self._mounts

    def _perhaps_away(self, busy: Collection[str]) -> Collection[str]:
        """Files whose names may be missing for a moment, so that they are not out of sight."""
        patterns = self._fs.patterns
        return {*busy, IGNORE_FILE} if patterns.unsettled or patterns.awaited else busy

    def _note_mounts(self, view: View) -> None:
        """A place at which something was mounted or unmounted in between was out of sight."""
        self._index.note_mounts(view.places.mounted)
        places = changed(self._mounts, view.mounts)
        self._mounts = view.mounts
        if self.witness is not None and places:
            self.witness.lost_sight_of(places)

    def _note_fresh(self, view: View) -> None:
        for record in view.fresh:
            self._index.put(record)

    def _note_deletes(self, view: View, paths: Iterable[str], waiting: Iterable[Operation]) -> bool:
        """Files that vanish before our eyes were deleted; that is not to be forgotten. Whether there are any."""
        gone = [path for path in paths if self._was_seen(path) and view.is_missing(path)]
        deletes = deletes_of(gone, self._index.records, waiting, self._clock, BY_WATCH)
        self._queue.append(deletes)
        return bool(deletes)

    def _was_seen(self, path: str) -> bool:
        return self.witness is not None and path in self.witness and not self._fs.ignored(path)
