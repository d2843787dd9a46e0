"""Bundles: many files in one tar, bytes in and bytes out (docs/protocol.md, section 6).

The format is ustar with pax headers (POSIX.1-2017, `pax`, "ustar Interchange Format" and "pax Header Block"), for
regular files only. Links, devices, folders, sparse files, GNU's long names and global headers are refused: nothing in
a bundle can point anywhere. It is our own codec because Python's `tarfile` takes most of a second for 10,000 notes,
on each leg; this one takes a few hundredths.

Writing an entry is `header(path, size, mtime)`, the body, `padding(size)`; after the last one comes `END`.
Reading is `BundleReader`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple
from zlib import adler32

BLOCK = 512
END = bytes(2 * BLOCK)
WHOLE_BODY = 64 * 1024  # up to this many bytes a body comes in one piece, with its entry
MAX_PAX = 64 * 1024  # bytes of one pax header
MAX_RECORDS = 100  # in one pax header; each costs the reader about a microsecond

_ZEROS = bytes(BLOCK)
_NAME, _PREFIX = 100, 155  # bytes that the two name fields hold
_OCTAL_LIMIT = 8**11  # what the size and mtime fields cannot hold any more

# name, mode, uid, gid, size, mtime, checksum, type, link name, magic and version, owner names, device, prefix
_WRITE = struct.Struct("100s8s8s8s12s12s8sc100x8s64x16x155s12x")
_READ = struct.Struct("100s24x12s12s8sc100x8s80x155s12x")
_SPACES = b" " * 8  # stands in the checksum's place while the sum is taken
_MAGIC, _GNU_MAGIC = b"ustar\00000", b"ustar  \0"

_PLAIN = (b"0", b"\0")
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a folder",
    b"6": "a FIFO",
    b"K": "a long link name in GNU's format; write it with --format=pax",
    b"L": "a long name in GNU's format; write it with --format=pax",
    b"S": "a sparse file",
    b"g": "a global pax header",
}
_PAX_LENGTH = re.compile(rb"([1-9][0-9]{0,5}) ")
_PAX_SIZE = re.compile(rb"[0-9]{1,18}")
_PAX_MTIME = re.compile(rb"(-?)([0-9]{1,13})(?:\.([0-9]*))?")  # what 64 bits of µs need


class BundleError(ValueError):
    """The archive is not one that gobi reads. The message says why, and is safe to show."""


class BundleTooLarge(BundleError):
    """The archive holds, or announces, more than the reader's limits."""


# ------------------------------------------------------------------------------------------------------------ writing


def header(path: str, size: int, mtime_us: int | None, *, executable: bool = False) -> bytes:
    """The block or blocks that announce a body of `size` bytes. `path` is one that `sync.paths` accepts.

    mtimes are whole seconds, rounded down, which is what ustar has and what `tar x` restores. A sub-second part alone
    does not earn a pax header: that would be 1 KiB more for nearly every note, and gobi's own clients know the exact
    time from JSON anyway. An entry that needs a pax header for another reason (a name that is not ASCII or does not
    fit, 8 GiB or more, a time before 1970 or after 2242) has the microseconds too. None is written as 0, 1970.
    """
    seconds = 0 if mtime_us is None else mtime_us // 1_000_000
    split = _split(path, size, seconds)
    if split is not None:
        return _block(*split, size, seconds, b"0", executable=executable)
    records = [(b"path", path.encode())]
    if size >= _OCTAL_LIMIT:
        records.append((b"size", b"%d" % size))
    if mtime_us is not None:
        whole, micros = divmod(abs(mtime_us), 1_000_000)
        records.append((b"mtime", b"%s%d.%06d" % (b"-" if mtime_us < 0 else b"", whole, micros)))
    pax = b"".join(_record(key, value) for key, value in records)
    return b"".join(
        (
            _block(b"PaxHeader", b"", len(pax), 0, b"x"),
            pax,
            padding(len(pax)),
            _block(
                path.encode("ascii", "replace")[-_NAME:],  # for a tar that does not know pax
                b"",
                size if size < _OCTAL_LIMIT else 0,
                seconds if 0 <= seconds < _OCTAL_LIMIT else 0,
                b"0",
                executable=executable,
            ),
        )
    )


