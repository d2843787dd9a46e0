"""Versions, conflicts and vaults as MongoDB documents, with field names of one letter where there are millions of them.

A free cluster counts uncompressed BSON: every letter of a version's field names is there once a version.

| field | of a version | of a conflict |
|---|---|---|
| `_id` | `{v: vault, t: stamp}` | `{v: vault, i: id}` |
| `p` | path | path |
| `b` | base; left out for none | base; left out for none |
| `h` | hash, its 32 bytes; left out for a tombstone | |
| `s` | size; left out for a tombstone | |
| `m` | mtime; left out for none | |
| `d`, `u` | device, user | |
| `x` | true where it is executable; left out otherwise | |
| `w` | when it was made, where its stamp ran ahead of that; left out otherwise | |
| `o`, `c` | | when it was opened; its candidates |
| `r` | | its resolution; left out while it is open |
"""

from __future__ import annotations

from typing import Any

from bson import Binary, Int64

from store.base import Role, Vault, as_lapses
from store.moving import Move
from sync.model import Candidate, Conflict, Version
from sync.plan import Lapse

Document = dict[str, Any]

# Above every stamp there can be, and every hash.
ALL_STAMPS = 1 << 62


def key_of(vault_id: str) -> Int64:
    return Int64(int(vault_id, 16))


def version_id(key: int, stamp: int) -> Document:
    return {"v": Int64(key), "t": Int64(stamp)}


def version_document(key: int, version: Version) -> Document:
    document: Document = {"_id": version_id(key, version.stamp), "p": version.path}
    if version.base is not None:
        document["b"] = Int64(version.base)
    if version.hash is not None:
        document["h"] = Binary(bytes.fromhex(version.hash))
        document["s"] = version.size
    if version.mtime is not None:
        document["m"] = Int64(version.mtime)
    document["d"] = version.device
    document["u"] = version.user
    if version.executable:
        document["x"] = True
    if version.at is not None:
        document["w"] = Int64(version.at)
    return document


def version_of(document: Document) -> Version:
    digest = document.get("h")
    return Version(
        document["p"],
        "delete" if digest is None else "put",
        int(document["_id"]["t"]),
        _integer(document.get("b")),
        None if digest is None else digest.hex(),
        int(document.get("s", 0)),
        _integer(document.get("m")),
        document["d"],
        document["u"],
        bool(document.get("x")),
        _integer(document.get("w")),
    )


def conflict_document(key: int, conflict: Conflict) -> Document:
    document: Document = {"_id": {"v": Int64(key), "i": conflict.id}, "p": conflict.path, "o": Int64(conflict.opened)}
    if conflict.base is not None:
        document["b"] = Int64(conflict.base)
    document["c"] = [one.to_json() for one in conflict.candidates]
    if conflict.resolution is not None:
        document["r"] = conflict.resolution
    return document


def conflict_of(document: Document) -> Conflict:
    return Conflict(
        document["_id"]["i"],
        document["p"],
        _integer(document.get("b")),
        int(document["o"]),
        tuple(Candidate.from_json(_plain(one)) for one in document["c"]),
        _plain(document.get("r")),
    )


def vault_document(vault: Vault) -> Document:
    """A new one. `members` is a list because a user's name may have dots, which in a field's name mean something.
    `revision` counts the document's changes, by which a transaction sees that it is still the one it read."""
    return {
        "_id": key_of(vault.id),
        "name": vault.name,
        "epoch": vault.epoch,
        "revision": 0,
        "clock": Int64(vault.clock),
        "purge_mark": Int64(vault.purge_mark),
        "members": members_document(vault.members),
        "files": Int64(vault.files),
        "bytes": Int64(vault.bytes),
        "stored": Int64(vault.stored),
        "conflicts": Int64(vault.conflicts),
        "auto_merge": vault.auto_merge,
        "lapses": lapses_document(vault.lapses),
        "versions": Int64(vault.versions),
    }


def members_document(members: dict[str, Role]) -> list[Document]:
    return [{"user": user, "role": role} for user, role in sorted(members.items())]


def lapses_document(lapses: tuple[Lapse, ...]) -> list[list[Int64]]:
    return [[Int64(after), Int64(until)] for after, until in lapses]


def vault_of(document: Document) -> Vault:
    return Vault(
        f"{document['_id']:016x}",
        document["name"],
        document["epoch"],
        int(document["clock"]),
        int(document["purge_mark"]),
        {one["user"]: one["role"] for one in document["members"]},
        int(document["files"]),
        int(document["bytes"]),
        int(document["stored"]),
        int(document["conflicts"]),
        # None of these is there in a vault that an older gobi made.
        bool(document.get("auto_merge", False)),
        as_lapses(document.get("lapses", ())),
        int(document.get("versions", 0)),
    )


def move_of(document: Document | None) -> Move | None:
    """`turn`, which the document has too, counts those who were kept in order by it."""
    if document is None or "state" not in document:
        return None
    return Move(document["id"], document["state"], document["notice"])


def move_document(move: Move) -> Document:
    return {"id": move.id, "state": move.state, "notice": move.notice}


def _integer(value: int | None) -> int | None:
    return None if value is None else int(value)


def _plain(value: Any) -> Any:  # noqa: ANN401  # JSON of any shape
    """Without the driver's own integers, which look like others and are not the same in JSON and repr."""
    match value:
        case Int64():
            return int(value)
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case _:
            return value
