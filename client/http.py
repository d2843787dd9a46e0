"""The protocol over HTTP: client.ports.Transport for one vault (docs/protocol.md, sections 3 to 6 and 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http.client import HTTPResponse
from typing import BinaryIO
from urllib.parse import quote

from client.connection import PIECE, Body, Connection
from client.ports import LocalChange, Pushed, Result, ServerAway, ServerRefused, SyncAnswer
from sync.model import Action, Change, Json, Version

PAGE = 5_000  # rows of a listing asked for at a time
CUTS = 3  # how often in a row a download may be cut without a single new byte before it is given up

# What the server says about a whole vault or about itself; anything else it refuses is about the one file. What is not
# the server's own answer has no problem (RFC 9457).
_NOT_ABOUT_THE_FILE = (401, 403, 404, 500)


class HttpTransport:
    """One vault over one connection. Not for use by several threads: `another()` makes a second one."""

    def __init__(self, connection: Connection, vault: str) -> None:
        self._connection = connection
        self._name = vault
        self._vault = "/v1/vaults/" + quote(vault, safe="")

    def another(self) -> HttpTransport:
        """The same vault over a connection of its own."""
        return HttpTransport(self._connection.another(), self._name)

    def live(self, cursor: str) -> tuple[Connection, str]:
        """Where the live socket is (section 7), and the way there."""
        return self._connection, f"{self._vault}/live?cursor={quote(cursor, safe='')}"

    def close(self) -> None:
        self._connection.close()

    # -- the vault

    def vault(self) -> Json:
        return self._connection.json("GET", self._vault)

    def create_vault(self) -> None:
        """Makes the vault, or does nothing for a member. Raises ServerRefused `name-taken`."""
        self._connection.json("PUT", self._vault)

    def conflicts(self) -> list[Json]:
        rows: list[Json] = self._connection.json("GET", f"{self._vault}/conflicts")["conflicts"]
        return rows

    def lost(self) -> list[str]:
        hashes: list[str] = self._connection.json("GET", f"{self._vault}/lost")["lost"]
        return hashes

    def give_back(self, hash: str, size: int, body: BinaryIO) -> None:
        asked = Body(size, lambda: _file_pieces(hash, size, body))
        self._connection.request("PUT", f"{self._vault}/lost/{hash}", asked)

    # -- metadata

    def heads(self) -> Iterator[Version]:
        """Every live head, by path. Asks page by page."""
        after = ""
        while True:
            answer = self._connection.json("GET", f"{self._vault}/files?limit={PAGE}&after={quote(after, safe='')}")
            yield from map(Version.from_json, answer["files"])
            if answer["next"] is None:
                return
            after = answer["next"]

    def sync(self, cursor: str, changes: Sequence[Change], last: bool, limit: int) -> SyncAnswer:
        rows = [change.to_json() for change in changes]
        asked = Body.of_json({"cursor": cursor, "changes": rows, "last": last, "limit": limit})
        answer = self._connection.json("POST", f"{self._vault}/sync", asked)
        self._connection.check_vault(answer.get("vault"))
        actions = [Action.from_json(row) for row in answer["actions"]]
        return SyncAnswer(
            actions, answer["cursor"], answer["more"], answer.get("lost") or 0, answer.get("max_file") or 0
        )

    # -- sending

    def push(self, changes: Sequence[Change], bodies: dict[str, bytes], keep: bool) -> Pushed:
        from client.bundles import pack

        on_conflict = "keep" if keep else "fail"
        answer = self._connection.json("POST", f"{self._vault}/push?on_conflict={on_conflict}", pack(changes, bodies))
        return Pushed([_result(row) for row in answer["results"]], answer.get("after"), answer.get("cursor"))

    def put(self, change: Change, body: BinaryIO, keep: bool) -> Pushed:
        headers = {"Gobi-Hash": change.hash or ""}
        if change.mtime is not None:
            headers["Gobi-Mtime"] = str(change.mtime)
        if change.executable is not None:
            headers["Gobi-Executable"] = str(int(change.executable))
        if change.base is None:
            headers["If-None-Match"] = "*"
        else:
            headers["If-Match"] = f'"{change.base}"'
        target = self._file(change.path) + ("?on_conflict=keep" if keep else "")
        asked = Body(change.size, lambda: _file_pieces(change.path, change.size, body))
        try:
            answer = self._connection.json("PUT", target, asked, headers)
        except ServerRefused as no:
            if no.status in _NOT_ABOUT_THE_FILE or not no.problem:
                raise
            head = no.problem.get("head") or no.problem.get("version")
            refused = Result(change.path, "rejected", code=no.code, head=Version.from_json(head) if head else None)
            return Pushed([refused], None, None)
        if "conflict" in answer:
            head = answer.get("head")
            kept = Result(
                change.path, "conflict", conflict=answer["conflict"], head=Version.from_json(head) if head else None
            )
            return Pushed([kept], None, None)
        stored = Result(change.path, "stored", version=Version.from_json(answer))
        return Pushed([stored], answer.get("after"), answer.get("cursor"))

    # -- fetching

    def pull(self, wanted: Sequence[Version]) -> Iterator[tuple[Version, Iterator[bytes]]]:
        """Raises ServerRefused before the first body where any is unknown: `not-found`, its problem with `missing`."""
        from client.bundles import unpack

        asked = Body.of_json({"files": [{"path": version.path, "stamp": version.stamp} for version in wanted]})
        response = self._connection.request("POST", f"{self._vault}/pull", asked)
        yield from unpack(lambda: self._read(response), wanted)

    def get(self, version: Version) -> Iterator[bytes]:
        """Goes on where it was cut (RFC 9110, sections 14.2 and 13.1.5), as long as each attempt brings something."""
        target = f"{self._file(version.path)}?stamp={version.stamp}"
        received = cuts = 0
        while True:
            before = received
            try:
                for piece in self._download(target, version, received):
                    received += len(piece)
                    yield piece
                if received >= version.size:
                    return
                cut = ServerAway(f"the download of {version.path!r} was cut off", then="sync again to go on")
            except ServerAway as error:
                cut = error
            cuts = cuts + 1 if received == before else 0
            if cuts == CUTS or cut.retry_after is not None:
                raise cut
            self._connection.sleep(cuts)

    def _download(self, target: str, version: Version, start: int) -> Iterator[bytes]:
        """The body from byte `start` on, as far as it comes. Never more than the version's size."""
        wish = {"Range": f"bytes={start}-", "If-Range": f'"{version.stamp}"'} if start else {}
        response = self._connection.request("GET", target, headers=wish)
        skip = (
            0 if response.status == 206 else start
        )  # a stamp names one body: a whole answer begins with the same bytes
        left = version.size - start
        announced = response.length
        if announced is not None and announced != left + skip:
            said = f"the server holds {announced} bytes of {version.path!r} where {left + skip} were expected"
            raise ServerRefused(response.status, "length-mismatch", f"{said}; run gobi check on the server")
        while piece := self._read(response):
            if skip >= len(piece):
                skip -= len(piece)
                continue
            yield piece[skip : skip + left]
            left -= len(piece) - skip
            skip = 0

    def _read(self, response: HTTPResponse) -> bytes:
        with self._connection.reading():
            return response.read(PIECE)

    def _file(self, path: str) -> str:
        return f"{self._vault}/files/{quote(path)}"


def _file_pieces(name: str, size: int, body: BinaryIO) -> Iterator[bytes]:
    """Exactly the announced size. Raises LocalChange where the file has become shorter or cannot be read."""
    left = size
    try:
        body.seek(0)
        while left:
            piece = body.read(min(PIECE, left))
            if not piece:
                raise LocalChange(f"{name!r} became shorter while it was sent")
            left -= len(piece)
            yield piece
    except OSError as error:
        raise LocalChange(f"{name!r} cannot be read: {error.strerror}") from error


def _result(row: Json) -> Result:
    version, head = row.get("version"), row.get("head")
    return Result(
        row["path"],
        row["status"],
        Version.from_json(version) if version else None,
        row.get("conflict"),
        row.get("code"),
        Version.from_json(head) if head else None,
    )
