"""Three-way merge of text by lines: what two sides made of one base, put together where that is certain.

A line is what ends with "\n". Lines are compared without their endings where every text has one style of them; that
style, a newline at the end and a byte order mark are merged as values of their own. So a side that only changed these
is in nobody's way. Where one text mixes styles, a "\r" belongs to its line and everything is compared as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from sync.diff import Change, changes

T = TypeVar("T")

MOST_BYTES = 1 << 20
MOST_LINES = 50_000

Kind = Literal["client", "server", "same", "conflict"]
Reason = Literal["not-text", "too-large"]
Range = tuple[int, int]
Ending = Literal["\n", "\r\n", "mixed"]

_BOM = "\ufeff"


class NotMergeable(Exception):
    """`reason`: "not-text", it is not UTF-8 or has a NUL; "too-large", it has more bytes or lines than are merged."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Hunk:
    """A changed region: who changed it ("same": both did, in the same way), and where it is.

    Half-open ranges of lines, 0-based: in base, client, server and the result. They count lines by "\n", so they hold
    for the texts as they are, whatever became of their endings. In the result a conflicting hunk includes its markers.
    """

    kind: Kind
    base: Range
    client: Range
    server: Range
    text: Range


@dataclass(frozen=True, slots=True)
class Merge:
    """`clean`: no hunk is a conflict. Where one is, `text` has both sides between git's markers, the client's first."""

    clean: bool
    text: str
    hunks: tuple[Hunk, ...]


def merge(
    base: bytes, client: bytes, server: bytes, *, client_name: str = "client", server_name: str = "server"
) -> Merge:
    """What the two sides come to. `base` is empty where both made the file new. Raises NotMergeable.

    The names are written behind the markers. Swapping the sides gives the same, but for the sides' order in a conflict.
    Where both added lines in one place, those that they have in common are "same" and the others a conflict.
    """
    texts = _read(base), _read(client), _read(server)
    if any(text.ending == "mixed" for text in texts):
        ending, sides = "\n", [text.lines for text in texts]
    else:
        ending = _three_way([text.ending for text in texts], "\n")
        sides = [[line.removesuffix("\r") for line in text.lines] for text in texts]
    lines, hunks = _put_together(sides, f"<<<<<<< {client_name}", f">>>>>>> {server_name}")
    clean = all(hunk.kind != "conflict" for hunk in hunks)
    closed = _three_way([text.closed for text in texts], True)
    if not closed and lines:
        in_markers = not clean and hunks[-1].kind == "conflict" and hunks[-1].text[1] == len(lines)
        closed = in_markers or not lines[-1]  # an empty last line is one only by its newline
    bom = _three_way([text.bom for text in texts], True)
    whole = (_BOM if bom else "") + ending.join(lines) + (ending if closed and lines else "")
    return Merge(clean, whole, tuple(hunks))


# -- one text


@dataclass(frozen=True, slots=True)
class _Text:
    """`lines` without "\n". None where there is nothing to tell by: `ending` without a newline, `closed` (whether the
    last line has one) without a line."""

    lines: list[str]
    ending: Ending | None
    closed: bool | None
    bom: bool


def _read(raw: bytes) -> _Text:
    if len(raw) > MOST_BYTES or raw.count(b"\n") > MOST_LINES:
        raise NotMergeable("too-large")
    if b"\0" in raw:
        raise NotMergeable("not-text")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise NotMergeable("not-text") from None
    bom = text.startswith(_BOM)
    lines = text.removeprefix(_BOM).split("\n")
    if len(lines) > MOST_LINES and lines[-1]:
        raise NotMergeable("too-large")
    ending = _ending(lines)
    closed = not lines[-1]
    if closed:
        lines.pop()
    return _Text(lines, ending, closed if lines else None, bom)


def _ending(lines: Sequence[str]) -> Ending | None:
    """Of lines that were cut at "\n". A "\r" that is no part of an ending could become one: that is "mixed", too."""
    *ended, last = lines
    with_return = sum(line.endswith("\r") for line in ended)
    if last.endswith("\r") or with_return not in (0, len(ended)) or any(line.endswith("\r\r") for line in ended):
        return "mixed"
    if not ended:
        return None
    return "\r\n" if with_return else "\n"


