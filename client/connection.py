"""One kept-alive HTTP/1.1 connection that survives what networks do, and says plainly what it could not survive.

Built on http.client because the command's start-up is part of the product: it loads in half of urllib3's time. Every
request of the protocol may be repeated (docs/protocol.md, section 2), which is what makes the retries here sound.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING, NamedTuple, TypedDict, cast

from client.answers import is_not_gobis, not_gobis
from client.ports import ServerAway, ServerRefused, SlowDown
from client.way import Way
from sync.model import Json

if TYPE_CHECKING:
    from socket import socket

    from client.belonging import Belonging

PIECE = 256 * 1024  # bytes read or sent at a time
# Seconds without a byte. A server that makes 256 MiB durable on an SD card is silent for a while.
TIMEOUT = 120.0
PATIENCE = 30.0  # seconds spent in a row on a server that asks to come back later; then each request asks it once
# Bytes of a request's body above which it is not sent again just because a proxy says that something took too long: it
# would say so again, and the server may have all of it.
REPEATED = 1024 * 1024
SHORTEST_WAIT, LONGEST_WAIT = 1.0, 3600.0  # seconds, whatever a server asks for
LARGEST_ANSWER = 64 * 1024 * 1024  # bytes of JSON, where nothing says how large it may be
LONGEST_SAID = 500  # letters of what a server says to a person
DEFAULT_WAIT = 2.0  # where it does not say when; then twice as long each time

# What passes, whoever says so: a server that starts or is busy, a proxy that cannot reach it (520 to 530 are
# Cloudflare's), a request that took too long.
# Beside these: a server without any users, whose disk may come, says 401 and when to ask again.
_UNAUTHORIZED = 401
_BUSY = frozenset({408, 425, 429, 499, 502, 503, 504, *range(520, 528), 530})


class Limits(TypedDict, total=False):
    """Seconds: without a byte, and spent on a server that asks to come back later."""

    timeout: float
    patience: float


class Body(NamedTuple):
    """What a request sends: `length` bytes. `pieces` is called again, from the start, when a request is repeated."""

    length: int
    pieces: Callable[[], Iterable[bytes]]
    type: str = "application/octet-stream"

    @classmethod
    def of_json(cls, value: Json) -> Body:
        encoded = json.dumps(value, separators=(",", ":")).encode()
        return cls(len(encoded), lambda: (encoded,), "application/json")


class Connection:
    """Not for use by several threads. The server is reached with the first request, and again when it must be."""

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        device: str,
        *,
        authority: str | None = None,
        belonging: Belonging | None = None,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`url` as client.config.normalise_url gives it. `user`: "" for who is nobody yet. `authority`: certificates in
        PEM that are believed beside the system's. `belonging`: which vault is meant, looked at before the first
        request. `timeout` and `patience` in seconds.

        Raises Stopped where the environment names a proxy that cannot be used.
        """
        self._who = (url, user, password, device)
        self._url = url
        self._authority = authority
        self._belonging = belonging
        self._way = Way(url, authority, timeout)
        self._headers = {"Gobi-Device": device, "Accept-Encoding": "identity", "User-Agent": "gobi"}
        if user:
            self._headers["Authorization"] = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        self._timeout = timeout
        self._patience = patience
        self.sleep = sleep
        self._slept = 0.0  # waiting for a busy server, since it last was not
        self._slept_sending = False  # whether that was for a request with a body
        self._http: HTTPConnection | None = None
        self._response: HTTPResponse | None = None
        self._answered: HTTPResponse | None = None  # the latest that had JSON

    def another(self) -> Connection:
        """A second connection to the same place, with nothing shared."""
        return self._like_this(self._belonging)

    def without_vault(self) -> Connection:
        """The same, for asking which vault is there."""
        return self._like_this(None)

    def _like_this(self, belonging: Belonging | None) -> Connection:
        limits = Limits(timeout=self._timeout, patience=self._patience)
        return Connection(*self._who, authority=self._authority, belonging=belonging, sleep=self.sleep, **limits)

    def dial(self) -> socket:
        """A socket of its own to the same place, for what is more than requests and answers. Raises OSError."""
        http = self._way.connection(tunnel=True)
        self._way.open(http)
        return cast("socket", http.sock)

    @property
    def url(self) -> str:
        return self._url

    @property
    def headers(self) -> dict[str, str]:
        """What every request says."""
        return self._headers if self._belonging is None else self._headers | self._belonging.headers

    def check_vault(self, answered: object) -> None:
        """`answered`: a vault's id in an answer. Raises OtherVault."""
        if self._belonging is not None:
            self._belonging.check(answered)

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
        if self._response is not None:
            self._response.close()
        self._http = self._response = None

    def json(
        self,
        method: str,
        target: str,
        body: Body | None = None,
        headers: dict[str, str] | None = None,
        *,
        most: int = LARGEST_ANSWER,
    ) -> Json:
        """The answer's JSON object, of at most `most` bytes. Raises as `request` does."""
        response = self.request(method, target, body, headers)
        with self.reading():
            raw = b"" if (response.length or 0) > most else response.read(most + 1)
            if response.length and len(raw) <= most and response.length <= most:
                raise IncompleteRead(raw, response.length)
        if len(raw) > most or response.length:
            self.close()
            raise not_gobis(self._url, response, why=f"it sent more than {most:,} bytes")
        self._answered = response
        return self._object(raw, response)

    @contextmanager
    def understanding(self) -> Iterator[None]:
        """Around looking at what `json` brought: what is not of the protocol's form is no answer of a gobi server.

        Raises ServerRefused.
        """
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            assert self._answered is not None, "something was answered"
            why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            raise not_gobis(self._url, self._answered, why=why) from error

    def request(
        self, method: str, target: str, body: Body | None = None, headers: dict[str, str] | None = None
    ) -> HTTPResponse:
        """A successful answer (2xx), its body not read yet; what is left of it is dropped by the next request.

        `target` begins with "/v1" and is percent-encoded. Raises ServerAway (SlowDown after a 429), ServerRefused, and
        OtherVault where the name of the vault is another one's now.
        """
        if self._belonging is not None:
            self._belonging.settle(self)
        unasked = DEFAULT_WAIT
        while True:
            response = self._exchange(method, target, body, headers or {})
            if (no := self._way.turned_away(response.status, response.reason)) is not None:
                self.close()
                raise no
            wait = _retry_after(response)
            if response.status not in _BUSY and (response.status != _UNAUTHORIZED or wait is None):
                break
            refused = self._refusal(response, body)
            if wait is None:
                wait, unasked = unasked, unasked * 2
            self._slept += wait
            self._slept_sending = body is not None
            large = is_not_gobis(refused) and body is not None and body.length > REPEATED
            if self._slept > self._patience or large:
                raise _away(refused, wait)
            self.sleep(wait)
        if body is not None or not self._slept_sending:  # that a question comes through says nothing of what is sent
            self._slept = 0.0
        if not 200 <= response.status < 300:
            refused = self._refusal(response, body)
            if refused.code == "other-vault" and self._belonging is not None:
                raise self._belonging.other() from refused
            if refused.code == "wrong-host":  # whoever runs the server has to see to it, and nobody here
                raise ServerAway(str(refused), then="nothing is lost, it goes on once that is done there")
            raise refused
        return response

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around reading an answer's body: a connection that breaks there becomes ServerAway."""
        try:
            yield
        except (OSError, HTTPException) as error:
            self.close()
            raise self._way.unreachable(error, on_the_way=True) from error

    def _exchange(self, method: str, target: str, body: Body | None, headers: dict[str, str]) -> HTTPResponse:
        if self._response is not None and not self._response.isclosed():
            self.close()  # the answer before was not read to its end: this connection cannot carry another
        reused = self._http is not None and self._http.sock is not None
        try:
            return self._once(method, target, body, headers)
        except TimeoutError as error:
            # Without an errno nothing was heard for long; with one, what was sent went nowhere.
            raise self._way.unreachable(error, on_the_way=error.errno is not None) from error
        except (OSError, HTTPException) as error:
            # A server closes idle connections whenever it likes: no answer on an old one means "connect again".
            if not reused:
                raise self._way.unreachable(error, on_the_way=True) from error
        try:
            return self._once(method, target, body, headers)
        except (OSError, HTTPException) as error:
            raise self._way.unreachable(error, on_the_way=True) from error

    def _once(self, method: str, target: str, body: Body | None, headers: dict[str, str]) -> HTTPResponse:
        http = self._connected()
        try:
            http.putrequest(method, self._way.target(target), skip_accept_encoding=True)
            for name, value in (self.headers | self._way.headers | headers).items():
                http.putheader(name, value)
            if body is not None:
                http.putheader("Content-Type", body.type)
                http.putheader("Content-Length", str(body.length))
            http.endheaders()
            if body is not None:
                _send(http, body)
            self._response = http.getresponse()
        except BaseException:
            self.close()  # half a request may be on the wire
            raise
        return self._response

    def _connected(self) -> HTTPConnection:
        if self._http is None:
            self._http = self._way.connection()
        if self._http.sock is None:
            try:
                self._way.open(self._http)
            except (OSError, HTTPException) as error:
                self.close()
                raise self._way.unreachable(error) from error
        return self._http

    def _refusal(self, response: HTTPResponse, sent: Body | None) -> ServerRefused:
        """The problem (RFC 9457) in an answer, or words for an answer that is not gobi's."""
        with self.reading():
            raw = response.read(PIECE)
        status = response.status
        try:
            problem = self._object(raw, response)
            said = str(problem.get("detail") or problem["title"])[:LONGEST_SAID]
            return ServerRefused(status, str(problem["code"])[:LONGEST_SAID], said, problem)
        except (ServerRefused, KeyError):
            pass
        location = response.headers.get("Location")
        if 300 <= status < 400 and location:
            return ServerRefused(
                status, "redirected", f"{self._url} sends on to {location[:LONGEST_SAID]}; connect to that address"
            )
        return not_gobis(self._url, response, sent.length if sent else 0)

    def _object(self, raw: bytes, response: HTTPResponse) -> Json:
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise not_gobis(self._url, response)
        return value


def _send(http: HTTPConnection, body: Body) -> None:
    pieces = iter(body.pieces())
    for piece in pieces:
        try:
            http.send(piece)
        except TimeoutError:
            raise
        except OSError:
            # A server that refuses early closes before everything was sent. Its answer, if there is one, says why; if
            # there is none, reading it fails in turn.
            return


def _retry_after(response: HTTPResponse) -> float | None:
    """Seconds, within bounds: none at all would be a loop, and a year the end of syncing.

    The other form that RFC 9110 allows, a date, would need a clock that both sides agree on.
    """
    value = response.headers.get("Retry-After", "").strip()
    if not (value.isascii() and value.isdigit()):
        return None
    return min(max(float(value) if len(value) <= 9 else LONGEST_WAIT, SHORTEST_WAIT), LONGEST_WAIT)


def _away(refused: ServerRefused, wait: float) -> ServerAway:
    kind = SlowDown if refused.status == 429 else ServerAway
    then = f"nothing is lost, try again in {wait:.0f} s"
    return kind(str(refused), wait, then=then, on_the_way=is_not_gobis(refused))
