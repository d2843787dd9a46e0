"""What to do without asking: a single edit goes straight to the server, and one that was told comes straight from it.

The answers of the table (docs/protocol.md, section 5) where this client surely knows the head, or is told by the push
when it is another one: nothing is ever replaced unseen. Wherever more than one answer could be right, the server is
asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from client import said
from client.conversation import Answer
from client.index import Record
from client.scan import View
from sync.model import Action, Change, Json, Verb, Version

BELIEVED = 5
"""Deletes, in a row, that are done because a notice says so. Notices come over the server's bus, which others may get
at: what deletes more than a few files is asked for first."""


class Heard(NamedTuple):
    """The versions right after one cursor, as the live socket told them."""

    after: str
    cursor: str
    changes: tuple[Version, ...]

    @property
    def stamp(self) -> int:
        """The newest one's."""
        return max((version.stamp for version in self.changes), default=0)

    @classmethod
    def from_json(cls, row: Json) -> Heard:
        """Raises ValueError, KeyError, TypeError where it is not of the protocol's form."""
        return cls(said.word(row["after"]), said.word(row["cursor"]), tuple(map(said.version, row["changes"])))


def foresee(
    changes: Sequence[Change],
    heard: Sequence[Heard],
    records: Mapping[str, Record],
    cursor: str,
    waiting: Collection[str],
    unasked: int = 0,
) -> Answer | None:
    """None where only the server can tell. `waiting`: paths about which something is not settled. `unasked`: files that
    were deleted here on a notice's word alone since the server was asked last.
    """
    answer = Answer(cursor)
    newest: dict[str, Version] = {}
    for message in heard:
        if message.after != answer.cursor:
            return None
        newest |= {version.path: version for version in message.changes}
        answer.cursor = message.cursor
    foreign = {path: head for path, head in newest.items() if not _is_known(head, records)}
    reported = {change.path for change in changes}
    for path in (*foreign, *reported):
        if path in waiting or (path in foreign and path in reported) or _is_unsettled(records.get(path)):
            return None
    if sum(not head.live and path in records for path, head in foreign.items()) + unasked > BELIEVED:
        return None
    for path, head in foreign.items():
        answer.actions[path] = Action("download" if head.live else "delete_local", path, head)
    for change in changes:
        if change.kind not in ("put", "delete"):
            return None
        do: Verb = "upload" if change.kind == "put" else "delete_remote"
        answer.actions[change.path] = Action(do, change.path, None, change.base)
    return answer


def bases_of_deletes(actions: Mapping[str, Action], records: Mapping[str, Record]) -> dict[str, int]:
    """The versions of what is deleted here, by path."""
    return {
        path: records[path].stamp or 0
        for path, action in actions.items()
        if action.do == "delete_local" and path in records
    }


def confirming(
    unasked: Mapping[str, int], changes: Sequence[Change], records: Mapping[str, Record], view: View
) -> Sequence[Change]:
    """`changes`, and with them what was deleted on a notice's word: where that was not so, it comes back."""
    reported = {change.path for change in changes}
    gone = [path for path in unasked if path not in reported and path not in records and path not in view.entries]
    if not gone:
        return changes
    return sorted([*changes, *(Change(path, "missing", unasked[path]) for path in gone)], key=lambda one: one.path)


def lacks_new_names(heard: Sequence[Heard], records: Mapping[str, Record]) -> bool:
    """Whether files were deleted of which one cannot say yet that they were not renamed: the rest may be on its way."""
    newest = {version.path: version for message in heard for version in message.changes}
    arrived = {version.hash for version in newest.values() if version.live}
    return any(
        not version.live and not _is_known(version, records) and records[version.path].hash not in arrived
        for version in newest.values()
        if version.path in records
    )


def _is_known(head: Version, records: Mapping[str, Record]) -> bool:
    """Whether it is an older one, or this client's own, come back."""
    record = records.get(head.path)
    return record is not None and record.stamp is not None and record.stamp >= head.stamp


def _is_unsettled(record: Record | None) -> bool:
    return record is not None and (bool(record.sent) or record.conflict is not None)
