"""Preconditions and ranges of HTTP (RFC 9110, sections 13 and 14), as functions from header texts to decisions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from handlers.params import whole
from handlers.problems import Problem

_ENTITY_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_RANGE = re.compile(r"bytes=\s*(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))\s*", re.IGNORECASE)


# -- writing


@dataclass(frozen=True, slots=True)
class Base:
    """What a write was made on. `impossible`: a tag that this server never gave, which no head can ever have."""

    stamp: int | None
    impossible: bool = False


def write_base(if_match: str | None, if_none_match: str | None) -> Base | None:
    """The base that a write names; None where it names none. Raises Problem.

    `If-None-Match: *` says that there is no file yet. Anything but a single strong tag in If-Match could replace more
    than what the writer has seen, and is refused.
    """
    if if_match is not None and if_none_match is not None:
        raise Problem("bad-request", "give If-Match or If-None-Match, not both")
    if if_none_match is not None:
        if if_none_match.strip() != "*":
            raise Problem("bad-request", "a write's If-None-Match can only be *")
        return Base(None)
    if if_match is None:
        return None
    match = _ENTITY_TAG.fullmatch(if_match.strip())
    if match is None or match.group(1):
        raise Problem(
            "bad-request", "a write's If-Match has to be one strong tag: the ETag of the version it is made on"
        )
    stamp = whole(match.group(2).strip('"'))
    return Base(stamp, impossible=stamp is None)


# -- reading


def matches(header: str, etag: str, *, strong: bool) -> bool:
    """Whether an If-Match (`strong`) or If-None-Match header names `etag`, or is `*`."""
    if header.strip() == "*":
        return True
    return any(tag == etag and not (strong and weak) for weak, tag in _ENTITY_TAG.findall(header))


Reading = Literal["send", "not-modified", "failed"]


def read_verdict(
    etag: str,
    last_modified: str | None,
    if_match: str | None,
    if_none_match: str | None,
    if_modified_since: str | None,
) -> Reading:
    """What becomes of a GET, in the order of RFC 9110, section 13.2.2.

    A file's own time may go back (a file restored from a backup), so If-Modified-Since holds only for the very date
    that was given out.
    """
    if if_match is not None and not matches(if_match, etag, strong=True):
        return "failed"
    if if_none_match is not None:
        return "not-modified" if matches(if_none_match, etag, strong=False) else "send"
    if if_modified_since is not None and if_modified_since.strip() == last_modified:
        return "not-modified"
    return "send"


@dataclass(frozen=True, slots=True)
class Span:
    """`length` bytes from `start` on."""

    start: int
    length: int


def requested_span(
    size: int, range_header: str | None, if_range: str | None, etag: str, last_modified: str | None
) -> Span | None:
    """The part that is asked for, None for the whole. Raises Problem where nothing of the body is in it.

    What is malformed, several ranges, or an If-Range that does not hold, means the whole (sections 14.2 and 13.1.5).
    """
    match = _RANGE.fullmatch(range_header) if range_header is not None else None
    if match is None or (if_range is not None and if_range.strip() not in (etag, last_modified)):
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        length = min(int(suffix), size)
        start = size - length
        if size == 0 and int(suffix):
            return None  # "the last 5 bytes" of nothing is all of it
    else:
        start = int(first)
        end = min(int(last), size - 1) if last is not None else size - 1
        if last is not None and int(last) < start:
            return None
        length = end - start + 1
    if length <= 0:
        raise Problem(
            "bad-range",
            f"the body has {size} bytes, and none of them is asked for",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return Span(start, length)
