"""A real server, used in every way that /openapi.json knows, answers as it says."""

from __future__ import annotations

import gzip
import http.client
import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from handlers.openapi.operations import OPERATIONS
from sync.bundle import END, header, padding
from sync.invitation import device_password
from tests.handlers.contract import Contract
from tests.server import PASSWORD, USER, GobiServer

V = "/v1/vaults/described"
BASIC = {"Authorization": "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
SOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Visitor:
    """Asks over a connection; what comes back has to be declared in the document that the server itself gave out."""

    def __init__(self, server: GobiServer) -> None:
        self.server = server
        self._connection = http.client.HTTPConnection(*server.address, timeout=30)
        self._connection.request("GET", "/openapi.json", headers={"Accept-Encoding": "gzip"})
        self._contract = Contract(json.loads(gzip.decompress(self._connection.getresponse().read())))
        self.seen: set[tuple[str, int]] = set()

    def ask(self, method: str, url: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        sent = BASIC | {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        self._connection.request(method, url, data, sent)
        answer = self._connection.getresponse()
        got = b"" if answer.status == 101 else answer.read()
        assert answer.status == status, got
        path = url.partition("?")[0]
        operation = self._contract.check(method, path, answer.status, dict(answer.getheaders()), got)
        assert operation is not None
        self.seen.add((operation, answer.status))
        return json.loads(got) if got and answer.getheader("Content-Type") == "application/json" else got

    def put(self, path: str, body: bytes, query: str = "", status: int = 201, **headers: str) -> Any:
        return self.ask("PUT", f"{V}/files/{path}{query}", body, status, **headers)

    def conflict(self, path: str, text: bytes = b"one\ntwo\n") -> tuple[str, int]:
        """The id of a new conflict, and the stamp of the head."""
        base = self.put(path, text)["stamp"]
        head = self.put(path, text + b"mine\n", status=200, If_Match=f'"{base}"')["stamp"]
        kept = self.put(path, b"yours\n" + text, "?on_conflict=keep", 202, If_Match=f'"{base}"')
        return kept["conflict"]["id"], head

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def visitor(shared_server: GobiServer) -> Iterator[Visitor]:
    shared_server.add_user("describer")
    one = Visitor(shared_server)
    yield one
    one.close()


def tar(*changes: dict[str, Any], **bodies: bytes) -> bytes:
    entries = {"manifest.json": json.dumps({"changes": changes}).encode(), **bodies}
    return b"".join(header(name, len(body), 0) + body + padding(len(body)) for name, body in entries.items()) + END


def test_a_real_server_answers_as_it_says(visitor: Visitor) -> None:
    ask, put = visitor.ask, visitor.put

    page = ask("GET", "/").decode()
    ask("GET", "/web/" + page.partition('src="web/')[2].partition('"')[0])
    for url in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/session", "/v1/vaults"):
        ask("GET", url)
        ask("HEAD", url)
    ask("POST", "/v1/session")
    for session in ask("GET", "/v1/sessions")["sessions"]:
        ask("DELETE", f"/v1/sessions/{session['id']}", status=204)
    ask("DELETE", "/v1/session", status=204)

    ask("PUT", V, status=201)
    ask("PUT", V)
    ask("PUT", f"{V}/members/describer", {"role": "read"})
    ask("DELETE", f"{V}/members/{USER}", status=409)
    ask("GET", V)
    ask("DELETE", f"{V}/members/describer", status=204)

    code = ask("POST", f"{V}/invitations", {"valid_hours": 1}, 201)["code"]
    told = {"secret": code.rpartition("/")[2], "device": "new", "password": device_password(bytes(20))}
    redeem = "/v1/invitations/redeem"
    ask("POST", redeem, told, 201)
    ask("POST", redeem, told | {"device": "newer"}, 404)
    ask("POST", redeem, told | {"password": "short"}, 400)
    ask("GET", "/v1/devices")
    ask("DELETE", "/v1/devices/new", status=204)
    ask("DELETE", "/v1/devices/new", status=404)

    old = put("notes/a.md", b"old", Gobi_Mtime="-5", Gobi_Device="a laptop")
    new = put("notes/a.md", b"newer", status=200, If_Match=f'"{old["stamp"]}"')
    put("notes/a.md", b"newer", status=200)
    put("notes", b"in the way", status=409)
    put("notes/a.md", b"other", status=412)
    gone = put("gone.md", b"what the disk loses")
    ask("DELETE", f"{V}/files/gone.md", status=428)
    ask("DELETE", f"{V}/files/gone.md", If_Match=f'"{gone["stamp"]}"')
    ask("GET", f"{V}/files/gone.md", status=404)
    file = f"{V}/files/notes%2Fa.md"
    ask("GET", file)
    ask("HEAD", file)
    ask("GET", f"{file}?stamp={old['stamp']}&inline=1")
    ask("GET", file, status=206, Range="bytes=0-1")
    ask("GET", file, status=416, Range="bytes=9-")
    ask("GET", file, status=304, If_None_Match=f'"{new["stamp"]}"')
    ask("GET", f"{V}/files?limit=1")
    ask("GET", f"{V}/files?delimiter=/")

    cursor = ask("GET", f"{V}/changes")["cursor"]
    ask("GET", f"{V}/changes?cursor=x", status=400)
    ask("GET", f"{V}/changes?cursor=000000000000.5", status=410)
    local = {"path": "b.md", "kind": "put", "hash": "0" * 64, "size": 1}
    assert {action["do"] for action in ask("POST", f"{V}/sync", {"cursor": "0", "changes": [local]})["actions"]} == {
        "upload",
        "download",
    }
    change = {"path": "pushed.md", "kind": "put", "base": None, "hash": old["hash"], "size": 3}
    other = {"path": "notes/a.md", "kind": "put", "base": old["stamp"], "hash": old["hash"], "size": 3}
    lacking = {"path": "lacking.md", "kind": "put", "base": None, "hash": "0" * 64, "size": 3}
    pushed = ask("POST", f"{V}/push", tar(change, other, lacking, {"path": "../bad"}))
    assert [one["status"] for one in pushed["results"]] == ["stored", "rejected", "need-body", "rejected"]
    assert ask("POST", f"{V}/push?on_conflict=keep", tar(other))["results"][0]["status"] == "conflict"
    ask("POST", f"{V}/pull", {"files": [{"path": "notes/a.md", "stamp": old["stamp"]}]})
    ask("POST", f"{V}/pull", {"files": [{"path": "notes/a.md", "stamp": 1}]}, 404)
    ask("GET", f"{V}/archive.tar")
    (body,) = (visitor.server.data_dir / "bodies").glob(f"*/{gone['hash'][:2]}/{gone['hash'][2:]}")
    body.unlink()
    ask("GET", f"{V}/files/gone.md?stamp={gone['stamp']}", status=500)
    assert ask("POST", f"{V}/sync", {"cursor": cursor})["lost"] == 1
    (lost,) = ask("GET", f"{V}/lost")["lost"]
    ask("PUT", f"{V}/lost/{lost}", b"2", 422)
    ask("PUT", f"{V}/lost/{lost}", b"what the disk loses", 204)
    ask("PUT", f"{V}/lost/{lost}", b"what the disk loses", 404)

    ask("GET", f"{V}/history/notes/a.md?limit=1")
    ask("GET", f"{V}/log")
    ask("GET", f"{V}/stamp?time=0")
    ask("POST", f"{V}/restore", {"path": "gone.md", "stamp": gone["stamp"], "head": None}, 412)
    ask("POST", f"{V}/restore", {"path": "pushed.md", "stamp": 1, "head": None}, 404)
    undo = {"since": int(cursor.partition(".")[2])}
    assert ask("POST", f"{V}/restore", undo | {"dry_run": True})["changes"]
    ask("POST", f"{V}/restore", undo | {"since": old["stamp"]})
    head = ask("GET", f"{V}/history/notes/a.md")["versions"][0]["stamp"]
    ask("POST", f"{V}/restore", {"path": "notes/a.md", "stamp": new["stamp"], "head": head})

    first, head = visitor.conflict("first.md")
    ask("GET", f"{V}/conflicts")
    for side in ("base", "server", "client", "1"):
        ask("GET", f"{V}/conflicts/{first}/{side}")
    ask("GET", f"{V}/conflicts/{first}/1", status=206, Range="bytes=-1")
    merged = ask("GET", f"{V}/conflicts/{first}/merge")
    settled = {"keep": "merged", "text": merged["text"], "head": head}
    ask("POST", f"{V}/conflicts/{first}/resolve", settled | {"head": 1}, 412)
    ask("POST", f"{V}/conflicts/{first}/resolve", settled)
    assert ask("GET", f"{V}/conflicts/{first}")["resolution"]["keep"] == "merged"
    assert not ask("GET", f"{V}/conflicts/{first}/merge")["mergeable"]
    ask("PATCH", V, {"auto_merge": True})
    assert visitor.conflict("second.md")

    ask("GET", f"{V}/live", status=426)
    ask("GET", f"{V}/live", status=101, **{name.replace("-", "_"): value for name, value in SOCKET.items()})
    visitor.close()
    ask("DELETE", f"{V}?confirm=no", status=400)
    ask("DELETE", f"{V}?confirm=described", status=204)

    # A 304 is had by whoever sends the tag, and there is nothing more to see of it.
    promised = {(one.id, status) for one in OPERATIONS for status in one.replies if status not in (304, 503)}
    assert promised <= visitor.seen
