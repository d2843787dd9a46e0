"""A client.ports.Transport that a test listens to, and can meddle with."""

from __future__ import annotations

from collections.abc import Callable

from client.ports import Transport
from sync.model import Change, Version


class Overheard(Transport):
    """`meddle` is called with (method, "before" | "after") around every request: it may raise, or change the world."""

    def __init__(self) -> None:
        self.meddle: Callable[[str, str], None] = lambda method, when: None
        self.spoil: Callable[[Version, bytes], bytes] = lambda version, body: body
        self.calls: list[str] = []
        self.reported: list[Change] = []
        self.pushed: list[Change] = []
        self.pulled: list[str] = []
