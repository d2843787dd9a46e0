"""Between the WSGI server and the application: deadlines on the socket, the end of a request that was not read, and
connections that stop being HTTP.

A refusal that comes before the body was read has to reach a client that is still sending. If the connection were just
closed, the unread bytes would make the system send a reset, and that destroys the answer on its way (RFC 9112, section
9.6). So: answer, say that nothing more will come, throw away what still arrives for a moment, close.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from handlers.bodies import RequestBody
from handlers.exchange import Environ, Exchange
from handlers.measures import Measures
from handlers.strangers import CONNECTION, Bounds, Strangers
from store.offload import BULK

LINGER_S = 2.0
LINGER_BYTES = 32 << 20
# A piece of 256 KiB may take this much longer to be sent than a wait for a single byte may last.
SLOW_READER = 4
# So much the server discards by itself before the next request.
SMALL = 64 << 10

StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class Sockets(Protocol):
    """Connections that stopped being HTTP: the server does not know of them."""

    def stop(self) -> None: ...

    @property
    def empty(self) -> bool: ...


class Wire:
    """The outermost layer of the application. `stall_s`: how long a client may stand still in a request."""

    def __init__(
        self,
        app: Application,
        stall_s: float,
        sockets: Sockets,
        strangers: Strangers | None = None,
        measures: Measures | None = None,
    ) -> None:
        self.strangers = strangers or Strangers(Bounds())
        self._app = app
        self._measures = measures or Measures()
        self._stall_s = stall_s
        self._sockets = sockets

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        connection = environ[CONNECTION] = self.strangers.of(environ)
        connection.ask(environ)
        body = environ["gobi.body"] = RequestBody(environ, self._stall_s)
        BULK.set(body.length is None or body.length > SMALL)
        exchange = self._measures.request(environ)
        sock = environ.get("gunicorn.socket")
        if sock is not None:
            sock.settimeout(self._stall_s * SLOW_READER)
        closing = False

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
            nonlocal closing
            exchange.status = status[:3]
            connection.answer()
            polite = status < "4" and body.length is not None and body.length <= SMALL
            if sock is not None and not body.finished and not polite:
                closing = True
                start_response.__self__.force_close()  # type: ignore[attr-defined]  # gunicorn's own word for it
            return start_response(status, headers, exc_info)

        def after() -> None:
            exchange.end(body.received)
            if sock is not None:
                linger(sock) if closing else sock.settimeout(None)
            connection.rest()

        try:
            return _Answer(self._app(environ, start), exchange, after)
        except BaseException:  # it became a socket, or its client is gone
            exchange.end(body.received)
            raise

    def look(self) -> None:
        """To be called every second."""
        self._measures.look()
        self.strangers.look()

    def stop(self) -> None:
        """The server is going to stop. Requests go on to their end; sockets are told. Waits for nothing."""
        self._sockets.stop()

    @property
    def stopped(self) -> bool:
        """Whether all sockets are gone."""
        return self._sockets.empty


class _Answer:
    """The response's body; `after` runs once it was sent, or will not be."""

    def __init__(self, inner: Iterable[bytes], exchange: Exchange, after: Callable[[], None]) -> None:
        self._inner = inner
        self._exchange = exchange
        self._after = after

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._inner:
            self._exchange.sent += len(piece)
            yield piece

    def close(self) -> None:
        close = getattr(self._inner, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._after()


class Detached(StopIteration):
    """The connection is no more the server's: there is nothing to answer, and no next request. To gunicorn any
    StopIteration says so."""


class Taken(NamedTuple):
    """A connection without its HTTP. `unread`: what had arrived already.

    `held`: whether the request has to last as long as the connection does, for the server closes it after that.
    """

    socket: socket.socket
    unread: bytes
    held: bool


def take(environ: Environ) -> Taken:
    """Takes the connection from under the server; then the handler has to raise Detached. It does not block any more.

    A duplicate, where the server closes only its own; so the server's connections are free for requests. What encrypts
    a TLS connection cannot be duplicated.
    """
    sock = environ["gunicorn.socket"]
    unread = environ["wsgi.input"].reader.unreader.buf.getvalue()
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(0)
        return Taken(sock, unread, held=True)
    from gevent import monkey

    plain = monkey.get_original("socket", "socket")  # gevent's own costs a kilobyte more
    duplicate = plain(fileno=os.dup(sock.fileno()))
    duplicate.setblocking(False)
    return Taken(duplicate, unread, held=False)


def linger(sock: socket.socket) -> None:
    """Ends the sending side and discards what arrives, until the client has closed its own or `LINGER_S` passed."""
    deadline = time.monotonic() + LINGER_S
    discarded = 0
    try:
        sock.shutdown(socket.SHUT_WR)
        while discarded < LINGER_BYTES and (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            piece = sock.recv(1 << 16)
            if not piece:
                return
            discarded += len(piece)
            time.sleep(0)  # gevent never yields by itself while data is ready
    except OSError:  # it is gone already, or slow: either way this is the end
        return
