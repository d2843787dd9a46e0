"""`gobi status`: what waits in a folder, found out without the server."""

from __future__ import annotations

from client.changes import collect
from client.hold import hold, is_held
from client.index import Index
from client.ports import Clock, FileSystem
from client.queue import DELETE, OperationQueue
from client.report import Silent, Status
from client.scan import look
from client.standing import stand


def status(fs: FileSystem, index: Index, queue: OperationQueue, clock: Clock) -> Status:
    """Reads the files that are new or touched, and writes nothing. Raises Stopped."""
    waiting, damaged = queue.load()
    records = index.records
    view = look(fs, index, clock, Silent())
    waiting, held = hold(waiting, {one.path for one in waiting if is_held(one)}, view)
    outgoing = collect(view, records, waiting, fs, full=False, propagate_deletes=False)
    found = Status(cursor=index.cursor, files=len(view.entries), skipped=view.skipped)
    for change in outgoing.changes:
        record = records.get(change.path)
        if change.kind == "delete":
            found.deletes.append(change.path)
        elif record is None or record.stamp is None:
            if change.kind == "put" and (record is None or record.conflict is None):
                found.new.append(change.path)
        elif change.kind == "missing":
            found.missing.append(change.path)
        elif change.hash != record.hash and record.conflict is None:
            found.edited.append(change.path)
    pending = [one._replace(why=one.why or "the last sync did not get to it") for one in waiting if one.op != DELETE]
    standing = stand(view, records, [*pending, *held], fs)
    found.conflicts, found.refused, found.waiting, found.held_deletes = standing
    refused = {path for path, _ in found.refused}  # is sent once a person has done something, and not before
    found.new = [path for path in found.new if path not in refused]
    found.edited = [path for path in found.edited if path not in refused]
    if damaged:
        found.notes.append(f"{damaged} lines of the queue are unreadable; the next sync drops them")
    return found
