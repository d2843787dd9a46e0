"""Which ignore patterns hold: those of `.gobiignore`, and while that is not to be trusted, the last good ones as well.

It is away for a moment while some programs save it, it is empty while others write it, it can be on a disk that lost
power. None of that is a reason to send what was left out until then.
"""

from __future__ import annotations

from contextlib import suppress

from client.ignore import FILE, Either, Ignore, Ignored
from client.ports import Stopped

SETTLED_NS = 2_000_000_000  # for so long a changed file has to stand before what it lets in is let in


class Rules:
    """`kept`: the text that was good the last time, as somebody remembered it; None for none. `theirs`: the server's,
    as long as the two are in conflict.

    `ignored`: what is left out now. `problems`: what a person has to correct, in words. `unsettled`: the file was
    changed a moment ago, or somebody is writing it: look again soon.
    """

    def __init__(self, kept: bytes | None = None, theirs: bytes | None = None) -> None:
        self.kept = kept
        self.theirs = theirs
        self.good = kept  # what is to be kept from now on
        self.problems: list[str] = []
        self.unsettled = False
        self.ignored: Ignored = Ignore(kept)

    def read(self, text: bytes | None, *, why: str = "", settled: bool = True) -> None:
        """What `.gobiignore` says now; None where there is none, or where it cannot be read: then `why` says so.

        Raises Stopped where it cannot be read and nothing is known of before.
        """
        self._read(text, why, settled=settled)
        if self.theirs is not None:
            with suppress(Stopped):  # what is no list leaves nothing out there either
                self.ignored = Either(Ignore(self.theirs), self.ignored)

    def _read(self, text: bytes | None, why: str, *, settled: bool) -> None:
        self.problems, self.unsettled = [], False
        new = Ignore(None)
        if text is not None:
            try:
                new = Ignore(text)
            except Stopped as error:
                text, why = None, str(error)
        if text is None:
            self._keep_to_the_last(why)
            return
        self.problems = [f"{problem}. Until then what was left out before stays out" for problem in new.problems]
        doubtful = self.kept not in (None, text) and (bool(new.problems) or not settled)
        self.unsettled = doubtful and not settled
        self.ignored = Either(Ignore(self.kept), new) if doubtful else new
        if not doubtful and not new.problems:
            self.good = text

    def forget(self) -> None:
        """The file was deleted, and that was meant."""
        self.kept = self.good = None
        self.ignored = Ignore(None)

    def _keep_to_the_last(self, why: str) -> None:
        if why and self.kept is None:
            raise Stopped(why, 78)
        self.problems = [f"{why}. Until then its last patterns hold"] if why else []
        self.ignored = Ignore(self.kept)


def unreadable(reason: str) -> str:
    """Why the file cannot be read, and what to do."""
    return f"{FILE} cannot be read ({reason}); correct that and sync again"