def _three_way(values: Sequence[T | None], otherwise: T) -> T:
    """One value of base, client and server, merged. A side without one leaves it as it is; `otherwise` is for two sides
    that differ where the base has none."""
    base, client, server = values
    client, server = (base if client is None else client), (base if server is None else server)
    if client is None or client == base:
        client = server
    elif server is not None and server not in (base, client):
        client = otherwise
    return otherwise if client is None else client


# -- three texts


def _put_together(sides: Sequence[Sequence[str]], opening: str, closing: str) -> tuple[list[str], list[Hunk]]:
    """The result's lines and its changed regions."""
    base, client, server = sides
    lines: list[str] = []
    hunks: list[Hunk] = []
    done = 0  # lines of the base
    for kind, b, c, s in _regions(*_numbered(sides)):
        lines += base[done : b[0]]
        begin = len(lines)
        if kind == "conflict":
            lines += [opening, *client[slice(*c)], "=======", *server[slice(*s)], closing]
        else:
            lines += server[slice(*s)] if kind == "server" else client[slice(*c)]
        hunks.append(Hunk(kind, b, c, s, (begin, len(lines))))
        done = b[1]
    lines += base[done:]
    return lines, hunks


def _numbered(sides: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Lines as numbers, in the order of the lines: equal ones for equal lines, whichever side they are on."""
    numbers = {line: number for number, line in enumerate(sorted(set().union(*sides)))}
    for side in sides:
        yield [numbers[line] for line in side]


def _regions(base: list[int], client: list[int], server: list[int]) -> Iterator[tuple[Kind, Range, Range, Range]]:
    """The changed regions in order. Changes of the two sides with no unchanged line between them are one region."""
    ours, theirs = changes(base, client), changes(base, server)
    i = j = 0
    while i < len(ours) or j < len(theirs):
        first_i, first_j = i, j
        begin = end = min(side[at].old[0] for side, at in ((ours, i), (theirs, j)) if at < len(side))
        while True:
            if i < len(ours) and ours[i].old[0] <= end:
                end, i = max(end, ours[i].old[1]), i + 1
            elif j < len(theirs) and theirs[j].old[0] <= end:
                end, j = max(end, theirs[j].old[1]), j + 1
            else:
                break
        c = _range(ours[first_i:i], (begin, end), ours[first_i - 1] if first_i else None)
        s = _range(theirs[first_j:j], (begin, end), theirs[first_j - 1] if first_j else None)
        mine, yours = client[slice(*c)], server[slice(*s)]
        if first_j == j:
            yield "client", (begin, end), c, s
        elif first_i == i:
            yield "server", (begin, end), c, s
        elif mine == yours:
            yield "same", (begin, end), c, s
        elif begin == end:
            yield from _both_added(begin, (c[0], mine), (s[0], yours))
        else:
            yield "conflict", (begin, end), c, s


def _range(within: Sequence[Change], region: Range, before: Change | None) -> Range:
    """Where a side has this region of the base: its own changes are in it, or `before` is the last one above it."""
    if within:
        first, last = within[0], within[-1]
        return first.new[0] - (first.old[0] - region[0]), last.new[1] + (region[1] - last.old[1])
    offset = before.new[1] - before.old[1] if before else 0
    return region[0] + offset, region[1] + offset


def _both_added(
    place: int, mine: tuple[int, list[int]], yours: tuple[int, list[int]]
) -> Iterator[tuple[Kind, Range, Range, Range]]:
    """Lines (from which one on, and which) that both sides put into one place: those that they have in common, and the
    others. In one order for the comparison, so that it says the same whichever side is called the client."""
    (c, ours), (s, theirs) = mine, yours
    swapped = theirs < ours
    differing = changes(theirs, ours) if swapped else changes(ours, theirs)
    if swapped:
        differing = [Change(one.new, one.old) for one in differing]
    here = there = 0
    for old, new in [*differing, Change((len(ours), len(ours)), (len(theirs), len(theirs)))]:
        if here < old[0]:
            yield "same", (place, place), (c + here, c + old[0]), (s + there, s + new[0])
        if old[0] < old[1] or new[0] < new[1]:
            yield "conflict", (place, place), (c + old[0], c + old[1]), (s + new[0], s + new[1])
        here, there = old[1], new[1]
