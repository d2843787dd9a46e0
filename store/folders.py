"""What lies right in a folder: which name a path has there, and where the next one begins. For every backend."""

from __future__ import annotations


def name_of(prefix: str, path: str) -> str:
    """Under `prefix`: the path itself for a file that lies right there, or the folder it lies in, with its "/"."""
    cut = path.find("/", len(prefix))
    return path if cut < 0 else path[: cut + 1]


def past(prefix: str, after: str) -> str:
    """Where the paths begin whose names come after the name `after`, in byte order.

    A folder's name comes before everything that lies in it, so all of that is passed over.
    """
    if after < prefix:
        return prefix
    name = name_of(prefix, after) if after.startswith(prefix) else after
    if name.endswith("/") and name != prefix:
        return name[:-1] + "0"  # the character after "/"
    return name + "\0"  # which no path has
