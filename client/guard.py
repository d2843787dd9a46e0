"""What others deleted is deleted here, too; but most of the files only once a person says so.

Until then it is held back, while everything else goes on. It stands in the queue, marked, so that the cursor may move
on: with every sync the server is asked about these files again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from client.changes import FEW
from client.index import Record
from client.ports import Clock, FileSystem
from client.queue import Operation
from client.scan import View
from sync.model import Action

BY_OTHERS = "others"
WHAT = "what was deleted or emptied elsewhere"
WHY = (
    "that is more than half of the files here, so it is not done here. gobi log says who did it. If it was meant, run "
    "gobi sync --allow-mass-delete (stop gobi watch for that, and start it again); if not, take it back with gobi undo "
    "or on the server's page"
)


def is_held(one: Operation) -> bool:
    return one.by == BY_OTHERS


def given_up(
    actions: Mapping[str, Action],
    view: View,
    records: Mapping[str, Record],
    fs: FileSystem,
    later: Iterable[Operation] = (),
) -> frozenset[str]:
    """The files here that others have deleted, or emptied, and of which nothing is left under another name.

    Nothing where they are few, together with what is held back in `later`, the part of the queue that is not asked
    about now: few are always believed.
    """
    held = {one.path for one in later if is_held(one)} - actions.keys()
    going = {path for path, one in actions.items() if one.do == "delete_local" and path in view.entries}
    emptied = {path for path, one in actions.items() if _empties(one, view)}
    if len(going) + len(emptied) + len(held) <= FEW:
        return frozenset()
    staying = {record.hash for path, record in records.items() if path not in going and record.size}
    staying |= {one.head.hash for one in actions.values() if one.do == "download" and one.head and one.head.hash}
    lost = {path for path in going if _content(path, view, records) not in staying} | emptied
    lost = {path for path in lost if not fs.ignored(path) and view.why_unknown(path) is None}
    return frozenset(lost if len(lost | held) > FEW else ())


def overwritten(
    actions: Mapping[str, Action], view: View, records: Mapping[str, Record], fs: FileSystem
) -> frozenset[str]:
    """The files here whose content others have replaced, where that is more than half of all, and more than few.

    It is done, but what was here is kept: an edit of everything and the work of a thief look the same, and whether the
    server has the older versions is the server's word.
    """
    replaced = {
        path
        for path, one in actions.items()
        if one.do == "download" and one.head is not None and path in view.entries and not fs.ignored(path)
        if _content(path, view, records) != one.head.hash
    }
    tracked = sum(record.stamp is not None for record in records.values()) if len(replaced) > FEW else 0
    return frozenset(replaced if len(replaced) * 2 > tracked > 0 else ())


def unasked(given_up: Iterable[str], actions: Mapping[str, Action], meant: Collection[int]) -> frozenset[str]:
    """Of these files, those of which nobody here has said that they may go. `meant`: stamps of what somebody asked
    for."""
    heads = {path: actions[path].head for path in given_up}
    return frozenset(path for path, head in heads.items() if head is None or head.stamp not in meant)


def hold(
    given_up: Collection[str],
    actions: dict[str, Action],
    waiting: Iterable[Operation],
    later: Iterable[Operation],
    records: Mapping[str, Record],
    clock: Clock,
) -> dict[str, Operation]:
    """Takes out of `actions` what a person has to say first, and returns it for the queue, by path.

    That is where it is more than half of the files; and, once it was held back, for as long as they are many, together
    with what is held back in `later`. `given_up`: those of which nobody has said that they may go.
    """
    still = {operation.path for operation in later if is_held(operation)}
    if not given_up or len(still.union(given_up)) <= FEW:
        return {}
    tracked = sum(record.stamp is not None for record in records.values())
    if len(given_up) * 2 <= tracked and not still and not any(map(is_held, waiting)):
        return {}
    now = clock.time_ns() // 1000
    return {
        path: Operation(actions.pop(path).do, path, by=BY_OTHERS, at=now, why=WHY, refused=True) for path in given_up
    }


def _empties(action: Action, view: View) -> bool:
    entry = view.entries.get(action.path)
    head = action.head
    return action.do == "download" and head is not None and head.size == 0 and entry is not None and entry.size > 0


def _content(path: str, view: View, records: Mapping[str, Record]) -> str | None:
    record = records.get(path)
    return view.hashes.get(path, record.hash if record is not None else None)
