"""`.gobi/ignore`: the last good `.gobiignore`, for a time when the file itself is away, half written or unreadable.

`.gobi/ignore-theirs`: the server's, while the two are in conflict.
"""

from __future__ import annotations

import os
from contextlib import suppress

from client.ignore import MAX_BYTES

NAME, THEIRS = "ignore", "ignore-theirs"


def kept_rules(state: int, name: str = NAME) -> tuple[bytes | None, int]:
    """The text that was kept in the open folder `state`, and when (ns); None where there is none."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=state)
        with open(descriptor, "rb") as file:
            return file.read(MAX_BYTES), os.fstat(descriptor).st_mtime_ns
    except OSError:
        return None, 0


def keep_rules(state: int, text: bytes | None, now_ns: int, name: str = NAME) -> bool:
    """Whether it is durable. What the disk cannot take now is tried again with the next sync."""
    try:
        if text is None:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=state)
        else:
            new = f"{name}.new"
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(new, flags, 0o600, dir_fd=state), "wb") as file:
                file.write(text)
                file.flush()
                os.utime(file.fileno(), ns=(now_ns, now_ns))
                os.fsync(file.fileno())
            os.rename(new, name, src_dir_fd=state, dst_dir_fd=state)
        os.fsync(state)
    except OSError:
        return False
    return True


def is_kept(state: int) -> bool:
    """Whether a text is kept. That of a folder `state` that was removed as a whole was not let go of."""
    try:
        os.stat(NAME, dir_fd=state, follow_symlinks=False)
    except FileNotFoundError:
        return os.fstat(state).st_nlink == 0
    except OSError:
        return True
    return True
