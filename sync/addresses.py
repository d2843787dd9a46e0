"""Which addresses of servers may do without encryption."""

from __future__ import annotations


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine: 127.0.0.0/8, ::1, localhost and names under it (RFC 6761)."""
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost") or host == "::1":
        return True
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdigit() and int(part) < 256 for part in parts)
