"""Moments, sizes and commands as the commands of a client print them."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from client.config import shown
from sync.model import Version


def command(verb: str, folder: Path, path: str | None = None, *options: str) -> str:
    """A command to be pasted into a shell, in one printable line whatever the names hold."""
    words = ["gobi", verb, str(folder)]
    if path is not None:
        words.append(f"./{path}" if path.startswith("-") else path)
    return " ".join(map(_word, [*words, *options]))


def _word(text: str) -> str:
    if text.isprintable():
        return shlex.quote(text)
    inside = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{shown(inside)}'"  # bash, zsh and ksh read the escapes back


def moment(stamp: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """`stamp` in µs since 1970, in this machine's time; as a number where the calendar has no such day."""
    try:
        return time.strftime(form, time.localtime(stamp // 1_000_000))
    except (OverflowError, OSError, ValueError):  # a server's clock that was very wrong
        return f"{stamp} µs since 1970"


def whose(row: Version) -> str:
    """Who wrote it, and on which machine."""
    return f"{shown(row.user)} on {shown(row.device)}" if row.device else shown(row.user)


def counted(count: int, noun: str) -> str:
    """`1 file`, `10,412 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
