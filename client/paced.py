"""Reading an answer from a server that may take for ever: each wait has an end, and so have all of them together."""

from __future__ import annotations

import io
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GRACE = 300.0  # seconds that all waits of an answer may take, whatever has come
PACE = 1024  # bytes a second that an answer has to bring besides


class TooSlow(TimeoutError):
    """It comes in drops."""


class PacedResponse(HTTPResponse):
    """Raises TooSlow where header and body together come more slowly than at PACE, GRACE apart.

    Only the time counts for which the server was waited for, not what is done with what came.
    """

    def __init__(self, sock: Any, *arguments: Any, **named: Any) -> None:  # noqa: ANN401  # as http.client has it
        super().__init__(sock, *arguments, **named)
        self.fp = io.BufferedReader(_Paced(self.fp.detach()))


class _Paced(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._waited = 0.0
        self._came = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        began = clock()
        count = self._raw.readinto(buffer)
        self._waited += clock() - began
        self._came += count or 0
        if self._waited > GRACE + self._came / PACE:
            raise TooSlow(f"only {self._came} bytes came in {self._waited:.0f} s")
        return count

    def close(self) -> None:
        super().close()
        self._raw.close()


clock = time.monotonic
