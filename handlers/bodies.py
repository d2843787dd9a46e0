"""Reading what a request carries: streamed, bounded, and never taken for whole when it is not.

The server's raw input is read, for Falcon's `bounded_stream` reads a chunked body as zero bytes. A body is whole when
its announced length has come, or its last chunk.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

import falcon
import msgspec
from gunicorn.http.errors import NoMoreData, ParseException

from handlers.problems import Problem
from handlers.strangers import CONNECTION, Connection
from store.offload import Offload
from sync.dense import complaint

T = TypeVar("T")

PIECE = 256 << 10
# What waits in memory for the rest of a piece, of all bodies together: where many come at once, pieces are smaller.
MOST_WAITING = 8 << 20
LEAST_PIECE = 16 << 10
MAX_JSON = 16 << 20
_SMALL_JSON = 64 << 10


class Disconnected(Exception):
    """The client went away, or stood still for too long, in the middle of its request: there is nobody to answer."""


class RequestBody:
    """One request's body. `length` is None where it comes in chunks, 0 where there is none."""

    under_way: ClassVar[int] = 0  # bodies that are being read in this process

    def __init__(self, environ: dict[str, Any], stall_s: float) -> None:
        self._input = environ["wsgi.input"]
        self._socket: socket.socket | None = environ.get("gunicorn.socket")
        self._stall_s = stall_s
        self._connection: Connection | None = environ.get(CONNECTION)
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        self.length: int | None = None if chunked else int(environ.get("CONTENT_LENGTH") or 0)
        self.encoding: str = environ.get("HTTP_CONTENT_ENCODING", "").strip()
        self.received = 0
        self.finished = self.length == 0

    def chunks(self, limit: int) -> Iterator[bytes]:
        """Pieces of at most 256 KiB, other greenlets running in between.

        Raises Problem (`encoded-body`; `too-large` over `limit` bytes, at once where the length is known; `bad-request`
        for a broken chunk), Disconnected.
        """
        self.check(limit)
        RequestBody.under_way += 1
        try:
            yield from self._pieces(limit)
        finally:
            RequestBody.under_way -= 1

    def _pieces(self, limit: int) -> Iterator[bytes]:
        while not self.finished:
            if self.received:
                time.sleep(0)  # gevent never yields by itself while data is ready
            piece = self._read()
            self.received += len(piece)
            if self.received > limit:
                raise _too_large(limit)
            if self.length is None:
                self.finished = not piece
            elif not piece:
                raise Disconnected
            else:
                self.finished = self.received == self.length
            if piece:
                yield piece

    def check(self, limit: int) -> None:
        """The refusals that need no reading: `encoded-body`, `too-large`."""
        if self.encoding and self.encoding.lower() != "identity":
            raise Problem("encoded-body", "bodies are taken as they are: send it without a Content-Encoding")
        if self.length is not None and self.length > limit:
            raise _too_large(limit)

    def read(self, limit: int) -> bytes:
        return b"".join(self.chunks(limit))

    def _read(self) -> bytes:
        most = min(PIECE, max(LEAST_PIECE, MOST_WAITING // max(1, RequestBody.under_way)))
        size = most if self.length is None else min(most, self.length - self.received)
        if self._connection is not None:
            self._connection.wait()  # who has not signed in has a deadline, whatever comes meanwhile
        try:
            with _timeout(self._socket, self._stall_s):
                piece: bytes = self._input.read(size)
        except ParseException:
            raise Problem("bad-request", "the body's chunks are broken: send it again") from None
        except (NoMoreData, OSError):
            raise Disconnected from None
        finally:
            if self._connection is not None:
                self._connection.work()
        return piece


class _timeout:  # noqa: N801  # reads as what it does
    """Bounds every single wait for the socket: a slow client is fine, one that stands still is not."""

    def __init__(self, sock: socket.socket | None, seconds: float) -> None:
        self._socket = sock
        self._seconds = seconds

    def __enter__(self) -> None:
        if self._socket is not None:
            self._before = self._socket.gettimeout()
            self._socket.settimeout(self._seconds)

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.settimeout(self._before)


def body_of(req: falcon.Request) -> RequestBody:
    body: RequestBody = req.env["gobi.body"]
    return body


def read_json(req: falcon.Request, shape: type[T], offload: Offload, limit: int = _SMALL_JSON) -> T:
    """The body, of at most `limit` bytes, as a value of type `shape`. Raises Problem, Disconnected."""
    text = body_of(req).read(limit)
    try:
        if len(text) <= _SMALL_JSON:
            return msgspec.json.decode(text, type=shape)
        wrong = offload(complaint, text)
        if wrong == "too dense":
            raise Problem("too-large", "the body holds more values than any request needs: send less in a request")
        if wrong is not None:
            raise Problem("bad-request", f"the body is {wrong}: send only what is asked for here")
        return offload(msgspec.json.decode, text, type=shape)
    except msgspec.DecodeError as error:  # also what has the wrong types
        raise Problem("bad-request", f"the body is not the JSON that is asked for here: {error}") from None
    except RecursionError:  # lists in lists in lists
        raise Problem("bad-request", "the body is nested too deeply: send only what is asked for here") from None
    except UnicodeDecodeError:
        raise Problem("bad-request", "the body is not JSON in UTF-8") from None


def as_shape(value: object, shape: type[T]) -> T:
    """JSON that was read already as a value of type `shape`. Raises Problem."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise Problem("bad-request", f"the body is not the JSON that is asked for here: {error}") from None


def _too_large(limit: int) -> Problem:
    return Problem("too-large", f"that is more than the {limit} bytes that are taken here: send less in a request")
