"""The machine's own users: what the system calls them."""

from __future__ import annotations

import pwd


def user_name(uid: int) -> str:
    """For a message. Containers have users without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