def padding(size: int) -> bytes:
    """What follows a body of `size` bytes, up to the next block."""
    return _ZEROS[: -size % BLOCK]


def encoded_size(path: str, size: int, mtime_us: int | None) -> int:
    """Bytes of the whole entry: header, body and padding. An archive is its entries and `END`."""
    plain = _split(path, size, 0 if mtime_us is None else mtime_us // 1_000_000) is not None
    return (BLOCK if plain else len(header(path, size, mtime_us))) + size + -size % BLOCK


def _split(path: str, size: int, seconds: int) -> tuple[bytes, bytes] | None:
    """The name and prefix fields, or None where the entry needs a pax header."""
    if not path.isascii() or size >= _OCTAL_LIMIT or not 0 <= seconds < _OCTAL_LIMIT:
        return None
    name = path.encode()
    if len(name) <= _NAME:
        return name, b""
    cut = name.find(b"/", len(name) - _NAME - 1)
    if 0 < cut <= _PREFIX and cut < len(name) - 1:
        return name[cut + 1 :], name[:cut]
    return None


def _block(name: bytes, prefix: bytes, size: int, seconds: int, kind: bytes, *, executable: bool = False) -> bytes:
    """One header block. Both names are ASCII, so that the sum stays under Adler's modulus and `_sum` is exact."""
    mode = b"0000755\0" if executable else b"0000644\0"
    fields = (mode, b"0000000\0", b"0000000\0", b"%011o\0" % size, b"%011o\0" % seconds)
    checksum = b"%06o\0 " % _sum(_WRITE.pack(name, *fields, _SPACES, kind, _MAGIC, prefix))
    return _WRITE.pack(name, *fields, checksum, kind, _MAGIC, prefix)


def _sum(block: bytes) -> int:
    """The sum of the block's bytes, modulo 65,521.

    Adler-32 started at 0 keeps just that in its lower half: the checksum of tar, in C, where `sum` takes 4 µs.
    """
    return adler32(block, 0) & 0xFFFF


def _record(key: bytes, value: bytes) -> bytes:
    """A pax record, `length key=value\\n`; the length counts its own digits too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


# ------------------------------------------------------------------------------------------------------------ reading


class Entry(NamedTuple):
    """A file in the archive. A body of up to `WHOLE_BODY` bytes is here; a longer one is None, and pieces follow.

    The path is text, not checked against any rule but that it is not empty and has no NUL. `mtime_us`: microseconds.
    """

    path: str
    size: int
    mtime_us: int
    body: bytes | None


class Piece(NamedTuple):
    """The next bytes of a long body, never empty. After the `last` one, `size` bytes have come."""

    data: bytes
    last: bool


Event = Entry | Piece


class BundleReader:
    """Turns an archive, fed in chunks of any size, into entries. Holds one chunk and about 128 KiB, at most.

    Which events come depends on the archive alone, not on the chunks: every body of up to `WHOLE_BODY` bytes comes
    with its entry, every longer one in pieces (how many does depend on the chunks).

    `max_entries`: how many files may come. `max_total`: bytes of the whole archive, headers and padding included. Both
    are enforced when an entry announces itself, before its body is read.
    """

    def __init__(self, *, max_entries: int, max_total: int) -> None:
        self._max_entries = max_entries
        self._max_total = max_total
        self._step: Callable[[bytes, int, list[Event]], int] = self._header
        self._kept = bytearray()  # what was fed and not used yet
        self._need = 0  # how much of it the next step wants
        self._used = 0  # bytes of the archive before what is being looked at
        self._entries = 0
        self._pax: dict[bytes, bytes] | None = None  # for the next entry
        self._left = 0  # of a long body, or of its padding
        self._padding = 0  # after that body

    def feed(self, data: bytes) -> list[Event]:
        """What became complete with `data`. Raises BundleError; the archive is then to be refused as a whole, the
        events of this chunk are lost and the reader is of no more use."""
        if self._used + len(self._kept) + len(data) > self._max_total:
            raise self._too_long()
        if self._kept:
            self._kept += data
            if len(self._kept) < self._need:
                return []
            data = bytes(self._kept)
            self._kept.clear()
        events: list[Event] = []
        at, end = 0, len(data)
        while at < end:
            taken = self._step(data, at, events)
            if not taken:
                self._kept += data[at:]
                break
            at += taken
            self._used += taken
        return events

    def close(self) -> None:
        """Raises BundleError where the archive was cut off."""
        if self._step != self._after_end:
            raise BundleError("the archive is cut off: its end is missing")

    # Every step looks at `data` from `at` on and returns how many bytes it took; 0 means: call again with `_need`.

    def _header(self, data: bytes, at: int, events: list[Event]) -> int:
        there = len(data) - at
        if there < BLOCK:
            return self._wait(BLOCK)
        block = data[at : at + BLOCK]
        if block == _ZEROS:
            if self._pax is not None:
                raise BundleError("the archive ends where a pax header announced a file")
            self._step = self._second_zeros
            return BLOCK
        name, size_field, mtime_field, checksum, kind, magic, prefix = _READ.unpack(block)
        if _octal(checksum, "checksum") % 65521 != (_sum(block) - sum(checksum) + 256) % 65521:
            raise BundleError("a header's checksum is wrong: this is no tar archive, or it was damaged on the way")
        if kind not in _PLAIN and kind != b"x":
            what = _KINDS.get(kind, f"an entry of type {kind!r}")
            raise BundleError(f"only regular files can be in the archive; {_shown(name)} is {what}")
        if magic != _MAGIC and (magic != _GNU_MAGIC or prefix.strip(b"\0")):
            raise BundleError("not a ustar archive; write it with --format=pax")
        size = _octal(size_field, "size")
        if kind == b"x":
            return self._pax_header(data, at, size)
        path, size, mtime_us = self._resolve(name, prefix, size, mtime_field)
        if kind == b"\0" and path.endswith("/"):
            raise BundleError(f"only regular files can be in the archive; {path[:100]!r} is a folder")
        if self._entries >= self._max_entries:
            raise BundleTooLarge(f"the archive holds more than {self._max_entries} files")
        padded = size + -size % BLOCK
        if self._used + BLOCK + padded > self._max_total:
            raise self._too_long()
        if size <= WHOLE_BODY:
            if there < BLOCK + padded:
                return self._wait(BLOCK + padded)
            start = at + BLOCK
            events.append(Entry(path, size, mtime_us, data[start : start + size]))
            taken = BLOCK + padded
        else:
            events.append(Entry(path, size, mtime_us, None))
            self._left, self._padding = size, padded - size
            self._step = self._body
            taken = BLOCK
        self._entries += 1
        self._pax = None
        return taken

    def _pax_header(self, data: bytes, at: int, size: int) -> int:
        if self._pax is not None:
            raise BundleError("two pax headers for one file")
        if size > MAX_PAX:
            raise BundleError(f"a pax header is longer than {MAX_PAX} bytes")
        taken = BLOCK + size + -size % BLOCK
        if len(data) - at < taken:
            return self._wait(taken)
        start = at + BLOCK
        self._pax = _records(data[start : start + size])
        return taken

    def _resolve(self, name: bytes, prefix: bytes, size: int, mtime_field: bytes) -> tuple[str, int, int]:
        """Path, size and mtime in µs of an entry, by its own fields and the pax header before it."""
        pax = self._pax or {}
        raw = pax.get(b"path")
        if raw is None:
            raw = name.partition(b"\0")[0]
            folder = prefix.partition(b"\0")[0]
            if folder:
                raw = folder + b"/" + raw
        elif b"\0" in raw:
            raise BundleError("a file's name holds a NUL")
        if not raw:
            raise BundleError("a file in the archive has no name")
        try:
            path = raw.decode()
        except UnicodeDecodeError:
            raise BundleError(f"the name {_shown(raw)} is not UTF-8") from None
        if b"size" in pax:
            size = _pax_size(pax[b"size"], size, path)
        if b"mtime" in pax:
            return path, size, _pax_mtime(pax[b"mtime"], path)
        return path, size, _octal(mtime_field, "mtime") * 1_000_000

    def _body(self, data: bytes, at: int, events: list[Event]) -> int:
        piece = data[at : at + self._left]
        self._left -= len(piece)
        events.append(Piece(piece, not self._left))
        if not self._left:
            self._left = self._padding
            self._step = self._body_padding if self._padding else self._header
        return len(piece)

    def _body_padding(self, data: bytes, at: int, _events: list[Event]) -> int:
        taken = min(self._left, len(data) - at)
        self._left -= taken
        if not self._left:
            self._step = self._header
        return taken

    def _second_zeros(self, data: bytes, at: int, _events: list[Event]) -> int:
        if len(data) - at < BLOCK:
            return self._wait(BLOCK)
        if data[at : at + BLOCK] != _ZEROS:
            raise BundleError("a block of zeros stands in the middle of the archive")
        self._step = self._after_end
        return BLOCK

    def _after_end(self, data: bytes, at: int, _events: list[Event]) -> int:
        rest = data[at:]
        if rest.strip(b"\0"):  # tar fills its last record with zeros, and nothing else
            raise BundleError("something follows the archive's end")
        return len(rest)

    def _wait(self, need: int) -> int:
        self._need = need
        return 0

    def _too_long(self) -> BundleTooLarge:
        return BundleTooLarge(f"the archive is longer than {self._max_total} bytes")


def _octal(field: bytes, what: str) -> int:
    digits = field.strip(b" \0")
    if digits.isdigit():
        try:
            return int(digits, 8)
        except ValueError:
            pass
    if field[0] & 0x80:
        raise BundleError(f"a header's {what} is in GNU's binary form; write the archive with --format=pax")
    raise BundleError(f"a header's {what} is not an octal number: the archive is damaged")


def _records(pax: bytes) -> dict[bytes, bytes]:
    """The records of a pax header by key. Of two for one key the last counts, as POSIX says."""
    records: dict[bytes, bytes] = {}
    at = count = 0
    while at < len(pax):
        count += 1
        if count > MAX_RECORDS:
            raise BundleError(f"a pax header holds more than {MAX_RECORDS} records")
        match = _PAX_LENGTH.match(pax, at)
        end = at + int(match[1]) if match else 0
        if match is None or end > len(pax) or pax[end - 1] != 0x0A:
            raise BundleError("a pax header is damaged")
        key, equals, value = pax[match.end() : end - 1].partition(b"=")
        if not equals:
            raise BundleError("a pax header is damaged")
        if key.startswith(b"GNU.sparse."):
            raise BundleError("only regular files can be in the archive; one is a sparse file")
        records[key] = value
        at = end
    return records


def _pax_size(value: bytes, size: int, path: str) -> int:
    """The size by the pax header. The header's own field is 0 (a file of 8 GiB or more) or has to agree."""
    if not _PAX_SIZE.fullmatch(value):
        raise BundleError(f"the size of {path[:100]!r} is not a number")
    if size and int(value) != size:
        raise BundleError(f"the archive gives two sizes for {path[:100]!r}")
    return int(value)


def _pax_mtime(value: bytes, path: str) -> int:
    match = _PAX_MTIME.fullmatch(value)
    if match is None:
        raise BundleError(f"the mtime of {path[:100]!r} is not a time")
    sign, seconds, fraction = match.groups()
    micros = int(seconds) * 1_000_000 + int((fraction or b"").ljust(6, b"0")[:6])
    return -micros if sign else micros


def _shown(name: bytes) -> str:
    return repr(name.partition(b"\0")[0].decode("utf-8", "backslashreplace")[:_NAME])
