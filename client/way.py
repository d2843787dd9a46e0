"""The way to a server: directly or through a proxy, with or without encryption; and why it could not be gone."""

from __future__ import annotations

import os
import socket as socket_module
from errno import ECONNREFUSED
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from client.paced import PacedResponse, TooSlow
from client.ports import ServerAway
from client.proxies import proxy_for

if TYPE_CHECKING:
    from ssl import SSLContext

CONNECT_TIMEOUT = 10.0  # seconds
UNHEARD = 30.0  # seconds without the other machine's acknowledging what was sent: it is not there, or the way is cut
PROXY_WANTS_PASSWORD = 407

_USER_TIMEOUT: int | None = getattr(socket_module, "TCP_USER_TIMEOUT", None)  # Linux
_NO_TUNNEL = "Tunnel connection failed: "  # how http.client says so


class ProxyRefused(OSError):
    """The proxy lets nobody through to the server; `strerror` says why, and what to do."""


class Way:
    """To the server at `url`, as client.config.normalise_url gives it. `authority`: PEM certificates that are believed
    beside the system's. `timeout`: seconds without a byte.

    Raises Stopped where the environment names a proxy that cannot be used.
    """

    def __init__(self, url: str, authority: str | None, timeout: float) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        self.url = url
        self._host = host if host.isascii() else host.encode("idna").decode()
        self._tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._prefix = parts.path
        self._timeout = timeout
        self._authority = authority
        self._context: SSLContext | None = None
        self._proxy = proxy_for(parts.scheme, self._host, self._port, os.environ)

    def connection(self, *, tunnel: bool = False) -> HTTPConnection:
        """Not open yet. `tunnel`: for what is more than requests and answers."""
        timeout = min(CONNECT_TIMEOUT, self._timeout)
        host, port = (self._host, self._port) if self._proxy is None else self._proxy[:2]
        if self._tls:
            self._context = self._context or self._trust()
            http: HTTPConnection = HTTPSConnection(host, port, timeout=timeout, context=self._context)
        else:
            http = HTTPConnection(host, port, timeout=timeout)
        http.response_class = PacedResponse
        if self._proxy is not None and (self._tls or tunnel):
            http.set_tunnel(self._host, self._port, self._proxy.headers)
        return http

    def open(self, http: HTTPConnection) -> None:
        """Raises OSError, HTTPException."""
        try:
            http.connect()  # sets TCP_NODELAY
        except OSError as error:
            if self._proxy is None or not str(error).startswith(_NO_TUNNEL):
                raise
            raise ProxyRefused(ECONNREFUSED, self._turned_away(str(error).removeprefix(_NO_TUNNEL))) from None
        http.sock.settimeout(self._timeout)
        if _USER_TIMEOUT is not None:
            http.sock.setsockopt(socket_module.IPPROTO_TCP, _USER_TIMEOUT, int(UNHEARD * 1000))

    @property
    def _relayed(self) -> bool:
        """Whether the proxy reads the requests, instead of passing bytes on."""
        return self._proxy is not None and not self._tls

    @property
    def headers(self) -> dict[str, str]:
        """What a request needs for the way alone."""
        return self._proxy.headers if self._proxy is not None and self._relayed else {}

    def target(self, path: str) -> str:
        """What a request names (RFC 9112, section 3.2): the whole address to a proxy that is to pass it on."""
        if not self._relayed:
            return self._prefix + path
        host = f"[{self._host}]" if ":" in self._host else self._host
        place = host if self._port == 80 else f"{host}:{self._port}"
        return f"http://{place}{self._prefix}{path}"

    def turned_away(self, status: int, reason: str) -> ServerAway | None:
        """What to make of an answer that is the proxy's own no; None for any other."""
        if status != PROXY_WANTS_PASSWORD or not self._relayed:
            return None
        return ServerAway(self._turned_away(f"{status} {reason}"))

    def unreachable(self, error: Exception, *, on_the_way: bool = False) -> ServerAway:
        """In words. `on_the_way`: the way was open, and cut before the answer had come."""
        from ssl import SSLCertVerificationError

        if isinstance(error, ProxyRefused):
            return ServerAway(error.strerror or "")
        if isinstance(error, SSLCertVerificationError):
            from client.trust import untrusted

            return ServerAway(untrusted(self.url, error))
        through = "" if self._proxy is None else f" through {self._proxy}"
        if isinstance(error, TooSlow):
            return ServerAway(
                f"{self.url}{through} answers in drops ({error})", then="nothing is lost, try again later"
            )
        if isinstance(error, TimeoutError) and not on_the_way:
            return ServerAway(f"{self.url}{through} does not answer", then="nothing is lost, try again later")
        reason = getattr(error, "strerror", None) or "the connection was cut"
        then = "nothing is lost, try again when the server runs"
        if self._proxy is not None and not on_the_way:
            then = f"see that the proxy runs, or name {self._host} in NO_PROXY if it can be reached without"
        return ServerAway(f"cannot reach {self.url}{through} ({reason})", then=then, on_the_way=on_the_way)

    def _trust(self) -> SSLContext:
        from client.trust import context_for

        return context_for(self._authority)

    def _turned_away(self, said: str) -> str:
        assert self._proxy is not None, "somebody said no"
        if said.startswith(str(PROXY_WANTS_PASSWORD)):
            return (
                f"{self._proxy} wants a user and a password; write them into the variable, as in "
                "http://user:password@proxy.example.org:3128"
            )
        return (
            f"{self._proxy} does not let this machine through to {self.url} ({said}); ask who runs it, or name "
            f"{self._host} in NO_PROXY if it can be reached without"
        )
