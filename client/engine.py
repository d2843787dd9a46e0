"""A sync: look, report, be told, do it; and once more where something changed meanwhile.

The order that nothing is lost by: what the server's answer asks for is written to the queue before it is done; the
index learns of a file once both sides hold it durably; the cursor moves in one transaction with the index, when
everything up to it is done or stands in the queue. A sync that is cut off anywhere is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from client import guard
from client.ahead import Ahead, ahead
from client.changes import MassDelete, Outgoing, check_mass_delete, collect
from client.conversation import CHUNK, Answer, CursorExpired, converse
from client.foresee import Heard, bases_of_deletes, confirming, foresee
from client.hold import hold, resume
from client.ignore import FILE as IGNORE_FILE
from client.index import START, Index
from client.options import NOTHING_SAID, Options
from client.pending import Touched
from client.ports import Clock, FileSystem, Progress, ServerAway, Transport
from client.queue import DELETE, Operation, OperationQueue
from client.quiet import Quiet
from client.report import Report, Silent
from client.scan import BUSY, View
from client.sent import forget_sent, remember_sent
from client.sight import Sight
from client.standing import stand
from client.todo import divide, kept, plan
from client.witness import Witness
from client.work import Room, Work
from sync.model import Action

ROUNDS = 5
LOOKS, BETWEEN_LOOKS = 12, 0.25  # at a `.gobiignore` that is being changed; seconds
RESTARTS = 3  # of one exchange whose cursor expires while it goes on


class Engine:
    """Keeps one folder in step with one vault. For one client at a time (client/lock.py).

    `chunk`: changes a request and rows a page. `work_ahead`: client.ahead.in_turn where threads are not welcome.
    `witness`: what a client that watches has seen; it alone says which missing files were deleted. `quiet`: how long
    it lets `.gobiignore` be away or empty.
    """

    def __init__(
        self,
        fs: FileSystem,
        transport: Transport,
        clock: Clock,
        index: Index,
        queue: OperationQueue,
        *,
        device: str,
        progress: Progress | None = None,
        chunk: int = CHUNK,
        work_ahead: Ahead = ahead,
        witness: Witness | None = None,
        quiet: Quiet | None = None,
    ) -> None:
        self._fs = fs
        self._transport = transport
        self._clock = clock
        self._index = index
        self._queue = queue
        self._device = device
        self._progress = progress or Silent()
        fs.patterns.quiet = self.quiet = quiet
        self.sight = Sight(fs, index, queue, clock, self._progress, witness)
        self._chunk = chunk
        self._ahead = work_ahead
        self._room = Room()
        self._unasked: dict[str, int] = {}  # deleted here on a notice's word alone: the stamps, by path
        self._seen = 0  # the newest stamp that the cursor is known to be past
        self._resumed = False  # whether what an earlier process left has been dealt with
        self._lost = 0  # bodies that the server misses, by its last answer
        self._nowhere: set[str] = set()  # such bodies that are not here either
        self.removing: set[str] = set()  # what vanishes right now because others deleted it

    def sync(self, options: Options | None = None) -> Report:
        """Raises Stopped, ServerAway, ServerRefused; whatever was done until then is kept."""
        report, options = Report(), options or Options()
        if options.patient:
            self._await_rules()
        for _ in range(ROUNDS):
            if not self._round(options, report):
                break
        self._end(report)
        return report

    def follow(self, touched: Touched, heard: Sequence[Heard] | None = ()) -> Report:
        """Syncs what somebody has touched and what the server has told, without looking at the rest.

        `heard` is None where more may have happened than was told. Raises as `sync` does.
        """
        report = Report()
        for attempt in range(ROUNDS):
            if IGNORE_FILE in touched.paths or self._index.cursor == START or self._index.rules != self._fs.rules:
                return self.sync(Options(busy=touched.busy))
            news = None if heard is None or attempt else [one for one in heard if one.stamp > self._seen]
            try:
                if not self._quick_round(touched, news, report):
                    break
            except CursorExpired:
                return self.sync(Options(busy=touched.busy))
        self._end(report)
        return report

    def _await_rules(self) -> None:
        for _ in range(LOOKS):
            self._fs.read_rules()
            if not self._fs.patterns.unsettled:
                break
            self._clock.sleep(BETWEEN_LOOKS)

    def _round(self, options: Options, report: Report) -> bool:
        """Whether another one is needed."""

        def concerns(one: Operation) -> bool:
            return one.op != DELETE or one.path not in options.busy

        waiting, later = divide(self._load(report), concerns)
        remember_sent(waiting, self._index)
        if self._rules_are_settled():
            self._fs.dispute_rules(None)
        view, deleted = self.sight.everything(waiting, options.busy, accept_mounts=options.accept_mounts)
        self._fs.keep_rules()
        if deleted:
            waiting, later = divide(self._load(report), concerns)
        if not self._resumed:
            waiting = resume(waiting, meant=options.allow_mass_delete or options.propagate_deletes)
            later = resume(later, meant=False)
        try:
            outgoing, answer, full = self._exchange(view, waiting, options)
        except MassDelete as most:
            waiting, held = self._hold(most, waiting, later, view)
            later = [*later, *held]
            outgoing, answer, full = self._exchange(view, waiting, options)
        report.full |= full
        again = self._settle(view, waiting, later, outgoing, answer, report, full=full, options=options)
        self._resumed = True
        return again

    def _hold(
        self, most: MassDelete, waiting: Iterable[Operation], later: Sequence[Operation], view: View
    ) -> tuple[list[Operation], list[Operation]]:
        """Whoever watches goes on without these deletes. Others stop (raises `most`), and drop them next time."""
        going, held = hold(waiting, most.paths, view)
        if self.sight.witness is None:
            self._queue.replace([*going, *held, *later])
            raise most
        return going, held

    def _quick_round(self, touched: Touched, heard: Sequence[Heard] | None, report: Report) -> bool:
        records = self._index.records
        told = {version.path for message in heard or () for version in message.changes}

        def concerns(one: Operation) -> bool:
            """Whether this is the time for it. What was refused would be refused again."""
            if one.op == DELETE:
                return one.path not in touched.busy
            return one.path in touched.paths or one.path in told or (heard is None and not one.refused)

        waiting, later = divide(self._load(report), concerns)
        remember_sent(waiting, self._index)
        paths = touched.paths | told | {one.path for one in waiting}
        view, deleted = self.sight.of(paths, touched, waiting)
        if deleted:
            waiting, later = divide(self._load(report), concerns)
        some = {path: records[path] for path in paths if path in records}
        outgoing = collect(view, some, waiting, self._fs, full=False, propagate_deletes=False)
        try:
            check_mass_delete(outgoing, len(records))
        except MassDelete as most:
            waiting, held = self._hold(most, waiting, later, view)
            later = [*later, *held]
            outgoing = collect(view, some, waiting, self._fs, full=False, propagate_deletes=False)
        if heard is not None:
            unsettled = {one.path for one in (*waiting, *later) if one.op != DELETE}
            answer = foresee(outgoing.changes, heard, records, self._index.cursor, unsettled, len(self._unasked))
            if answer is not None:
                self._unasked |= bases_of_deletes(answer.actions, records)
                again = self._settle(view, waiting, later, outgoing, answer, report, foreseen=True)
                self._seen = max([self._seen, *(message.stamp for message in heard)])
                return again
        changes = confirming(self._unasked, outgoing.changes, records, view)
        answer = converse(self._transport, self._index.cursor, changes, records, self._chunk)
        self._unasked = {}
        self._chunk = answer.chunk
        self._look_at_the_rest(view, answer, paths, touched, [*waiting, *later])
        return self._settle(view, waiting, later, outgoing, answer, report)

    def _look_at_the_rest(
        self, view: View, answer: Answer, seen: Collection[str], touched: Touched, waiting: Iterable[Operation]
    ) -> None:
        """What else the server speaks of. Where something happened to it meanwhile, that has to be reported first."""
        records = self._index.records
        paths = {path for path in (*answer.actions, *answer.overtaken) if path not in seen}
        more, _ = self.sight.of(paths, touched._replace(moved=frozenset()), waiting)
        for path in paths:
            record = records.get(path)
            known = record.hash if record is not None and record.stamp is not None else None
            if more.hashes.get(path, known if path in more.entries else None) != known:
                action = answer.actions.pop(path, None)
                if action is not None:
                    answer.overtaken[path] = action
        view.add(more)

    def _settle(
        self,
        view: View,
        waiting: Sequence[Operation],
        later: Sequence[Operation],
        outgoing: Outgoing,
        answer: Answer,
        report: Report,
        *,
        full: bool = False,
        foreseen: bool = False,
        options: Options = NOTHING_SAID,
    ) -> bool:
        """Does what is to be done. Whether another round is needed.

        `waiting`: of the queue, what this round is about; `later`: what goes on waiting. `foreseen`: nobody was asked.
        Then the cursor has not moved, and the queue need not remember a plan.
        """
        records = self._index.records
        gone = guard.given_up(answer.actions, view, records, self._fs, later)
        doubtful = frozenset() if options.allow_mass_delete else guard.unasked(gone, answer.actions, options.meant)
        held = guard.hold(doubtful, answer.actions, waiting, later, records, self._clock)
        unseen = [*later, *(one for one in waiting if self._is_unseen(one, view))]
        if not foreseen:
            self._lost = answer.lost
            self._index.note_max_file(answer.max_file)
            forget_sent(outgoing, answer, self._index)
            planned = plan(answer, outgoing, self._clock)
            self._queue.replace([*planned, *outgoing.deletes.values(), *held.values(), *unseen])
        work = Work(
            self._fs,
            self._transport,
            self._clock,
            self._index,
            self._device,
            self._progress,
            self._ahead,
            report,
            view,
            full,
            answer.cursor,
            {} if foreseen else outgoing.hashes(),
            (gone - held.keys()) | guard.overwritten(answer.actions, view, records, self._fs),
            held,
            room=self._room,
        )
        for action in answer.overtaken.values():
            work.retry(action, "it changed on the server meanwhile")
        self.removing = {path for path, action in answer.actions.items() if action.do == "delete_local"}
        try:
            if answer.actions:
                _carry_out(work, answer.actions, outgoing.renamed)
            self._finish(work, unseen, outgoing)
        finally:
            self.removing = set()
            self.sight.received(answer.actions.values())
        self._seen = 0 if full else max(self._seen, work.seen)
        return work.again or bool(view.unsteady) or self._rules_are_settled()

    def _rules_are_settled(self) -> bool:
        """Whether a conflict over `.gobiignore` is over, and its patterns hold beside this folder's all the same."""
        record = self._index.records.get(IGNORE_FILE)
        return self._fs.patterns.theirs is not None and (record is None or record.conflict is None)

    def _load(self, report: Report) -> list[Operation]:
        waiting, damaged = self._queue.load()
        if damaged:
            report.notes.append(f"{damaged} unreadable lines of the queue were dropped")
        return waiting

    def _exchange(self, view: View, waiting: list[Operation], options: Options) -> tuple[Outgoing, Answer, bool]:
        """What was reported, what is to be done about it, and whether the sync began from "0"."""
        records = self._index.records
        full = self._index.cursor == START or self._index.rules != self._fs.rules
        for _ in range(RESTARTS):
            outgoing = collect(view, records, waiting, self._fs, full=full, propagate_deletes=options.propagate_deletes)
            if not options.allow_mass_delete:
                check_mass_delete(outgoing, sum(record.stamp is not None for record in records.values()))
            try:
                cursor = START if full else self._index.cursor
                changes = outgoing.changes if full else confirming(self._unasked, outgoing.changes, records, view)
                answer = converse(self._transport, cursor, changes, records, self._chunk)
                self._unasked = {}
                self._chunk = answer.chunk
            except CursorExpired:
                full = True
            else:
                return outgoing, answer, full
        raise ServerAway("the server's history changes faster than it can be read", then="sync again in a while")

    def _end(self, report: Report) -> None:
        self._give_back(report)
        notes, report.held = self._fs.release()
        report.notes += notes

    def _give_back(self, report: Report) -> None:
        """What the server's disk has lost, and this machine has."""
        if self._lost:
            from client.healing import give_back  # late: it is nearly never needed

            self._lost = 0
            give_back(self._fs, self._transport, self._index.records, self._nowhere, report)

    def _is_unseen(self, one: Operation, view: View) -> bool:
        """Whether a waiting operation is about a place that cannot be seen into, so that it was not reported."""
        return one.op != DELETE and view.why_unknown(one.path) is not None and not self._fs.ignored(one.path)

    def _finish(self, work: Work, unseen: Iterable[Operation], outgoing: Outgoing) -> None:
        left = list(kept(work, unseen, outgoing))
        self._queue.replace(left)
        self._index.finish(work.cursor, work.view.rules)
        self._sum_up(work, left, outgoing)

    def _sum_up(self, work: Work, left: Collection[Operation], outgoing: Outgoing) -> None:
        report, records = work.report, self._index.records
        renamed = {old for old, new in outgoing.renamed.items() if old in work.deleted and new in work.uploaded}
        report.renamed += len(renamed)
        report.uploaded += len(work.uploaded) - len(renamed)
        report.deleted_there += len(work.deleted) - len(renamed)
        report.files = sum(record.stamp is not None for record in records.values())
        report.skipped = work.view.skipped
        standing = stand(work.view, records, left, self._fs)
        report.conflicts, report.refused, report.waiting, report.held_deletes = standing
        report.rules_unsettled = self._fs.patterns.unsettled
        report.busy = sum(why == BUSY for why in work.view.hidden.values())


def _carry_out(work: Work, actions: Mapping[str, Action], renamed: Mapping[str, str]) -> None:
    from client.apply import apply_here, apply_rules  # late: most syncs have nothing to do, and are to be over at once
    from client.renames import carry_over
    from client.upload import apply_there

    left = apply_rules(work, actions) if IGNORE_FILE in actions else actions.values()
    carry_over(work, renamed, actions)
    apply_here(work, left)
    apply_there(work, left)
