"""`gobi verify`: every file here beside the server's head, byte for byte: neither side's hashes are believed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from client.download import BUNDLE_BYTES, BUNDLE_FILES
from client.http import HttpTransport
from client.index import Record
from client.ports import SMALL, Blocked, Entry, FileSystem, LocalChange, Progress, ServerAway, ServerRefused, Skipped
from client.work import in_bundles
from sync.model import Version
from sync.paths import ancestors

HERE_PIECE = 256 * 1024


@dataclass
class Verified:
    """Paths, except for the two counts (files, bytes).

    `different`: the bytes differ although nothing says that the file was changed; `unreadable`: (path, why). `waiting`:
    changed here and not sent yet; `behind`: changed on the server and not fetched yet; `conflicts`: open ones.
    `missing`: only on the server, and nobody deleted it here; `ignored`: on the server, left out here by `.gobiignore`.
    """

    identical: int = 0
    size: int = 0
    different: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0: everything that is synced is the same on both sides."""
        wrong = self.different or self.unreadable or self.missing or self.extra
        under_way = self.waiting or self.behind or self.conflicts
        return 1 if wrong or under_way or any(one.refused for one in self.skipped) else 0


def verify(
    fs: FileSystem,
    transport: HttpTransport,
    records: dict[str, Record],
    deletes: Iterable[str],
    progress: Progress,
) -> Verified:
    """For the client that holds the folder's lock. `deletes`: paths whose deletion waits to be sent.

    Raises Stopped, ServerAway, ServerRefused.
    """
    entries, skipped = fs.scan()
    here = {entry.path: entry for entry in entries}
    hidden = {one.path for one in skipped if one.path is not None}

    def is_hidden(path: str) -> bool:
        return path in hidden or not hidden.isdisjoint(ancestors(path))

    found = Verified(skipped=skipped)
    deleted = set(deletes)
    both: list[Version] = []
    there: set[str] = set()
    for head in transport.heads():
        there.add(head.path)
        if head.path in here:
            both.append(head)
        elif fs.ignored(head.path):
            found.ignored.append(head.path)
        elif head.path in deleted:
            found.waiting.append(head.path)
        elif is_hidden(head.path):
            found.unreadable.append((head.path, "what is here in its place is skipped: nothing was compared"))
        else:
            known = records.get(head.path)
            (found.missing if known is not None and known.stamp == head.stamp else found.behind).append(head.path)
    for path in sorted(here.keys() - there):
        known = records.get(path)
        if known is None or known.stamp is None or _is_edited(fs, known, here[path]):
            found.waiting.append(path)
        else:
            found.extra.append(path)
    progress.start("comparing", len(both), sum(head.size for head in both))
    _Comparison(fs, transport, records, here, found, progress).compare(both)
    progress.done()
    for paths in (found.different, found.missing, found.extra, found.waiting, found.behind, found.conflicts):
        paths.sort()
    return found


def _is_edited(fs: FileSystem, known: Record, entry: Entry) -> bool:
    """Whether it has other bytes than those that were in step, and not only another time."""
    if known[3:7] == entry[1:]:
        return False
    try:
        return fs.digest(entry.path)[1] != known.hash
    except (LocalChange, Blocked, OSError):
        return True


class _Comparison:
    def __init__(
        self,
        fs: FileSystem,
        transport: HttpTransport,
        records: dict[str, Record],
        here: dict[str, Entry],
        found: Verified,
        progress: Progress,
    ) -> None:
        self._fs = fs
        self._transport = transport
        self._records = records
        self._here = here
        self._found = found
        self._progress = progress

    def compare(self, heads: Sequence[Version]) -> None:
        small = [head for head in heads if head.size <= SMALL]
        for bundle in in_bundles(small, lambda head: head.size, BUNDLE_FILES, BUNDLE_BYTES):
            self._pull(bundle)
        for head in heads:
            if head.size > SMALL:
                self._get(head)

    def _pull(self, bundle: list[Version]) -> None:
        """One request for many; what does not come with it is asked for alone."""
        done = 0
        try:
            for head, pieces in self._transport.pull(bundle):
                self._take(head, pieces)
                done += 1
        except ServerAway:
            self._transport.vault()  # raises the same where it is not this bundle but the network
        except ServerRefused as no:
            if no.status != 404 and no.status < 500:  # 500: one of them is damaged there
                raise
        for head in bundle[done:]:
            self._get(head)

    def _get(self, head: Version) -> None:
        try:
            self._take(head, self._transport.get(head))
        except ServerAway as away:
            self._transport.vault()
            self._found.unreadable.append((head.path, str(away)))
        except ServerRefused as no:
            if no.status in (401, 403):
                raise
            self._found.unreadable.append((head.path, f"the server does not give it: {no}"))

    def _take(self, head: Version, pieces: Iterator[bytes]) -> None:
        """Compares as the pieces come; a file here is never held whole."""
        digest = hashlib.sha256()
        same = True
        try:
            with self._fs.open(head.path) as file:
                for piece in pieces:
                    at = file.read(len(piece))
                    digest.update(at)
                    same = same and at == piece
                while rest := file.read(HERE_PIECE):
                    digest.update(rest)
                    same = False
        except (LocalChange, Blocked, OSError) as error:
            self._found.unreadable.append((head.path, str(error)))
        else:
            if same:
                self._found.identical += 1
                self._found.size += head.size
            else:
                self._why(head, digest.hexdigest()).append(head.path)
        self._progress.advance(1, head.size)

    def _why(self, head: Version, digest: str) -> list[str]:
        """Where a file belongs that is not as the server has it."""
        record, entry = self._records.get(head.path), self._here[head.path]
        if record is not None and record.conflict is not None:
            return self._found.conflicts
        if record is None or record.stamp is None:
            return self._found.waiting
        untouched = record[3:7] == entry[1:]  # size to inode
        if not untouched and digest != record.hash:
            return self._found.waiting
        if record.stamp != head.stamp and digest == record.hash:
            return self._found.behind
        return self._found.different
