"""Sending a body: its headers, its conditions, and its bytes in pieces."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import BinaryIO
from urllib.parse import quote

import falcon

from handlers import params
from handlers.bodies import PIECE
from handlers.conditions import Span, read_verdict, requested_span
from handlers.problems import Problem
from store.base import Vault
from store.offload import Offload
from store.reader import Reader
from sync.model import Json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Only what Python itself knows: the machine's own tables would make answers differ from host to host.
_TYPES = mimetypes.MimeTypes()
for _kind, _endings in {
    "text/markdown": (".md", ".markdown"),
    "image/webp": (".webp",),
    "image/avif": (".avif",),
    "image/heic": (".heic",),
}.items():
    for _ending in _endings:
        _TYPES.add_type(_kind, _ending)


@dataclass(frozen=True, slots=True)
class Sent:
    """A body to be sent. `tag` is what the ETag quotes; `modified` and `mtime` are µs since 1970."""

    tag: str
    hash: str
    size: int
    path: str
    mtime: int | None
    modified: int | None
    head: Json | None = None
    executable: bool = False


class Download:
    """Answers GET and HEAD for bodies."""

    def __init__(self, reader: Reader, offload: Offload) -> None:
        self._reader = reader
        self._offload = offload

    def answer(self, req: falcon.Request, resp: falcon.Response, vault: Vault, body: Sent) -> None:
        """Raises Problem, BodyMissing."""
        etag = f'"{body.tag}"'
        last_modified = http_date(body.modified)
        verdict = read_verdict(
            etag,
            last_modified,
            req.get_header("If-Match"),
            req.get_header("If-None-Match"),
            req.get_header("If-Modified-Since"),
        )
        if verdict == "failed":
            raise Problem("conflict", "the file is not the version you asked for", extras={"head": body.head})
        resp.set_header("ETag", etag)
        if last_modified is not None:
            resp.set_header("Last-Modified", last_modified)
        if verdict == "not-modified":
            resp.status = falcon.HTTP_304
            return
        _describe(resp, body, inline=params.flag(params.query(req), "inline"))
        span = None
        if req.method == "GET":
            span = requested_span(body.size, req.get_header("Range"), req.get_header("If-Range"), etag, last_modified)
        if span is not None:
            resp.status = falcon.HTTP_206
            resp.set_header("Content-Range", f"bytes {span.start}-{span.start + span.length - 1}/{body.size}")
        whole = span is None
        span = span or Span(0, body.size)
        resp.set_header("Content-Length", str(span.length))
        if req.method == "GET":
            resp.stream = Pieces(self._reader.open(vault, body.hash, body.size, whole=whole), span, self._offload)


class Pieces:
    """A span of a file in pieces of 256 KiB, read off the event loop. Always closed, also if it is never read."""

    def __init__(self, file: BinaryIO, span: Span, offload: Offload) -> None:
        self._file = file
        self._span = span
        self._offload = offload

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._span.start)
        left = self._span.length
        while left:
            piece = self._offload(self._file.read, min(PIECE, left))
            if not piece:
                raise OSError("a body on the disk is shorter than it should be")
            left -= len(piece)
            yield piece

    def close(self) -> None:
        self._file.close()


def http_date(moment: int | None) -> str | None:
    """A moment in µs as HTTP writes it; None where the calendar has no such day."""
    if moment is None:
        return None
    try:
        return format_datetime(_EPOCH + timedelta(seconds=moment // 1_000_000), usegmt=True)
    except OverflowError:
        return None


def _describe(resp: falcon.Response, body: Sent, *, inline: bool) -> None:
    name = body.path.rpartition("/")[2]
    kind, encoding = _TYPES.guess_type(name)
    kind = "application/gzip" if encoding == "gzip" else kind if kind and not encoding else "application/octet-stream"
    resp.content_type = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
    shown = inline and (kind == "text/plain" or (kind.startswith("image/") and kind != "image/svg+xml"))
    resp.set_header("Content-Disposition", disposition("inline" if shown else "attachment", name))
    # Whatever a browser makes of it, it runs no script and reaches nothing.
    resp.set_header("Content-Security-Policy", "default-src 'none'; sandbox")
    resp.set_header("Accept-Ranges", "bytes")
    resp.set_header("Gobi-Hash", body.hash)
    if body.mtime is not None:
        resp.set_header("Gobi-Mtime", str(body.mtime))
    if body.executable:
        resp.set_header("Gobi-Executable", "1")


def disposition(how: str, name: str) -> str:
    """RFC 6266, with the name in ASCII for old readers and in UTF-8 for the others."""
    plain = "".join(letter if " " <= letter <= "~" and letter not in '"\\%' else "_" for letter in name)
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
