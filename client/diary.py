"""The log of `gobi watch`: one line for each thing that happened."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from client.names import printable
from client.ports import ServerAway, ServerRefused, SlowDown, StateTrouble
from client.report import Report
from client.scan import BUSY
from client.show import stands
from client.standing import is_about_held_deletes
from client.words import counted

NAMED = 20  # files of one sync that are named one by one

SERVER = "the server is reached again"
DISK = "the disk can be written to again"
NO_VAULT = (
    "the vault is not there (any more), or this user may not see it. If that stays so, ask its owner, or let go of it "
    "with gobi disconnect"
)


class Diary:
    """`say` takes one line. `noted`: called after every sync that went well."""

    def __init__(self, say: Callable[[str], None], noted: Callable[[], None], folder: str, place: str) -> None:
        self._say = say
        self._noted = noted
        self._folder = folder
        self._place = place
        self._begun = False
        self._away = ""  # what is waited for: the server, or the disk
        self._polling = False
        self._live_again = False  # not said yet: first that the server is back
        self._blind = ""
        self._told: dict[str, str] = {}  # path: what was said of it

    def synced(self, report: Report, *, well: bool = True) -> None:
        """`well`: nothing is waited for any more."""
        if self._away and well:
            self._say(f"back: {self._away}")
            self._away = ""
            if self._live_again:
                self.live()
        for what, rows in groupby(report.trail, key=lambda row: row[0]):
            paths = [path for _, path in rows]
            if len(paths) > NAMED:
                self._say(f"{what} {len(paths):,} files")
            else:
                for path in paths:
                    self._say(f"{what} {printable(path)}")
        for note in report.notes:
            self._say(printable(note))
        self._complain(report)
        if not self._begun:
            state, but = stands(report, in_step=report.in_step and not report.busy)
            self._say(
                f"watching {self._folder}, {state.lower()} with {self._place}{but} ({counted(report.files, 'file')})"
            )
            self._begun = True
        self._noted()

    def _complain(self, report: Report) -> None:
        """Of what stays undone, once for each file and reason."""
        for _, path in report.trail:
            self._told.pop(path, None)
        held = [row for row in report.refused if is_about_held_deletes(row[0])]
        refused = [row for row in report.refused if row not in held]
        refused += ((one.name, one.reason) for one in report.skipped if one.refused)
        waiting = [(path, why) for path, why in report.waiting if why != BUSY]
        by_rule = [(one.name, one.reason) for one in report.skipped if one.by_rule]
        for what, rows in (("held back", held), ("refused", refused), ("not done yet", waiting), ("left out", by_rule)):
            for path, why in rows:
                if self._told.get(path) != why:
                    self._say(f"{what}: {printable(path)}: {printable(why)}")
                    self._told[path] = why

    def away(self, error: Exception) -> None:
        match error:
            case SlowDown():
                what, why, back = "waiting", error.message, SERVER
            case ServerAway():
                what, why, back = "offline", error.message, SERVER
            case ServerRefused() if error.code == "not-found":
                what, why, back = "waiting", NO_VAULT, SERVER
            case StateTrouble():
                what, why, back = "waiting", error.what, DISK
            case OSError():
                what, why, back = "waiting", f"the disk fails ({error.strerror})", DISK
            case _:
                what, why, back = "offline", str(error), SERVER
        if self._away != back:
            self._say(f"{what}: {printable(why)}; nothing is lost, gobi keeps trying")
        self._away = back

    def live(self) -> None:
        self._live_again = self._polling and bool(self._away)
        if self._live_again:
            return
        if self._polling:
            self._say("live again: what others do is told at once")
        self._polling = False

    def not_live(self, why: str, *, absent: bool) -> None:
        if not self._polling and not self._away:
            said = "this server has no live socket" if absent else f"not live: {printable(why)}"
            self._say(f"{said}; asking it now and then instead")
        self._polling = True
        self._live_again = False

    def blind(self, why: str) -> None:
        """`why`: what keeps it from watching all folders, "" for nothing."""
        if why and why != self._blind:
            self._say(f"not every folder can be watched: {why}. Looking at all of them now and then instead")
        self._blind = why

    def stopped(self) -> None:
        self._say("stopped")
