"""What a path, a vault's name and a device's name may be (docs/protocol.md, section 1)."""

from __future__ import annotations

import re
import unicodedata

MAX_PATH_BYTES = 1024
MAX_PART_BYTES = 255

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DEVICE = re.compile(r"[\x20-\x7e]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9 ._-]+")


class BadPath(ValueError):
    """A path the protocol refuses; the message says which rule it breaks and is safe to show."""


def check_path(path: str) -> str:
    """`path` itself when the protocol accepts it. Raises BadPath."""
    if not path:
        raise BadPath("the path is empty")
    if not path.isascii():
        try:
            size = len(path.encode())
        except UnicodeEncodeError:
            raise BadPath("the path is not valid UTF-8") from None
        if not unicodedata.is_normalized("NFC", path):
            raise BadPath("the path is not in Unicode normal form NFC; rename the file to its composed form")
    else:
        size = len(path)
    if size > MAX_PATH_BYTES:
        raise BadPath(f"the path is longer than {MAX_PATH_BYTES} bytes")
    if _CONTROL.search(path):
        raise BadPath("the path holds a control character")
    if "\\" in path:
        raise BadPath("the path holds a backslash")
    parts = path.split("/")
    for part in parts:
        if not part:
            raise BadPath("the path has an empty part (a leading, trailing or double '/')")
        if part in (".", ".."):
            raise BadPath("the path has a part '.' or '..'")
        if len(part) > MAX_PART_BYTES or len(part.encode()) > MAX_PART_BYTES:
            raise BadPath(f"a part of the path is longer than {MAX_PART_BYTES} bytes")
    if parts[0].casefold() == ".gobi":
        raise BadPath("'.gobi' is gobi's own folder")
    return path


def is_name(text: str) -> bool:
    """Whether `text` may name a vault or a user."""
    return _NAME.fullmatch(text) is not None


def is_device(text: str) -> bool:
    """Whether `text` may name a device: 1 to 64 printable ASCII characters."""
    return _DEVICE.fullmatch(text) is not None


def ancestors(path: str) -> list[str]:
    """The folders above `path`, outermost first: `a/b/c` has `a` and `a/b`."""
    folders = []
    cut = path.find("/")  # this runs for every file, several times
    while cut >= 0:
        folders.append(path[:cut])
        cut = path.find("/", cut + 1)
    return folders


def conflict_name(path: str, device: str, date: str, number: int = 1) -> str:
    """Where the second copy of `path` goes: `name (conflict device date).ext`, numbered from the second on.

    `date` is written as it should appear (YYYY-MM-DD). The device's name is made safe for every file system and the
    stem is shortened until the result is a valid path. In a folder so deep that no such name fits, it goes higher up.
    """
    folder, _, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    safe = _UNSAFE_IN_NAME.sub("-", device).strip(" .") or "device"
    count = f" {number}" if number > 1 else ""
    tail = f" (conflict {safe} {date}{count}){dot}{extension}"
    if len(tail.encode()) > MAX_PART_BYTES - 1:
        tail = f" (conflict {safe} {date}{count})"
    size = len(tail.encode())
    while len(folder.encode()) + 1 + size > MAX_PATH_BYTES:
        folder = folder.rpartition("/")[0]
    folder += "/" if folder else ""
    room = min(MAX_PART_BYTES, MAX_PATH_BYTES - len(folder.encode())) - size
    while len(stem.encode()) > room:
        stem = stem[:-1]
    return unicodedata.normalize("NFC", folder + stem + tail)
