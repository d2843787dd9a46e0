"""A server that wants to write where it must not: a whole sync of a real folder, over real sockets."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from client.connection import Connection
from client.folder import Folder
from client.http import HttpTransport
from client.ports import ServerRefused
from client.report import Report
from sync.bundle import END, header, padding
from tests.client.memory import ManualClock

EVIL = b"evil"
Json = dict[str, Any]


def put(path: str, content: bytes = EVIL) -> Json:
    made = {"path": path, "kind": "put", "stamp": 7, "base": None, "mtime": 1, "device": "d", "user": "u"}
    return made | {"hash": hashlib.sha256(content).hexdigest(), "size": len(content)}


def download(path: str, head: Json | None = None) -> Json:
    return {"do": "download", "path": path, "head": head or put(path)}


class Hostile(BaseHTTPRequestHandler):
    """Sends whatever it is told to, and gives `evil` for every file."""

    protocol_version = "HTTP/1.1"
    actions: tuple[Json, ...] = ()

    def do(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        what = self.path.removeprefix("/v1/vaults/notes").partition("?")[0]
        if what == "/sync":
            actions = self.actions if asked["cursor"] == "0" else ()
            self._send(json.dumps({"actions": actions, "cursor": "c", "more": False}).encode())
        elif what == "/pull":
            names = [one["path"] for one in asked["files"]]
            self._send(b"".join(header(name, 4, 0) + EVIL + padding(4) for name in names) + END)
        elif what.startswith("/files/"):
            self._send(EVIL)
        else:
            self._send(b"{}")

    do_GET = do_POST = do  # noqa: N815  # as http.server calls them

    def _send(self, body: bytes) -> None:
        self.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "above" / "notes"
    (root / ".gobi").mkdir(parents=True, mode=0o700)
    (root / "sub").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    return root


def sync(root: Path, url: str, monkeypatch: pytest.MonkeyPatch, *actions: Json) -> Report:
    monkeypatch.setattr(Hostile, "actions", actions)
    connection = Connection(url, "me", "secret", "laptop", sleep=lambda _: None)
    try:
        return Folder(root, clock=ManualClock()).sync(HttpTransport(connection, "notes"), "laptop")
    finally:
        connection.close()


def evil(folder: Path) -> set[str]:
    """Where the server's bytes lie, or anything that it named."""
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and file.read_bytes() == EVIL}


NAMES = [
    ".gobi/evil.json",
    ".GOBI/config.json",
    ".gobi",
    "sub/.gobi/config.json",
    "sub/.Gobi/x",
    "../evil",
    "sub/../../evil",
    "/etc/evil",
    "sub//evil",
    "sub/./evil",
    "sub\\evil",
    "a\x1b[2Jb",
    "a\nb",
    "a\x00b",
    "e\u0301vil",
    "link/evil",
    ".git/config",
    "sub/.git/hooks/post-checkout",
    "x" * 256,
    "deep/" * 300 + "x",
    "",
    ".",
    "..",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_that_leads_elsewhere_is_not_written_and_stops_nothing_else(
    root: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    sync(root, url, monkeypatch, download(name), download("good.md"))
    assert evil(tmp_path) == {"above/notes/good.md"}


@pytest.mark.parametrize("place", ["/.gobi/evil.json", ".gobi/evil.json", "../evil", "sub/other.md"])
def test_an_action_about_one_file_never_writes_another(
    root: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    with pytest.raises(ServerRefused, match="not as a gobi server does"):
        sync(root, url, monkeypatch, download("a.md", put(place)))
    assert evil(tmp_path) == set()


def test_half_a_character_is_no_name(root: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerRefused, match="not as a gobi server does"):
        sync(root, url, monkeypatch, download("\ud800"))


def test_a_file_here_is_not_deleted_because_a_server_speaks_of_it(
    root: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is new to this client, so that nobody else can have deleted it."""
    (root / "mine.md").write_text("mine")
    gone = put("mine.md") | {"kind": "delete", "hash": None, "size": 0}
    sync(root, url, monkeypatch, {"do": "delete_local", "path": "mine.md", "head": gone})
    kept = [file.read_text() for file in root.rglob("*") if file.is_file() and file.name == "mine.md"]
    assert kept == ["mine"]
