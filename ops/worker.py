# ruff: noqa: ANN401  # gunicorn has no types
"""gunicorn's own gevent worker, with some gaps closed.

A TLS handshake has a deadline; what gunicorn itself refuses is heard by a client that is still sending; a stop does not
wait for connections on which nothing is going on: one of them would hold it for as long as it may stay idle; but one
that was only just accepted gets its answer, for its client has no reason to try again; and the application hears of a
stop, for the connections that it has taken over.
"""

from __future__ import annotations

import errno
import ssl
import sys
import time
from types import FrameType, TracebackType
from typing import Any, Self

import gevent
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.util import close_graceful
from gunicorn.workers.ggevent import GeventWorker

HANDSHAKE_S = 10
HEAD_BYTES = 32 << 10
# How long after a stop a connection that has asked nothing yet may do so.
FIRST_REQUEST_S = 1
# What the application's own connections have, after all requests, for their goodbyes.
GOODBYE_S = 2
# After so long a thread that merges or reads from SQLite makes way for the loop, and the loop for it: by default 5 ms,
# of which a request needs dozens while others are at work (bench.floods, "merges": 0.35 s with 1 ms, 0.18 with this).
SWITCH_S = 0.0002
# Between two complaints of the same.
QUIET_S = 60


class _Request(Request):  # type: ignore[misc]  # gunicorn has no types
    """A head of bounded size, beside its first line. gunicorn itself would hold half a megabyte of one that never ends,
    and look through all of it for its end with each byte more."""

    def parse(self, unreader: Any) -> Any:
        self.max_buffer_headers = HEAD_BYTES
        return super().parse(unreader)


RequestParser.mesg_class = _Request


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle: set[_Idle] = set()
        self._quiet_until = 0.0
        self._new: set[Any] = set()  # greenlets of connections that have asked nothing yet

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        connection = self.wsgi.strangers.arrive(client, addr)
        try:
            self._handle(listener, client, addr)
        finally:
            connection.leave()

    def _handle(self, listener: Any, client: Any, addr: Any) -> None:
        if isinstance(client, ssl.SSLSocket):
            try:
                with gevent.Timeout(HANDSHAKE_S, TimeoutError):
                    client.do_handshake()
            except OSError as error:  # also what is no TLS at all: port scanners, plain http
                self.log.debug("TLS handshake with %s failed: %s", addr, error)
                client.close()
                return
        mine = gevent.getcurrent()
        self._new.add(mine)
        try:
            super().handle(listener, client, addr)
        finally:
            self._new.discard(mine)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Also gunicorn's own refusals have to reach a client that is still sending (RFC 9112, section 9.6)."""
        super().handle_error(req, client, addr, exc)
        close_graceful(client)

    def timeout_ctx(self) -> _Idle:
        """Around the wait for the next request's head, which gunicorn allows `keepalive` seconds in all."""
        mine = gevent.getcurrent()
        patience_s = FIRST_REQUEST_S if mine in self._new else 0
        self._new.discard(mine)
        return _Idle(self.cfg.keepalive if self.alive else patience_s, patience_s, self._idle)

    def notify(self) -> None:
        """Every second."""
        super().notify()
        self.wsgi.look()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        gevent.get_hub().loop.run_callback(self._let_go)

    def _let_go(self) -> None:
        for one in list(self._idle):
            one.end()
        if application := getattr(self, "wsgi", None):  # not yet, where it is stopped while it starts
            application.stop()

    def run(self) -> None:
        sys.setswitchinterval(SWITCH_S)
        hub: Any = gevent.get_hub()
        hub.print_exception = self._tell_of
        super().run()
        quietly: Any = False
        with gevent.Timeout(GOODBYE_S, quietly):
            while not self.wsgi.stopped:
                gevent.sleep(0.05)

    def _tell_of(self, context: Any, kind: Any, value: Any, traceback: Any) -> None:
        """What fails in the hub or in a greenlet, in the log and not as lines of their own. gevent accepts again after
        a moment where it could open no file, so that is told once a minute at most."""
        if isinstance(value, OSError) and value.errno in (errno.EMFILE, errno.ENFILE):
            if time.monotonic() >= self._quiet_until:
                self._quiet_until = time.monotonic() + QUIET_S
                self.log.error(
                    "no more files can be opened, so new connections wait until others end: raise the limit "
                    "(LimitNOFILE= of the unit, or ulimit -n)"
                )
        elif kind is not None and value is not None:
            self.log.error("a fault in %s", context, exc_info=(kind, value, traceback))


class _Idle:
    """A wait that ends without an error: after `seconds`, or `patience_s` after `end`."""

    def __init__(self, seconds: float, patience_s: float, waiting: set[_Idle]) -> None:
        quietly: Any = False  # leaving the block is all that happens
        self._timer = gevent.Timeout(seconds, quietly)
        self._waiting = waiting
        self._patience_s = patience_s
        self._greenlet: Any = None
        self._later: Any = None

    def __enter__(self) -> Self:
        self._greenlet = gevent.getcurrent()
        self._waiting.add(self)
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None) -> bool:
        self._waiting.discard(self)
        self._timer.close()
        if self._later is not None:
            self._later.close()
        return value is self._timer

    def end(self) -> None:
        """To be called in the hub."""
        if self._patience_s:
            self._later = gevent.get_hub().loop.timer(self._patience_s)
            self._later.start(self._end_now)
        else:
            self._end_now()

    def _end_now(self) -> None:
        # Only a wait that has not ended meanwhile: what follows it is a request, and that is finished.
        if self in self._waiting:
            self._greenlet.throw(self._timer)
