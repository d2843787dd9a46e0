"""`gobi watch`: sees what happens here, hears what happens elsewhere, and has it synced at once.

One thread waits for everything that can happen and never for the network; a second one syncs, one thing after the
other; a third one listens to the live socket. What is deleted here is written to the queue right away, also while a
sync is under way or the server is out of reach.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterable
from functools import partial

from client.changes import BY_WATCH, deletes_of
from client.diary import Diary
from client.engine import Engine
from client.errand import Errands, Outcome
from client.foresee import Heard
from client.hearing import Hearing
from client.ignore import FILE as IGNORE_FILE
from client.index import Index
from client.inodes import became_executable, other_names
from client.intervals import Intervals
from client.live import Live, Lost, Opened, Told, Woken
from client.mailbox import Mailbox
from client.mounts import is_below
from client.options import Options
from client.patience import Patience, time_may_mend
from client.pending import Pending, Times, Touched
from client.ports import Clock, StateTrouble
from client.queue import Operation, OperationQueue
from client.report import Report
from client.tree import How, News, Tree


class Watch:
    """Keeps one folder in step until `stop`. For the client that holds the folder's lock.

    `queue`: not the engine's own, but on the same file. `moment` gives seconds that only go forward.
    """

    def __init__(
        self,
        root: str,
        engine: Engine,
        index: Index,
        queue: OperationQueue,
        tree: Tree,
        diary: Diary,
        ignored: Callable[[str], bool],
        clock: Clock,
        moment: Callable[[], float],
        *,
        intervals: Intervals | None = None,
        times: Times | None = None,
    ) -> None:
        self._root = root
        self._engine = engine
        self._index = index
        self._queue = queue
        self._tree = tree
        self._diary = diary
        self._ignored = ignored
        self._clock = clock
        self._moment = moment
        self._intervals = intervals or Intervals()
        self._mailbox: Mailbox[Told | Outcome[Report]] = Mailbox()
        self._errands: Errands[Report] = Errands(self._mailbox.put)
        self._times = times or Times()
        self._pending = Pending(moment, self._times)
        self._vanished: dict[str, float] = {}  # files that are missing, and when that is a delete
        self._unwritten: list[Operation] = []  # deletes that the disk has no room for
        self._hearing = Hearing(index, moment, self._intervals)
        self._patience = Patience(moment, self._intervals)  # with a server that is away
        self._rescan_at = self._check_at = moment()
        self._poller = select.poll()
        self._begun = False  # whether the whole folder has been in step once
        self._live: Live | None = None
        self._errand: Touched | None = None  # what is being synced
        self._stopped = False

    def listen_with(self, live: Callable[[Callable[[Told], None]], Live]) -> None:
        """`live` makes the ear from what to do with what it hears."""
        self._live = live(self._mailbox.put)

    def stop(self) -> None:
        """May be called by a signal handler."""
        self._stopped = True
        self._mailbox.ring()

    @property
    def busy(self) -> bool:
        """Whether a sync is under way."""
        return self._errand is not None

    def run(self) -> None:
        """Returns once it was stopped. Raises Stopped, ServerRefused where it cannot go on."""
        anchor = self._tree.anchor
        self._poller.register(self._mailbox.descriptor, select.POLLIN)
        if anchor.descriptor is not None:
            self._poller.register(anchor.descriptor, anchor.events)
        try:
            while not self._stopped:
                self._begin()
                ready = self._poller.poll(self._seconds() * 1000)
                self._check_place(mounted=any(descriptor == anchor.descriptor for descriptor, _ in ready))
                self._see()
                self._listen()
        finally:
            if self._live is not None:
                self._live.stop()
        self._say_farewell()

    def _check_place(self, *, mounted: bool) -> None:
        """Raises Stopped. `mounted`: something was mounted or unmounted somewhere."""
        now = self._moment()
        if mounted or now >= self._check_at:
            self._tree.anchor.check()
            self._check_at = now + self._intervals.anchor
            if self._engine.sight.mounted_anew():
                self._rescan_at = now

    # -- what there is to do

    def _begin(self) -> None:
        """Begins the next sync, if there is something to sync and nothing in the way."""
        now = self._moment()
        if self.busy or not self._patience.over or not self._write_down():
            return
        told_at = self._hearing.due_at()
        if self._tree.lost or now >= self._rescan_at:
            self._look_around()
            self._rescan_at = now + (self._intervals.blind if self._tree.blind else self._intervals.rescan)
            self._send(self._pending.take(), whole=True)
        elif (told_at is not None and now >= told_at) or self._pending.due_in() == 0:
            self._send(self._pending.take(), whole=False)

    def _look_around(self) -> None:
        before = self._tree.descriptor
        self._tree.look_around()
        self._diary.blind(self._tree.blind)
        if self._tree.descriptor is not None and (before is None or not self._begun):
            self._poller.register(self._tree.descriptor, select.POLLIN)

    def _send(self, touched: Touched, *, whole: bool) -> None:
        self._errand = touched
        heard = self._hearing.take(whole=whole)
        if whole:
            self._errands.ask(partial(self._engine.sync, Options(busy=touched.busy)))
        else:
            self._errands.ask(partial(self._engine.follow, touched, heard))

    def _seconds(self) -> float:
        """Until there is something to do although nothing happens."""
        now = self._moment()
        moments = [self._check_at]
        if self._rules_are_read:
            moments += self._vanished.values()
        if not self.busy:
            if self._patience.retry_at is not None:
                moments.append(self._patience.retry_at)
            else:
                due_in, told_at = self._pending.due_in(), self._hearing.due_at()
                moments += [now + due_in] if due_in is not None else []
                moments += [told_at] if told_at is not None else []
                moments.append(self._rescan_at)
        return max(0.0, min(moments) - now)

    # -- what happens here

    def _see(self) -> None:
        now = self._moment()
        for news in self._tree.news():
            self._note(news, now)
            self._patience.sooner()
        gone = [path for path, due in self._vanished.items() if due <= now]
        if gone and self._rules_are_read:
            self._remember_deletes(gone)

    @property
    def _rules_are_read(self) -> bool:
        """Whether the ignore patterns in use are those in the folder, or hold while it has none: what they leave out is
        not deleted."""
        is_read = IGNORE_FILE not in self._pending or self._quiet_left is not None
        return is_read and not (self._errand and IGNORE_FILE in self._errand.paths)

    @property
    def _quiet_left(self) -> float | None:
        return self._engine.quiet.left if self._engine.quiet else None

    def _note(self, news: News, now: float) -> None:
        path, pending = news.path, self._pending
        if path == IGNORE_FILE and self._engine.quiet is not None:
            self._engine.quiet.broken()
        match news.how:
            case How.WRITTEN:
                for name in (path, *self._other_names(path)):
                    pending.written(name)
            case How.OPEN:
                for name in (path,) if path in pending else (path, *self._other_names(path)):
                    pending.open(name)
            case How.FOUND:
                pending.found(path)
            case How.ATTRIBUTES:
                self._note_attributes(path)
            case How.MOVED:
                self._note_moved(path, news.source)
            case How.GONE:
                self._note_gone(path, now)
            case How.GONE_BELOW:
                below = path + "/"
                for one in [one for one in list(self._index.records) if one.startswith(below)]:
                    self._note_gone(one, now)

    def _other_names(self, path: str) -> list[str]:
        return other_names(self._root, path, self._index)

    def _note_attributes(self, path: str) -> None:
        """There are many such events, and little to do: what a program does to all files alike must cost nothing."""
        record = self._index.records.get(path)
        if path in self._pending or (record is None and not (self._errand and path in self._errand.paths)):
            return
        if record is None or became_executable(self._root, path, record):
            for name in (path, *self._other_names(path)):
                self._pending.moved(name, renamed=False)

    def _note_moved(self, path: str, source: str | None) -> None:
        """A temporary file that takes the place of a known one is a save, and goes at once."""
        records = self._index.records
        if source is not None and source in records and source != IGNORE_FILE:
            self._pending.gone(source, renamed=True)
        self._pending.moved(path, renamed=source is not None and (source in records or path not in records))

    def _note_gone(self, path: str, now: float) -> None:
        """A name is gone; another file may have it already, as when one is saved, or received, by a rename."""
        if self._exists(path):
            self._pending.moved(path, renamed=True)
        elif path == IGNORE_FILE:  # whether it was deleted is for a look to say, and for one more a while later
            self._pending.open(path)
        else:
            self._pending.gone(path)
            self._vanished[path] = now + self._intervals.vanished

    def _remember_deletes(self, paths: Iterable[str]) -> None:
        """Durably, so that a delete is one whatever becomes of this process. What gobi itself removes is none."""
        removing, witness = self._engine.removing, self._engine.sight.witness
        out_of_sight = self._engine.sight.lost()
        gone = []
        for path in paths:
            del self._vanished[path]
            seen = witness is not None and (path in witness or not witness.begun)
            if (
                seen
                and not is_below(path, out_of_sight)
                and path not in removing
                and not self._exists(path)
                and not self._ignored(path)
            ):
                gone.append(path)
        if gone:
            try:
                waiting = self._queue.load()[0]
            except StateTrouble:
                waiting = []  # it is noticed when they are to be written down
            self._unwritten += deletes_of(gone, self._index.records, waiting, self._clock, BY_WATCH)
            self._write_down()

    def _write_down(self) -> bool:
        """Whether all deletes are in the queue now; until then nothing else may happen."""
        try:
            self._queue.append(self._unwritten)
        except StateTrouble as error:
            self._wait_for(error)
            return False
        self._unwritten = []
        return True

    def _exists(self, path: str) -> bool:
        return os.path.lexists(os.path.join(self._root, path))

    # -- what is told

    def _listen(self) -> None:
        for letter in self._mailbox.empty():
            match letter:
                case Outcome():
                    self._finish(letter)
                case Heard():
                    self._hearing.told(letter)
                case Opened():
                    self._hearing.opened(letter)
                    self._diary.live()
                    self._patience.now()
                case Woken():
                    self._hearing.ask()
                    if letter.path is not None and letter.path in self._index.records:
                        self._pending.moved(letter.path, renamed=False)
                case Lost():
                    self._hearing.lost(letter)
                    self._diary.not_live(letter.why, absent=letter.absent)

    def _finish(self, outcome: Outcome[Report]) -> None:
        touched, self._errand = self._errand or Touched(), None
        if outcome.value is not None:
            well = self._write_down()
            self._diary.synced(outcome.value, well=well)
            if well:
                self._patience.went_well()
            if outcome.value.waiting or outcome.value.held:
                self._hearing.ask_in(self._intervals.again)
            if outcome.value.rules_unsettled:
                self._look_at_rules_later()
            if IGNORE_FILE in touched.paths:
                self._look_around()  # what was ignored until now is not watched yet
            if self._live is not None:
                self._live.start() if not self._begun else self._live.hurry()
            self._begun = True
            return
        error = outcome.error
        assert error is not None, "an errand without a value has failed"
        if not time_may_mend(error):
            raise error
        self._wait_for(error)
        self._pending.again(touched)
        self._hearing.ask()
        self._rescan_at = self._rescan_at if self._begun else self._moment()

    def _look_at_rules_later(self) -> None:
        """Once it has stood for a while."""
        left = self._quiet_left
        if left is None:
            self._pending.open(IGNORE_FILE)
        elif IGNORE_FILE not in self._pending:  # else something has happened to it since
            self._pending.look_in(IGNORE_FILE, left)

    def _wait_for(self, error: Exception) -> None:
        self._diary.away(error)
        self._patience.failed(getattr(error, "retry_after", None) or 0.0)

    def _say_farewell(self) -> None:
        """What is under way may come to its end, if that is near. Else it is cut off, which loses nothing."""
        until = self._moment() + self._intervals.farewell
        while self.busy and (left := until - self._moment()) > 0:
            self._poller.poll(left * 1000)
            self._see()
            self._listen()
        if self._rules_are_read:
            self._remember_deletes(list(self._vanished))
        self._diary.stopped()
