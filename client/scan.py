"""What happened in the folder: every file compared with the index, and read where the comparison leaves a doubt."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from client.ignore import FILE as IGNORE_FILE
from client.index import Index, Record
from client.mounts import Places, changed, is_below, judge, left_out
from client.names import printable
from client.pause import collector_paused
from client.ports import Blocked, Clock, Entry, FileSystem, LocalChange, Mount, Progress, Skipped
from client.report import Silent
from sync.paths import ancestors

# A file written again within one tick of the file system's clock shows the same times twice. So times as young as its
# own record prove nothing, and the file is read. The coarsest clock in use is FAT's: 2 s. One old time is proof enough:
# a write sets both. A person sets the first one at will, to a time in the future perhaps, and never the second.
TICK_NS = 2_000_000_000

EMPTIED = (
    "is empty now, but had content when the machine went down: not sent. To send it empty, save it again; to get its "
    "content back, delete it and sync"
)

CHANGING = "it keeps changing"
LARGE = 1 << 30  # bytes of a file that is not read before it is known whether the server takes it

BUSY = "somebody is in the middle of changing it"
MOUNTING = "another disk is mounted here than at the latest look at everything"


@dataclass
class View:
    """The folder at moment `at_ns`, beside the index.

    `entries`: every regular file. `hashes`: of those that were read; `executable`: whether they may be run, as far as
    the file system keeps that. `fresh`: records of files that were touched and have the same content. `unsteady`: files
    that changed while they were read. `held`: files that somebody must look at, and why. `rules`: names the ignore
    patterns that it was looked at by. `mounts`: what is mounted in the folder. `places`: what that says, beside what is
    remembered.
    """

    at_ns: int
    entries: dict[str, Entry]
    skipped: list[Skipped]
    hashes: dict[str, str] = field(default_factory=dict)
    fresh: list[Record] = field(default_factory=list)
    executable: dict[str, bool | None] = field(default_factory=dict)
    unsteady: set[str] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)  # path of a place that cannot be seen into: why
    rules: str = ""
    mounts: dict[str, Mount] = field(default_factory=dict)
    places: Places = field(default_factory=lambda: Places({}, {}))

    def why_unknown(self, path: str) -> str | None:
        """Why nothing can be said or done about the path; None where all is well."""
        if path in self.unsteady:
            return CHANGING
        if path in self.held:
            return self.held[path]
        if self.hidden:
            for place in ("", *ancestors(path), path):
                if place in self.hidden:
                    return self.hidden[place]
        return None

    def made_executable(self, path: str, record: Record | None) -> bool | None:
        """What somebody made of the file here, executable or not; None where it is as it was."""
        here, before = self.executable.get(path), record is not None and record.executable
        return None if here == before else here

    def is_missing(self, path: str) -> bool:
        """Of a path that was looked at."""
        return path not in self.entries and self.why_unknown(path) is None

    def add(self, other: View) -> None:
        """What was looked at a little later."""
        self.entries |= other.entries
        self.skipped += other.skipped
        self.hashes |= other.hashes
        self.fresh += other.fresh
        self.executable |= other.executable
        self.unsteady |= other.unsteady
        self.held |= other.held
        self.hidden |= other.hidden


def look(
    fs: FileSystem,
    index: Index,
    clock: Clock,
    progress: Progress,
    busy: Collection[str] = (),
) -> View:
    """`busy`: files that somebody is in the middle of changing. Raises Stopped where `.gobiignore` is unusable."""
    at_ns = clock.time_ns()
    records = index.records
    with collector_paused():
        mounts = fs.mounts()
        entries, skipped = fs.scan()
        view = View(at_ns, {entry.path: entry for entry in entries}, skipped)
        _look_at_mounts(view, mounts, fs, index)
        doubtful = [entry for entry in view.entries.values() if not is_clean(records.get(entry.path), entry)]
    if index.unsure:
        doubtful = _with_executable(view, doubtful, fs, index)
    if index.readings:
        known = {entry.path for entry in doubtful if is_clean(index.readings.get(entry.path), entry)}
        view.hashes = {path: index.readings[path].hash for path in known}
        view.executable = {path: fs.executable(path) for path in known}
        doubtful = [entry for entry in doubtful if entry.path not in known]
    doubtful = _worth_reading(view, doubtful, index.max_file)
    _examine(view, doubtful, busy, fs, records, clock, progress)
    return view


def _with_executable(view: View, doubtful: list[Entry], fs: FileSystem, index: Index) -> list[Entry]:
    """Once, after an earlier gobi: files that may be run are as good as touched."""
    touched = {entry.path for entry in doubtful}
    more = []
    for path in index.unsure - touched:
        entry, record = view.entries.get(path), index.records.get(path)
        if entry is not None and fs.executable(path):
            more.append(entry)
        elif entry is not None and record is not None:
            view.fresh.append(record)
    return doubtful + more


def _worth_reading(view: View, doubtful: list[Entry], most: int | None) -> list[Entry]:
    """Without what the server would not take: reading a file that is sparse and vast may have no end.

    `most`: as in Index. Before the server has said it, the largest are left for the round after it has.
    """
    if most == 0:
        return doubtful
    for entry in doubtful:
        if most is None and entry.size > LARGE:
            view.unsteady.add(entry.path)
        elif most is not None and entry.size > most:
            view.held[entry.path] = f"is too large: {entry.size:,} bytes, and the server takes {most:,} at most"
    return [entry for entry in doubtful if entry.size <= (most or LARGE)]


def _look_at_mounts(view: View, before: dict[str, Mount] | None, fs: FileSystem, index: Index) -> None:
    """`before`: what was mounted when the look began."""
    view.mounts = fs.mounts() or {}
    if before is None:
        view.places = Places({}, index.mounts or {})
        return
    view.places = judge(index.mounts, view.mounts, index.records, view.entries, fs.ignored)
    view.places.unknown.update(dict.fromkeys(changed(before, view.mounts), MOUNTING))
    _leave_out(view, view.places.unknown)


def _leave_out(view: View, places: dict[str, str]) -> None:
    if places:
        view.entries = {path: entry for path, entry in view.entries.items() if not is_below(path, places)}
        view.skipped += left_out(places)


def glance(
    fs: FileSystem,
    index: Index,
    clock: Clock,
    paths: Iterable[str],
    *,
    moved: Collection[str] = (),
    busy: Collection[str] = (),
    places: Collection[str] = (),
) -> View:
    """The same for single paths. `places`: of which nothing can be said before the next look at everything.

    `moved`: those that nobody has written to. Where they are as recorded, however young, they are the recorded ones.
    """
    view = View(clock.time_ns(), {}, [])
    records = index.records
    entries, view.skipped = fs.look_at(paths)
    view.entries = {entry.path: entry for entry in entries}
    concerned = (place for place in places if any(is_below(path, [place]) for path in paths))
    _leave_out(view, dict.fromkeys(concerned, MOUNTING))
    doubtful = []
    for entry in view.entries.values():
        record = records.get(entry.path)
        unwritten = entry.path in moved and record is not None and record[3:7] == entry[1:]
        if not unwritten and not is_clean(record, entry):
            doubtful.append(entry)
    doubtful = _worth_reading(view, doubtful, index.max_file)
    _examine(view, doubtful, busy, fs, records, clock, Silent())
    return view


def _examine(
    view: View,
    doubtful: Iterable[Entry],
    busy: Collection[str],
    fs: FileSystem,
    records: dict[str, Record],
    clock: Clock,
    progress: Progress,
) -> None:
    view.rules = fs.rules
    view.hidden = {one.path: one.reason for one in view.skipped if one.path is not None and not one.by_rule}
    view.hidden |= dict.fromkeys(busy, BUSY)
    if fs.patterns.unsettled:
        view.hidden[IGNORE_FILE] = BUSY  # nor is it for others before it is what it is to be
    elif fs.patterns.awaited:
        view.hidden[IGNORE_FILE] = fs.patterns.awaited
    doubtful = [entry for entry in doubtful if entry.path not in view.hidden]
    if doubtful:
        _read(view, doubtful, fs, records, clock, progress)


def is_clean(record: Record | None, entry: Entry) -> bool:
    """Whether the file is surely the recorded one. This runs once for every file there is."""
    if record is None or record[3:7] != entry[1:]:  # size to inode
        return False
    young_ns = record.recorded_ns - TICK_NS
    return entry.mtime_ns < young_ns or entry.ctime_ns < young_ns


def _read(
    view: View,
    doubtful: Iterable[Entry],
    fs: FileSystem,
    records: dict[str, Record],
    clock: Clock,
    progress: Progress,
) -> None:
    doubtful = list(doubtful)
    boot_ns = clock.boot_ns()
    progress.start("reading", len(doubtful), sum(entry.size for entry in doubtful))
    for found in doubtful:
        path = found.path
        record = records.get(path)
        progress.advance(1, found.size)
        if record is not None and _emptied_by_power_cut(record, found, boot_ns):
            view.held[path] = EMPTIED
            continue
        try:
            entry, digest = fs.digest(path)
        except LocalChange:
            view.unsteady.add(path)
            continue
        except Blocked as error:
            view.hidden[path] = f"cannot be read: {error}"
            view.skipped.append(Skipped(printable(path), view.hidden[path], path, refused=True))
            continue
        view.entries[path] = entry
        view.hashes[path] = digest
        view.executable[path] = fs.executable(path)
        if record is not None and record.stamp is not None and record.hash == digest:
            _note_fresh(view, record, entry)
    progress.done()


def _note_fresh(view: View, record: Record, entry: Entry) -> None:
    if view.made_executable(entry.path, record) is not None:
        return  # to be told, and until then to be found again
    fresh = Record.of(entry, record.stamp or 0, record.hash, view.at_ns)
    if record[3:7] != entry[1:] or is_clean(fresh, entry):  # else the next sync reads it again anyway
        view.fresh.append(fresh._replace(sent=record.sent, conflict=record.conflict, executable=record.executable))


def _emptied_by_power_cut(record: Record, entry: Entry, boot_ns: int) -> bool:
    """A machine that lost power can leave a file that was being written at length zero.

    So one that had content at the last sync, is empty now, and was modified since then but before the machine last
    started is not taken for an edit. An old empty file that somebody puts there has an older mtime, or a ctime from
    after the start.
    """
    if entry.size or not record.size or record.recorded_ns >= boot_ns:
        return False
    return record.recorded_ns - TICK_NS <= entry.mtime_ns and max(entry.mtime_ns, entry.ctime_ns) < boot_ns
