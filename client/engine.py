"""A sync: look, report, be told, do it; and once more where something changed meanwhile.

The order that nothing is lost by: what the server's answer asks for is written to the queue before it is done; the
index learns of a file once both sides hold it durably; the cursor moves in one transaction with the index, when
everything up to it is done or stands in the queue. A sync that is cut off anywhere is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from client.ahead import Ahead, ahead
from client.changes import Outgoing, check_mass_delete, collect
from client.conversation import CHUNK, Answer, CursorExpired, converse
from client.index import START, Index, Record
from client.ports import Clock, FileSystem, Progress, ServerAway, Transport
from client.queue import DELETE, Operation, OperationQueue
from client.report import Report, Silent
from client.scan import View, look
from client.work import Work
from sync.model import Action

ROUNDS = 5
RESTARTS = 3  # of one exchange whose cursor expires while it goes on


class Options(NamedTuple):
    """`propagate_deletes`: what vanished here is deleted everywhere; `allow_mass_delete`: even where that is most."""

    propagate_deletes: bool = False
    allow_mass_delete: bool = False


class Engine:
    """Keeps one folder in step with one vault. For one client at a time (client/lock.py).

    `chunk`: changes a request and rows a page. `work_ahead`: client.ahead.in_turn where threads are not welcome.
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
    ) -> None:
        self._fs = fs
        self._transport = transport
        self._clock = clock
        self._index = index
        self._queue = queue
        self._device = device
        self._progress = progress or Silent()
        self._chunk = chunk
        self._ahead = work_ahead

    def sync(self, options: Options | None = None) -> Report:
        """Raises Stopped, ServerAway, ServerRefused; whatever was done until then is kept."""
        report = Report()
        for _ in range(ROUNDS):
            if not self._round(options or Options(), report):
                break
        return report

    def _round(self, options: Options, report: Report) -> bool:
        """Whether another one is needed."""
        waiting, damaged = self._queue.load()
        if damaged:
            report.notes.append(f"{damaged} unreadable lines of the queue were dropped")
        view = look(self._fs, self._index.records, self._clock, self._progress)
        for record in view.fresh:
            self._index.put(record)
        self._remember_sent(waiting)
        outgoing, answer, full = self._exchange(view, waiting, options)
        report.full |= full
        self._forget_sent(outgoing, answer)
        unseen = [one for one in waiting if self._is_unseen(one, view)]
        plan = _plan(answer, outgoing, self._clock)
        self._queue.replace([*plan, *outgoing.deletes.values(), *unseen])
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
            outgoing.hashes(),
        )
        for action in answer.overtaken.values():
            work.retry(action, "it changed on the server meanwhile")
        if answer.actions:
            _carry_out(work, answer.actions.values())
        self._finish(work, unseen, outgoing)
        return work.again or bool(view.unsteady)

    def _remember_sent(self, waiting: Iterable[Operation]) -> None:
        """A sync broke off: any of the hashes in its plan may be on the server, or may not.

        They go to the index, and durably, because the next plan takes the place of that one.
        """
        broken_off = False
        for one in waiting:
            record = self._index.records.get(one.path, Record.unknown(one.path))
            new = [digest for digest in one.sent if digest not in (*record.sent, record.hash)]
            if new:
                self._index.put(record._replace(sent=(*record.sent, *new)))
                broken_off = True
        if broken_off:
            self._index.save()

    def _forget_sent(self, outgoing: Outgoing, answer: Answer) -> None:
        """What was reported and calls for nothing is as the server has it: nothing that was sent before came there."""
        called_for = answer.actions.keys() | answer.overtaken.keys()
        for change in outgoing.changes:
            record = self._index.records.get(change.path)
            if change.kind == "put" and change.path not in called_for and record and (record.sent or record.conflict):
                self._index.put(record._replace(sent=(), conflict=None))

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
                answer = converse(self._transport, cursor, outgoing.changes, records, self._chunk)
            except CursorExpired:
                full = True
            else:
                return outgoing, answer, full
        raise ServerAway("the server's history changes faster than it can be read; sync again in a while")

    def _is_unseen(self, one: Operation, view: View) -> bool:
        """Whether a waiting operation is about a place that cannot be seen into, so that it was not reported."""
        return one.op != DELETE and view.why_unknown(one.path) is not None and not self._fs.ignored(one.path)

    def _finish(self, work: Work, unseen: Iterable[Operation], outgoing: Outgoing) -> None:
        kept = list(_kept(work, unseen, outgoing))
        self._queue.replace(kept)
        self._index.finish(work.cursor, self._fs.rules)
        self._sum_up(work, kept, outgoing)

    def _sum_up(self, work: Work, kept: Iterable[Operation], outgoing: Outgoing) -> None:
        report, records = work.report, self._index.records
        renamed = {old for old, new in outgoing.renamed.items() if old in work.deleted and new in work.uploaded}
        report.renamed += len(renamed)
        report.uploaded += len(work.uploaded) - len(renamed)
        report.deleted_there += len(work.deleted) - len(renamed)
        report.files = sum(record.stamp is not None for record in records.values())
        report.skipped = work.view.skipped
        report.conflicts = sorted((path, one.conflict) for path, one in records.items() if one.conflict)
        report.refused = sorted([(one.path, one.why) for one in kept if one.refused] + list(work.view.held.items()))
        report.waiting = sorted((one.path, one.why) for one in kept if not one.refused)


def _carry_out(work: Work, actions: Collection[Action]) -> None:
    from client.apply import apply_here  # late: most syncs have nothing to do, and are to have done it at once
    from client.upload import apply_there

    apply_here(work, actions)
    apply_there(work, actions)


def _plan(answer: Answer, outgoing: Outgoing, clock: Clock) -> Iterable[Operation]:
    """The work as lines of the queue. What is only to be noted down needs no line, nor what has one: the deletes."""
    now = clock.time_ns() // 1000
    todo: dict[str, Action] = answer.actions | answer.overtaken
    hashes = outgoing.hashes()
    for path, action in todo.items():
        if action.do != "adopt" and path not in outgoing.deletes:
            digest = hashes.get(path) if action.do in ("upload", "conflict") else None
            yield Operation(action.do, path, action.base, at=now, sent=(digest,) if digest else ())


def _kept(work: Work, unseen: Iterable[Operation], outgoing: Outgoing) -> Iterable[Operation]:
    """What goes on waiting when the round is over."""
    kept = {one.path: one._replace(why=work.view.why_unknown(one.path) or one.why) for one in unseen}
    kept |= work.waiting
    for path, delete in outgoing.deletes.items():
        if path in kept and kept[path].op == "delete_remote":
            kept[path] = delete._replace(why=kept[path].why)
    return kept.values()
