"""`.gobiignore`: gitignore's patterns for what is not synced, with git's own meaning.

They are matched on bytes and level by level: a folder that is ignored takes everything below it along. The last pattern
that matches counts. What is a plain name, a plain path or an ending is looked up, however many there are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Protocol

from client.ports import Stopped
from sync.paths import ancestors

FILE = ".gobiignore"
MAX_BYTES = 256 * 1024
MAX_LINES = 10_000
MAX_LINE = 4096  # bytes; no path is as long

# Comes before the patterns of the file, so that `!.git/` there takes it in. git itself moves files about in it, and
# locks them, in an order that is lost on the way: a copy that is made meanwhile is no repository.
BUILT_IN = ".git"
STAGING = ".gobi-staging"  # gobi's own, on other disks in the folder: no pattern takes that in

_SPECIAL = re.compile(rb"[*?[\\]")
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Ignored(Protocol):
    """What is left out. `rules` names the patterns: it changes whenever they do."""

    @property
    def rules(self) -> str: ...

    def file(self, path: str) -> bool:
        """Whether this file is ignored, in a folder that is not."""

    def folder(self, path: str) -> bool:
        """Whether this folder is ignored, in a folder that is not."""

    def __contains__(self, path: str) -> bool:
        """Whether the file at `path` is ignored, for itself or with a folder above it."""


class Ignore:
    """The patterns of one `.gobiignore`; of none with None.

    `problems`: lines that are no patterns, so that they leave nothing out, in words for the user. Raises Stopped where
    the whole text is none.
    """

    def __init__(self, text: bytes | None) -> None:
        self.rules = f"{BUILT_IN} {hashlib.sha256(text).hexdigest() if text is not None else ''}".rstrip()
        self.problems: list[str] = []
        self._everything, self._folders_only = _Table(), _Table()
        self._takes_in = [True, False]  # by number: none, the one that is built in, the lines
        self._everything.add(BUILT_IN.encode(), 1)
        for line in _lines(text or b"", self.problems):
            self._add(line)
        self._everything.complete()
        self._folders_only.complete()
        self._seen: dict[str, bool] = {"": False}  # folders

    @property
    def patterns(self) -> int:
        """How many the file has."""
        return len(self._takes_in) - 2

    def _add(self, pattern: bytes) -> None:
        number = len(self._takes_in)
        takes_in = pattern.startswith(b"!")
        pattern = pattern[takes_in:]
        folders_only = pattern.endswith(b"/")
        self._takes_in.append(takes_in)
        table = self._folders_only if folders_only else self._everything
        table.add(pattern[:-1] if folders_only else pattern, number)

    def file(self, path: str) -> bool:
        return not self._takes_in[self._everything.last(path)]

    def folder(self, path: str) -> bool:
        known = self._seen.get(path)
        if known is None:
            number = max(self._everything.last(path), self._folders_only.last(path))
            known = self._seen[path] = not self._takes_in[number] or path.rpartition("/")[2] == STAGING
        return known

    def __contains__(self, path: str) -> bool:
        return any(map(self.folder, ancestors(path))) or self.file(path)


class Either:
    """What one of two lists of patterns leaves out."""

    def __init__(self, first: Ignored, second: Ignored) -> None:
        self._both = (first, second)
        self.rules = f"{first.rules}+{second.rules}"

    def file(self, path: str) -> bool:
        return any(one.file(path) for one in self._both)

    def folder(self, path: str) -> bool:
        return any(one.folder(path) for one in self._both)

    def __contains__(self, path: str) -> bool:
        return any(path in one for one in self._both)


class _Table:
    """Patterns by their number, for files or for folders. Numbers only grow."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._endings: dict[str, int] = {}
        self._any_ending: tuple[str, ...] = ()
        self._paths: dict[str, int] = {}
        self._globs: list[_Glob] = []  # the last one first
        self._plain = True  # nothing but names

    def add(self, pattern: bytes, number: int) -> None:
        whole_path = b"/" in pattern
        pattern = pattern[1:] if pattern.startswith(b"/") else pattern
        special = _SPECIAL.search(pattern)
        if special is None:
            (self._paths if whole_path else self._names)[pattern.decode()] = number
        elif not whole_path and pattern.startswith(b"*") and _SPECIAL.search(pattern, 1) is None:
            self._endings[pattern[1:].decode()] = number
        else:
            self._globs.append(_Glob(number, pattern, special.start(), whole_path))

    def complete(self) -> None:
        """To be called after the last `add`."""
        self._plain = not (self._endings or self._paths or self._globs)
        self._any_ending = tuple(self._endings)
        self._globs.reverse()

    def last(self, path: str) -> int:
        """The number of the last pattern that matches, 0 for none."""
        name = path[path.rfind("/") + 1 :]
        number = self._names.get(name, 0)
        if self._plain:
            return number
        if self._any_ending and name.endswith(self._any_ending):
            for ending, its_number in self._endings.items():
                if its_number > number and name.endswith(ending):
                    number = its_number
        if self._paths:
            number = max(number, self._paths.get(path, 0))
        if self._globs:
            letters = path.encode("utf-8", "surrogateescape")
            for glob in self._globs:
                if glob.number < number:
                    break
                if glob.matches(letters):
                    return glob.number
        return number


