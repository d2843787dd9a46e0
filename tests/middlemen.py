"""Programs between a client and its server, on loopback: a reverse proxy that refuses some requests, as nginx does, and
a forward proxy, as in offices."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Rule = Callable[[str, str, int], int | None]
"""From method, target and the body's size: the status of a refusal, or None to pass the request on."""


class ReverseProxy:
    """Passes requests on to the server at `address` unless `rule` says no. Use as a context manager.

    `below`: the path that the server has here, and does not know of.
    """

    def __init__(
        self, address: tuple[str, int], rule: Rule = lambda method, target, size: None, *, below: str = ""
    ) -> None:
        self.refused: list[tuple[str, int]] = []
        self.below = below
        self.rule = rule
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, address))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class ForwardProxy(ReverseProxy):
    """Takes every name for the server at `address`. `credentials`: the header that it wants. `closed`: what it answers
    to everybody, as a status. `asked`: methods and targets."""

    def __init__(self, address: tuple[str, int], credentials: str | None = None) -> None:
        super().__init__(address)
        self.credentials = credentials
        self.closed: int | None = None
        self.asked: list[tuple[str, str]] = []


def body_limit(most: int) -> Rule:
    """nginx's client_max_body_size."""
    return lambda method, target, size: 413 if size > most else None


def _handler(proxy: ReverseProxy, address: tuple[str, int]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "nginx/1.22.1"
        sys_version = ""

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def _is_turned_away(self) -> bool:
            if not isinstance(proxy, ForwardProxy):
                return False
            proxy.asked.append((self.command, self.path))
            wrong = proxy.credentials not in (None, self.headers.get("Proxy-Authorization"))
            status = proxy.closed or (407 if wrong else None)
            if status is not None:
                self._answer(status, b"<html>no</html>", [])
            return status is not None

        def do_CONNECT(self) -> None:
            if self._is_turned_away():
                return
            with socket.create_connection(address) as upstream:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=_carry, args=(upstream, self.connection), daemon=True)
                back.start()
                _carry(self.connection, upstream)
                back.join()
            self.close_connection = True

        def _do(self) -> None:
            if self._is_turned_away():
                return
            self.path = re.sub("^http://[^/]+", "", self.path)
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            status = proxy.rule(self.command, self.path, size) if self.path.startswith(proxy.below) else 404
            if status is not None:
                proxy.refused.append((self.path, size))
                self._answer(status, b"<html>no</html>", [("Content-Type", "text/html")])
                return
            upstream = http.client.HTTPConnection(*address, timeout=60)
            hop = ("connection", "proxy-authorization")
            passed = {name: value for name, value in self.headers.items() if name.lower() not in hop}
            upstream.request(self.command, self.path.removeprefix(proxy.below), body or None, passed)
            answer = upstream.getresponse()
            own = ("connection", "content-length", "date", "server", "transfer-encoding")
            headers = [row for row in answer.getheaders() if row[0].lower() not in own]
            self._answer(answer.status, answer.read(), headers)
            upstream.close()

        def _answer(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._do)
    return Handler


def _carry(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass  # cut at one end: cut at both
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
