"""Remembering what was read and is not in step: large files that are refused, in conflict, or not sent yet."""

from __future__ import annotations

from client.index import Index, Record
from client.scan import View, is_clean

WORTH = 1024 * 1024
"""Bytes from which on reading a file again costs more than remembering it."""


def remember(index: Index, view: View) -> None:
    """To be called after the whole folder was looked at. Durable where anything was read that is worth it, so that a
    sync that breaks off need not be followed by another reading of everything. Raises Stopped.
    """
    for path in [path for path, reading in index.readings.items() if not _holds(reading, view)]:
        index.forget_reading(path)
    new = False
    for path, digest in view.hashes.items():
        entry = view.entries[path]
        if entry.size < WORTH or path in index.readings:
            continue
        reading = Record(path, None, digest, *entry[1:], view.at_ns)
        record = index.records.get(path)
        if is_clean(reading, entry) and (record is None or record[2:7] != reading[2:7]):
            index.put_reading(reading)
            new = True
    if new:
        index.save()


def _holds(reading: Record, view: View) -> bool:
    """Whether the file is there as it was read."""
    entry = view.entries.get(reading.path)
    return entry is not None and entry[1:] == reading[3:7] and view.hashes.get(reading.path) == reading.hash
