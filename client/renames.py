"""Files that were renamed while gobi was not running: one is missing, and one new file has its content."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from client.index import Record
from client.ports import Entry
from client.work import Work
from sync.model import Action


def recognise(missing: Iterable[Record], new: Mapping[str, tuple[str, int]]) -> dict[str, str]:
    """Old path → new path. `new`: path → (hash, inode) of the files that nobody knows yet.

    Where several share a content, those with the same inode belong together; of the rest only a single pair does. All
    others are no renames: what is missing comes back, what is new is new.
    """
    missing_by_hash: dict[str, list[Record]] = defaultdict(list)
    for record in missing:
        missing_by_hash[record.hash].append(record)
    new_by_hash: dict[str, dict[int, str]] = defaultdict(dict)
    hard_links: set[str] = set()
    for path, (digest, inode) in new.items():
        if digest in missing_by_hash:
            if inode in new_by_hash[digest]:
                hard_links.add(digest)  # two new names for one file: the inode tells nothing
            new_by_hash[digest][inode] = path
    renamed: dict[str, str] = {}
    for digest, candidates in new_by_hash.items():
        if digest in hard_links:
            continue
        left: list[Record] = []
        for record in missing_by_hash[digest]:
            if record.inode in candidates:
                renamed[record.path] = candidates.pop(record.inode)
            else:
                left.append(record)
        if len(left) == 1 and len(candidates) == 1:
            renamed[left[0].path] = candidates.popitem()[1]
    return renamed


def carry_over(work: Work, renamed: Mapping[str, str], actions: Mapping[str, Action]) -> None:
    """Makes executable under its new name what others have made so under the old one meanwhile; or the reverse.

    `renamed`: old path → new path. Where the new name is on the server already, as under `gobi watch`, the file is
    known by its inode. A change of that here wins.
    """
    changed = {}
    for path, action in actions.items():
        record = work.index.records.get(path)
        head = action.head
        if action.do == "delete_remote" and head and record and head.executable != record.executable:
            changed[path] = record
    if not changed:
        return
    by_inode = {record.inode: old for old, record in changed.items() if old not in renamed}
    for path, record in list(work.index.records.items()):
        old = by_inode.get(record.inode)
        if old is None or record.hash != changed[old].hash or (record.stamp or 0) <= (changed[old].stamp or 0):
            continue
        if work.fs.executable(path) == changed[old].executable:
            work.fs.set_executable(path, Entry(path, *record[3:7]), not changed[old].executable)
            work.again = True  # to be found as a change of that, and told
    for old in changed.keys() & renamed.keys():
        new, wanted = renamed[old], not changed[old].executable
        new_entry = work.view.entries.get(new)
        if new_entry is not None and work.view.executable.get(new) == changed[old].executable:
            work.view.entries[new] = work.fs.set_executable(new, new_entry, wanted)
            work.view.executable[new] = work.fs.executable(new)
