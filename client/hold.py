"""Deletes of most of the folder, seen by a client that watches: held back, while everything else goes on.

They stand in the queue, marked. The process that held them back goes on doing so; the next one drops them, so that the
files come back, unless a person has said that they are meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from client.changes import BY_HAND
from client.queue import DELETE, Operation
from client.scan import View

WHAT = "what was deleted here"
WHY = (
    "more than half of the files went at once, so they are not deleted elsewhere. If that was meant, stop gobi watch "
    "(gobi sync cannot run beside it), run gobi sync --allow-mass-delete, and start it again; if not, stop it and "
    "start it again, and they come back"
)


def is_held(one: Operation) -> bool:
    return one.op == DELETE and one.refused


def hold(waiting: Iterable[Operation], paths: set[str], view: View) -> tuple[list[Operation], list[Operation]]:
    """What of the queue goes on, and the deletes of `paths`, marked. Of these files nothing is to be said meanwhile."""
    going, held = [], []
    for one in waiting:
        if one.op == DELETE and one.by != BY_HAND and one.path in paths:
            held.append(one._replace(why=WHY, refused=True))
        else:
            going.append(one)
    view.hidden |= dict.fromkeys((one.path for one in held), WHY)
    return going, held


def resume(waiting: Sequence[Operation], *, meant: bool) -> list[Operation]:
    """What the next process makes of them."""
    if meant:
        return [one._replace(why="", refused=False) if is_held(one) else one for one in waiting]
    return [one for one in waiting if not is_held(one)]
