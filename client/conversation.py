"""The exchange of docs/protocol.md, section 5: what happened here is sent, what to do comes back, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from client.index import START, Record
from client.ports import ServerAway, ServerRefused, Transport
from sync.model import Action, Change

CHUNK = 5_000
"""Changes in one request, and rows asked for in one answer."""

MOST_ACTIONS = 5_000_000
"""In one exchange; no vault has so many files."""

EMPTY_PAGES = 10_000
"""In a row: a server looks at as much as it likes for each, but not for ever."""


class CursorExpired(Exception):
    """The server does not know this cursor any more: sync again from "0"."""


@dataclass
class Answer:
    """What is to be done, by path, and the cursor that holds once it is.

    `overtaken`: reported paths that changed once more while the pages came: they have to be reported again. `lost`: how
    many bodies the server misses. `max_file`: as in SyncAnswer. `chunk`: how many changes in a request came through.
    """

    cursor: str = START
    actions: dict[str, Action] = field(default_factory=dict)
    overtaken: dict[str, Action] = field(default_factory=dict)
    lost: int = 0
    max_file: int = 0
    chunk: int = CHUNK


def converse(
    transport: Transport, cursor: str, changes: Sequence[Change], records: Mapping[str, Record], chunk: int = CHUNK
) -> Answer:
    """Raises CursorExpired, ServerAway, ServerRefused."""
    pages, empty = _Pages(records), 0
    try:
        while True:
            some, later = changes[:chunk], changes[chunk:]
            try:
                answer = transport.sync(cursor, some, not later, chunk)
            except (ServerAway, ServerRefused) as no:
                if len(some) < 2 or not _is_too_much(no):
                    raise
                if isinstance(no, ServerAway):
                    transport.vault()  # raises the same where it is not this request but the network
                chunk = max(1, len(some) // 2)
                continue
            changes = later
            pages.add(some, answer.actions)
            empty = 0 if answer.actions or some else empty + 1
            if (not changes and answer.more and answer.cursor == cursor) or empty > EMPTY_PAGES or pages.full:
                raise ServerAway(
                    "the server's pages have no end", then="sync again, and tell its operator if that stays so"
                )
            cursor = answer.cursor
            if not changes and not answer.more:
                return Answer(cursor, pages.actions, pages.overtaken, answer.lost, answer.max_file, chunk)
    except ServerRefused as no:
        if no.code in ("cursor-expired", "bad-cursor"):
            raise CursorExpired from no
        raise


def _is_too_much(no: ServerAway | ServerRefused) -> bool:
    """Whether the same in smaller requests may come through."""
    return no.on_the_way if isinstance(no, ServerAway) else no.status == 413


class _Pages:
    """Makes one list of many pages: at most one action a path, judged by the newest head that was told."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._records = records
        self._told: dict[str, int] = {}  # stamps; for reported paths from their own page on
        self.actions: dict[str, Action] = {}
        self.overtaken: dict[str, Action] = {}

    @property
    def full(self) -> bool:
        return len(self.actions) > MOST_ACTIONS

    def add(self, changes: Sequence[Change], actions: Sequence[Action]) -> None:
        reported = {change.path: change for change in changes}
        told = {change.path: change.base or 0 for change in changes}
        for action in actions:
            path = action.path
            stamp = action.head.stamp if action.head else 0
            if path in reported:
                self.actions[path] = _unless_new(action, reported[path])
                told[path] = stamp
            elif action.do not in ("download", "delete_local"):
                continue  # nothing was reported that could call for this
            elif path not in self._told:
                record = self._records.get(path)
                if record is None or record.stamp is None or stamp > record.stamp:
                    self.actions[path] = action
            elif stamp > self._told[path]:
                self.actions.pop(path, None)
                self.overtaken[path] = action
        self._told |= told


def _unless_new(action: Action, change: Change) -> Action:
    """A file that is new to this client is never deleted.

    The server found its bytes in the path's history and takes it for the file that was deleted. But this client never
    had that, or has lost its memory: somebody put the file there, and an edit beats a delete.
    """
    if action.do != "delete_local" or change.kind != "put" or change.base is not None or change.hash in change.sent:
        return action
    return Action("upload", action.path, action.head, action.head.stamp if action.head else None)
