"""The log of one path, written as text, and what a client may say about it.

`10:A 20:B 30:-` is a log: at stamp 10 the bytes A were put, at 20 the bytes B, at 30 the file was deleted.
`40:Ax` would be A again, executable.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sync.model import Change, ChangeKind, Version
from sync.plan import Facts, Lapse

PATH = "notes/today.md"


def hash_of(letter: str) -> str:
    return hashlib.sha256(letter.encode()).hexdigest()


def version(stamp: int, letter: str, base: int | None = None) -> Version:
    """A put of the letter's bytes, executable where `x` is behind it, or a tombstone for `-`."""
    if letter == "-":
        return Version(PATH, "delete", stamp, base, None, 0, None, "desktop", "me")
    executable = letter.endswith("x")
    digest = hash_of(letter.removesuffix("x"))
    return Version(PATH, "put", stamp, base, digest, 1, None, "desktop", "me", executable)


def report(
    kind: ChangeKind, letter: str | None = None, *, base: int | None = None, sent: str = "", path: str = PATH
) -> Change:
    """What a client says of the path; `sent` has a letter for every body that it sent without an answer."""
    digest = hash_of(letter) if letter else None
    return Change(path, kind, base, digest, 1 if letter else 0, None, tuple(hash_of(one) for one in sent))


@dataclass(frozen=True)
class Log:
    """What the server has of the path. `purged` and `lapses` are the vault's."""

    versions: tuple[Version, ...]
    purged: int = 0
    lapses: tuple[Lapse, ...] = ()

    @classmethod
    def of(cls, text: str, purged: int = 0, lapses: tuple[Lapse, ...] = ()) -> Log:
        versions: list[Version] = []
        for word in text.split():
            stamp, _, letter = word.partition(":")
            versions.append(version(int(stamp), letter, versions[-1].stamp if versions else None))
        return cls(tuple(versions), purged, lapses)

    @property
    def head(self) -> Version | None:
        return self.versions[-1] if self.versions else None

    def facts(self, change: Change | None) -> Facts:
        """The protocol's words, taken literally (docs/protocol.md, section 5, "First the base is settled")."""
        if change is None:
            return Facts(self.head, None, self.purged, self.lapses)
        hashes = [*reversed(change.sent)]
        if change.hash is not None and change.hash not in change.sent[:-1]:
            hashes.insert(0, change.hash)
        for digest in hashes:
            newer = [one for one in self.versions if one.stamp > (change.base or 0) and one.hash == digest]
            if newer:
                return Facts(self.head, newer[-1], self.purged, self.lapses)
        base = next((one for one in self.versions if one.stamp == change.base), None)
        return Facts(self.head, base, self.purged, self.lapses)

    def knows(self, digest: str | None) -> bool:
        return any(one.hash == digest for one in self.versions if one.live)
