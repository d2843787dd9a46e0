"""The frames of MongoDB's wire protocol, as far as somebody in the middle has to understand them.

https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS

# length, request id, the request this answers, opcode
_HEADER = struct.Struct("<iiii")
_OP_REPLY, _OP_MSG = 1, 2013
_REPLY_DOCUMENTS = 36  # after its header: flags, cursor, start, count
_CHECKSUM, _MORE_TO_COME = 1, 2
_DOCUMENT = 0  # the kind of section that is one document

# Milliseconds instead of datetimes: what Python cannot represent passes too.
_AS_IT_IS: CodecOptions[dict[str, Any]] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
_request_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, header included."""

    data: bytes

    @property
    def request_id(self) -> int:
        return int(_HEADER.unpack_from(self.data)[1])

    @property
    def answers(self) -> int:
        """The id of the request that this is a reply to."""
        return int(_HEADER.unpack_from(self.data)[2])

    @property
    def command(self) -> str:
        """The name of the command; empty for what is no OP_MSG: the old form of hello, and compressed frames."""
        for kind, start, _ in self._sections():
            if kind == _DOCUMENT:
                name = start + 5  # a document is its length, then the first value's type and name
                return self.data[name : self.data.index(0, name)].decode()
        return ""

    @property
    def wants_reply(self) -> bool:
        return self._opcode != _OP_MSG or not self._flags & _MORE_TO_COME

    def with_dates_moved(self, by_ms: int) -> Frame:
        """The same reply, every date in it later by so much. Compressed frames stay as they are."""
        head, documents = self._parts()
        if not documents:
            return self
        body = b"".join(_document(moved(bson.decode(one, _AS_IT_IS), by_ms)) for one in documents)
        return Frame(_HEADER.pack(len(head) + len(body), *_HEADER.unpack_from(head)[1:]) + head[_HEADER.size :] + body)

    def _parts(self) -> tuple[bytes, list[bytes]]:
        """What comes before the documents of a reply, and those."""
        if self._opcode == _OP_REPLY:
            return self.data[:_REPLY_DOCUMENTS], list(_documents(self.data[_REPLY_DOCUMENTS:]))
        sections = list(self._sections())
        if [kind for kind, _, _ in sections] != [_DOCUMENT]:
            return self.data, []
        _, start, end = sections[0]
        flags = struct.pack("<I", self._flags & ~_CHECKSUM)
        return self.data[: _HEADER.size] + flags + bytes([_DOCUMENT]), [self.data[start:end]]

    def _sections(self) -> Iterator[tuple[int, int, int]]:
        """Kind, begin and end of each section of an OP_MSG."""
        if self._opcode != _OP_MSG:
            return
        at = _HEADER.size + 4
        end = len(self.data) - (4 if self._flags & _CHECKSUM else 0)
        while at < end:
            size = int.from_bytes(self.data[at + 1 : at + 5], "little")
            yield self.data[at], at + 1, at + 1 + size
            at += 1 + size

    @property
    def _opcode(self) -> int:
        return int(_HEADER.unpack_from(self.data)[3])

    @property
    def _flags(self) -> int:
        return int.from_bytes(self.data[_HEADER.size : _HEADER.size + 4], "little")


def read(stream: BinaryIO) -> Frame | None:
    """The next frame; None where the connection ends before it is whole."""
    length = stream.read(4)
    if len(length) < 4:
        return None
    rest = int.from_bytes(length, "little") - 4
    data = stream.read(rest)
    return Frame(length + data) if len(data) == rest else None


def failure(request: Frame, code: int, name: str, message: str, labels: Sequence[str] = ()) -> Frame:
    """The reply of a server that refuses a command."""
    reply: dict[str, Any] = {"ok": 0.0, "errmsg": message, "code": code, "codeName": name}
    if labels:
        reply["errorLabels"] = list(labels)
    body = struct.pack("<IB", 0, _DOCUMENT) + _document(reply)
    header = _HEADER.pack(_HEADER.size + len(body), next(_request_ids), request.request_id, _OP_MSG)
    return Frame(header + body)


def moved(value: Any, by_ms: int) -> Any:
    """The value with every date in it, however deep, later by so much."""
    if isinstance(value, DatetimeMS):
        return DatetimeMS(int(value) + by_ms)
    if isinstance(value, dict):
        return {key: moved(one, by_ms) for key, one in value.items()}
    if isinstance(value, list):
        return [moved(one, by_ms) for one in value]
    return value


def _document(value: dict[str, Any]) -> bytes:
    return bson.encode(value, codec_options=_AS_IT_IS)


def _documents(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        yield data[at : at + size]
        at += size
