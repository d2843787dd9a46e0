"""`gobi rm`: deleting files here and, with the next sync, everywhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from client.changes import BY_HAND, deletes_of
from client.ignore import FILE as IGNORE_FILE
from client.index import Index
from client.names import printable
from client.ports import Blocked, Clock, FileSystem, LocalChange, Stopped
from client.queue import DELETE, OperationQueue
from client.report import Removal
from client.scan import is_clean
from client.words import counted

USAGE = 2


def remove(fs: FileSystem, index: Index, queue: OperationQueue, clock: Clock, names: Iterable[str]) -> Removal:
    """`names`: vault paths of files or folders. The deletes are durably in the queue before any file goes.

    Raises Stopped for a name that is neither here nor tracked; then nothing was removed.
    """
    entries = {entry.path: entry for entry in fs.scan()[0]}
    names, removal = list(names), Removal()
    letting_go = IGNORE_FILE in names and _is_nobodys_but_ours(fs, index)
    if letting_go:
        list_entry = fs.stat(IGNORE_FILE)  # no scan shows one that leaves itself out
        if list_entry is not None:
            entries[IGNORE_FILE] = list_entry
    known = entries.keys() | index.records.keys()
    if letting_go and fs.patterns.kept is not None:
        known.add(IGNORE_FILE)
    paths = sorted({path for name in names for path in _meant(name, known)})
    waiting = [one for one in queue.load()[0] if one.op != DELETE or one.by == BY_HAND]
    queue.append(deletes_of(paths, index.records, waiting, clock, BY_HAND))
    for path in paths:
        try:
            if path in entries:
                fs.remove(path, entries[path], trash=not is_clean(index.records.get(path), entries[path]))
        except LocalChange:
            removal.failed.append((path, "it changed at this very moment; look at it, then try again"))
        except Blocked as error:
            removal.failed.append((path, str(error)))
        else:
            removal.removed.append(path)
    if letting_go and IGNORE_FILE in removal.removed:
        fs.forget_rules()  # no server will say that it is gone
    try:
        fs.flush()
    except Blocked as error:
        raise Stopped(f"the files are gone, but the disk may forget that at a power cut: {error}") from error
    removal.notes, _ = fs.release()
    if kept := sum(path not in entries and _is_here(fs, path) for path in paths):
        removal.notes.append(
            f"{counted(kept, 'file')} of these, left out here, stay{'s' * (kept == 1)} on this machine"
        )
    return removal


def _is_here(fs: FileSystem, path: str) -> bool:
    try:
        return fs.stat(path) is not None
    except Blocked:
        return False


def _is_nobodys_but_ours(fs: FileSystem, index: Index) -> bool:
    """Whether no server takes part in what becomes of `.gobiignore`: it never had it, or it leaves itself out."""
    return IGNORE_FILE not in index.records or fs.ignored(IGNORE_FILE)


def _meant(name: str, known: Collection[str]) -> list[str]:
    if name in known:
        return [name]
    below = name.rstrip("/") + "/"
    found = [path for path in known if path.startswith(below)]
    if not found:
        raise Stopped(f"there is no file or folder {printable(name)!r}, so nothing was deleted; check the name", USAGE)
    return found
