"""Fetching bodies: small ones many at a time, large ones alone, and none that lies in the folder already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence

from client.answers import is_not_gobis
from client.install import Download, Installer
from client.ports import SMALL, Blocked, LocalChange, ServerAway, ServerRefused
from client.work import Work, in_bundles
from sync.model import Action, Version

BUNDLE_FILES = 1_000
BUNDLE_BYTES = 8 * 1024 * 1024
HANDFUL = 1024 * 1024  # bytes handed on at a time
PIECES_AHEAD = 8
FAILURES = 3  # files in a row that cannot be fetched before it must be the network
REFUSALS = 10  # files in a row that something on the way refuses before it is asked for no more

Piece = list[tuple[Download, list[bytes]]]


def pair_renames(work: Work, wanted: Sequence[Download], deletes: Sequence[Action]) -> dict[str, Action]:
    """Which downloads are files that were only renamed elsewhere: new path → the deletion of the old one.

    The same content, and the same time; or else the same name in another folder; or, touched and renamed, just that.
    """
    going = {one.path: one for one in deletes if _is_known(work, one.path)}
    pairs: dict[str, Action] = {}
    for likeness in (_time, _name, _content) if going else ():
        olds: dict[Likeness, list[str]] = defaultdict(list)
        for path in going:
            entry = work.view.entries[path]
            olds[likeness(path, entry.mtime_ns // 1000, entry.size), work.hash_of(path)].append(path)
        for download in wanted:
            head = download.head
            if head.path not in pairs and download.expected is None:
                found = olds.get((likeness(head.path, head.mtime, head.size), head.hash))
                if found:
                    pairs[head.path] = going.pop(found.pop())
    return pairs


def _is_known(work: Work, path: str) -> bool:
    return path in work.view.entries and work.view.why_unknown(path) is None


Likeness = tuple[object, str | None]


def _time(_: str, mtime_us: int | None, __: int) -> object:
    return mtime_us


def _name(path: str, _: int | None, size: int) -> object:
    return path.rpartition("/")[2] if size else path


def _content(path: str, _: int | None, size: int) -> object:
    return "" if size else path  # all empty files are alike


def copy_what_is_here(work: Work, installer: Installer, wanted: Sequence[Download]) -> list[Download]:
    """Stages what another file of the folder has the bytes of; returns the rest.

    A folder that was renamed elsewhere costs no transfer: to be called before the old names are removed.
    """
    hashes = {download.head.hash for download in wanted if download.head.size}
    sources: dict[str | None, str] = {}
    if hashes and work.index.records:
        for path in work.view.entries:
            digest = work.hash_of(path)
            if digest in hashes and work.view.why_unknown(path) is None:
                sources[digest] = path
    return [one for one in wanted if one.head.hash not in sources or not _copy(installer, one, sources, work)]


def _copy(installer: Installer, download: Download, sources: dict[str | None, str], work: Work) -> bool:
    try:
        with work.fs.open(sources[download.head.hash]) as file:
            staged = installer.stage(download, iter(lambda: file.read(HANDFUL), b""))
    except (LocalChange, Blocked):
        return False
    if not staged and installer.no_room is None:
        work.waiting.pop(download.action.path, None)  # not what it was a moment ago: fetch it, then
        return False
    return True


class Fetcher:
    """Receives bodies and hands them to the installer."""

    def __init__(self, work: Work, installer: Installer) -> None:
        self._work = work
        self._installer = installer
        self._alone: list[Download] = []
        self._taken: set[str] = set()
        self._failures = 0

    def fetch(self, wanted: Sequence[Download]) -> None:
        """Raises ServerAway, ServerRefused. What has come until then is staged."""
        wanted = sorted(wanted, key=lambda download: download.head.size)  # on a nearly full disk, what fits comes first
        small = [one for one in wanted if one.head.size <= SMALL]
        self._alone = [one for one in wanted if one.head.size > SMALL]
        with self._work.ahead(self._pulled(small)) as pieces:
            for piece in pieces:
                for download, chunks in piece:
                    self._take(download, chunks)
                self._installer.flush_if_due()
                if self._installer.no_room:
                    break
        for download in self._alone:
            if not self._installer.no_room:
                self._fetch_alone(download)
        if self._installer.no_room:
            for download in wanted:
                if download.head.path not in self._taken:
                    self._work.wait(download.action, self._installer.no_room)

    def _take(self, download: Download, chunks: Iterable[bytes]) -> None:
        self._taken.add(download.head.path)
        if self._installer.stage(download, chunks):
            self._work.report.bytes_down += download.head.size
        self._work.progress.advance(1, download.head.size)

    def _pulled(self, small: Sequence[Download]) -> Iterator[Piece]:
        """Runs ahead of the rest, so it touches nothing but the network and `_alone`, which is looked at afterwards."""
        bundles = list(in_bundles(small, lambda one: one.head.size, BUNDLE_FILES, BUNDLE_BYTES))[::-1]
        while bundles:
            asked = bundles.pop()
            left = yield from self._pull(asked)
            if 0 < len(left) < len(asked):
                bundles.append(left)
            elif len(left) == 1:
                self._alone += left
            elif left:  # one of them must be what the server stumbles over
                middle = len(left) // 2
                bundles += [left[middle:], left[:middle]]

    def _pull(self, bundle: list[Download]) -> Generator[Piece, None, list[Download]]:
        """One request. Returns what did not come."""
        piece: Piece = []
        size = complete = 0
        try:
            bodies = self._work.transport.pull([download.head for download in bundle])
            for download, (_, chunks) in zip(bundle, bodies, strict=True):
                piece.append((download, _bounded(chunks, download.head)))
                complete += 1
                size += download.head.size
                if size >= HANDFUL:
                    yield piece
                    piece, size = [], 0
        except ServerAway:
            if not complete:
                self._work.transport.vault()  # raises the same where it is not this bundle but the network
        except ServerRefused as no:
            # As where the server's disk has lost one of them, or a proxy takes no list so long.
            if no.status in (413, 500) or (is_not_gobis(no) and self._others_pass()):
                return bundle[complete:]
            missing = {(row["path"], row["stamp"]) for row in no.problem.get("missing") or ()}
            gone = [one for one in bundle if (one.head.path, one.head.stamp) in missing]
            if not gone:
                raise
            self._alone += gone
            return [one for one in bundle if one not in gone]
        if piece:
            yield piece
        return bundle[complete:]

    def _others_pass(self) -> bool:
        """Raises what everything meets, where it is not about this bundle."""
        self._work.transport.vault()
        return True

    def _fetch_alone(self, download: Download) -> None:
        try:
            with self._work.ahead(self._work.transport.get(download.head), PIECES_AHEAD) as chunks:
                self._take(download, chunks)
        except ServerAway as away:
            self._failures += 1
            if self._failures >= FAILURES:
                raise
            self._work.wait_for_server(download.action, away.message)
        except ServerRefused as no:
            if is_not_gobis(no):
                self._refuse(download, no)
            elif no.status in (401, 403):
                raise
            elif no.status in (404, 410):
                self._work.retry(download.action, "the server has a newer version by now")
            else:
                self._work.wait(download.action, str(no), refused=True)
        else:
            self._failures = 0
            self._installer.flush_if_due()

    def _refuse(self, download: Download, no: ServerRefused) -> None:
        """What is on the way does not let this one through. Raises `no` where it lets nothing through."""
        self._failures += 1
        if self._failures == REFUSALS or not self._others_pass():
            raise no
        if no.status >= 500:
            self._work.wait_for_server(download.action, str(no))
        else:
            self._work.wait(download.action, str(no), refused=True)


def _bounded(chunks: Iterable[bytes], version: Version) -> list[bytes]:
    """All of them, unless there are more than was announced: then just enough to notice."""
    taken: list[bytes] = []
    size = 0
    for chunk in chunks:
        taken.append(chunk)
        size += len(chunk)
        if size > version.size:
            break
    return taken
