"""Disks inside a synced folder: what is mounted where, and whether that is what was mounted there before.

A folder looks empty when its disk is unmounted, and holds other files when another disk is mounted over it. Neither
says anything about the files that were there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from client.index import Record
from client.ports import Entry, Mount, Skipped

TABLE = "/proc/self/mountinfo"

UNMOUNTED = (
    "the disk that was mounted here is not: what is in it is neither synced nor deleted. Mount it, and all goes on; if "
    "it is not to come back, run gobi sync with --accept-mounts"
)
OTHER = (
    "another disk is mounted here than before, with none of the files: nothing in it is synced, and nothing deleted. "
    "Mount the right one, and all goes on; if this is the right one, run gobi sync with --accept-mounts"
)

_ESCAPED = re.compile(rb"\\([0-7]{3})")


class Places(NamedTuple):
    """`unknown`: places whose disk is not the one that is remembered, and why. `mounted`: what to remember."""

    unknown: dict[str, str]
    mounted: dict[str, str]


def mounted_below(folder: int) -> dict[str, Mount] | None:
    """What is mounted below an open folder, by its path in there; None where the system does not tell."""
    try:
        root = os.readlink(f"/proc/self/fd/{folder}")
        table = _read()
        mounts = _below(root, table)
        automatic = [path for path, mount in mounts.items() if mount.automatic]
        if automatic:
            for path in automatic:
                _trigger(os.path.join(root, path))
            mounts = {path: mount for path, mount in _below(root, _read()).items() if not mount.automatic}
    except OSError:
        return None
    return mounts


def changed(before: Mapping[str, object], now: Mapping[str, object]) -> set[str]:
    """The places at which something else is mounted than before, or nothing any more."""
    return {place for place in before.keys() | now.keys() if before.get(place) != now.get(place)}


def is_below(path: str, places: Iterable[str]) -> bool:
    return any(path == place or path.startswith(place + "/") for place in places)


def judge(
    known: Mapping[str, str] | None,
    now: Mapping[str, Mount],
    records: Mapping[str, Record],
    entries: Mapping[str, Entry],
    ignored: Callable[[str], bool],
) -> Places:
    """`known`: what is remembered, None for nothing. `entries`: the files that are there now."""
    present = {place: mount.what for place, mount in now.items()}
    found = Places({}, dict(present))
    for place in changed(known, present) if known is not None else ():
        tracked = [
            record
            for path, record in records.items()
            if record.stamp is not None and is_below(path, [place]) and not ignored(path)
        ]
        # Below an unmounted disk there may be old copies of its files: only the very same ones count.
        exactly = place not in present
        if tracked and not any(_is_there(record, entries, exactly) for record in tracked):
            found.unknown[place] = UNMOUNTED if exactly else OTHER
            found.mounted.pop(place, None)
            if known is not None and place in known:
                found.mounted[place] = known[place]
    return found


def left_out(places: Mapping[str, str]) -> list[Skipped]:
    from client.names import printable

    return [Skipped(printable(place), why, place, refused=True) for place, why in sorted(places.items())]


def _is_there(record: Record, entries: Mapping[str, Entry], exactly: bool) -> bool:
    entry = entries.get(record.path)
    if entry is None or (entry.size, entry.mtime_ns) != (record.size, record.mtime_ns):
        return False
    return not exactly or entry.inode == record.inode


def _read() -> bytes:
    with open(TABLE, "rb") as file:
        return file.read()


def _below(root: str, table: bytes) -> dict[str, Mount]:
    """Of mounts on top of each other the uppermost, which comes last."""
    prefix = os.fsencode(root.rstrip("/") + "/")
    found: dict[str, Mount] = {}
    for line in table.splitlines():
        fields = line.split(b" ")
        place = _ESCAPED.sub(lambda octal: bytes([int(octal[1], 8)]), fields[4])
        if place.startswith(prefix):
            kind = fields[fields.index(b"-", 6) + 1]
            what = os.fsdecode(fields[2] + b" " + fields[3])
            found[os.fsdecode(place[len(prefix) :])] = Mount(what, int(fields[0]), kind == b"autofs")
    return found


def aliases(path: str) -> list[str]:
    """Every name of the place that has the absolute, real `path`, also those that bind mounts give it; `path` first."""
    try:
        table = [_mount(line) for line in _read().splitlines()]
    except OSError:
        return [path]
    around = [one for one in table if path == one[2] or path.startswith(one[2].rstrip("/") + "/")]
    if not around:
        return [path]
    device, root, place = max(reversed(around), key=lambda one: len(one[2]))  # the uppermost of several
    inside = os.path.normpath(os.path.join(root, os.path.relpath(path, place)))
    names = [path]
    for other, part, mounted in table:
        if other == device and (inside == part or inside.startswith(part.rstrip("/") + "/")):
            name = os.path.normpath(os.path.join(mounted, os.path.relpath(inside, part)))
            if name not in names and _is_same(os.path.dirname(name), os.path.dirname(path), name, path):
                names.append(name)
    return names


def _is_same(above: str, other_above: str, name: str, other: str) -> bool:
    """Whether both names are of one place, which need not exist yet where they are the same in the same folder."""
    try:
        return os.path.samefile(name, other)
    except OSError:
        pass
    try:
        return os.path.samefile(above, other_above) and os.path.basename(name) == os.path.basename(other)
    except OSError:
        return False


def _mount(line: bytes) -> tuple[str, str, str]:
    """The device, which part of it, and where that is mounted."""
    fields = [_ESCAPED.sub(lambda octal: bytes([int(octal[1], 8)]), field) for field in line.split(b" ")[:5]]
    return os.fsdecode(fields[2]), os.fsdecode(fields[3]), os.fsdecode(fields[4])


def _trigger(place: str) -> None:
    """Has the system mount what it mounts when somebody looks."""
    try:
        os.listdir(place)
    except OSError:
        pass  # it cannot be mounted now
