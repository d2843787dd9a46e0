"""The metadata of a backup as one file: JSON, an object a line, compressed with gzip. Any database's, for any other.

| line | what it is |
|---|---|
| `{"gobi-backup": 1, "gobi": …, "made": …}` | the first: the format, the program's version, when (µs since 1970) |
| `{"user": {…}}` | a person, with the hash of their password and those of their devices' |
| `{"vault": {…}}` | a vault as it stood at one moment; what follows is its own |
| `{"version": {…}}` | its log up to that moment, by stamp |
| `{"conflict": {…}}` | its conflicts with all candidates, open and settled |
| `{"vault-end": {…}}` | how many there were, the purge mark, and whether the vault was removed meanwhile |
| `{"end": {…}}` | the last: counts, and the SHA-256 of all lines before it, so that a part is not taken for the whole |

Fields that are not known are passed over, so new ones need no new format; whoever changes what is there does.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from store.base import Device, User, Vault, as_lapses
from store.errors import Refused
from sync.model import Candidate, Conflict, Json, Version

FORMAT = 1

# What a line has that is no row: the first, and the last.
HEADER, TRAILER = "gobi-backup", "end"
COUNTED = ("user", "vault", "version", "conflict")

# What reading JSON of another shape comes to.
_WRONG = (ValueError, LookupError, TypeError, AttributeError)

Row = tuple[str, Json]


class Writer:
    """Writes a backup's metadata into a file. Nothing counts before `end`."""

    def __init__(self, file: BinaryIO, *, program: str, made: int) -> None:
        self._file = gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0)
        self._hash = hashlib.sha256()
        self.counts = dict.fromkeys(COUNTED, 0)
        self._write({HEADER: FORMAT, "gobi": program, "made": made})

    def row(self, kind: str, fields: Json) -> None:
        self._write({kind: fields})
        if kind in self.counts:
            self.counts[kind] += 1

    def end(self) -> None:
        self._write({TRAILER: {**self.counts, "sha256": self._hash.hexdigest()}})
        self._file.close()

    def _write(self, line: Json) -> None:
        data = msgspec.json.encode(line) + b"\n"
        self._hash.update(data)
        self._file.write(data)


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """What a whole snapshot has. `made` is in µs; `vaults` leaves out those that were removed while it was made."""

    made: int
    program: str
    users: list[User]
    vaults: list[Vault]
    counts: dict[str, int]


def rows(path: Path) -> Iterator[Row]:
    """The kind and the fields of every line, header and trailer too. Raises Refused where it is not whole."""
    digest = hashlib.sha256()
    counts = dict.fromkeys(COUNTED, 0)
    ended = False
    decode = msgspec.json.Decoder().decode
    try:
        with gzip.open(path, "rb") as file:
            for number, line in enumerate(file):
                if ended:
                    raise ValueError("something follows its end")
                kind, fields = _row(decode(line), first=number == 0)
                if kind == TRAILER:
                    _check_end(fields, counts, digest.hexdigest())
                    ended = True
                elif kind in counts:
                    counts[kind] += 1
                digest.update(line)
                yield kind, fields
        if not ended:
            raise EOFError
    except EOFError:
        raise Refused(f"{path} is cut off: take another snapshot") from None
    except (*_WRONG, msgspec.DecodeError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, error) from None
    except OSError as error:
        raise Refused(f"{path} cannot be read ({error.strerror}): see to its disk and permissions") from None


def _damaged(path: Path, error: Exception) -> Refused:
    return Refused(f"{path} is damaged ({error}): take another snapshot")


def _row(line: Any, *, first: bool) -> Row:  # noqa: ANN401  # JSON of any shape
    if not first:
        ((kind, fields),) = line.items()
        return kind, fields
    if line[HEADER] > FORMAT:
        raise Refused(
            f"this backup has format {line[HEADER]} and was made by gobi {line.get('gobi')}, this gobi knows {FORMAT}: "
            "restore it with a newer gobi"
        )
    return HEADER, line


def _check_end(fields: Json, counts: dict[str, int], digest: str) -> None:
    if fields["sha256"] != digest or any(fields[kind] != count for kind, count in counts.items()):
        raise ValueError("its checksum is another one")


def summary(path: Path) -> Summary:
    """Reads all of it. Raises Refused where it is not whole, or of a newer format."""
    try:
        return _summary(path)
    except _WRONG as error:
        raise _damaged(path, error) from None


def _summary(path: Path) -> Summary:
    header: Json = {}
    users: list[User] = []
    vaults: list[Vault] = []
    counts: dict[str, int] = {}
    for kind, fields in rows(path):
        match kind:
            case "gobi-backup":
                header = fields
            case "user":
                users.append(user_of(fields))
            case "vault":
                vaults.append(_known(Vault, fields | {"lapses": as_lapses(fields.get("lapses", ()))}))
            case "vault-end":
                vault = vaults.pop()
                if not fields["removed"]:
                    vaults.append(dataclasses.replace(vault, purge_mark=fields["purge_mark"], conflicts=fields["open"]))
            case "end":
                counts = {name: fields[name] for name in COUNTED}
    return Summary(header["made"], header["gobi"], users, vaults, counts)


# -- one row


def user_row(user: User) -> Json:
    """Without sessions: what signs them is not in a backup, either."""
    return {name: value for name, value in dataclasses.asdict(user).items() if name != "sessions"}


def user_of(fields: Json) -> User:
    devices = tuple(_known(Device, one) for one in fields.get("devices", []))
    found: User = _known(User, fields | {"devices": devices})
    return found


def vault_row(vault: Vault) -> Json:
    return dataclasses.asdict(vault)


def conflict_row(conflict: Conflict) -> Json:
    return conflict._asdict() | {"candidates": [one.to_json() for one in conflict.candidates]}


def conflict_of(fields: Json) -> Conflict:
    known = {name: fields[name] for name in Conflict._fields}
    candidates = tuple(map(Candidate.from_json, fields["candidates"]))
    return Conflict(**known | {"candidates": candidates})


def version_of(fields: Json) -> Version:
    return Version.from_json(fields)


def _known(kind: Any, fields: Json) -> Any:  # noqa: ANN401  # a dataclass, and one of it
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in fields.items() if name in names})


def bodies_of(kind: str, fields: Json) -> list[tuple[str, str, int]]:
    """(path, hash, size) of the bodies that a row names."""
    if kind == "version" and fields["hash"] is not None:
        return [(fields["path"], fields["hash"], fields["size"])]
    if kind == "conflict":
        return [(fields["path"], one["hash"], one["size"]) for one in fields["candidates"]]
    return []
