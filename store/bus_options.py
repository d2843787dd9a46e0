"""The options at the end of a Redis address: what would win over gobi's own, and leave workers deaf, is refused."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

# Messages are bytes, the protocol is 2, and connections are counted by who makes them.
OWN = frozenset({"decode_responses", "encoding", "encoding_errors", "max_connections", "protocol", "timeout"})


def check_options(url: str) -> None:
    """Raises ValueError, which names none but these: anything else may be a part of a password."""
    for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name.lower() in OWN:
            raise ValueError(f"the option {name.lower()} is gobi's own to set: take it out of the address")
