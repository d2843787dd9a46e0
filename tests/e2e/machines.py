"""A person's machines in a test: real folders, real `gobi` processes, one real server."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.proxy import Proxy
from tests.server import PASSWORD, USER, GobiServer
from tests.spawn import spawn

GOBI = Path(sys.executable).with_name("gobi")


@dataclass
class Run:
    """One finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Machine:
    """A machine with one synced folder. It has a home of its own, so that machines share nothing."""

    server: GobiServer
    vault: str
    root: Path
    name: str
    url: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"  # of its terminal
    within: tuple[str, ...] = ()  # a command that runs another one somewhere

    def __post_init__(self) -> None:
        self.folder = self.root / self.name
        self.home = self.root / f"{self.name}-home"
        self.folder.mkdir(parents=True)
        self.home.mkdir()

    # -- commands

    def gobi(self, *arguments: str, code: int | None = 0) -> Run:
        """Runs a command and expects its exit code (None: any)."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=300)
        assert "Traceback" not in err, err
        assert code is None or process.returncode == code, (
            f"exit {process.returncode}, not {code}\n{out}\n{err}\nThe server's log:\n{self.server.log[-4_000:]}"
        )
        return Run(process.returncode, out, err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command and leaves it running."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GOBI_", "XDG_"))}
        return spawn(
            [*self.within, GOBI, *arguments],
            signal.SIGKILL,
            env={**kept, "HOME": str(self.home), **self.environment},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding=self.encoding,
        )

    def connect(self, *options: str, code: int | None = 0) -> Run:
        secret = self.home / "password"
        secret.write_text(PASSWORD)
        where = ["connect", str(self.folder), self.url or self.server.url, self.vault]
        who = ["--user", USER, "--password-file", str(secret), "--device", self.name]
        return self.gobi(*where, *who, *options, code=code)

    def sync(self, *options: str, code: int | None = 0) -> Run:
        return self.gobi("sync", str(self.folder), *options, code=code)

    def status(self) -> Any:
        return self.gobi("status", str(self.folder), "--json", code=None).json

    def rm(self, *paths: str) -> Run:
        return self.gobi("rm", str(self.folder), *paths)

    # -- the folder

    def write(self, path: str, content: str | bytes, mtime_ns: int | None = None) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        if mtime_ns is not None:
            os.utime(target, ns=(mtime_ns, mtime_ns))
        return target

    def read(self, path: str) -> str:
        return (self.folder / path).read_text()

    def delete(self, path: str) -> None:
        (self.folder / path).unlink()

    def rename(self, path: str, to: str) -> None:
        (self.folder / to).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).rename(self.folder / to)

    def has(self, path: str) -> bool:
        return (self.folder / path).exists()

    def files(self) -> dict[str, bytes]:
        """Every file but gobi's own, with its content."""
        return dict(self._walk())

    def _walk(self) -> Iterator[tuple[str, bytes]]:
        for folder, folders, names in os.walk(self.folder):
            if Path(folder) == self.folder and ".gobi" in folders:
                folders.remove(".gobi")
            for name in names:
                path = Path(folder) / name
                yield str(path.relative_to(self.folder)), path.read_bytes()

    def trash(self) -> list[bytes]:
        """The contents of everything in this machine's local trash."""
        return [path.read_bytes() for path in (self.folder / ".gobi" / "trash").rglob("*") if path.is_file()]


class House:
    """One vault, and the machines that share it. Where several servers have the vault, everybody takes the next one."""

    def __init__(self, servers: Sequence[GobiServer], vault: str, root: Path) -> None:
        self.servers = servers
        self.vault = vault
        self.root = root
        self._machines = 0
        self._requests = 0

    @property
    def server(self) -> GobiServer:
        """The one to which the next machine will talk."""
        return self.servers[self._machines % len(self.servers)]

    def proxy(self) -> Proxy:
        """A network between the next machine and its server."""
        return Proxy(self.server.address[1])

    def machine(self, name: str, *, url: str = "", connect: bool = True) -> Machine:
        """A new machine, connected to the vault. The first one makes the vault."""
        one = Machine(self.server, self.vault, self.root, name, url)
        self._machines += 1
        if connect:
            one.connect("--create")
        return one

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
        """One request to the vault, which has to go well; the answer's body."""
        server = self.servers[self._requests % len(self.servers)]
        self._requests += 1
        connection = http.client.HTTPConnection(*server.address, timeout=30)
        secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        sent = {"Authorization": f"Basic {secret}", "Gobi-Device": "test"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, f"/v1/vaults/{self.vault}" + quote(path, safe="/?=&"), body, sent)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 300, f"{method} {path}: {answer.status} {text!r}"
            return text
        finally:
            connection.close()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """The same with JSON both ways."""
        sent = None if body is None else json.dumps(body).encode()
        return json.loads(self.request(method, path, sent, Content_Type="application/json"))

    def body(self, path: str) -> bytes:
        return self.request("GET", path)

    def put(self, path: str, content: bytes, base: int | None = None) -> dict[str, Any]:
        """Writes a file on the server, as another client would."""
        precondition = {"If_None_Match": "*"} if base is None else {"If_Match": f'"{base}"'}
        version: dict[str, Any] = json.loads(self.request("PUT", f"/files/{path}", content, **precondition))
        return version

    def delete(self, path: str) -> None:
        """Deletes a file on the server, as another client would."""
        head = self.history(path)[0]["stamp"]
        self.request("DELETE", f"/files/{path}", If_Match=f'"{head}"')

    def live(self) -> set[str]:
        """The paths that are live on the server."""
        return {version["path"] for version in self.api("GET", "/files?limit=10000")["files"]}

    def history(self, path: str) -> list[dict[str, Any]]:
        """A path's versions, newest first."""
        versions: list[dict[str, Any]] = self.api("GET", f"/history/{path}")["versions"]
        return versions

    def contents(self, path: str) -> list[bytes]:
        """Every content the history of `path` holds, newest first."""
        puts = [version for version in self.history(path) if version["kind"] == "put"]
        return [self.body(f"/files/{path}?stamp={version['stamp']}") for version in puts]

    def conflicts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api("GET", "/conflicts")["conflicts"]
        return found

    def resolve(self, keep: str, candidate: int | None = None) -> list[dict[str, Any]]:
        """Settles the only open conflict."""
        (conflict,) = self.conflicts()
        body: dict[str, Any] = {"keep": keep, "head": conflict["server"]["stamp"]}
        if candidate is not None:
            body["candidate"] = candidate
        versions: list[dict[str, Any]] = self.api("POST", f"/conflicts/{conflict['id']}/resolve", body)["versions"]
        return versions


def in_step(*machines: Machine) -> bool:
    """Whether all folders hold the same files, byte for byte."""
    first, *others = [machine.files() for machine in machines]
    return all(other == first for other in others)
