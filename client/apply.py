"""Doing here what the server's answer asks for: removing, receiving, and noting what is the same already."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from client.download import Fetcher, copy_what_is_here, pair_renames
from client.ignore import FILE as IGNORE_FILE
from client.ignore import MAX_BYTES
from client.install import Download, Installer
from client.order import Names
from client.ports import ServerRefused
from client.work import Work
from sync.model import Action, Version
from sync.paths import BadPath, check_path


def apply_here(work: Work, actions: Iterable[Action]) -> None:
    """`adopt`, `delete_local` and `download`. Raises ServerAway, ServerRefused, Stopped.

    New names first: what is only renamed here is never gone in between. Only what is in their way goes before.
    """
    wanted: list[Download] = []
    deletes: list[Action] = []
    for action in actions:
        if action.do == "adopt":
            _adopt(work, action)
        elif action.do == "delete_local":
            deletes.append(action)
        elif action.do == "download" and action.head is not None:
            download = _check(work, action, action.head)
            if download is not None:
                wanted.append(download)
    if not wanted and not deletes:
        return
    work.progress.start("receiving", len(wanted), sum(download.head.size for download in wanted))
    installer = Installer(work, _staying(deletes))
    try:
        missing = _use_what_is_here(work, installer, wanted, deletes)
        names = Names([download.head.path for download in wanted], folded=True)
        in_the_way = {action.path for action in deletes if names.need_room_of(action.path)}
        for action in deletes:
            if action.path in in_the_way:
                _delete(work, installer, action)
        if missing:
            Fetcher(work, installer).fetch(missing)
        installer.install()
        for action in deletes:
            if action.path not in in_the_way:
                _delete(work, installer, action)
    finally:
        if work.given_up:
            work.report.notes.append(
                f"{len(work.given_up):,} files were deleted, emptied or replaced elsewhere at once. What was here is "
                "kept in .gobi/trash/; remove them there when you are sure"
            )
        installer.finish()  # what came whole stays, also where the rest did not come
        work.progress.done()


def apply_rules(work: Work, actions: Mapping[str, Action]) -> Collection[Action]:
    """Brings `.gobiignore` here before anything else is sent or received. What is left to be done after that.

    Where it was written on both sides, what either leaves out stays where it is until somebody settles that.

    What only one of the old and the new patterns leaves out is none of this round's business. Since the patterns are
    others now, the next one looks at everything.
    """
    rules = actions[IGNORE_FILE]
    before = work.fs.patterns.ignored
    if rules.do in ("download", "delete_local"):
        apply_here(work, [rules])
        known = IGNORE_FILE not in work.waiting
    elif rules.do == "conflict" and rules.head is not None and rules.head.live:
        known = _fetch_theirs(work, rules.head)
    else:
        return actions.values()
    work.fs.read_rules()
    now = work.fs.patterns.ignored
    if work.fs.rules != work.view.rules:
        work.again = True
    left = [one for path, one in actions.items() if path != IGNORE_FILE and path not in before and path not in now]
    if not known and work.fs.patterns.kept is None:
        for action in left:
            if action.do in ("upload", "conflict"):
                work.wait(action, f"the vault's {IGNORE_FILE} could not be fetched, so what it leaves out is not known")
        left = [action for action in left if action.path not in work.waiting]
    return [rules, *left] if rules.do == "conflict" else left


def _fetch_theirs(work: Work, head: Version) -> bool:
    """The server's list, beside which this folder's stands. False where it does not come."""
    if head.size > MAX_BYTES:
        return True  # no list, to nobody
    try:
        work.fs.dispute_rules(b"".join(work.transport.get(head)))
    except ServerRefused:
        return False
    return True


def _staying(deletes: Iterable[Action]) -> set[str]:
    """Folders that those who deleted files in them still had when they deleted the last of these."""
    last: dict[str, Version] = {}
    for action in deletes:
        folder = action.path.rpartition("/")[0]
        head = action.head
        if head is not None and (folder not in last or head.stamp > last[folder].stamp):
            last[folder] = head
    return {folder for folder, head in last.items() if head.mtime is not None}


def _use_what_is_here(
    work: Work, installer: Installer, wanted: list[Download], deletes: list[Action]
) -> list[Download]:
    """Renames and copies files instead of fetching them; returns what has to be fetched. Takes from `deletes`."""
    pairs = pair_renames(work, wanted, deletes)
    missing = copy_what_is_here(work, installer, [one for one in wanted if one.head.path not in pairs])
    moved: set[str] = set()
    not_moved = []
    for download in wanted:
        old = pairs.get(download.head.path)
        if old is None:
            continue
        if installer.move(download, old, work.view.entries[old.path]):
            moved.add(old.path)
        else:
            not_moved.append(download)
    deletes[:] = [old for old in deletes if old.path not in moved]
    return missing + copy_what_is_here(work, installer, not_moved)


def _adopt(work: Work, action: Action) -> None:
    head, path = action.head, action.path
    if head is None or not head.live:
        work.gone(path)
    elif work.hash_of(path) == head.hash and work.view.why_unknown(path) is None:
        if work.index.records.get(path, None) is None or work.index.records[path].stamp != head.stamp:
            work.report.adopted += 1
        work.same(head, work.view.entries[path], work.view.at_ns)
    else:
        _adopt_unseen(work, head)


def _adopt_unseen(work: Work, head: Version) -> None:
    """A file that cannot be looked at now, reported as it last was."""
    record = work.index.records.get(head.path)
    if record is not None and record.hash == head.hash and record.stamp != head.stamp:
        work.index.put(record._replace(stamp=head.stamp))


def _check(work: Work, action: Action, head: Version) -> Download | None:
    """None where nothing has to come, or nothing can."""
    path = action.path
    try:
        check_path(path)
    except BadPath as error:
        work.wait(action, f"the server sent a name that it must not send: {error}", refused=True)
        return None
    if work.fs.ignored(path):
        return None  # once it is not ignored any more, the sync is a full one
    unknown = work.view.why_unknown(path)
    if unknown is not None:
        work.wait(action, unknown)
        return None
    entry = work.view.entries.get(path)
    if entry is not None and work.hash_of(path) == head.hash:
        work.same(head, entry, work.view.at_ns)
        return None
    return Download(action, head, entry, trash=_is_kept(work, path))


def _delete(work: Work, installer: Installer, action: Action) -> None:
    path = action.path
    if work.fs.ignored(path):
        return
    unknown = work.view.why_unknown(path)
    if unknown is not None:
        work.wait(action, unknown)
        return
    entry = work.view.entries.get(path)
    if entry is None:
        work.gone(path)
    else:
        installer.remove(action, entry, trash=_is_kept(work, path))


def _is_kept(work: Work, path: str) -> bool:
    """Whether the file that is replaced or removed goes to the trash: an only copy, and what others deleted in bulk."""
    return path in work.given_up or not work.on_server(path)
