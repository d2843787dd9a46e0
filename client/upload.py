"""Sending what the server's answer asks for: deletes, files (small ones in bundles), candidates of conflicts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from client.answers import is_not_gobis
from client.aside import step_aside
from client.delivery import Delivery, Outcome
from client.index import Record
from client.jobs import Job, in_order, jobs_of
from client.ports import SMALL, Blocked, Entry, LocalChange, Pushed, Result, ServerAway, ServerRefused
from client.work import Work
from sync.model import Action, Change, Version

BUNDLE_FILES = 1_000
BUNDLE_BYTES = 4 * 1024 * 1024

# What the server may say to everything, although deletes, reads and other people's changes go on: no right to write, a
# full database. Files of their own that a proxy or the server refuses are in client/delivery.py.
_ABOUT_THE_FILES = (403, 507)
_TRY_AGAIN = ("conflict", "not-found", "hash-mismatch", "length-mismatch")


class Prepared(NamedTuple):
    """A change as it was read from the disk: what is claimed, and the file it is true of."""

    job: Job
    change: Change
    data: bytes | None = None
    entry: Entry | None = None
    seen_ns: int = 0


@dataclass
class Bundle:
    """`late`: jobs whose files changed, or cannot be read, and why."""

    prepared: list[Prepared] = field(default_factory=list)
    late: list[tuple[Job, Exception]] = field(default_factory=list)
    size: int = 0


def apply_there(work: Work, actions: Iterable[Action]) -> None:
    """`delete_remote`, `upload` and `conflict`. Raises ServerAway, ServerRefused, Stopped."""
    deletes, uploads, conflicts = jobs_of(work, actions)
    if deletes or uploads or conflicts:
        size = sum(work.view.entries[job.path].size for job in uploads if job.path in work.view.entries)
        work.progress.start("sending", len(deletes) + len(uploads) + len(conflicts), size)
        try:
            _Sender(work, keep=False).send(in_order(work, deletes, uploads))
            _Sender(work, keep=True).send(conflicts)
        finally:
            work.index.save()
            work.progress.done()


class _Sender:
    """Sends jobs and notes what became of them. `keep`: what loses becomes a candidate of a conflict."""

    def __init__(self, work: Work, *, keep: bool) -> None:
        self._work = work
        self._again: list[Job] = []
        self._in_the_way: list[tuple[Action, Version]] = []  # for when nobody reads the folder any more
        self._no: ServerRefused | None = None  # to everything, not just to one file
        self._delivery = Delivery(work.transport, work.room, keep=keep)

    def send(self, jobs: list[Job]) -> None:
        while jobs:
            self._again = []
            large = [job for job in jobs if self._is_large(job)]
            with self._work.ahead(self._bundles([job for job in jobs if not self._is_large(job)])) as bundles:
                for bundle in bundles:
                    self._send_bundle(bundle)
            for job in large:
                self._send_alone(job)
            jobs = self._again
        for action, there in self._in_the_way:
            step_aside(self._work, action, there)

    def _is_large(self, job: Job) -> bool:
        entry = self._work.view.entries.get(job.path)
        return job.body and entry is not None and entry.size > SMALL

    # -- reading: runs ahead of the rest, so it touches nothing but the folder

    def _bundles(self, jobs: Iterable[Job]) -> Iterator[Bundle]:
        bundle = Bundle()
        missed = False  # whether the job before is one of the late ones
        for job in jobs:
            try:
                if job.tied and missed:
                    raise LocalChange("the file of which this is the old name has changed")
                prepared = self._prepare(job)
            except (LocalChange, Blocked) as error:
                bundle.late.append((job, error))
                missed = True
                continue
            missed = False
            size = len(prepared.data or b"")
            most = BUNDLE_FILES if job.tied else BUNDLE_FILES - 1  # there is room for what is tied to it
            if bundle.prepared and (len(bundle.prepared) >= most or bundle.size + size > BUNDLE_BYTES):
                yield bundle
                bundle = Bundle()
            bundle.prepared.append(prepared)
            bundle.size += size
        if bundle.prepared or bundle.late:
            yield bundle

    def _prepare(self, job: Job) -> Prepared:
        """Raises LocalChange, Blocked."""
        path = job.path
        if job.action.do == "delete_remote":
            if not self._work.fs.ignored(path) and self._work.fs.stat(path) is not None:
                raise LocalChange("it is there again")
            return Prepared(job, Change(path, "delete", job.base, mtime=self._work.fs.folder_mtime(path)))
        if not job.body:
            return self._claim(job)
        seen_ns = self._work.clock.time_ns()
        entry, data = self._work.fs.read(path)
        digest = hashlib.sha256(data).hexdigest()
        return Prepared(job, self._put(job, entry, digest), data, entry, seen_ns)

    def _put(self, job: Job, entry: Entry, digest: str) -> Change:
        executable = self._work.view.made_executable(job.path, self._work.index.records.get(job.path))
        return Change(job.path, "put", job.base, digest, entry.size, entry.mtime_us, executable=executable)

    def _claim(self, job: Job) -> Prepared:
        """A put by its hash alone: the file as it was read before."""
        entry, digest = self._work.view.entries.get(job.path), self._work.hash_of(job.path)
        if entry is None or digest is None or self._work.fs.stat(job.path) != entry:
            raise LocalChange("it changed while it was synced")
        return Prepared(job, self._put(job, entry, digest), None, entry, self._work.view.at_ns)

    # -- sending

    def _send_bundle(self, bundle: Bundle) -> None:
        for job, error in bundle.late:
            if isinstance(error, LocalChange):
                self._work.retry(job.action, str(error))
            else:
                self._work.wait(job.action, str(error))
        if self._no is not None:
            self._refused(bundle.prepared, self._no)
            return
        if not bundle.prepared:
            return
        self._note_sent(bundle.prepared)
        left = {prepared.change.path: prepared for prepared in bundle.prepared}
        try:
            for part, outcome in self._delivery.push(bundle.prepared):
                for prepared in part:
                    del left[prepared.change.path]
                self._take(part, outcome)
        except ServerRefused as no:
            self._refused(left.values(), no)

    def _send_alone(self, job: Job) -> None:
        work = self._work
        if self._no is not None:
            work.wait(job.action, str(self._no), refused=True)
            return
        try:
            prepared = self._claim(job)
            body = work.fs.open(job.path)
        except LocalChange as error:
            work.retry(job.action, str(error))
            return
        except Blocked as error:
            work.wait(job.action, str(error))
            return
        self._note_sent([prepared])
        try:
            with body:
                outcome = self._delivery.put(prepared, body)
        except LocalChange as error:
            work.retry(job.action, str(error))
        except ServerRefused as no:
            self._refused([prepared], no)
        else:
            self._take([prepared], outcome)

    def _note_sent(self, prepared: Iterable[Prepared]) -> None:
        """Durable before anything leaves: should the answer be lost, these hashes tell what became of it.

        Nearly all of them are in the queue already, with the plan.
        """
        index = self._work.index
        for one in prepared:
            path, digest = one.change.path, one.change.hash
            if digest is not None and digest != self._work.planned.get(path):
                index.put(self._with_sent(path, digest))
        index.save()

    def _with_sent(self, path: str, digest: str) -> Record:
        return self._work.index.records.get(path, Record.unknown(path)).sending(digest)

    # -- what became of it

    def _take(self, part: list[Prepared], outcome: Outcome) -> None:
        """What became of a part; a failure is about one file."""
        if isinstance(outcome, Pushed):
            self._settle(part, outcome)
            return
        (prepared,) = part
        self._work.progress.advance(1, prepared.change.size)
        if isinstance(outcome, ServerAway):
            self._work.wait_for_server(prepared.job.action, _not_through(prepared, outcome))
        elif outcome.status < 500 or outcome.status == 507:
            self._not_sent(prepared)
            self._work.wait(prepared.job.action, str(outcome), refused=True)
        else:  # whether it was taken before that happened, the next answer says
            self._work.wait_for_server(prepared.job.action, str(outcome))

    def _settle(self, prepared: list[Prepared], pushed: Pushed) -> None:
        results = {result.path: result for result in pushed.results}
        for one in prepared:
            result = results.get(one.change.path)
            if result is None:
                if one.change.hash is not None:
                    self._work.index.put(self._with_sent(one.change.path, one.change.hash))
                self._work.retry(one.job.action, "the server did not say what became of it")
            else:
                self._settle_one(one, result)
            self._work.progress.advance(1, one.change.size if one.job.body else 0)
        if pushed.after is not None and pushed.cursor is not None and pushed.after == self._work.cursor:
            self._work.cursor = pushed.cursor
            self._work.seen = max((one.version.stamp for one in pushed.results if one.version), default=0)

    def _settle_one(self, one: Prepared, result: Result) -> None:
        work, change, action = self._work, one.change, one.job.action
        if result.status in ("stored", "same") and result.version is not None and one.entry is not None:
            work.same(result.version, one.entry, one.seen_ns, change.executable)
            work.uploaded.add(change.path)
            work.report.trail.append(("sent", change.path))
            work.report.bytes_up += change.size if one.job.body else 0
        elif result.status == "deleted":
            work.gone(change.path)
            work.deleted.add(change.path)
            work.report.trail.append(("deleted everywhere", change.path))
        elif result.status == "conflict" and result.conflict is not None:
            record, conflict = self._with_sent(change.path, change.hash or ""), str(result.conflict["id"])
            if result.conflict.get("state") == "settled":  # merged, say: what it came to is there already
                work.index.put(record)
                work.retry(action, "it was settled on the server")
                return
            if record.conflict != conflict:
                work.report.trail.append(("in conflict", change.path))
            work.index.put(record._replace(conflict=conflict))
        elif result.status == "need-body" and not one.job.body:
            self._again.append(one.job._replace(body=True))
        else:
            self._not_sent(one)
            if result.code in _TRY_AGAIN or result.status == "need-body":
                work.retry(action)
            elif result.code == "path-taken" and result.head is not None:
                self._in_the_way.append((action, result.head))
            else:
                work.wait(action, _reason(result.code), refused=True)

    def _refused(self, prepared: Iterable[Prepared], no: ServerRefused) -> None:
        """The server takes nothing at all. Raises `no` again where that is not about the files."""
        if no.status not in _ABOUT_THE_FILES or is_not_gobis(no):
            raise no
        self._no = no
        for one in prepared:
            self._not_sent(one)
            self._work.wait(one.job.action, str(no), refused=True)

    def _not_sent(self, one: Prepared) -> None:
        """The server surely did not take it."""
        record = self._work.index.records.get(one.change.path)
        if record is None or one.change.hash not in record.sent:
            return
        sent = tuple(digest for digest in record.sent if digest != one.change.hash)
        if sent or record.stamp is not None:
            self._work.index.put(record._replace(sent=sent))
        else:
            self._work.index.forget(one.change.path)


def _not_through(prepared: Prepared, away: ServerAway) -> str:
    from client.progress import human_size

    size = f" ({human_size(prepared.change.size)})" if prepared.job.body else ""
    return f"it did not come through whole{size}: {away.message}"


_REASONS = {
    "too-large": "the server takes no file as large as this",
    "bad-path": "the server takes no file of this name",
    "quota": "the vault is full; remove something, or ask for a larger quota",
    "disk-full": "the server's disk is full",
    "metadata-full": "the server's database is full",
    "forbidden": "you may only read this vault",
    "slow-down": "more than one person may send there in a day; a later sync goes on",
    "too-many": "too many edits of it wait for a decision; settle its conflicts",
}


def _reason(code: str | None) -> str:
    return _REASONS.get(code or "", f"the server said {code or 'no'}")
