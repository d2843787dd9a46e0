"""Addresses, queries and headers, read strictly: what is malformed is refused, never repaired."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import falcon

from handlers.problems import Problem
from sync.model import HASH, MOST, bounded_mtime
from sync.paths import check_path

MAX_LIMIT = 10_000
_WHOLE = re.compile(r"0|[1-9][0-9]{0,18}")
_INTEGER = re.compile(r"-?[0-9]{1,30}")
# docs/protocol.md: /v1/vaults/{vault}/files/{path}, and history likewise.
_BEFORE_PATH = 5


def vault_path(req: falcon.Request) -> str:
    """The file's path at the end of the address. Raises Problem and BadPath.

    From PATH_INFO, which holds the percent-decoded bytes as latin-1 (PEP 3333): Falcon's decoding turns every bad byte
    into one U+FFFD, so that two bad names would become one good one. `%2F` is `/`: a path has no other use for it.
    """
    raw: str = req.env["PATH_INFO"]
    return checked_path(raw.split("/", _BEFORE_PATH)[_BEFORE_PATH].encode("latin-1"))


def checked_path(raw: bytes) -> str:
    """Raises Problem where `raw` is not UTF-8, BadPath where the protocol refuses it."""
    try:
        return check_path(raw.decode())
    except UnicodeDecodeError:
        raise Problem("bad-path", "the path is not valid UTF-8") from None


def query(req: falcon.Request) -> dict[str, str]:
    """The query's parameters. Each may be given once. Raises Problem."""
    try:
        pairs = parse_qsl(req.env.get("QUERY_STRING", ""), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:  # UnicodeDecodeError is one
        raise Problem("bad-request", "the query is not percent-encoded UTF-8, or too long") from None
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Problem("bad-request", "a parameter of the query is given twice: give it once")
    return found


def limit(params: dict[str, str], default: int = 1_000) -> int:
    """How many rows a page may have. Raises Problem."""
    value = stamp(params, "limit")
    if value is None:
        return default
    if not 1 <= value <= MAX_LIMIT:
        raise Problem("bad-request", f"`limit` has to be a whole number from 1 to {MAX_LIMIT}")
    return value


def stamp(params: dict[str, str], name: str) -> int | None:
    """A parameter that is a whole number, None where it is not given. Raises Problem."""
    text = params.get(name)
    if text is None:
        return None
    value = whole(text)
    if value is None:
        raise Problem("bad-request", f"`{name}` has to be a whole number")
    return value


def flag(params: dict[str, str], name: str) -> bool:
    text = params.get(name, "0")
    if text not in ("0", "1"):
        raise Problem("bad-request", f"`{name}` has to be 0 or 1")
    return text == "1"


def keeps_conflicts(params: dict[str, str]) -> bool:
    """`on_conflict`: whether a put that loses becomes a candidate. Raises Problem."""
    text = params.get("on_conflict", "fail")
    if text not in ("fail", "keep"):
        raise Problem("bad-request", "`on_conflict` has to be fail or keep")
    return text == "keep"


def by_folder(params: dict[str, str]) -> bool:
    """`delimiter`: whether what lies deeper is to be shown as its folder only. Raises Problem."""
    text = params.get("delimiter")
    if text not in (None, "/"):
        raise Problem("bad-request", "`delimiter` has to be / or to be left out")
    return text is not None


def whole(text: str) -> int | None:
    """A number from 0 to 2^63-1 in its one usual form, or None."""
    return int(text) if _WHOLE.fullmatch(text) and int(text) <= MOST else None


def mtime(req: falcon.Request) -> int | None:
    """`Gobi-Mtime`, in µs since 1970, the nearest one that can be kept. Raises Problem."""
    text = req.get_header("Gobi-Mtime")
    if text is None:
        return None
    if not _INTEGER.fullmatch(text):
        raise Problem("bad-request", "Gobi-Mtime has to be an integer: microseconds since 1970")
    return bounded_mtime(int(text))


def executable(req: falcon.Request) -> bool | None:
    """`Gobi-Executable`, None where it is not given. Raises Problem."""
    text = req.get_header("Gobi-Executable")
    if text not in (None, "0", "1"):
        raise Problem("bad-request", "Gobi-Executable has to be 0 or 1")
    return None if text is None else text == "1"


def announced_hash(req: falcon.Request) -> str | None:
    """`Gobi-Hash`. Raises Problem."""
    text = req.get_header("Gobi-Hash")
    if text is not None and not HASH.fullmatch(text):
        raise Problem("bad-request", "Gobi-Hash has to be a SHA-256 as 64 lowercase hex digits")
    return text