class _Glob:
    """A pattern with wildcards. Git compares what is before the first of them by itself, and so what follows begins
    anew: `a**/b` is about folders, too."""

    def __init__(self, number: int, pattern: bytes, prefix: int, whole_path: bool) -> None:
        self.number = number
        self._whole_path = whole_path
        self._prefix = pattern[:prefix] if whole_path else b""
        self._pattern = pattern[len(self._prefix) :]
        self._compiled: re.Pattern[bytes] | None = None
        self._never = False

    def matches(self, path: bytes) -> bool:
        start = len(self._prefix) if self._whole_path else path.rfind(b"/") + 1
        if self._never or not path.startswith(self._prefix):
            return False
        if self._compiled is None:
            from client.glob import NeverMatches, compiled  # late: most patterns are plain names

            try:
                self._compiled = compiled(self._pattern, whole_path=self._whole_path)
            except NeverMatches:
                self._never = True
                return False
        return self._compiled.fullmatch(path, start) is not None


def _lines(text: bytes, problems: list[str]) -> Iterator[bytes]:
    """The patterns as git reads them. Raises Stopped where the text as a whole cannot be a list of patterns."""
    if text.startswith(_UTF16):
        raise Stopped(f"{FILE} is UTF-16 text; save it as UTF-8 and sync again", 78)
    if len(text) > MAX_BYTES or text.count(b"\n") > MAX_LINES:
        limits = f"{MAX_BYTES // 1024} KB or {MAX_LINES:,} lines"
        raise Stopped(f"{FILE} has more than {limits}; use wildcards instead of long lists", 78)
    for number, line in enumerate(text.removeprefix(_BOM).split(b"\n"), 1):
        if not line or line.startswith(b"#"):
            continue
        why = _why_not(line)
        if why:
            problems.append(f"line {number} {why}, so it leaves nothing out; correct it")
            continue
        pattern = _trimmed(line.removesuffix(b"\r"))
        if pattern not in (b"", b"!"):
            yield pattern


def _why_not(line: bytes) -> str:
    if len(line) > MAX_LINE:
        return f"is longer than {MAX_LINE:,} bytes"
    if b"\0" in line:
        return "is no text"
    try:
        line.decode()
    except UnicodeDecodeError:
        return "is not UTF-8"
    return ""


def _trimmed(line: bytes) -> bytes:
    """Without blanks at the end, but for those that a backslash protects."""
    short = line.rstrip(b" ")
    backslashes = len(short) - len(short.rstrip(b"\\"))
    return line[: len(short) + 1] if backslashes % 2 and len(short) < len(line) else short
