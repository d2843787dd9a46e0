"""What others deleted is deleted here, too; but not most of the files without asking."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from client.changes import FEW
from client.index import Record
from client.ports import FileSystem, Stopped
from client.scan import View
from sync.model import Action


class MassDeleteHere(Stopped):
    """Most files of this folder are about to be deleted, because others have deleted them."""


def given_up(actions: Collection[Action], view: View, records: Mapping[str, Record], fs: FileSystem) -> frozenset[str]:
    """The files here that others have deleted, or emptied, and of which nothing is left under another name.

    Nothing where they are few: those are always believed.
    """
    going = {one.path for one in actions if one.do == "delete_local" and one.path in view.entries}
    emptied = {one.path for one in actions if _empties(one, view)}
    if len(going) + len(emptied) <= FEW:
        return frozenset()
    staying = {record.hash for path, record in records.items() if path not in going and record.size}
    staying |= {one.head.hash for one in actions if one.do == "download" and one.head and one.head.hash}
    lost = {path for path in going if _content(path, view, records) not in staying} | emptied
    lost = {path for path in lost if not fs.ignored(path) and view.why_unknown(path) is None}
    return frozenset(lost if len(lost) > FEW else ())


def check(given_up: Collection[str], records: Mapping[str, Record]) -> None:
    """Raises MassDeleteHere where that is more than half of the files."""
    tracked = sum(record.stamp is not None for record in records.values())
    if len(given_up) * 2 > tracked:
        raise MassDeleteHere(
            f"{len(given_up):,} of {tracked:,} files here would be deleted or emptied, as was done elsewhere, so "
            "nothing was done. gobi log says who did it. If it was meant, run gobi sync --allow-mass-delete; if not, "
            "take it back first, with gobi undo or on the server's page"
        )


def _empties(action: Action, view: View) -> bool:
    entry = view.entries.get(action.path)
    head = action.head
    return action.do == "download" and head is not None and head.size == 0 and entry is not None and entry.size > 0


def _content(path: str, view: View, records: Mapping[str, Record]) -> str | None:
    record = records.get(path)
    return view.hashes.get(path, record.hash if record is not None else None)
