"""Sending changes past whatever is on the way to the server.

One request has many files, and what refuses it may mean only one of them, or only the request's size. So what fails
as a whole is sent again in halves, until what is refused is a single file, which is all that is then refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from client.answers import is_not_gobis
from client.ports import Pushed, ServerAway, ServerRefused, SlowDown, Transport
from client.work import Room, in_bundles

if TYPE_CHECKING:
    from client.upload import Prepared

MOST_FILES = 1_000

Failure = ServerAway | ServerRefused
Outcome = Pushed | ServerAway | ServerRefused

_FRAME = 1_536  # bytes at most around a file in a push: its header, its padding, its row of the manifest; but its name
_NOT_ABOUT_FILES = (401, 403, 404, 410)  # from gobi itself: about the user or the vault
_ABOUT_EVERYTHING = ("metadata-full", "redirected")
_FAILURES = 3  # single files in a row that a server or a line failed before it must be the server, or the line
_REFUSALS = 10  # the same for what a proxy refuses: after that, the rest is not sent to it again and again


class Delivery:
    """Sends what was read, and hands back what became of it, part by part."""

    def __init__(self, transport: Transport, room: Room, *, keep: bool) -> None:
        self._transport = transport
        self._room = room
        self._keep = keep
        self._walls: list[tuple[int, ServerRefused]] = []  # files of this size and more are refused
        self._in_a_row = 0

    def push(self, prepared: Sequence[Prepared]) -> Iterator[tuple[list[Prepared], Outcome]]:
        """Each part with what became of it; a failure is that of a single file.

        Raises ServerAway, ServerRefused where it concerns everything.
        """
        parts = self._cut(prepared)
        while parts:
            part = []
            for one in parts.pop():
                if (wall := self._wall(one)) is not None:
                    yield [one], wall
                else:
                    part.append(one)
            if not part:
                continue
            try:
                pushed = self._push(part)
            except (ServerAway, ServerRefused) as error:
                self._judge(error)
                if len(part) == 1:
                    yield part, self._single(part[0], error)
                    continue
                if isinstance(error, ServerAway) or error.status == 413:
                    self._room.shrink(sum(map(wire_size, part)))
                middle = len(part) // 2
                parts += [*self._cut(part[middle:]), *self._cut(part[:middle])]
            else:
                self._in_a_row = 0
                yield part, pushed

    def put(self, large: Prepared, body: BinaryIO) -> Outcome:
        """One large file. Raises as `push` does, and LocalChange."""
        if (wall := self._wall(large)) is not None:
            return wall
        outcome = self._put(large, body)
        if isinstance(outcome, ServerAway) and outcome.retry_after is not None:
            outcome = self._put(large, body)  # a server that was started anew, most likely: by now it answers
        if isinstance(outcome, Pushed):
            self._in_a_row = 0
            return outcome
        return self._single(large, outcome)

    def _put(self, large: Prepared, body: BinaryIO) -> Outcome:
        try:
            return self._transport.put(large.change, body, self._keep)
        except (ServerAway, ServerRefused) as error:
            self._judge(error)
            return error

    def _push(self, part: Sequence[Prepared]) -> Pushed:
        changes = [prepared.change for prepared in part]
        bodies = {prepared.change.path: prepared.data for prepared in part if prepared.data is not None}
        return self._transport.push(changes, bodies, self._keep)

    def _cut(self, prepared: Sequence[Prepared]) -> list[list[Prepared]]:
        """Parts that have room, the first one last. What is refused alone stands alone."""
        return list(in_bundles(prepared, wire_size, MOST_FILES, self._room.size))[::-1]

    def _wall(self, prepared: Prepared) -> ServerRefused | None:
        if not prepared.job.body:
            return None
        return next((no for size, no in self._walls if prepared.change.size >= size), None)

    def _judge(self, error: Failure) -> None:
        """Raises `error` where it is not about what was sent."""
        if isinstance(error, ServerAway):
            if isinstance(error, SlowDown) or not error.on_the_way:
                raise error
        elif not is_not_gobis(error) and (error.status in _NOT_ABOUT_FILES or error.code in _ABOUT_EVERYTHING):
            raise error
        elif error.status in (413, 507) or (error.status < 500 and not is_not_gobis(error)):
            return
        self._transport.vault()  # raises the same where nothing at all gets through

    def _single(self, prepared: Prepared, error: Failure) -> Failure:
        """It is about this file. Raises `error` where too many files in a row have met the same."""
        if isinstance(error, ServerRefused) and error.status in (413, 507):
            self._walls.append((prepared.change.size, error))
            return error
        self._in_a_row += 1
        temporary = isinstance(error, ServerAway) or error.status >= 500
        if self._in_a_row >= (_FAILURES if temporary else _REFUSALS):
            raise error
        return error


def wire_size(prepared: Prepared) -> int:
    """The bytes that a change takes in a push, at most."""
    return len(prepared.data or b"") + _FRAME + 8 * len(prepared.change.path)
