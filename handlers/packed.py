"""Content that stays the same while the process runs: kept packed, and sent so to everybody who can unpack it."""

from __future__ import annotations

import gzip
import hashlib
from typing import NamedTuple

import falcon


class Packed(NamedTuple):
    content_type: str
    packed: bytes
    tag: str


def pack(content_type: str, content: bytes) -> Packed:
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:16]}"'
    return Packed(content_type, gzip.compress(content, mtime=0), tag)


def answer(req: falcon.Request, resp: falcon.Response, file: Packed) -> None:
    """The content, or 304 to one who has it. How long it may be kept is the caller's to say."""
    resp.set_header("ETag", file.tag)
    resp.set_header("Vary", "Accept-Encoding")
    if req.get_header("If-None-Match") == file.tag:
        resp.status = falcon.HTTP_304
        return
    resp.content_type = file.content_type
    if "gzip" in (req.get_header("Accept-Encoding") or ""):
        resp.set_header("Content-Encoding", "gzip")
        resp.data = file.packed
    else:
        resp.data = gzip.decompress(file.packed)
