"""`GET /v1/vaults/{vault}/live`: how a request becomes a socket (RFC 6455, section 4). All is settled before the 101.

By here the caller is known, and is not another site's page: for that a handshake counts as a write.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import socket
import sys

import falcon

from handlers import caller, params
from handlers.bodies import Disconnected, body_of
from handlers.exchange import request_id
from handlers.live.pool import Guest, Pool
from handlers.problems import Problem
from handlers.wire import Detached, take
from store.access import check_good
from store.base import Identity, Metadata, Vault
from store.errors import CursorExpired
from store.reader import Reader
from store.registry import Registry

VERSION = "13"
SUBPROTOCOL = "gobi.v1"
KERNEL_BYTES = 64 << 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Live:
    """/v1/vaults/{vault}/live"""

    def __init__(self, registry: Registry, reader: Reader, metadata: Metadata, pool: Pool) -> None:
        self._registry = registry
        self._reader = reader
        self._metadata = metadata
        self._pool = pool

    def on_get(self, req: falcon.Request, _resp: falcon.Response, vault: str) -> None:
        """Raises Detached where it succeeds."""
        answer = _switching(req)
        mark = self._pool.mark()
        who = caller.of(req).identity
        there = self._registry.enter(who.user, vault)
        at = self._place(req, there)
        self._check_still_good(who)
        taken = take(req.env)
        try:
            _tune(taken.socket, self._pool.silence_s)
            req.env["gunicorn.socket"].sendall(answer)
        except OSError:
            taken.socket.close()
            raise Disconnected from None
        # The same object for all sockets of this user.
        guest = Guest(who.user, who.device, sys.intern(who.stored), there, at, mark, who.session)
        self._pool.admit(taken, guest)
        raise Detached

    def _check_still_good(self, who: Identity) -> None:
        """The password may be a remembered one, and a socket lasts. Raises Unauthorized."""
        check_good(self._metadata.user(who.user), who)

    def _place(self, req: falcon.Request, vault: Vault) -> int | None:
        """Where the client stands in the log, or None where its cursor is no good. Raises BadCursor."""
        text = params.query(req).get("cursor")
        if text is None:
            return vault.clock
        cursor = self._reader.parse_cursor(text)
        if cursor.at_start or cursor.position is not None:
            return None
        try:
            self._reader.check(vault, cursor)
        except CursorExpired:
            return None
        return cursor.stamp


def _switching(req: falcon.Request) -> bytes:
    """The answer that makes the connection a WebSocket. Raises Problem where the request does not ask for one."""
    if req.method != "GET" or "websocket" not in _tokens(req, "Upgrade") or "upgrade" not in _tokens(req, "Connection"):
        raise _upgrade_required("this address is a WebSocket: ask for an upgrade to one")
    if "gunicorn.socket" not in req.env or req.env["SERVER_PROTOCOL"] != "HTTP/1.1":
        raise _upgrade_required("a WebSocket begins with a request in HTTP/1.1, straight to this server")
    if req.get_header("Sec-WebSocket-Version") != VERSION:
        raise _upgrade_required(f"Sec-WebSocket-Version has to be {VERSION}")
    if not body_of(req).finished:
        raise Problem("bad-request", "a handshake has no body")
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {_accept(req.get_header('Sec-WebSocket-Key') or '')}",
        f"X-Request-ID: {request_id(req.env)}",
    ]
    if SUBPROTOCOL in _tokens(req, "Sec-WebSocket-Protocol"):
        lines.append(f"Sec-WebSocket-Protocol: {SUBPROTOCOL}")
    return "\r\n".join([*lines, "", ""]).encode()


def _accept(key: str) -> str:
    """Raises Problem."""
    try:
        well_formed = len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        well_formed = False
    if not well_formed:
        raise Problem("bad-request", "Sec-WebSocket-Key has to be 16 bytes in base64")
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()  # what RFC 6455 asks for
    return base64.b64encode(digest).decode()


def _tokens(req: falcon.Request, header: str) -> set[str]:
    return {token.strip().lower() for token in (req.get_header(header) or "").split(",")}


def _upgrade_required(detail: str) -> Problem:
    return Problem("upgrade-required", detail, headers={"Upgrade": "websocket", "Sec-WebSocket-Version": VERSION})


def _tune(sock: socket.socket, silence_s: float) -> None:
    """Has the system keep little for one that does not read, by default up to 4 MB, and notice one that is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(silence_s * 1000))
