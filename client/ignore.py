"""`.gobiignore`: gitignore patterns for what is not synced."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from client.ports import Stopped
from sync.paths import ancestors

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

FILE = ".gobiignore"


class Ignore:
    """One `.gobiignore`. A folder that is ignored takes everything below it along, as git does.

    `rules` names the patterns: it changes exactly when they do. Raises Stopped where the text is no list of patterns.
    """

    def __init__(self, text: bytes) -> None:
        self.rules = hashlib.sha256(text).hexdigest()
        self._spec = _parse(text)
        self._folders: dict[str, bool] = {"": False}

    def file(self, path: str) -> bool:
        """Whether this file is ignored, in a folder that is not."""
        return self._spec.match_file(path)

    def folder(self, path: str) -> bool:
        """Whether this folder is ignored, in a folder that is not."""
        found = self._folders.get(path)
        if found is None:
            found = self._folders[path] = self._spec.match_file(path + "/")
        return found

    def __contains__(self, path: str) -> bool:
        """Whether the file at `path` is ignored, for itself or with a folder above it."""
        return any(self.folder(above) for above in ancestors(path)) or self.file(path)


class Nothing:
    """No `.gobiignore`: nothing is ignored."""

    rules = ""

    def __contains__(self, path: str) -> bool:
        return False


def _parse(text: bytes) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # late: 30 ms that most folders need not pay

    try:
        lines = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Stopped(f"{FILE} is not UTF-8 text; save it as UTF-8 and sync again", 78) from None
    for number, line in enumerate(lines, 1):
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:
            raise Stopped(f"{FILE}, line {number}: not a gitignore pattern; correct it and sync again", 78) from None
    return GitIgnoreSpec.from_lines(lines)
