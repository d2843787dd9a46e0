"""Names as a person may see them: one line, whatever the file is called."""

from __future__ import annotations


def printable(name: str) -> str:
    """`name` with bytes that are no UTF-8, control characters and line breaks written as escapes."""
    if name.isprintable():
        return name
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
