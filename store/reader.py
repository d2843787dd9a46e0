"""Everything that only reads a vault: files, listings, changes, the sync exchange, history, conflicts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import chain
from os import SEEK_END
from typing import BinaryIO, NamedTuple

from store.base import Bodies, Metadata, Query, Vault
from store.bodies_verify import damaged, partly
from store.bundles import bundle, bundle_size
from store.errors import BadCursor, BadRequest, CursorExpired, NotFound, Purged
from store.offload import Offload, inline
from store.vaults import unknown_version
from sync.model import Action, Change, Conflict, Cursor, Json, Version
from sync.plan import Facts, evidence, plan

_ARCHIVE_PAGE = 1_000
# Conflicts of a listing that are in memory together.
CONFLICTS = 200
# The least that anything is kept is a day.
LONG_AWAY_US = 12 * 3600 * 1_000_000


class Page(NamedTuple):
    """Changes after a cursor, the cursor after them, and whether there are more now."""

    changes: list[Version]
    cursor: Cursor
    more: bool


class Folder(NamedTuple):
    """A page of what lies right in a folder, and the name to go on after (None at the end)."""

    files: list[Version]
    folders: list[str]
    following: str | None


class Answer(NamedTuple):
    """What a client needs to do, and the cursor to store once it is done."""

    actions: list[Action]
    cursor: Cursor
    more: bool


class Side(NamedTuple):
    """One side of a conflict: a body's hash and size, the path, the file's own mtime, and whether it may be run."""

    hash: str
    size: int
    path: str
    mtime: int | None
    executable: bool = False


class Reader:
    def __init__(self, metadata: Metadata, bodies: Bodies, *, offload: Offload = inline) -> None:
        self._metadata = metadata
        self._bodies = bodies
        self._offload = offload

    # -- files

    def head(self, vault: Vault, path: str) -> Version:
        """The live head. Raises NotFound, with the tombstone where there is one."""
        return require_live(self._metadata.heads(vault.id, [path]).get(path))

    def version(self, vault: Vault, path: str, stamp: int) -> Version:
        """Any version of the path, tombstones too. Raises NotFound, Purged."""
        found = self._metadata.find(vault.id, [(path, stamp)]).get((path, stamp))
        if found is None:
            raise unknown_version(vault, stamp)
        return found

    def open(self, vault: Vault, hash: str, size: int | None = None, *, whole: bool = True) -> BinaryIO:
        """A body, unbuffered, of which all is going to be read, or not.

        Raises BodyMissing, also where it has another `size`; as may reading it.
        """
        file = self._offload(self._bodies.open, vault.id, hash)
        if size is not None:
            if file.seek(0, SEEK_END) != size:
                file.close()
                raise damaged(hash)
            file.seek(0)
        if not whole:
            partly(file)
        return file

    def lost(self, vault: Vault) -> list[str]:
        """Hashes of bodies that the disk is known to have lost."""
        return self._offload(self._bodies.lost, vault.id)

    def listing(self, vault: Vault, prefix: str, after: str, limit: int) -> tuple[list[Version], str | None]:
        """Live heads by path in byte order, and the path to go on after (None at the end)."""
        page = self._metadata.live(vault.id, at=vault.clock, after=after, prefix=prefix, limit=limit)
        return page, page[-1].path if len(page) == limit else None

    def folder(self, vault: Vault, prefix: str, after: str, limit: int) -> Folder:
        """The live files and the folders right under `prefix`, by name in byte order, above the name `after`."""
        page = self._metadata.folder(vault.id, prefix=prefix, after=after, limit=limit)
        files = [one for one in page if isinstance(one, Version)]
        folders = [one for one in page if isinstance(one, str)]
        last = page[-1] if len(page) == limit else None
        return Folder(files, folders, last.path if isinstance(last, Version) else last)

    # -- what changed

    def parse_cursor(self, text: str) -> Cursor:
        """Raises BadCursor."""
        try:
            return Cursor.parse(text)
        except ValueError:
            raise BadCursor('that is not a cursor of this server: use one it gave, or "0" to begin anew') from None

    def cursor(self, vault: Vault) -> Cursor:
        """Where the vault stands."""
        return Cursor(vault.epoch, vault.clock)

    def changes(self, vault: Vault, cursor: Cursor, limit: int) -> Page:
        """The next page after `cursor`; from the start or within a listing, live heads. Raises CursorExpired."""
        self.check(vault, cursor)
        if cursor.at_start:
            cursor = Cursor(vault.epoch, vault.clock, "")
        if cursor.position is not None:
            page, position = self._metadata.listing(vault.id, at=cursor.stamp, after=cursor.position, limit=limit)
            return Page(page, Cursor(cursor.epoch, cursor.stamp, position), position is not None)
        page = self._metadata.changes(vault.id, cursor.stamp, limit)
        if page and _long_ago(vault, cursor.stamp):
            self._check_again(vault, cursor)
        stamp = page[-1].stamp if page else cursor.stamp
        return Page(page, Cursor(vault.epoch, stamp), len(page) == limit and stamp != vault.clock)

    def sync(self, vault: Vault, cursor: Cursor, changes: Sequence[Change], last: bool, limit: int) -> Answer:
        """The exchange of docs/protocol.md, section 5. Raises CursorExpired, BadRequest.

        The cursor to return is read before anything is judged, so that nothing can fall between.
        """
        reported = {change.path: change for change in changes}
        if len(reported) < len(changes):
            raise BadRequest("a path is reported twice in `changes`: report each once")
        if last:
            page, following, more = self.changes(vault, cursor, limit)
        else:
            self.check(vault, cursor)
            following = Cursor(vault.epoch, vault.clock, "") if cursor.at_start else cursor
            page, more = [], False
        others = dict.fromkeys(version.path for version in page if version.path not in reported)
        queries = [_query(change) for change in changes] + [Query(path, None) for path in others]
        facts = self._metadata.facts(vault.id, queries) if queries else {}
        actions = [plan(change, facts[change.path]) for change in changes]
        actions += [plan(None, Facts(facts[path].head, None)) for path in others]
        return Answer([action for action in actions if action is not None], following, more)

    def check(self, vault: Vault, cursor: Cursor) -> None:
        """Raises CursorExpired for a cursor that the log cannot be read on from."""
        if cursor.at_start:
            return
        known = cursor.stamp in (vault.clock, vault.purge_mark) or cursor.stamp == 0
        if cursor.epoch != vault.epoch or cursor.stamp < vault.purge_mark:
            known = False
        elif not known:
            known = self._metadata.has_stamp(vault.id, cursor.stamp)
        if not known:
            raise CursorExpired('the cursor is no good any more: sync again from "0"')

    def _check_again(self, vault: Vault, cursor: Cursor) -> None:
        """What was just read may lack what a collection took out of it since the vault was looked up: a deletion, of
        which its device would never hear. The mark is raised before anything goes. Raises CursorExpired."""
        now = self._metadata.vault(vault.name)
        if now is not None and now.id == vault.id:
            self.check(now, cursor)

    # -- older versions

    def log(
        self,
        vault: Vault,
        *,
        before: int | None,
        since: int,
        device: str | None,
        user: str | None,
        prefix: str,
        limit: int,
    ) -> tuple[list[Version], int | None]:
        """As Metadata.recent; from the newest version on where `before` is None."""
        below = vault.clock + 1 if before is None else before
        return self._metadata.recent(
            vault.id, before=below, since=since, device=device, user=user, prefix=prefix, limit=limit
        )

    def history(self, vault: Vault, path: str, before: int | None, limit: int) -> tuple[list[Version], int | None]:
        """Newest first, and what to pass as `before` for the next page. Raises NotFound for a path without any."""
        page = self._metadata.history(vault.id, path, before=before, limit=limit)
        if not page and before is None:
            raise NotFound("there never was such a file, or its history was purged")
        return page, page[-1].stamp if len(page) == limit else None

    # -- many files

    def pull(self, vault: Vault, wanted: Sequence[tuple[str, int]]) -> tuple[int, Iterator[bytes]]:
        """A tar with these bodies in order: its length in bytes, and its pieces. Raises NotFound with `missing`;
        BodyMissing, where that is known before the first piece."""
        found = self._metadata.find(vault.id, set(wanted))
        missing: list[dict[str, object]] = [
            {"path": path, "stamp": stamp}
            for path, stamp in wanted
            if (path, stamp) not in found or not found[path, stamp].live
        ]
        if missing:
            raise NotFound("some of these versions are unknown or deletions: see `missing`", missing=missing)
        versions = [found[one] for one in wanted]
        pieces = bundle(self._bodies, vault.id, versions, self._offload)
        first = next(pieces)  # now, while an error can still be answered
        return bundle_size(versions), chain([first], pieces)

    def archive(self, vault: Vault, at: int | None) -> Iterator[bytes]:
        """The whole vault as it stood at moment `at` (µs; now for None), as a tar in pieces. Raises Purged."""
        if at is not None and at < vault.purge_mark:
            raise Purged("what stood then was purged: its time to be kept was over")
        moment = vault.clock if at is None else at
        return bundle(self._bodies, vault.id, self._live(vault, moment), self._offload)

    def _live(self, vault: Vault, moment: int) -> Iterator[Version]:
        after: str | None = ""
        while after is not None:
            page = self._metadata.live(vault.id, at=moment, after=after, limit=_ARCHIVE_PAGE)
            self._check_moment(vault, moment)
            yield from page
            after = page[-1].path if len(page) == _ARCHIVE_PAGE else None

    def _check_moment(self, vault: Vault, moment: int) -> None:
        """As `_check_again`, for what stood at a moment. Raises Purged: an archive that is cut off is no archive."""
        now = self._metadata.vault(vault.name) if _long_ago(vault, moment) else None
        if now is not None and now.id == vault.id and moment < now.purge_mark:
            raise Purged("what stood then was purged: its time to be kept was over")

    # -- conflicts

    def conflicts(self, vault: Vault) -> list[Conflict]:
        """The open ones, oldest first."""
        return self._metadata.open_conflicts(vault.id)

    def conflict_pages(self, vault: Vault) -> Iterator[list[Json]]:
        """The wire form of the open ones, oldest first, some at a time: however many there are, few are in memory."""
        after = (0, "")
        while True:
            page = self._metadata.open_conflicts(vault.id, after=after, limit=CONFLICTS)
            yield self.conflict_json(vault, page) if page else []
            if len(page) < CONFLICTS:
                return
            after = (page[-1].opened, page[-1].id)

    def conflict(self, vault: Vault, id: str) -> Conflict:
        """Raises NotFound."""
        found = self._metadata.conflict(vault.id, id)
        if found is None:
            raise NotFound("there is no such conflict")
        return found

    def conflict_json(self, vault: Vault, conflicts: Sequence[Conflict]) -> list[Json]:
        """The wire form, with the base's and the server's version as they are now."""
        bases = self._metadata.find(vault.id, {(one.path, one.base) for one in conflicts if one.base is not None})
        heads = self._metadata.heads(vault.id, {one.path for one in conflicts})
        rows = []
        for one in conflicts:
            base = bases.get((one.path, one.base)) if one.base is not None else None
            server = heads.get(one.path)
            row: Json = {
                "id": one.id,
                "path": one.path,
                "state": "open" if one.open else "settled",
                "opened": one.opened,
                "base": base.to_json() if base else None,
                "server": server.to_json() if server else None,
                "candidates": [candidate.to_json() for candidate in one.candidates],
            }
            if one.resolution is not None:
                row["resolution"] = one.resolution
            rows.append(row)
        return rows

    def conflict_side(self, vault: Vault, id: str, side: str) -> Side:
        """`base`, `server`, `client` (the newest candidate) or a candidate's number. Raises NotFound."""
        conflict = self.conflict(vault, id)
        if side == "base":
            if conflict.base is None:
                raise NotFound("this conflict has no base: both sides made the file new")
            return _side(self.version(vault, conflict.path, conflict.base))
        if side == "server":
            return _side(self.head(vault, conflict.path))
        number = int(side) if side.isascii() and side.isdigit() and len(side) < 10 else None
        candidate = conflict.candidate(number) if number is not None or side == "client" else None
        if candidate is None:
            raise NotFound("a conflict's sides are base, server, client, and its candidates' numbers")
        body = (candidate.hash, candidate.size)
        if not conflict.open and self._offload(self._bodies.missing, vault.id, [body]):
            raise Purged("that side was purged: the conflict was settled long ago")
        return Side(candidate.hash, candidate.size, conflict.path, candidate.mtime, candidate.executable)


def _long_ago(vault: Vault, stamp: int) -> bool:
    """Whether a collection may be at what came right after it, also where nothing else was written since."""
    return max(vault.clock, time.time_ns() // 1_000) - stamp > LONG_AWAY_US


def require_live(head: Version | None) -> Version:
    """A path's newest version where that is a put. Raises NotFound, with the tombstone where there is one."""
    if head is None or not head.live:
        raise NotFound("there is no such file" if head is None else "the file was deleted", head=head)
    return head


def _query(change: Change) -> Query:
    return Query(change.path, change.base, evidence(change))


def _side(version: Version) -> Side:
    if version.hash is None:
        raise NotFound("that side is a deletion", head=version)
    return Side(version.hash, version.size, version.path, version.mtime, version.executable)
