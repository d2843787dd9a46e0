"""Bundles on the wire: what a push sends and what a pull brings (docs/protocol.md, section 6)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence

from client.connection import PIECE, Body
from client.ports import ServerAway
from sync import bundle
from sync.model import Change, Version


def pack(changes: Sequence[Change], bodies: dict[str, bytes]) -> Body:
    """The manifest, and after it the bodies by path, in the manifest's order."""
    manifest = json.dumps({"changes": [change.to_json() for change in changes]}, separators=(",", ":")).encode()
    entries = [("manifest.json", 0, manifest)]
    entries += [(c.path, c.mtime or 0, bodies[c.path]) for c in changes if c.kind == "put" and c.path in bodies]
    length = sum(bundle.encoded_size(path, len(body), mtime) for path, mtime, body in entries) + len(bundle.END)
    return Body(length, lambda: _joined(_archive(entries)), "application/x-tar")


def _archive(entries: Iterable[tuple[str, int, bytes]]) -> Iterator[bytes]:
    for path, mtime, body in entries:
        yield bundle.header(path, len(body), mtime)
        yield body
        yield bundle.padding(len(body))
    yield bundle.END


def _joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces worth a system call each."""
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def unpack(read: Callable[[], bytes], wanted: Sequence[Version]) -> Iterator[tuple[Version, Iterator[bytes]]]:
    """Each wanted version with its body in pieces. `read` gives the archive's next bytes, b"" at its end.

    Raises ServerAway where something else comes.
    """
    events = _events(read, wanted)
    for version in wanted:
        entry = next(events, None)
        if not isinstance(entry, bundle.Entry) or entry.path != version.path:
            raise ServerAway("the server sent other files than it was asked for", then="sync again")
        body = _entry_pieces(entry, events)
        yield version, body
        for _ in body:  # a body left unread must not pass for the next entry
            pass
    next(events, None)  # the archive's end has to be there; one entry more would be over the reader's limit


def _events(read: Callable[[], bytes], wanted: Sequence[Version]) -> Iterator[bundle.Event]:
    room = sum(version.size + len(version.path) * 4 + 4096 for version in wanted) + PIECE
    reader = bundle.BundleReader(max_entries=len(wanted), max_total=room)
    try:
        while data := read():
            yield from reader.feed(data)
        reader.close()
    except bundle.BundleError as error:
        raise ServerAway(f"the server's answer was damaged on the way ({error})", then="sync again") from error


def _entry_pieces(entry: bundle.Entry, events: Iterator[bundle.Event]) -> Iterator[bytes]:
    if entry.body is not None:
        if entry.body:
            yield entry.body
        return
    for event in events:
        if not isinstance(event, bundle.Piece):
            break
        yield event.data
        if event.last:
            return
    raise ServerAway(f"the download of {entry.path!r} was cut off", then="sync again")
