"""What a round finds in the queue, what it puts there before it begins, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from client.changes import Outgoing
from client.conversation import Answer
from client.ports import Clock
from client.queue import Operation
from client.work import Work
from sync.model import Action


def divide(waiting: Iterable[Operation], now: Callable[[Operation], bool]) -> tuple[list[Operation], list[Operation]]:
    """What of the queue it is time for, and the rest."""
    both: tuple[list[Operation], list[Operation]] = ([], [])
    for one in waiting:
        both[not now(one)].append(one)
    return both


def plan(answer: Answer, outgoing: Outgoing, clock: Clock) -> Iterable[Operation]:
    """The work as lines of the queue. What is only to be noted down needs no line, nor what has one: the deletes."""
    now = clock.time_ns() // 1000
    todo: dict[str, Action] = answer.actions | answer.overtaken
    hashes = outgoing.hashes()
    for path, action in todo.items():
        if action.do != "adopt" and path not in outgoing.deletes:
            digest = hashes.get(path) if action.do in ("upload", "conflict") else None
            yield Operation(action.do, path, action.base, at=now, sent=(digest,) if digest else ())


def kept(work: Work, unseen: Iterable[Operation], outgoing: Outgoing) -> Iterable[Operation]:
    """What goes on waiting when the round is over."""
    kept = {one.path: one._replace(why=work.view.why_unknown(one.path) or one.why) for one in unseen}
    kept |= work.waiting
    for path, delete in outgoing.deletes.items():
        if path in kept and kept[path].op == "delete_remote":
            kept[path] = delete._replace(why=kept[path].why)
    return kept.values()
