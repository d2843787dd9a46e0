"""What every entry in the log says of the request that it belongs to, whoever writes it.

A request's greenlet sets it, threads that work for the request take it along (offload.py), and the log's formats read
it. Keys: `request`, `user`, `device`, `vault`.
"""

from __future__ import annotations

from contextvars import ContextVar

about: ContextVar[dict[str, str] | None] = ContextVar("gobi_log_context", default=None)


def add(**fields: str) -> None:
    """Says more of the request that is at work here; nothing where none is."""
    known = about.get()
    if known is not None:
        known |= fields
