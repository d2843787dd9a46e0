"""What the commands for older versions and conflicts print for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from client.config import shown
from client.progress import human_size
from client.words import command, counted, moment, whose
from sync.model import Json, Version

LISTED = 20  # of the files that an undo is about

_SKIPPED = {
    "others": "others changed it, too",
    "conflict": "it has an open conflict",
    "since": "it changed after you were asked",
    "path-taken": "a file stands where it needs a folder, or the reverse",
    "purged": "what stood then is no longer kept",
    "body-missing": "the server has lost what stood then",
}
_UNMERGEABLE = {
    "not-text": "it is not text",
    "too-large": "it is too large",
    "deleted": "it is deleted on the server",
    "no-base": "the two sides have no common ancestor",
    "body-missing": "the server has lost one side's content",
}


# ---------------------------------------------------------------------------------------------------------- conflicts


def conflict_lines(conflicts: Sequence[Json], folder: Path) -> Iterator[str]:
    """Each conflict with its sides, and the command that settles it."""
    if not conflicts:
        yield "No open conflicts."
        return
    yield f"{counted(len(conflicts), 'open conflict')}; every side is kept until you settle it"
    paths = [one["path"] for one in conflicts]
    for one in conflicts:
        path = one["path"]
        yield ""
        yield f"{shown(path)}  since {moment(one['opened'])}"
        if one["server"] is not None:
            head = Version.from_json(one["server"])
            size = human_size(head.size) if head.live else "deleted"
            yield f"  server       {moment(head.made)}  {size:>7}  {whose(head)}"
        for side in one["candidates"]:
            who = f"{shown(side['user'])} on {shown(side['device'])}"
            yield f"  candidate {side['n']}  {moment(side['at'])}  {human_size(side['size']):>7}  {who}"
        which = ("--id", one["id"]) if paths.count(path) > 1 else ()
        yield f"  settle it: {command('resolve', folder, path, *which)} --keep server|client|both|merged"
    several = any(len(one["candidates"]) > 1 for one in conflicts)
    yield ""
    if several:
        yield "Of several candidates the newest is meant unless --candidate N says which."
    yield f"Side by side, in a window: {command('resolve', folder)}"


def settled_lines(conflict: Json, asked: Json, versions: Sequence[Version], folder: Path) -> Iterator[str]:
    """What has become of a conflict. `versions` as the server committed them."""
    path, sides = conflict["path"], conflict["candidates"]
    chosen = next((one for one in sides if one["n"] == asked.get("candidate")), sides[-1])
    which = f" (candidate {chosen['n']} of {len(sides)})" if len(sides) > 1 else ""
    theirs = f"the version from {shown(chosen['device'])}{which}"
    match asked["keep"]:
        case "server":
            what = "the server's version stays"
        case "client":
            what = f"{theirs} is the newest now"
        case "both":
            what = f"the server's version stays, and {theirs} is beside it as {shown(versions[-1].path)}"
        case _:
            what = f"the server's version and {theirs} are merged" if asked.get("merged") else "it is as you wrote it"
    yield f"Settled {shown(path)}: {what}"
    yield f"Every side is in its history: {command('history', folder, path)}"


def unmergeable(reason: str) -> str:
    return _UNMERGEABLE.get(reason, shown(reason))


# ------------------------------------------------------------------------------------------------------------ history


def what(version: Version, older: Version | None) -> str:
    """`older`: the version before it, where that is known."""
    if not version.live:
        return "deleted"
    if version.base is None or (older is not None and not older.live):
        return "new"
    return "same" if older is not None and older.hash == version.hash else "changed"


def history_lines(versions: Sequence[Version], more: bool, path: str, folder: Path) -> Iterator[str]:
    """`versions`: newest first. With `more` there are older ones, and the last one is there to be compared with."""
    rows = versions[:-1] if more else versions
    yield f"{shown(path)}, newest first"
    for number, version in enumerate(rows):
        older = versions[number + 1] if number + 1 < len(versions) else None
        size = human_size(version.size) if version.live else "-"
        change = version.size - older.size if older is not None and older.live and version.live else 0
        grown = f"({'+' if change > 0 else '-'}{human_size(abs(change))})" if change else ""
        columns = f"{what(version, older):<8} {size:>7} {grown:<10} {whose(version)}"
        yield f"{version.stamp:<16}  {moment(version.made)}  {columns}"
    if more:
        yield f"… and older ones: {command('history', folder, path, '--limit', str(2 * len(rows)))}"
    yield f"To put one back: {command('restore', folder, path)} --stamp N"


# ---------------------------------------------------------------------------------------------------------------- log


def take_back(version: Version, folder: Path) -> str:
    """The command that takes a change back."""
    if version.base is None:
        return command("rm", folder, version.path)
    return command("restore", folder, version.path, "--stamp", str(version.base))


def log_lines(version: Version, folder: Path) -> Iterator[str]:
    """What happened, and how to take it back."""
    yield f"{moment(version.made)}  {what(version, None):<8} {shown(version.path)}  by {whose(version)}"
    yield f"    {take_back(version, folder)}"


# --------------------------------------------------------------------------------------------------------------- undo


def undo_lines(answer: Json, *, done: bool) -> Iterator[str]:
    """What an undo did, or would do. Whose and since when is said by whoever asked."""
    changes = answer["changes"]
    back = [row["path"] for row in changes if row["restores"] is not None]
    gone = [row["path"] for row in changes if row["restores"] is None]
    if not changes:
        yield "Nothing to put back"
    for verb, undone, paths in (("put back", "Put back", back), ("deleted", "Deleted", gone)):
        if paths:
            number = counted(len(paths), "file")
            why = " (made since)" if verb == "deleted" else ""
            yield f"{undone} {number}{why}" if done else f"{number} would be {verb}{why}"
            if not done:
                yield from _some([f"  {shown(path)}" for path in paths])
    yield from skipped_lines(answer["skipped"])


def skipped_lines(skipped: Sequence[Json]) -> Iterator[str]:
    if skipped:
        yield "1 file stays as it is" if len(skipped) == 1 else f"{len(skipped):,} files stay as they are"
        reasons = [f"  {shown(row['path'])}: {_SKIPPED.get(row['reason'], shown(row['reason']))}" for row in skipped]
        yield from _some(reasons)


def _some(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:LISTED]
    if len(lines) > LISTED:
        yield f"  … and {len(lines) - LISTED:,} more"
