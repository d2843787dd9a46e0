"""A WebSocket client that sends exactly what it is told, for tests."""

from __future__ import annotations

import base64
import itertools
import json
import os
import socket
import ssl
import struct
import urllib.request
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.server import PASSWORD, PATIENCE_S, USER, GobiServer

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the one of RFC 6455, section 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN = 0x80

_numbers = itertools.count(1)


def basic(user: str = USER, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Frame(NamedTuple):
    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of a close frame."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2], "big")


class Refused(Exception):
    """The server answered the handshake with something else than 101."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(status, body)
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def code(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        return str(json.loads(self.body)["code"])


def head(url: str, **headers: str | None) -> bytes:
    """A handshake. `Sec_WebSocket_Key="…"` sets that header; None leaves one out."""
    usual: dict[str, str | None] = {
        "Host": "localhost",
        "Authorization": basic(),
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    }
    usual |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"GET {url} HTTP/1.1", *(f"{name}: {value}" for name, value in usual.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(opcode: int, payload: bytes = b"", *, first: int = FIN, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A frame as clients send them; one without a mask for `mask=b""`."""
    length = len(payload)
    if length < 126:
        announced = bytes([length])
    elif length < 1 << 16:
        announced = b"\x7e" + struct.pack("!H", length)
    else:
        announced = b"\x7f" + struct.pack("!Q", length)
    if mask:
        announced = bytes([announced[0] | 0x80]) + announced[1:]
        key = itertools.cycle(mask)
        payload = bytes(byte ^ next(key) for byte in payload)
    return bytes([first | opcode]) + announced + mask + payload


class Line:
    """A connection that is a WebSocket."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.socket.settimeout(PATIENCE_S)
        self._received = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def frame(self) -> Frame:
        """The next one, whatever it is."""
        first, second = self._exactly(2)
        assert first & FIN, "the server sends whole messages"
        assert not second & 0x80, "the server does not mask"
        length = second
        if second == 126:
            length = int.from_bytes(self._exactly(2), "big")
        elif second == 127:
            length = int.from_bytes(self._exactly(8), "big")
        return Frame(first & 0x0F, self._exactly(length))

    def message(self) -> dict[str, Any]:
        """The next message, pings on the way answered."""
        while (got := self.frame()).opcode == PING:
            self.send(frame(PONG, got.payload))
        assert got.opcode == TEXT, got
        message: dict[str, Any] = json.loads(got.payload)
        return message

    def hello(self) -> str:
        """The cursor of the greeting."""
        message = self.message()
        assert message["type"] == "hello", message
        return str(message["cursor"])

    def paths(self, count: int) -> list[str]:
        """Of the next so many changes, which have to be one unbroken chain."""
        found: list[str] = []
        place: str | None = None
        while len(found) < count:
            message = self.message()
            assert message["type"] == "changes", message
            assert place in (None, message["after"]), "there is a gap"
            place = message["cursor"]
            found += [row["path"] for row in message["changes"]]
        return found

    def close_code(self) -> int:
        """The code that the server closes with; what came before is passed over. Then its side has to be closed."""
        while (got := self.frame()).opcode != CLOSE:
            pass
        assert self._received.read(1) == b"", "nothing follows a close frame"
        return got.code

    def ended(self) -> bool:
        """Whether the server closed the connection, after whatever it had to say."""
        try:
            while self._received.read(1 << 16):
                pass
        except ConnectionResetError:
            pass
        return True

    def vanish(self) -> None:
        """Goes away with a reset and without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._received.close()
        self.socket.close()

    def _exactly(self, count: int) -> bytes:
        data = self._received.read(count)
        if len(data) < count:
            raise EOFError("the server closed the connection without a close frame")
        return data


class Peer(Line):
    """A connection that became one by a handshake. Raises Refused where it did not."""

    def __init__(
        self,
        address: tuple[str, int],
        url: str,
        *,
        trust: ssl.SSLContext | None = None,
        small_buffers: bool = False,
        **headers: str | None,
    ) -> None:
        sock = socket.socket()
        if small_buffers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(address)
        super().__init__(trust.wrap_socket(sock, server_hostname="localhost") if trust else sock)
        self.send(head(url, **headers))
        self.status, self.headers = self._answer()
        if self.status != 101:
            body = self._received.read(int(self.headers.get("content-length", 0)))
            self.close()
            raise Refused(self.status, self.headers, body)

    def _answer(self) -> tuple[int, dict[str, str]]:
        status = int(self._received.readline().split()[1])
        headers = {}
        while (line := self._received.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers


class Vault:
    """A vault of the test's own as one server serves it, and who watches it. `trust`: for https."""

    def __init__(self, server: GobiServer, trust: ssl.SSLContext | None = None) -> None:
        self.server = server
        self.name = f"live-{os.getpid()}-{next(_numbers)}"
        self.url = f"/v1/vaults/{self.name}"
        self._trust = trust
        self._peers: list[Peer] = []
        self.ask("PUT", "")

    def another(self) -> Vault:
        """On the same server."""
        one = Vault(self.server, self._trust)
        one._peers = self._peers
        return one

    def at(self, server: GobiServer) -> Vault:
        """The same one as another server serves it."""
        same = copy(self)
        same.server = server
        return same

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        """JSON from below the vault's address. Raises urllib's HTTPError."""
        sent = {"Authorization": basic()} | {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.server.url + self.url + path, body, sent, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_S, context=self._trust) as answer:
            return json.loads(answer.read() or b"null")

    def put(self, path: str, body: bytes = b"text", **headers: str) -> dict[str, Any]:
        version: dict[str, Any] = self.ask("PUT", f"/files/{quote(path)}", body, **headers)
        return version

    def cursor(self) -> str:
        return str(self.ask("GET", "")["cursor"])

    def watch(self, cursor: str | None = None, *, small_buffers: bool = False, **headers: str | None) -> Peer:
        """A socket, not yet greeted."""
        url = f"{self.url}/live" + (f"?cursor={cursor}" if cursor is not None else "")
        peer = Peer(self.server.address, url, trust=self._trust, small_buffers=small_buffers, **headers)
        self._peers.append(peer)
        return peer

    def greeted(self, cursor: str | None = None, **options: Any) -> Peer:
        """A socket that has had its hello."""
        peer = self.watch(cursor, **options)
        peer.hello()
        return peer

    def close(self) -> None:
        for peer in self._peers:
            peer.close()


def workers(server: GobiServer) -> list[int]:
    """Their process ids."""
    return [int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]


def memory_kib(server: GobiServer) -> int:
    """The workers' proportional set size."""
    return sum(_pss(pid) for pid in workers(server))


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
