"""A server that wants the worst: whatever it answers is bounded, and believed only where it fits what was asked."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from client import paced
from client.connection import LONGEST_WAIT, PATIENCE
from client.http import HttpTransport
from client.past import Past
from client.ports import ServerAway, ServerRefused
from sync.model import Change, Json
from tests.client.transport.scripted import Answer, Peer, Request, Script, vault
from tests.client.transport.test_http import put_of, version

Serve = Callable[..., Script]
BODY = b"body"
PUT: Json = version("a.md", BODY).to_json()
GONE: Json = PUT | {"kind": "delete", "hash": None, "size": 0}


def said(value: object) -> Answer:
    return lambda peer, _: peer.json("200 OK", value)


def told(*actions: object, **more: object) -> Json:
    return {"actions": list(actions), "cursor": "c", "more": False} | more


def action(do: str, head: Json | None, path: object = "a.md", **more: object) -> Json:
    return {"do": do, "path": path, "head": head} | more


def pour(peer: Peer, pieces: Iterator[bytes], *headers: str) -> None:
    """A chunked body, until the client has had enough."""
    head = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Content-Type: application/json", *headers, "", ""]
    with suppress(OSError):
        peer.sock.sendall("\r\n".join(head).encode())
        for piece in pieces:
            peer.sock.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    peer.closed = True


# -- what contradicts itself

CONTRADICTIONS: dict[str, object] = {
    "the head is of another path": told(action("download", PUT | {"path": "/.gobi/evil.json"})),
    "a download of a tombstone": told(action("download", GONE)),
    "a download of nothing": told(action("download", None)),
    "a deletion of what is there": told(action("delete_local", PUT)),
    "no hash": told(action("download", PUT | {"hash": None})),
    "a hash that is none": told(action("download", PUT | {"hash": "../../etc"})),
    "a tombstone with a hash": told(action("delete_local", GONE | {"hash": "a" * 64})),
    "an unknown kind": told(action("download", PUT | {"kind": "link"})),
    "a negative size": told(action("download", PUT | {"size": -1})),
    "a size that is text": told(action("download", PUT | {"size": "4"})),
    "a stamp that is text": told(action("download", PUT | {"stamp": "7"})),
    "a stamp beyond every number": told(action("download", PUT | {"stamp": 1 << 80})),
    "a time that is a list": told(action("download", PUT | {"mtime": [1]})),
    "an unknown action": told(action("execute", PUT)),
    "a path that is a number": told(action("download", PUT | {"path": 3}, path=3)),
    "a path without an end": told(action("download", PUT | {"path": "a" * 10_000}, path="a" * 10_000)),
    "a base that is text": told(action("upload", PUT, base="7")),
    "more than was asked for": told(*[action("adopt", PUT)] * 12),
    "a cursor that is a list": told(cursor=[]),
    "a cursor without an end": told(cursor="c" * 10_000),
    "more as a word": told(more="yes"),
    "a size of files that is text": told(max_file="9"),
    "actions that are none": told() | {"actions": {"a": 1}},
    "an action that is text": told("download"),
    "nothing": {},
}


@pytest.mark.parametrize("answer", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_an_answer_that_contradicts_itself_is_refused_whole(serve: Serve, connect: Any, answer: object) -> None:
    with pytest.raises(ServerRefused, match="not as a gobi server does"):
        connect(serve(said(answer))).sync("0", [], True, 10)


@pytest.mark.parametrize(
    "made", [{"path": "b.md"}, {"hash": "0" * 64}, {"size": 5}, {"kind": "delete", "hash": None}], ids=str
)
def test_what_was_stored_is_what_was_sent(serve: Serve, connect: Any, made: Json) -> None:
    row = {"path": "a.md", "status": "stored", "version": PUT | made}
    script = serve(said(PUT | made), said({"results": [row]}), said({"results": [row | {"path": "c.md"}]}))
    transport: HttpTransport = connect(script)
    with pytest.raises(ServerRefused, match="not as a gobi"):
        transport.put(put_of("a.md", BODY), io.BytesIO(BODY), keep=False)
    for _ in range(2):
        with pytest.raises(ServerRefused, match="not as a gobi"):
            transport.push([put_of("a.md", BODY)], {"a.md": BODY}, keep=False)


def test_a_refusal_carries_the_version_that_is_in_the_way_and_that_is_of_another_path(
    serve: Serve, connect: Any
) -> None:
    blocker = PUT | {"path": "a.md/b.md"}
    row = {"path": "a.md", "status": "rejected", "code": "path-taken", "version": blocker, "head": blocker}
    row_of_old = {name: value for name, value in row.items() if name != "head"}
    transport: HttpTransport = connect(serve(said({"results": [row]}), said({"results": [row_of_old]})))
    for _ in range(2):
        result = transport.push([put_of("a.md", BODY)], {"a.md": BODY}, keep=False).results[0]
        assert (result.status, result.code, result.version) == ("rejected", "path-taken", None)
        assert result.head is not None
        assert result.head.path == "a.md/b.md"


# -- what has no end


def test_json_that_is_announced_larger_than_asked_for_is_not_read(serve: Serve, connect: Any) -> None:
    script = serve(lambda peer, _: peer.send("200 OK", b"{", length=1_500_000_000))
    with pytest.raises(ServerRefused, match=r"more than .* bytes"):
        connect(script).sync("0", [], True, 10)


def test_json_without_an_end_is_not_read_to_it(serve: Serve, connect: Any) -> None:
    sent = itertools.count()

    def endless() -> Iterator[bytes]:
        yield b'{"actions": [], "junk": "'
        while True:
            next(sent)
            yield b"x" * 65536

    with pytest.raises(ServerRefused, match=r"more than .* bytes"):
        connect(serve(lambda peer, _: pour(peer, endless()))).sync("0", [], True, 10)
    assert next(sent) < 400


@pytest.mark.parametrize("deep", [b"[" * 200_000, b'{"a":' * 200_000, b"9" * 200_000])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_nesting_without_an_end_is_no_answer(serve: Serve, connect: Any, deep: bytes, status: str) -> None:
    with pytest.raises(ServerRefused, match="not as a gobi"):
        connect(serve(lambda peer, _: peer.send(status, deep))).vault()


def test_headers_without_an_end_are_not_read_to_it(serve: Serve, connect: Any) -> None:
    def flood(peer: Peer, _: Request) -> None:
        with suppress(OSError):
            peer.sock.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000)
        peer.closed = True

    with pytest.raises(ServerAway):
        connect(serve(flood)).vault()


def test_an_answer_in_drops_is_given_up(serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(0, 400)  # seconds for each look at the clock
    monkeypatch.setattr(paced, "clock", lambda: float(next(ticks)))
    drops = (b'{"name": "notes"' + b" " * 1_000_000)[:1_000_000]

    def drip(peer: Peer, _: Request) -> None:
        pour(peer, (drops[at : at + 1] for at in range(len(drops))))

    for header in (False, True):

        def slowly(peer: Peer, request: Request, header: bool = header) -> None:
            if not header:
                drip(peer, request)
                return
            with suppress(OSError):
                for letter in "HTTP/1.1 200 OK\r\n" + "X-Drop: drop\r\n" * 90:
                    peer.sock.sendall(letter.encode())
            peer.closed = True

        with pytest.raises(ServerAway, match="in drops"):
            connect(serve(slowly)).vault()


def test_an_answer_that_is_large_and_not_slow_may_take_its_time(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count(0, 2)
    monkeypatch.setattr(paced, "clock", lambda: float(next(ticks)))
    content = b"x" * (4 << 20)
    script = serve(lambda peer, _: peer.send("200 OK", content))
    assert b"".join(connect(script).get(version("big.bin", content))) == content


def test_a_body_longer_than_its_file_ends_where_that_ends(serve: Serve, connect: Any) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield BODY * 16384

    content = BODY * 50_000
    script = serve(lambda peer, _: pour(peer, endless()), vault)
    transport = connect(script)
    assert b"".join(transport.get(version("big.bin", content))) == content
    assert transport.vault() == {"name": "notes"}, "what was left of it is no answer to the next request"


@pytest.mark.parametrize("filling", [bytes(65536), b"x" * 65536])
def test_an_archive_without_an_end_is_not_read_to_it(serve: Serve, connect: Any, filling: bytes) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield filling

    script = serve(lambda peer, _: pour(peer, endless()))
    with pytest.raises(ServerAway):
        for _, body in connect(script).pull([version("a.md", BODY)]):
            b"".join(body)


def test_pages_without_an_end_are_not_asked_for_to_it(serve: Serve, connect: Any) -> None:
    page = {"files": [PUT], "next": "a.md"}
    with pytest.raises(ServerRefused, match="not as a gobi"):
        list(connect(serve(said(page), said(page))).heads())
    for ask in (lambda past: past.history("a.md", 10), lambda past: list(past.log(since=0, device=None, prefix=""))):
        none: Json = {"versions": [], "next": 5}
        script = serve(said(none), said(none))
        with pytest.raises(ServerRefused, match="not as a gobi"):
            ask(Past(connect(script)._connection, "notes"))


# -- waits


@pytest.mark.parametrize(
    "asked", ["0", "-5", "soon", "1e9", "0.5", "", "٣", "9" * 500, "Wed, 21 Oct 2099 07:28:00 GMT", "99999999"]
)
@pytest.mark.parametrize("status", [429, 503, 401])
def test_what_a_server_asks_to_wait_is_within_bounds(serve: Serve, connect: Any, asked: str, status: int) -> None:
    slept: list[float] = []
    header = f"Retry-After: {asked}".encode().decode("latin-1")
    no: Answer = lambda peer, _: peer.problem(status, "slow-down", header)  # noqa: E731
    script = serve(*[no] * 40)
    with pytest.raises((ServerAway, ServerRefused)) as refused:
        connect(script, slept).vault()
    assert all(1 <= one <= PATIENCE for one in slept)
    assert sum(slept) <= PATIENCE
    assert 0 < (getattr(refused.value, "retry_after", None) or 1) <= LONGEST_WAIT


# -- words


def test_what_a_server_says_to_a_person_is_short(serve: Serve, connect: Any) -> None:
    script = serve(lambda peer, _: peer.json("403 No", {"code": "forbidden", "detail": "x" * 200_000}))
    with pytest.raises(ServerRefused) as refused:
        connect(script).vault()
    assert len(str(refused.value)) < 2_000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(serve: Serve, connect: Any, status: int) -> None:
    elsewhere = serve(vault)
    place = f"Location: http://127.0.0.1:{elsewhere.port}/"
    script = serve(lambda peer, _: peer.send(f"{status} Moved", b"", place))
    with pytest.raises(ServerRefused):
        connect(script).sync("0", [Change("a.md", "put", None, hashlib.sha256(BODY).hexdigest(), 4)], True, 10)
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "row",
    [
        {"n": "\x1b[2J"},
        {"size": "big"},
        {"user": None},
        {"hash": ""},
    ],
    ids=str,
)
def test_a_conflict_is_of_the_protocols_form(serve: Serve, connect: Any, row: Json) -> None:
    side = {"n": 1, "user": "me", "device": "d", "hash": "a" * 64, "size": 1, "mtime": 1, "at": 1} | row
    conflict = {"id": "k", "path": "a.md", "state": "open", "opened": 1, "base": None, "server": None}
    answer = {"conflicts": [conflict | {"candidates": [side]}]}
    transport = connect(serve(said(answer), said(answer)))
    for ask in (transport.conflicts, Past(transport._connection, "notes").conflicts):
        with pytest.raises(ServerRefused, match="not as a gobi"):
            ask()
