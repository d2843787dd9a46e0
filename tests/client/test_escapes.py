"""Nothing that others have named or said reaches the terminal unescaped, from whichever command.

A server answers every command with control characters wherever there is room for letters, in good answers and bad.
"""

from __future__ import annotations

import gc
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click
import pytest
from click.testing import CliRunner

from client import commands, conflict_commands, history_commands, undo_commands
from client import config as configuration
from client.config import Config
from client.ports import Stopped

# A command leaves its connection to the end of its process.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

EVIL = "a\x1b[2J\x1b]0;owned\x07\x9b31m\r\nb\x00\u202ec\x08"
HASH = "0" * 64
HEAD = {"kind": "put", "stamp": 7, "base": None, "hash": HASH, "size": 4, "mtime": 1, "device": EVIL, "user": EVIL}
HARMLESS = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]*")

Answer = tuple[int, object]


def named(path: str = EVIL, **more: object) -> dict[str, object]:
    return HEAD | {"path": path} | more


def conflict() -> dict[str, object]:
    side = {"n": 1, "user": EVIL, "device": EVIL, "hash": HASH, "size": 1, "mtime": 1, "at": 1}
    whole = {"id": EVIL, "path": EVIL, "state": "open", "opened": 1, "base": named(), "server": named()}
    return whole | {"candidates": [side, side | {"n": 2}]}


def good(method: str, what: str) -> Answer:
    """Of the right form, with evil words."""
    match what.split("/"):
        case [""]:
            words = dict.fromkeys(("name", "role", "cursor", "files", "bytes", "conflicts"), EVIL)
            return 200, {**words, "id": "0" * 16}
        case ["sync"]:
            actions = [{"do": "download", "path": EVIL, "head": named()}]
            actions += [{"do": "download", "path": f"é\u202e{EVIL[-1]}", "head": named(f"é\u202e{EVIL[-1]}")}]
            return 200, {"actions": actions, "cursor": "c", "more": False, "lost": 0}
        case ["conflicts"]:
            return 200, {"conflicts": [conflict()]}
        case ["conflicts", _, "merge"]:
            return 200, {"mergeable": False, "reason": EVIL}
        case ["conflicts", _, "resolve"]:
            return 200, {"versions": [named(), named()]}
        case ["history", path]:
            return 200, {"versions": [named(unquote(path))], "next": None}
        case ["log"]:
            return 200, {"versions": [named(), named(stamp=6, kind="delete", hash=None, size=0)], "next": None}
        case ["files"]:
            return 200, {"files": [named()], "next": None}
        case ["restore"] if method == "POST":
            skipped = [named(reason=EVIL), named(reason="others")]
            return 200, {"changes": [named(restores=None)], "skipped": skipped, "until": EVIL}
        case ["stamp"]:
            return 200, {"stamp": 1, "sure": False}
    return 404, {"status": 404, "code": "not-found", "title": EVIL, "detail": EVIL}


def refusing(status: int, code: str) -> Callable[[str, str], Answer]:
    return lambda _, __: (status, {"status": status, "code": code, "title": EVIL, "detail": EVIL})


def wrong(_: str, what: str) -> Answer:
    """Evil words where there are to be numbers."""
    status, answer = good("POST", what)

    def spoil(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: spoil(one) for name, one in value.items()}
        return [spoil(one) for one in value] if isinstance(value, list) else EVIL

    return status, spoil(answer)


def raw(_: str, __: str) -> Answer:
    return 502, EVIL


