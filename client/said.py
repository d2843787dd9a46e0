"""What a server says, looked at before anything is done with it: it may be anybody's.

Every value has the type and the bounds of docs/protocol.md; an action and its head are about the same path, and fit
each other. Whatever is not so raises ValueError, KeyError or TypeError, and the whole answer is refused: a server that
contradicts itself is believed nothing. Whether a path may be written here is looked at where that is done.
"""

from __future__ import annotations

from typing import get_args

from sync.model import HASH, MOST, Action, Json, Verb, Version

LONGEST_PATH = 4096  # characters; the protocol's own limit is for each place that uses one
LONGEST_WORD = 4096  # of a cursor, a name, an id
LARGEST_NUMBER = MOST
_VERBS = frozenset(get_args(Verb))


def version(row: object, path: str | None = None) -> Version:
    """`path`: of which it has to be."""
    said = Version.from_json(_object(row))
    _text(said.path, LONGEST_PATH)
    if path is not None and said.path != path:
        raise ValueError("a version of another path")
    _number(said.stamp)
    _number(said.size)
    _number(said.base, optional=True)
    _number(said.at, optional=True)
    if said.mtime is not None:
        _number(abs(_integer(said.mtime)))
    for word in (said.device, said.user):
        _text(word, LONGEST_WORD)
    match said.kind:
        case "put":
            digest(said.hash)
        case "delete" if said.hash is None:
            pass
        case _:
            raise ValueError("neither a put nor a delete")
    return said


def optional_version(row: object, path: str | None = None) -> Version | None:
    return None if row is None else version(row, path)


def action(row: object) -> Action:
    row = _object(row)
    path = _text(row["path"], LONGEST_PATH)
    if row["do"] not in _VERBS:
        raise ValueError("no action that there is")
    head = optional_version(row.get("head"), path)
    if row["do"] == "download" and (head is None or not head.live):
        raise ValueError("a download of nothing")
    if row["do"] == "delete_local" and head is not None and head.live:
        raise ValueError("a deletion of what is there")
    return Action(row["do"], path, head, _number(row.get("base"), optional=True))


def conflict(row: object) -> Json:
    """A conflict's record, as it came."""
    row = _object(row)
    path = _text(row["path"], LONGEST_PATH)
    _text(row["id"], LONGEST_WORD)
    _number(row["opened"])
    optional_version(row.get("base"), path)
    optional_version(row.get("server"), path)
    for one in rows(row["candidates"]):
        for name in ("n", "size", "at"):
            _number(one[name])
        for name in ("user", "device"):
            _text(one[name], LONGEST_WORD)
        digest(one["hash"])
    if not row["candidates"]:
        raise ValueError("a conflict without a candidate")
    return row


def kept_conflict(row: object, path: str) -> Json:
    """What a push says of the conflict that a change became."""
    row = _object(row)
    _text(row["id"], LONGEST_WORD)
    if row.get("path", path) != path:
        raise ValueError("a conflict about another path")
    return row


def digest(value: object) -> str:
    if not isinstance(value, str) or not HASH.fullmatch(value):
        raise ValueError("no hash")
    return value


def word(value: object) -> str:
    return _text(value, LONGEST_WORD)


def optional_word(value: object) -> str | None:
    return None if value is None else word(value)


def number(value: object) -> int:
    """Of 0 and more."""
    found = _number(value)
    assert found is not None, "it was not optional"
    return found


def optional_number(value: object) -> int | None:
    return None if value is None else number(value)


def yes(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def rows(value: object) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return [_object(row) for row in value]


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def _text(value: object, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ValueError("no text, or too long a one")
    if not value.isascii():
        value.encode()  # JSON can spell halves of characters, which no file of ours can hold
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("no number")
    return value


def _number(value: object, *, optional: bool = False) -> int | None:
    if value is None and optional:
        return None
    if not 0 <= _integer(value) <= LARGEST_NUMBER:
        raise ValueError("a number out of bounds")
    return _integer(value)
