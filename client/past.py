"""History, conflicts and undo over HTTP, for one vault (docs/protocol.md, section 8)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from client import said
from client.connection import Body, Connection
from client.ports import ServerRefused, Stopped
from sync.model import Json, Version

if TYPE_CHECKING:
    from client.config import Config

LARGEST_UNDO = 512 * 1024 * 1024  # bytes of JSON: it has no pages
PAGE = 1_000  # versions asked for at a time
USAGE = 2


class Moved(Stopped):
    """The head is not the one that was looked at, so nothing was changed."""


class Past:
    """Raises ServerAway and ServerRefused as `Connection` does, and Stopped for a path or version that is not there."""

    def __init__(self, connection: Connection, vault: str) -> None:
        self._connection = connection
        self._vault = "/v1/vaults/" + quote(vault, safe="")

    def now(self) -> int | None:
        """The server's clock in µs, to the second. None where the answer had no readable date (RFC 9110, 6.6.1)."""
        from email.utils import parsedate_to_datetime

        response = self._connection.request("GET", self._vault)
        try:
            return int(parsedate_to_datetime(response.headers["Date"]).timestamp()) * 1_000_000
        except (TypeError, ValueError):
            return None

    # -- older versions

    def history(self, path: str, limit: int, before: int | None = None) -> list[Version]:
        """Newest first, up to `limit`, with stamps below `before`. Raises Stopped for a path that has none."""
        found: list[Version] = []
        while len(found) < limit:
            asked = {"limit": min(limit - len(found), PAGE)} | ({} if before is None else {"before": before})
            with self._about(path):
                answer = self._get(f"history/{quote(path)}", asked)
            with self._connection.understanding():
                found += [said.version(row, path) for row in answer["versions"]]
                before = _further(answer["next"], before)
            if before is None:
                break
        return found

    def version(self, path: str, stamp: int) -> Version:
        """Raises Stopped where the path has no such version."""
        found = self.history(path, 1, before=stamp + 1)
        if not found or found[0].stamp != stamp:
            raise Stopped(f"{path} has no version {stamp}; gobi history lists those it has", USAGE)
        return found[0]

    def restore(self, path: str, stamp: int, head: int | None) -> Version:
        """Puts the body of that version on top of `head`; returns the new head. Raises Moved."""
        with self._about(path):
            row = self._post("restore", {"path": path, "stamp": stamp, "head": head})
        with self._connection.understanding():
            return said.version(row, path)

    def delete(self, path: str, head: int) -> Version:
        """Raises Moved."""
        target = f"{self._vault}/files/{quote(path)}"
        with self._about(path):
            row = self._connection.json("DELETE", target, headers={"If-Match": f'"{head}"'})
        with self._connection.understanding():
            return said.version(row, path)

    def log(self, *, since: int, device: str | None, prefix: str, page: int = PAGE) -> Iterator[Version]:
        """Newest first. Asks as it goes."""
        asked: dict[str, object] = {"since": since, "prefix": prefix, "limit": page}
        if device is not None:
            asked["device"] = device
        before: int | None = None
        while True:
            answer = self._get("log", asked)
            with self._connection.understanding():
                found = [said.version(row) for row in answer["versions"]]
                before = _further(answer["next"], before)
            yield from found
            if before is None:
                return
            asked["before"] = before

    def stamp_at(self, moment: int) -> tuple[int, bool]:
        """The last stamp of what had been made by then, and whether that is sure. Of a server that cannot say: its own
        stamp."""
        try:
            answer = self._get("stamp", {"time": moment})
        except ServerRefused as no:
            if no.code != "not-found":
                raise
            return moment, True
        with self._connection.understanding():
            return said.number(answer["stamp"]), said.yes(answer["sure"])

    def undo(self, asked: Json) -> Json:
        """`asked` is the protocol's; so is the answer: `changes`, `skipped`, `until`."""
        answer = self._connection.json("POST", f"{self._vault}/restore", Body.of_json(asked), most=LARGEST_UNDO)
        with self._connection.understanding():
            for row in said.rows(answer["changes"]):
                said.version(row | {"stamp": row["stamp"] or 0})  # null in a dry run
                said.optional_number(row["restores"])
            for row in said.rows(answer["skipped"]):
                said.version(row)
                said.word(row["reason"])
            said.word(answer["until"])
        return answer

    # -- conflicts

    def conflicts(self) -> list[Json]:
        """Those that are open, the oldest first."""
        answer = self._get("conflicts", {})
        with self._connection.understanding():
            return sorted(map(said.conflict, answer["conflicts"]), key=lambda row: int(row["opened"]))

    def merge(self, conflict: Json, candidate: int | None) -> Json:
        with self._about(conflict["path"]):
            merge = self._get(f"conflicts/{quote(conflict['id'], safe='')}/merge", _given(candidate=candidate))
        with self._connection.understanding():
            if not said.yes(merge["mergeable"]):
                said.word(merge["reason"])
            elif not said.yes(merge["clean"]):
                merge["hunks"] = [{"kind": said.word(hunk["kind"])} for hunk in said.rows(merge["hunks"])]
            else:
                said.number(merge["head"])
                if not isinstance(merge["text"], str):
                    raise TypeError("no text")
        return merge

    def resolve(self, conflict: Json, asked: Json) -> list[Version]:
        """What was committed: the candidates, the outcome, and the copy beside it. Raises Moved."""
        with self._about(conflict["path"]):
            answer = self._post(f"conflicts/{quote(conflict['id'], safe='')}/resolve", asked)
        with self._connection.understanding():
            return [said.version(row) for row in answer["versions"]]

    # -- the wire

    def _get(self, what: str, query: dict[str, Any]) -> Json:
        asked = f"?{urlencode(query, quote_via=quote)}" if query else ""
        return self._connection.json("GET", f"{self._vault}/{what}{asked}")

    def _post(self, what: str, value: Json) -> Json:
        return self._connection.json("POST", f"{self._vault}/{what}", Body.of_json(value))

    @contextmanager
    def _about(self, path: str) -> Iterator[None]:
        """What the server may say of one path, in words for a person."""
        try:
            yield
        except ServerRefused as no:
            match no.code:
                case "conflict":
                    said = f"{path} has changed on the server meanwhile, so nothing was done; look at it again"
                    raise Moved(said, 1) from no
                case "not-found":
                    self._connection.json("GET", self._vault)  # raises where it is the vault that is not there
                    raise Stopped(f"{path}: {no}", USAGE) from no
                case "purged":
                    raise Stopped(f"{path}: {no}; gobi history lists the versions that are left", USAGE) from no
            raise


def _further(following: object, before: int | None) -> int | None:
    """Where the next page begins. Raises ValueError where that is no further on."""
    if following is None:
        return None
    stamp = said.number(following)
    if before is not None and stamp >= before:
        raise ValueError("pages without an end")
    return stamp


def _given(**values: object) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def window(config: Config, conflict_id: str | None = None) -> str:
    """The address of the page's conflict window, for the whole vault or for one conflict."""
    place = f"{config.url}/#/v/{quote(config.vault, safe='')}/conflicts"
    return place if conflict_id is None else f"{place}/{quote(conflict_id, safe='')}"
