"""What a check of the server's parts finds out, in words for the person who runs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from store.moving import Move

Level = Literal["ok", "warning", "wrong"]
# What has to be mended: a setting, what a setting leads to and cannot be reached, or the state that it is in.
Cause = Literal["setting", "reach", "state"]


# Stamps are handed out a microsecond apart at least, so a burst of changes is a little ahead by itself.
MOST_AHEAD_S = 1.0
STAMPS_AHEAD = (
    "if the clock is wrong now, set it (timedatectl set-ntp true). If it is right, it was wrong once, and that can be "
    "lived with: the order of changes holds, and backups can be restored"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """`text` says what is, `advice` what to do about it. Neither holds a secret.

    A warning is about what works now and may not for long; what is wrong keeps the server from working.
    """

    subject: str
    level: Level
    text: str
    advice: str = ""
    cause: Cause = "state"


def ok(subject: str, text: str) -> Finding:
    return Finding(subject, "ok", text)


def warning(subject: str, text: str, advice: str) -> Finding:
    return Finding(subject, "warning", text, advice)


def wrong(subject: str, text: str, advice: str, cause: Cause = "state") -> Finding:
    return Finding(subject, "wrong", text, advice, cause)


def people(count: int) -> Finding:
    if count == 0:
        return wrong("users", "nobody can sign in", "add somebody: gobi user add NAME")
    return ok("users", "1 person can sign in" if count == 1 else f"{count} people can sign in")


def schema(subject: str, found: int, known: int) -> Finding:
    """`found` is the database's schema version, `known` this gobi's."""
    if found > known:
        return wrong(
            subject,
            f"schema {found} is of a newer gobi: this one knows {known}",
            "start the gobi that wrote it, or restore a backup that this one wrote",
        )
    if found == known:
        return ok(subject, f"schema {found}")
    return ok(subject, f"schema {found}: the next start makes it {known}")


def stamps(subject: str, newest: int, now: float) -> Finding:
    """Whether stamps run ahead of the clock. `newest`: the latest stamp of any vault, µs; `now`: the clock, s."""
    ahead_s = newest / 1e6 - now
    if ahead_s <= MOST_AHEAD_S:
        return ok(subject, "no change is newer than the clock")
    return warning(subject, f"the newest change is stamped {span(ahead_s)} in the clock's future", STAMPS_AHEAD)


def move(subject: str, found: Move | None) -> Iterator[Finding]:
    """Whether writing is refused because the metadata is, or was, being moved."""
    if found is not None and found.frozen:
        text, _, advice = found.notice.partition(": ")
        yield wrong(subject, text, advice)


def megabytes(count: float) -> str:
    return f"{count / (1 << 20):.1f} MB"


def gigabytes(count: float) -> str:
    return f"{count / (1 << 30):.1f} GB"


def span(seconds: float) -> str:
    """A length of time in the unit that fits."""
    for unit, length in (("years", 365.25 * 86_400), ("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
