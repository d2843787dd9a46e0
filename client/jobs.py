"""What there is to send, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from client.order import Names, pair
from client.work import Work
from sync.model import Action


class Job(NamedTuple):
    """One change to send. `body`: whether its bytes go along; the server may have them.

    `tied`: only together with the one before it.
    """

    action: Action
    base: int | None
    body: bool = True
    tied: bool = False

    @property
    def path(self) -> str:
        return self.action.path


def jobs_of(work: Work, actions: Iterable[Action]) -> tuple[list[Job], list[Job], list[Job]]:
    """Deletes, uploads, candidates of conflicts. What cannot be said anything of waits."""
    deletes, uploads, conflicts = [], [], []
    known: set[str] | None = None
    for action in actions:
        if action.do == "delete_remote":
            deletes.append(Job(action, action.head.stamp if action.head else action.base, body=False))
        elif action.do in ("upload", "conflict"):
            unknown = work.view.why_unknown(action.path)
            if unknown is not None:
                work.wait(action, unknown)
            elif action.do == "conflict":
                conflicts.append(Job(action, action.base, body=False))
            else:
                if known is None:
                    known = {record.hash for record in work.index.records.values() if record.stamp is not None}
                uploads.append(Job(action, action.base, body=work.hash_of(action.path) not in known))
    return deletes, uploads, conflicts


def in_order(work: Work, deletes: list[Job], uploads: list[Job]) -> list[Job]:
    """New names first, so that nobody is without a file in between; and both names of one in the same request.

    Others then see that it was renamed. Only what lies where a new name needs room goes before everything else.
    """
    names = Names([job.path for job in uploads])
    records = work.index.records
    pairs = pair(
        {job.path: records[job.path].hash for job in deletes if job.path in records},
        {job.path: work.hash_of(job.path) for job in uploads if not job.body},
    )
    going = {job.path: job for job in deletes}
    first = [going.pop(job.path) for job in deletes if names.need_room_of(job.path)]
    renamed: list[Job] = []
    for job in uploads:
        old = pairs.get(job.path)
        if old is not None:
            delete = going.pop(old, None)
            renamed += [job, delete._replace(tied=True)] if delete else [job]
    return [*first, *renamed, *(job for job in uploads if job.path not in pairs), *going.values()]
