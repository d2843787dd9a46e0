"""WebSocket framing (RFC 6455): bytes in, what they mean out. No I/O.

Frame headers are read and written by gevent-websocket. Its `WebSocket` is not used: that one reads from a stream which
blocks, so every idle socket would need a greenlet; and it takes frames of any size, and unmasked ones.

Payloads are passed on piece by piece and never collected here: a client that sends half a message costs nothing.
"""

from __future__ import annotations

import codecs
import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

from geventwebsocket.exceptions import ProtocolError, WebSocketError
from geventwebsocket.websocket import Header, WebSocket

CONTINUATION: int = WebSocket.OPCODE_CONTINUATION
TEXT: int = WebSocket.OPCODE_TEXT
BINARY: int = WebSocket.OPCODE_BINARY
CLOSE: int = WebSocket.OPCODE_CLOSE
PING: int = WebSocket.OPCODE_PING
PONG: int = WebSocket.OPCODE_PONG

NORMAL, GOING_AWAY, PROTOCOL_ERROR, NO_CODE = 1000, 1001, 1002, 1005
NOT_UTF8, NOT_ALLOWED, TOO_BIG, TRY_LATER = 1007, 1008, 1009, 1013

MOST_BYTES = 64 << 10


class Violation(Exception):
    """The peer broke the protocol. `code` is the close code that says how."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Event(NamedTuple):
    """A piece of a message (TEXT or BINARY; `final` on its last piece), or a whole PING, PONG or CLOSE.

    A CLOSE carries the peer's code, NO_CODE where it gave none.
    """

    opcode: int
    payload: bytes
    final: bool = True
    code: int = NO_CODE


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole unmasked frame, as servers send them."""
    return bytes(Header.encode_header(True, opcode, b"", len(payload), 0)) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    if code == NO_CODE:  # stands for a frame without one
        return frame(CLOSE, b"")
    return frame(CLOSE, struct.pack("!H", code) + reason.encode()[:123])


class Frames:
    """What one client sends, frame by frame. After a CLOSE or a Violation it is not to be fed any more."""

    __slots__ = ("_control", "_header", "_left", "_mask", "_message", "_size", "_text", "_unread")

    def __init__(self) -> None:
        self._unread = b""  # the beginning of a header
        self._header: Header | None = None
        self._left = 0  # of the present frame's payload
        self._mask = b""
        self._control = b""
        self._message = CONTINUATION  # the present message's opcode, CONTINUATION between messages
        self._size = 0
        self._text: codecs.IncrementalDecoder | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing has begun that is not finished: then a new object is as good as this one."""
        return self._message == CONTINUATION and self._header is None and not self._unread

    def feed(self, data: bytes) -> Iterator[Event]:
        """Raises Violation, after the events before it."""
        stream = io.BytesIO(self._unread + data)
        self._unread = b""
        while True:
            if self._header is None:
                at = stream.tell()
                try:
                    self._header = Header.decode_header(stream)
                except ProtocolError:
                    raise Violation(PROTOCOL_ERROR, "a control frame is whole and has 125 bytes at most") from None
                except WebSocketError:  # there is no more to read
                    stream.seek(at)
                    self._unread = stream.read()
                    self._check_early()
                    return
                self._begin(self._header)
            piece = stream.read(self._left)
            if not piece and self._left:
                return
            self._left -= len(piece)
            event = self._receive(self._header, _unmask(piece, self._mask))
            turn = len(piece) % 4
            self._mask = self._mask[turn:] + self._mask[:turn]
            if not self._left:
                self._header = None
            if event is not None:
                yield event

    def _check_early(self) -> None:
        """Only the mask may be missing, and all that can be wrong with the frame is known: a client that announces a
        gigabyte is not waited for."""
        width = {126: 2, 127: 8}.get(self._unread[1] & 0x7F, 0) if len(self._unread) > 1 else 0
        if len(self._unread) >= 2 + width:
            self._check(Header.decode_header(io.BytesIO(self._unread[: 2 + width] + bytes(4))))

    def _check(self, header: Header) -> None:
        """Raises Violation."""
        if header.flags:
            raise Violation(PROTOCOL_ERROR, "no extension was agreed on")
        if not header.mask:
            raise Violation(PROTOCOL_ERROR, "a client masks what it sends")
        if header.opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Violation(PROTOCOL_ERROR, "there is no such opcode")
        if header.opcode >= CLOSE:
            return
        if (header.opcode == CONTINUATION) != (self._message != CONTINUATION):
            raise Violation(PROTOCOL_ERROR, "a message is continued until it ends, and then another begins")
        if self._size_with(header) > MOST_BYTES:
            raise Violation(TOO_BIG, f"messages have {MOST_BYTES} bytes at most")

    def _size_with(self, header: Header) -> int:
        """Of the message with this frame. An empty one counts too, or a message of them would never end."""
        before = self._size if header.opcode == CONTINUATION else 0
        return before + max(int(header.length), 1)

    def _begin(self, header: Header) -> None:
        self._check(header)
        opcode: int = header.opcode
        self._left = header.length
        self._mask = header.mask
        if opcode >= CLOSE:
            self._control = b""
            return
        self._size = self._size_with(header)
        if opcode != CONTINUATION:
            self._message = opcode
            self._text = codecs.getincrementaldecoder("utf-8")() if opcode == TEXT else None

    def _receive(self, header: Header, piece: bytes) -> Event | None:
        whole = not self._left
        if header.opcode >= CLOSE:
            self._control += piece
            if not whole:
                return None
            return _closing(self._control) if header.opcode == CLOSE else Event(header.opcode, self._control)
        final = whole and bool(header.fin)
        opcode = self._message
        if self._text is not None:
            try:
                self._text.decode(piece, final)
            except UnicodeDecodeError:
                raise Violation(NOT_UTF8, "text is UTF-8") from None
        if final:
            self._message, self._text = CONTINUATION, None
        return Event(opcode, piece, final)


def _unmask(payload: bytes, mask: bytes) -> bytes:
    """As one long number: byte by byte it takes twenty times as long."""
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(length, "little")


def _closing(payload: bytes) -> Event:
    if not payload:
        return Event(CLOSE, b"")
    if len(payload) == 1:
        raise Violation(PROTOCOL_ERROR, "a close code has two bytes")
    code = int.from_bytes(payload[:2], "big")
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise Violation(PROTOCOL_ERROR, "there is no such close code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise Violation(NOT_UTF8, "a reason is UTF-8") from None
    return Event(CLOSE, payload[2:], code=code)
