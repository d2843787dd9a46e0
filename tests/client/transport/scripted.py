"""A server that plays a script over real sockets, so that a test decides what each request meets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[["Peer", "Request"], None]


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]


@dataclass
class Peer:
    """One accepted connection."""

    sock: socket.socket
    file: Any
    closed: bool = False

    def read(self, with_body: bool = True) -> Request | None:
        line = self.file.readline()
        if not line:
            return None
        headers = {}
        while (row := self.file.readline().strip()) != b"":
            name, _, value = row.decode().partition(": ")
            headers[name.lower()] = value
        body = self.file.read(int(headers.get("content-length", 0))) if with_body else b""
        return Request(line.decode().strip(), headers, body)

    def send(self, status: str, body: bytes = b"", *headers: str, length: int | None = None) -> None:
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
        self.sock.sendall("\r\n".join([*head, "", ""]).encode() + body)

    def json(self, status: str, value: object, *headers: str) -> None:
        self.send(status, json.dumps(value).encode(), "Content-Type: application/json", *headers)

    def problem(self, status: int, code: str, *headers: str, **more: object) -> None:
        self.json(
            f"{status} No", {"status": status, "code": code, "title": code, "detail": f"no: {code}"} | more, *headers
        )

    def close(self) -> None:
        self.closed = True
        self.sock.shutdown(socket.SHUT_RDWR)


@dataclass
class Script:
    """A server that answers the n-th request with the n-th answer, whatever connection it comes over."""

    answers: list[Answer]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    read_bodies: bool = True

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the script has been played to its end
        self._thread.join(5)

    def _serve(self) -> None:
        with self._listener:
            while not self._played():
                try:
                    sock, _ = self._listener.accept()
                except OSError:
                    return
                self.connections += 1
                with sock, sock.makefile("rb") as file:
                    self._converse(Peer(sock, file))

    def _converse(self, peer: Peer) -> None:
        while not self._played() and not peer.closed:
            try:
                request = peer.read(self.read_bodies)
                if request is None:
                    return
                self.requests.append(request)
                self.answers[len(self.requests) - 1](peer, request)
            except OSError:
                return

    def _played(self) -> bool:
        return len(self.requests) == len(self.answers)


def vault(peer: Peer, request: Request) -> None:
    peer.json("200 OK", {"name": "notes"})


def cut(peer: Peer, request: Request) -> None:
    peer.close()
