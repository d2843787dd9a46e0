"""The words of the protocol as values (docs/protocol.md, section 1).

Stamps and mtimes are integer microseconds since 1970. Hashes are SHA-256 as 64 lowercase hex digits.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Literal, NamedTuple

Json = dict[str, Any]

VersionKind = Literal["put", "delete"]
ChangeKind = Literal["put", "delete", "missing", "same"]
Verb = Literal["download", "delete_local", "upload", "delete_remote", "adopt", "conflict"]

HASH = re.compile(r"[0-9a-f]{64}")

MOST = (1 << 63) - 1
"""The largest integer of the protocol; the least mtime is its negative."""


def bounded_mtime(mtime: int, most: int = MOST) -> int:
    """The nearest mtime (µs) that the protocol and both databases can hold: a file system may hold later ones."""
    return max(-most, min(mtime, most))


class Version(NamedTuple):
    """One change of one path, as the log keeps it.

    A delete (tombstone) has no hash and size 0. Its `mtime` is that of the folder which the file was in, if whoever
    deleted it still has that: it is not to be removed for being empty. `executable`: the file's owner may run it. `at`:
    when the database says it was made, where its stamp is later than that because stamps ran ahead of the clock.
    """

    path: str
    kind: VersionKind
    stamp: int
    base: int | None
    hash: str | None
    size: int
    mtime: int | None
    device: str
    user: str
    executable: bool = False
    at: int | None = None

    @property
    def live(self) -> bool:
        return self.kind == "put"

    @property
    def made(self) -> int:
        """When it was made, µs: its stamp, but where stamps ran ahead of the clock."""
        return self.stamp if self.at is None else self.at

    def to_json(self) -> Json:
        row: Json = {
            "path": self.path,
            "kind": self.kind,
            "stamp": self.stamp,
            "base": self.base,
            "hash": self.hash,
            "size": self.size,
            "mtime": self.mtime,
            "device": self.device,
            "user": self.user,
        }
        if self.executable:
            row["executable"] = True
        if self.at is not None:
            row["at"] = self.at
        return row

    @classmethod
    def from_json(cls, row: Json) -> Version:
        """The version a server sent. Raises KeyError where a required field is missing."""
        return cls(
            row["path"],
            row["kind"],
            row["stamp"],
            row.get("base"),
            row.get("hash"),
            row.get("size") or 0,
            row.get("mtime"),
            row.get("device") or "",
            row.get("user") or "",
            bool(row.get("executable")),
            row.get("at"),
        )


class Change(NamedTuple):
    """What a client reports about one path (section 5). `sent`: hashes it sent for the path without an answer.

    `executable`: what the client made of it; None where it changed nothing about that.
    """

    path: str
    kind: ChangeKind
    base: int | None = None
    hash: str | None = None
    size: int = 0
    mtime: int | None = None
    sent: tuple[str, ...] = ()
    executable: bool | None = None

    def to_json(self) -> Json:
        row: Json = {"path": self.path, "kind": self.kind, "base": self.base}
        if self.hash is not None:
            row["hash"] = self.hash
        if self.kind == "put":
            row["size"] = self.size
            row["mtime"] = self.mtime
            if self.executable is not None:
                row["executable"] = self.executable
        elif self.mtime is not None:
            row["mtime"] = self.mtime
        if self.sent:
            row["sent"] = list(self.sent)
        return row


class Action(NamedTuple):
    """What a client is to do about one path.

    `base` goes with what is sent: for `upload` the present head's stamp, for `conflict` the settled base's, or None.
    """

    do: Verb
    path: str
    head: Version | None
    base: int | None = None

    def to_json(self) -> Json:
        head = self.head.to_json() if self.head else None
        row: Json = {"do": self.do, "path": self.path, "head": head}
        if self.do in ("upload", "conflict"):
            row["base"] = self.base
        return row

    @classmethod
    def from_json(cls, row: Json) -> Action:
        head = row.get("head")
        return cls(row["do"], row["path"], Version.from_json(head) if head else None, row.get("base"))


class Candidate(NamedTuple):
    """One client's side of a conflict. `n` counts from 1 within the conflict; `at` is the database's time in µs."""

    n: int
    user: str
    device: str
    hash: str
    size: int
    mtime: int | None
    at: int
    executable: bool = False

    def to_json(self) -> Json:
        row: Json = {
            "n": self.n,
            "user": self.user,
            "device": self.device,
            "hash": self.hash,
            "size": self.size,
            "mtime": self.mtime,
            "at": self.at,
        }
        if self.executable:
            row["executable"] = True
        return row

    @classmethod
    def from_json(cls, row: Json) -> Candidate:
        """Raises KeyError where a required field is missing."""
        return cls(
            row["n"],
            row["user"],
            row["device"],
            row["hash"],
            row["size"],
            row["mtime"],
            row["at"],
            bool(row.get("executable")),
        )


class Conflict(NamedTuple):
    """Two sides changed one path from one base. `base` is that base's stamp (None: both sides made the file new).

    Candidates are in the order of their numbers, of which some may be missing (sync/candidates.py).
    """

    id: str
    path: str
    base: int | None
    opened: int
    candidates: tuple[Candidate, ...]
    resolution: Json | None = None

    @property
    def open(self) -> bool:
        return self.resolution is None

    def candidate(self, n: int | None) -> Candidate | None:
        """Candidate `n`, or the newest for None; None where there is no such candidate."""
        if n is None:
            return self.candidates[-1]
        return next((one for one in self.candidates if one.n == n), None)

    @property
    def numbers(self) -> str:
        """Those of its candidates, for people."""
        return ", ".join(str(one.n) for one in self.candidates)

    def settled(self, resolution: Json) -> Conflict:
        return self._replace(resolution=resolution)


class Cursor(NamedTuple):
    """Where a reader stands: everything up to `stamp` in `epoch` was seen.

    In the middle of a first listing `position` is the last path that was listed ("" before the first page) and
    `stamp` the moment the listing began. The text form is opaque to clients.
    """

    epoch: str
    stamp: int
    position: str | None = None

    def __str__(self) -> str:
        if not self.epoch:
            return "0"
        text = f"{self.epoch}.{self.stamp}"
        if self.position is not None:
            text += "." + base64.urlsafe_b64encode(self.position.encode()).decode().rstrip("=")
        return text

    @property
    def at_start(self) -> bool:
        return not self.epoch

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor written as `text`. Raises ValueError for anything this server cannot have given."""
        if text == "0":
            return START
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise ValueError("not a cursor of this server")
        epoch, stamp, position = match.groups()
        if position is None:
            return cls(epoch, int(stamp))
        try:
            padded = position + "=" * (-len(position) % 4)
            return cls(epoch, int(stamp), base64.urlsafe_b64decode(padded).decode())
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError("not a cursor of this server") from None


_CURSOR = re.compile(r"([0-9a-f]{12})\.([0-9]{1,18})(?:\.([A-Za-z0-9_-]*))?")
START = Cursor("", 0)
