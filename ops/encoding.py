"""Names are bytes, and their text is UTF-8 everywhere, whatever encoding a terminal has."""

from __future__ import annotations

import locale
import os
import sys
from io import TextIOWrapper

CONFIG = 78


class NotUtf8(Exception):
    """This Python takes names for text in another encoding, and cannot be started anew."""

    exit_code = CONFIG


def is_utf8() -> bool:
    """Whether Python decodes names as UTF-8: so in any UTF-8 locale, in C and in POSIX."""
    return sys.getfilesystemencoding() == "utf-8"


def start_anew() -> None:
    """Starts this very program in Python's UTF-8 mode, in this process. Does not return, or raises NotUtf8.

    Python settles the encoding of names when it starts, by the locale. One more start (10 ms) is what that costs,
    and only where the locale is one of the old encodings.
    """
    try:
        if not sys.flags.utf8_mode:
            arguments = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
            os.execv(sys.executable, arguments)  # noqa: S606  # no shell is wanted
    except (OSError, ValueError):
        pass
    raise NotUtf8(
        f"this locale's encoding is {sys.getfilesystemencoding()}, in which names of files would be taken for others; "
        "run this with LC_ALL=C.UTF-8"
    )


def speak_to_terminal() -> None:
    """In the encoding of the locale, with escapes for what that lacks: nothing that is said may end the program."""
    encoding = locale.getencoding() if sys.flags.utf8_mode else None
    if encoding is not None and encoding.upper() in ("ANSI_X3.4-1968", "US-ASCII", "ASCII", "UTF-8"):
        encoding = None  # C and POSIX say nothing about the terminal
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
