"""The receiving end of a push: the manifest, then bodies in its order, each to a temporary file.

Blocking and without a loop of its own: it is fed chunks, wherever the caller wants that to happen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from store.base import Bodies, Incoming, Received
from store.errors import BadRequest, DiskFull, TooLarge
from sync.bundle import BundleError, BundleReader, BundleTooLarge, Entry, Piece
from sync.dense import complaint
from sync.judge import Write
from sync.model import HASH, bounded_mtime
from sync.paths import BadPath, check_path

MANIFEST = "manifest.json"
MAX_CHANGES = 10_000
MAX_BYTES = 256 << 20
MAX_MANIFEST = 16 << 20
_MOST_INTEGER = 1 << 62


@dataclass(slots=True)
class Item:
    """One change of the manifest. `refusal` is a code word of the protocol and ends the matter for this change."""

    path: str
    write: Write | None
    refusal: str | None = None
    received: Received | None = None


class Intake:
    """Takes a push apart. `feed` every chunk, then `close`; on any error `discard`.

    `admit`: whether there is room for a body of so many bytes, asked before it comes; it may block.
    """

    def __init__(
        self,
        bodies: Bodies,
        *,
        device: str,
        user: str,
        keep: bool,
        max_file: int,
        admit: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self.items: list[Item] = []
        self._bodies = bodies
        self._author = (device, user)
        self._keep = keep
        self._max_file = max_file
        self._admit = admit
        self._reader = BundleReader(max_entries=MAX_CHANGES + 1, max_total=MAX_BYTES)
        self._manifest: list[bytes] | None = []
        self._next = 0
        self._item: Item | None = None
        self._incoming: Incoming | None = None

    def feed(self, chunk: bytes) -> None:
        """Raises BadRequest, TooLarge. A body that the disk has no room for is refused alone."""
        try:
            events = self._reader.feed(chunk)
        except BundleTooLarge as error:
            raise TooLarge(f"{error}; send fewer changes in a request") from None
        except BundleError as error:
            raise BadRequest(str(error)) from None
        for event in events:
            if isinstance(event, Entry):
                self._entry(event)
            else:
                self._piece(event)

    def close(self) -> list[Item]:
        """The changes in order. Raises BadRequest where the archive was cut off."""
        try:
            self._reader.close()
        except BundleError as error:
            raise BadRequest(str(error)) from None
        if self._manifest is not None:
            raise BadRequest(f"the archive is empty: its first entry has to be {MANIFEST}")
        return self.items

    def discard(self) -> None:
        """Removes every temporary file."""
        if self._incoming is not None:
            self._incoming.discard()
        self._bodies.discard(item.received for item in self.items if item.received)

    def _entry(self, entry: Entry) -> None:
        if self._manifest is not None:
            if entry.path != MANIFEST:
                raise BadRequest(f"the archive's first entry has to be {MANIFEST}")
            if entry.size > MAX_MANIFEST:
                raise TooLarge(f"{MANIFEST} is larger than {MAX_MANIFEST} bytes: send fewer changes in a request")
            if entry.body is not None:
                self._read_manifest(entry.body)
            return
        self._item = self._announced(entry.path)
        if self._item.refusal is None and entry.size > self._max_file:
            self._item.refusal = "too-large"
        if self._item.refusal is None:
            try:
                if self._admit(entry.size):
                    self._incoming = self._bodies.receive()
                else:
                    self._item.refusal = "quota"
            except DiskFull:
                self._item.refusal = "disk-full"
        if entry.body is not None:
            self._piece(Piece(entry.body, last=True))

    def _piece(self, piece: Piece) -> None:
        if self._manifest is not None:
            self._manifest.append(piece.data)
            if piece.last:
                self._read_manifest(b"".join(self._manifest))
            return
        if self._incoming is None or self._item is None:
            return
        try:
            self._write(self._incoming, piece)
        except DiskFull:  # what it has taken is free again, and a smaller one may fit
            self._incoming.discard()
            self._incoming, self._item.refusal = None, "disk-full"

    def _write(self, incoming: Incoming, piece: Piece) -> None:
        """Raises DiskFull."""
        incoming.write(piece.data)
        if incoming.flush_due:
            incoming.flush()
        if piece.last:
            self._received(incoming.finish())
            self._incoming = None

    def _received(self, received: Received) -> None:
        item = self._item
        assert item is not None
        assert item.write is not None, "a body is received for a write only"
        if received.size != item.write.size:
            item.refusal = "length-mismatch"
        elif received.hash != item.write.hash:
            item.refusal = "hash-mismatch"
        if item.refusal is None:
            item.received = received
        else:
            self._bodies.discard([received])

    def _announced(self, path: str) -> Item:
        for index in range(self._next, len(self.items)):
            item = self.items[index]
            if item.path == path and (item.write is None or item.write.kind == "put"):
                self._next = index + 1
                return item
        raise BadRequest("the archive holds a file that the manifest does not announce, or not in this order")

    def _read_manifest(self, text: bytes) -> None:
        self._manifest = None
        wrong = complaint(text)
        if wrong == "too dense":
            raise TooLarge(f"{MANIFEST} holds more values than {MAX_CHANGES} changes have: send only what is asked for")
        if wrong is not None:
            raise BadRequest(f"{MANIFEST} is {wrong}")
        try:
            manifest = json.loads(text)
        except (ValueError, RecursionError):  # the latter: lists in lists in lists
            raise BadRequest(f"{MANIFEST} is not JSON") from None
        changes = manifest.get("changes") if isinstance(manifest, dict) else None
        if not isinstance(changes, list):
            raise BadRequest(f'{MANIFEST} has to be {{"changes": [change, …]}}')
        if len(changes) > MAX_CHANGES:
            raise TooLarge(f"more than {MAX_CHANGES} changes in one request: send them in several")
        self.items = [self._parse(change) for change in changes]

    def _parse(self, change: object) -> Item:
        if not isinstance(change, dict) or not isinstance(change.get("path"), str):
            raise BadRequest(f"{MANIFEST} has a change without a path")
        path: str = change["path"]
        try:
            check_path(path)
        except BadPath:
            # JSON can spell half of a surrogate pair, which no answer could repeat.
            return Item(path.encode(errors="replace").decode(), None, "bad-path")
        device, user = self._author
        kind, base, mtime = change.get("kind"), change.get("base"), change.get("mtime")
        if not (mtime is None or type(mtime) is int):
            return Item(path, None, "bad-request")
        mtime = None if mtime is None else bounded_mtime(mtime)
        if kind == "delete" and _is_stamp(base):
            return Item(path, Write(path, "delete", base, device, user, mtime=mtime))
        digest, size = change.get("hash"), change.get("size")
        good = kind == "put" and isinstance(digest, str) and HASH.fullmatch(digest) and _is_stamp(size)
        executable = change.get("executable")
        good = good and (executable is None or isinstance(executable, bool))
        if not good or not (base is None or _is_stamp(base)):
            return Item(path, None, "bad-request")
        assert isinstance(digest, str)
        assert isinstance(size, int)
        return Item(path, Write(path, "put", base, device, user, digest, size, mtime, self._keep, executable))


def _is_stamp(value: object) -> bool:
    return type(value) is int and 0 <= value < _MOST_INTEGER
