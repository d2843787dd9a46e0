"""Git's wildcards (its wildmatch.c) as regular expressions over bytes, which never go back over more than one part.

A `*` takes as little as it can and is never asked again (an atomic group), which is right because what follows has a
fixed length; `**` does so with whole parts of a path. So no pattern takes longer than its length times the path's.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SLASH = ord("/")
_IN_PART = b"[^/]"
_FOLDERS = b"(?:[^/]*/)*?"
_ANYTHING = b"(?s:.*?)"
_CLASSES = {
    b"alnum": rb"[0-9A-Za-z]",
    b"alpha": rb"[A-Za-z]",
    b"blank": rb"[ \t]",
    b"cntrl": rb"[\x00-\x1f\x7f]",
    b"digit": rb"[0-9]",
    b"graph": rb"[!-~]",
    b"lower": rb"[a-z]",
    b"print": rb"[ -~]",
    b"punct": rb"[!-/:-@[-`{-~]",
    b"space": rb"[ \t\n\r]",
    b"upper": rb"[A-Z]",
    b"xdigit": rb"[0-9A-Fa-f]",
}


class NeverMatches(ValueError):
    """Git takes such a pattern (an open bracket, a backslash at the end), and it matches nothing."""


def compiled(pattern: bytes, *, whole_path: bool) -> re.Pattern[bytes]:
    """To be used with `fullmatch`. `whole_path`: the pattern is about a path, so that only `**` goes across slashes.

    Raises NeverMatches.
    """
    blocks = [_Block(b"", [b""])]
    at = 0
    while at < len(pattern):
        letter = pattern[at : at + 1]
        if letter == b"*":
            at = _star(pattern, at, blocks, whole_path=whole_path)
        elif letter == b"[":
            members, at = _bracket(pattern, at)
            blocks[-1].chunks[-1] += _one_of(members - {_SLASH} if whole_path else members)
        elif letter == b"?":
            blocks[-1].chunks[-1] += _IN_PART
            at += 1
        else:
            at += letter == b"\\"
            if at == len(pattern):
                raise NeverMatches("a backslash at the end")
            blocks[-1].chunks[-1] += re.escape(pattern[at : at + 1])
            at += 1
    return re.compile(b"".join(block.text(last=block is blocks[-1]) for block in blocks))


class _Block(NamedTuple):
    """What stands between two `**`. `before` is what the first of them takes; between chunks is a `*`."""

    before: bytes
    chunks: list[bytes]

    def text(self, *, last: bool) -> bytes:
        head, *rest = self.chunks
        if not last:
            inner = b"".join(b"(?>[^/]*?" + chunk + b")" for chunk in rest)
            return b"(?>" + self.before + head + inner + b")"
        inner = b"".join(b"(?>[^/]*?" + chunk + b")" for chunk in rest[:-1])
        tail = b"[^/]*" + rest[-1] if rest else b""
        return self.before + head + inner + tail


def _star(pattern: bytes, at: int, blocks: list[_Block], *, whole_path: bool) -> int:
    """Takes one or more asterisks; where to read on."""
    end = at
    while pattern[end : end + 1] == b"*":
        end += 1
    follows = pattern[end : end + 2]
    alone = at == 0 or pattern[at - 1] == _SLASH
    if whole_path and end - at > 1 and alone and (follows[:1] in (b"", b"/") or follows == b"\\/"):
        if follows[:1] == b"/":
            blocks.append(_Block(_FOLDERS, [b""]))
            return end + 1
        blocks.append(_Block(_ANYTHING, [b""]))
    else:
        blocks[-1].chunks.append(b"")
    return end


def _bracket(pattern: bytes, at: int) -> tuple[set[int], int]:
    """The bytes that a bracket at `at` stands for, and where to read on; read letter by letter as git does."""

    def letter(place: int) -> int:
        if place >= len(pattern):
            raise NeverMatches("an open bracket")
        return pattern[place]

    at += 1
    negated = letter(at) in b"!^"
    at += negated
    members: set[int] = set()
    before: int | None = None  # what a range may begin with
    while True:
        this: int | None = letter(at)
        if this == ord("\\"):
            at += 1
            this = letter(at)
            members.add(this)
        elif this == ord("-") and before is not None and letter(at + 1) != ord("]"):
            at += 1
            if letter(at) == ord("\\"):
                at += 1
            members.update(range(before, letter(at) + 1))
            this = None
        elif this == ord("[") and letter(at + 1) == ord(":") and (end := _class_end(pattern, at)) is not None:
            members.update(_class(pattern[at + 2 : end - 1]))
            at, this = end, None
        else:
            assert this is not None, "read above"
            members.add(this)
        before = this
        at += 1
        if letter(at) == ord("]"):
            return (set(range(1, 256)) - members if negated else members), at + 1


def _class_end(pattern: bytes, at: int) -> int | None:
    """Where the bracket of a class such as `[:digit:]` closes; None where `[:` begins none."""
    end = pattern.find(b"]", at + 2)
    if end < 0:
        raise NeverMatches("an open bracket")
    return end if end - 1 >= at + 2 and pattern[end - 1] == ord(":") else None


def _class(name: bytes) -> set[int]:
    try:
        members = re.compile(_CLASSES[name])
    except KeyError:
        raise NeverMatches("no class of letters") from None
    return {number for number in range(1, 128) if members.fullmatch(bytes([number]))}


def _one_of(members: set[int]) -> bytes:
    if not members:
        raise NeverMatches("a bracket with nothing in it")
    return b"[" + b"".join(re.escape(bytes([one])) for one in sorted(members)) + b"]"
