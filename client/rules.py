"""Which ignore patterns hold: those of `.gobiignore`, and while that is not to be trusted, the last good ones as well.

It is away for a moment while some programs save it, it is empty while others write it, it can be on a disk that lost
power. None of that is a reason to send what was left out until then.
"""

from __future__ import annotations

from contextlib import suppress

from client.ignore import FILE, Either, Ignore, Ignored
from client.ports import Stopped
from client.quiet import Quiet

IN_REPOSITORY = (
    "is away, and git may have taken it along to another branch. If it is to be let go of, run "
    f"gobi rm DIR {FILE}; if not, put it back"
)
SETTLED_NS = 2_000_000_000  # for so long a changed file has to stand before what it lets in is let in


class Rules:
    """`kept`: the text that was good the last time, as somebody remembered it; None for none. `theirs`: the server's,
    as long as the two are in conflict.

    `ignored`: what is left out now. `problems`: what a person has to correct, in words. `unsettled`: the file was
    changed a moment ago, or somebody is writing it: look again soon. `awaited`: why the file is away, although it is
    neither deleted nor to be fetched. `quiet`: for a client that watches, how long the file has to be away, or empty,
    before that is believed; None for one that comes, syncs and goes.
    """

    def __init__(self, kept: bytes | None = None, theirs: bytes | None = None) -> None:
        self.kept = kept
        self.theirs = theirs
        self.good = kept  # what is to be kept from now on
        self.problems: list[str] = []
        self.unsettled = False
        self.awaited = ""
        self.quiet: Quiet | None = None
        self.ignored: Ignored = Ignore(kept)

    def read(self, text: bytes | None, *, why: str = "", settled: bool = True, received: bool = False) -> None:
        """What `.gobiignore` says now; None where there is none, or where it cannot be read: then `why` says so.

        `settled`: it was not changed a moment ago. `received`: gobi has put it there itself.

        Raises Stopped where it cannot be read and nothing is known of before.
        """
        self._read(text, why, settled=settled, received=received)
        if self.theirs is not None:
            with suppress(Stopped):  # what is no list leaves nothing out there either
                self.ignored = Either(Ignore(self.theirs), self.ignored)

    def _read(self, text: bytes | None, why: str, *, settled: bool, received: bool) -> None:
        self.problems, self.unsettled, self.awaited = [], False, ""
        new = Ignore(None)
        if text is not None:
            try:
                new = Ignore(text)
            except Stopped as error:
                text, why = None, str(error)
        if text is None:
            if why:
                self._break_quiet()
            elif self.quiet is not None and self.quiet.seen:
                self.unsettled = not self._is_believed()
            self._keep_to_the_last(why)
            return
        if new.patterns or received:
            self._break_quiet()
        elif not self._is_believed():
            settled = False
        self.problems = [f"{problem}. Until then what was left out before stays out" for problem in new.problems]
        doubtful = self.kept not in (None, text) and (bool(new.problems) or not settled)
        self.unsettled = doubtful and not settled
        self.ignored = Either(Ignore(self.kept), new) if doubtful else new
        if not doubtful and not new.problems:
            self.good = text
            if self.quiet is not None:
                self.quiet.seen = True

    def await_checkout(self) -> bool:
        """Whether a file that is away may have been taken along by a git checkout, before this client's eyes: then that
        is what holds, instead of `read`."""
        if self.quiet is None or not self.quiet.seen or self.kept is None:
            return False
        self.read(None, why=IN_REPOSITORY)
        self.awaited = IN_REPOSITORY
        return True

    def forget(self) -> None:
        """The file was deleted, and that was meant."""
        self.kept = self.good = None
        self.ignored = Ignore(None)
        self._break_quiet()

    def _is_believed(self) -> bool:
        """Whether a file that is away, or has no patterns any more, has been so for long enough."""
        if self.quiet is None or self.kept is None or not Ignore(self.kept).patterns:
            return True
        return self.quiet.has_passed()

    def _break_quiet(self) -> None:
        if self.quiet is not None:
            self.quiet.broken()

    def _keep_to_the_last(self, why: str) -> None:
        if why and self.kept is None:
            raise Stopped(why, 78)
        self.problems = [f"{why}. Until then its last patterns hold"] if why else []
        self.ignored = Ignore(self.kept)


def unreadable(reason: str) -> str:
    """Why the file cannot be read, and what to do."""
    return f"{FILE} cannot be read ({reason}); correct that and sync again"
