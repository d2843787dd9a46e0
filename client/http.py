"""The protocol over HTTP: client.ports.Transport for one vault (docs/protocol.md, sections 3 to 6 and 8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPResponse
from typing import BinaryIO
from urllib.parse import quote

from client import said
from client.connection import LARGEST_ANSWER, PIECE, Body, Connection
from client.ports import LocalChange, Pushed, Result, ServerAway, ServerRefused, SyncAnswer
from sync.model import Change, Json, Version

PAGE = 5_000  # rows of a listing asked for at a time
LARGEST_ROW = 16 * 1024  # bytes of JSON that one row of an answer takes at most: two paths and some words
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
        answer = self._connection.json("GET", f"{self._vault}/conflicts")
        with self._connection.understanding():
            return [said.conflict(row) for row in answer["conflicts"]]

    def lost(self) -> list[str]:
        answer = self._connection.json("GET", f"{self._vault}/lost")
        with self._connection.understanding():
            return [said.digest(row) for row in answer["lost"]]

    def give_back(self, hash: str, size: int, body: BinaryIO) -> None:
        asked = Body(size, lambda: _file_pieces(hash, size, body))
        self._connection.request("PUT", f"{self._vault}/lost/{hash}", asked)

    # -- metadata

    def heads(self) -> Iterator[Version]:
        """Every live head, by path. Asks page by page."""
        after = ""
        while True:
            target = f"{self._vault}/files?limit={PAGE}&after={quote(after, safe='')}"
            answer = self._connection.json("GET", target, most=_of_rows(PAGE))
            with self._connection.understanding():
                found = [said.version(row) for row in answer["files"]]
                following = said.optional_word(answer["next"])
                if following is not None and following.encode() <= after.encode():
                    raise ValueError("pages without an end")
            yield from found
            if following is None:
                return
            after = following

    def sync(self, cursor: str, changes: Sequence[Change], last: bool, limit: int) -> SyncAnswer:
        rows = [change.to_json() for change in changes]
        asked = Body.of_json({"cursor": cursor, "changes": rows, "last": last, "limit": limit})
        most = _of_rows(len(changes) + limit)
        answer = self._connection.json("POST", f"{self._vault}/sync", asked, most=most)
        self._connection.check_vault(answer.get("vault"))
        with self._connection.understanding():
            actions = [said.action(row) for row in answer["actions"]]
            if len(actions) > len(changes) + limit:
                raise ValueError("more actions than were asked for")
            lost, max_file = (said.number(answer.get(name) or 0) for name in ("lost", "max_file"))
            return SyncAnswer(actions, said.word(answer["cursor"]), said.yes(answer["more"]), lost, max_file)

    # -- sending

    def push(self, changes: Sequence[Change], bodies: dict[str, bytes], keep: bool) -> Pushed:
        from client.bundles import pack

        on_conflict = "keep" if keep else "fail"
        target, most = f"{self._vault}/push?on_conflict={on_conflict}", LARGEST_ANSWER + _of_rows(len(changes))
        answer = self._connection.json("POST", target, pack(changes, bodies), most=most)
        sent = {change.path: change for change in changes}
        with self._connection.understanding():
            results = [_result(row, sent) for row in said.rows(answer["results"])]
            return Pushed(results, said.optional_word(answer.get("after")), said.optional_word(answer.get("cursor")))

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
            return Pushed([Result(change.path, "rejected", code=no.code, head=_head(no))], None, None)
        with self._connection.understanding():
            if "conflict" in answer:
                kept, head = said.kept_conflict(answer["conflict"], change.path), answer.get("head")
                conflict = Result(change.path, "conflict", conflict=kept, head=said.optional_version(head, change.path))
                return Pushed([conflict], None, None)
            stored = Result(change.path, "stored", version=_stored(answer, change))
            return Pushed([stored], said.optional_word(answer.get("after")), said.optional_word(answer.get("cursor")))

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
        while left > 0 and (piece := self._read(response)):
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


def _of_rows(count: int) -> int:
    """Bytes of an answer with so many rows."""
    return (1 << 20) + count * LARGEST_ROW


def _result(row: Json, sent: Mapping[str, Change]) -> Result:
    """Raises ValueError, KeyError, TypeError."""
    change = sent[said.word(row["path"])]
    status = said.word(row["status"])
    stored, conflict, code, head = (row.get(name) for name in ("version", "conflict", "code", "head"))
    if status == "rejected":  # what it carries is the version in the way, which may be of another path
        stored, head = None, head or stored
    return Result(
        change.path,
        status,
        None if stored is None else _stored(stored, change),
        None if conflict is None else said.kept_conflict(conflict, change.path),
        said.optional_word(code),
        None if head is None else said.version(head),
    )


def _stored(row: object, change: Change) -> Version:
    """What has become of a change. Raises ValueError, KeyError, TypeError where it is about something else."""
    made = said.version(row, change.path)
    if change.kind == "put" and (made.hash, made.size) != (change.hash, change.size):
        raise ValueError("another content was stored than was sent")
    return made


def _head(no: ServerRefused) -> Version | None:
    """What a refusal carries; None where it carries nothing that can be understood."""
    try:
        return said.optional_version(no.problem.get("head") or no.problem.get("version"))
    except (ValueError, KeyError, TypeError):
        return None
