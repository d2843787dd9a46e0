"""A file where the other side has a folder of that name: the file steps aside (docs/protocol.md, section 5)."""

from __future__ import annotations

from collections.abc import Iterator

from client.ports import Blocked, LocalChange
from client.work import Work
from sync.model import Action, Change, Version
from sync.paths import conflict_name

_NAMES = 100  # names tried for one file and day


def step_aside(work: Work, action: Action, there: Version) -> None:
    """The server refused `action`, an upload, because of its live file `there`. Another round goes on."""
    if there.path.startswith(action.path + "/"):
        _here(work, action)
    elif action.path.startswith(there.path + "/"):
        _on_server(work, action, there)
    else:
        work.wait(action, f"the server says that {there.path} is in the way", refused=True)


def _here(work: Work, action: Action) -> None:
    """Our file is in the way of the server's folder: it gets another name, and is new under that."""
    path = action.path
    entry = work.view.entries[path]
    why = "there are too many copies"
    for name in _free_names(work, path):
        try:
            work.fs.rename(path, name, entry)
        except LocalChange:
            work.retry(action)
            return
        except Blocked as error:
            why = str(error)
            continue
        work.index.forget(path)
        work.report.notes.append(f"{path} is a folder on the server: your file is {name} now")
        work.again = True
        return
    work.wait(action, f"the server has a folder of this name, and the file cannot step aside: {why}", refused=True)


def _on_server(work: Work, action: Action, there: Version) -> None:
    """The server's file is in the way of our folder: it gets another name there, then its old one goes."""
    work.retry(action, f"the server has a file named {there.path}")
    if there.path in work.stepped_aside:
        return  # for another file of the same folder
    work.stepped_aside.add(there.path)
    for name in _free_names(work, there.path):
        copy = Change(name, "put", None, there.hash, there.size, there.mtime, executable=there.executable or None)
        result = work.transport.push([copy], {}, False).results[0]
        if result.status in ("stored", "same"):
            break
        if result.code != "conflict":
            work.wait(action, f"the server has a file named {there.path}, which cannot step aside", refused=True)
            return
    else:
        return
    gone = work.transport.push([Change(there.path, "delete", there.stamp)], {}, False).results[0]
    if gone.status == "deleted":
        work.gone(there.path)
        work.report.notes.append(f"{there.path} is a folder here: the server's file is {name} now")


def _free_names(work: Work, path: str) -> Iterator[str]:
    today = work.clock.today()
    for number in range(1, _NAMES):
        name = conflict_name(path, work.device, today, number)
        if name not in work.view.entries and name not in work.index.records:
            yield name