SERVERS: dict[str, Callable[[str, str], Answer]] = {
    "good": good,
    "wrong": wrong,
    "raw": raw,
    "forbidden": refusing(403, "forbidden"),
    "evil code": refusing(409, EVIL),
    "conflict": refusing(412, "conflict"),
    "purged": refusing(410, "purged"),
    "other vault": refusing(409, "other-vault"),
    "slow down": refusing(429, "slow-down"),
    "redirect": refusing(301, "moved"),
}
COMMANDS: dict[str, tuple[click.Command, list[str]]] = {
    "sync": (commands.sync, []),
    "status": (commands.status, []),
    "verify": (commands.verify, []),
    "connect": (commands.connect, []),
    "conflicts": (conflict_commands.conflicts, []),
    "resolve --keep server": (conflict_commands.resolve, [EVIL, "--keep", "server"]),
    "resolve --keep both": (conflict_commands.resolve, [EVIL, "--keep", "both"]),
    "resolve --keep merged": (conflict_commands.resolve, [EVIL, "--keep", "merged"]),
    "resolve another": (conflict_commands.resolve, ["other.md", "--keep", "client"]),
    "resolve --print": (conflict_commands.resolve, ["--print"]),
    "history": (history_commands.history, ["a.md"]),
    "restore": (history_commands.restore, ["a.md", "--stamp", "7"]),
    "restore --to": (history_commands.restore, ["a.md", "--stamp", "7", "--to", "x"]),
    "log": (history_commands.log, []),
    "log --since": (history_commands.log, ["--since", "1h"]),
    "undo --dry-run": (undo_commands.undo, ["--since", "1h", "--everybody", "--dry-run"]),
    "undo": (undo_commands.undo, ["--since", "1h", "--yes"]),
    "rm": (commands.rm, [EVIL[:-10].replace("\x00", "")]),
    "disconnect": (commands.disconnect, []),
}


class Hostile(BaseHTTPRequestHandler):
    answer: Callable[[str, str], Answer] = staticmethod(good)
    protocol_version = "HTTP/1.1"

    def do(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        what = path.removeprefix("/v1/vaults/notes").removeprefix("/")
        status, answer = type(self).answer(self.command, "" if path == "/v1/session" else what)
        body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        words = EVIL.translate({ord(letter): None for letter in "\r\n\u202e"})
        head = [f"HTTP/1.1 {status} {words}", f"Content-Length: {len(body)}", f"Server: {words}", f"Location: {words}"]
        self.wfile.write("\r\n".join([*head, "Retry-After: 900", "", ""]).encode("latin-1") + body)

    do_GET = do_POST = do_PUT = do_DELETE = do  # noqa: N815  # as http.server calls them

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    gc.collect()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    notes = tmp_path / "notes"
    notes.mkdir()
    config = Config(url, "notes", "me", "laptop", False, configuration.new_id())
    configuration.save(notes, config, "secret", vault_id="0" * 16)
    (notes / "a.md").write_text("mine")
    (notes / EVIL.replace("\x00", "")).write_text("a name of somebody's")
    (tmp_path / "secret").write_text("secret")
    return notes


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("server", SERVERS)
def test_nothing_reaches_the_terminal_unescaped(
    folder: Path, url: str, server: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hostile, "answer", staticmethod(SERVERS[server]))
    monkeypatch.setattr("time.sleep", lambda _: None)
    command, arguments = COMMANDS[name]
    if name == "connect":
        arguments = [url, "notes", "--user", "me", "--password-file", str(folder.parent / "secret")]
    done = CliRunner().invoke(command, [str(folder), *arguments], prog_name="gobi")
    said = done.output
    if isinstance(done.exception, Stopped):
        said += str(done.exception)
    elif done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert HARMLESS.fullmatch(said), [line for line in said.split("\n") if not HARMLESS.fullmatch(line)]


def test_every_command_of_a_client_is_among_these() -> None:
    modules = (commands, conflict_commands, history_commands, undo_commands)
    known = {one for module in modules for one in vars(module).values() if isinstance(one, click.Command)}
    assert known - {commands.watch} == {command for command, _ in COMMANDS.values()}


def test_no_command_prints_but_by_the_way_that_escapes() -> None:
    """`gobi watch` included, whose lines are said by the same function."""
    for file in Path(commands.__file__).parent.glob("*.py"):
        text = file.read_text()
        allowed = {"command.py": 2}.get(file.name, 0)  # say, and JSON
        assert text.count("click.echo") == allowed, file
