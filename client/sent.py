"""Hashes that were sent for a path, while nobody knows what became of them."""

from __future__ import annotations

from collections.abc import Iterable

from client.changes import Outgoing
from client.conversation import Answer
from client.index import Index, Record
from client.queue import Operation


def remember_sent(waiting: Iterable[Operation], index: Index) -> None:
    """A sync broke off: any of the hashes in its plan may be on the server, or may not.

    They go to the index, and durably, because the next plan takes the place of that one.
    """
    broken_off = False
    for one in waiting:
        record = index.records.get(one.path, Record.unknown(one.path))
        for digest in one.sent:
            if digest not in (*record.sent, record.hash):
                record = record.sending(digest)
                index.put(record)
                broken_off = True
    if broken_off:
        index.save()


def forget_sent(outgoing: Outgoing, answer: Answer, index: Index) -> None:
    """What was reported and calls for nothing is as the server has it: nothing that was sent before came there."""
    called_for = answer.actions.keys() | answer.overtaken.keys()
    for change in outgoing.changes:
        record = index.records.get(change.path)
        by_itself = change.executable is not None and record is not None and change.hash == record.hash
        if by_itself and record and change.path not in called_for:  # an older server, that knows nothing of it
            record = record._replace(executable=bool(change.executable))
            index.put(record)
        if change.kind == "put" and change.path not in called_for and record and (record.sent or record.conflict):
            index.put(record._replace(sent=(), conflict=None))
