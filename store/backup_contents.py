"""What a database holds, written into a backup while others go on writing; and read from there as a move reads it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from store.backup_format import (
    Row,
    Summary,
    Writer,
    conflict_of,
    conflict_row,
    rows,
    user_row,
    vault_row,
    version_of,
)
from store.base import Invitation, Metadata, User, Vault
from store.migration import PAGE
from sync.model import Conflict, Version

# How often people and vaults are read again where people changed in between.
_TRIES = 10


def write(metadata: Metadata, writer: Writer) -> None:
    """Every vault as it stood at one moment, each at its own: the log up to the clock that it had then."""
    users, vaults = _people_and_vaults(metadata)
    for user in users:
        writer.row("user", user_row(user))
    for vault in vaults:
        writer.row("vault", vault_row(vault))
        _write_vault(metadata, vault, writer)
    writer.end()


def _without_sessions(metadata: Metadata) -> list[User]:
    """They are not kept, and somebody who signs in changes nothing that is."""
    return [replace(user, sessions=()) for user in metadata.users()]


def _people_and_vaults(metadata: Metadata) -> tuple[list[User], list[Vault]]:
    """Members are people: who was removed in between, and is added again one day, is not let in by a restored list."""
    users, vaults = _without_sessions(metadata), metadata.vaults()
    for _ in range(_TRIES):
        again = _without_sessions(metadata)
        if users == again:
            break
        users, vaults = again, metadata.vaults()
    names = {user.name for user in users}
    return users, [
        replace(vault, members={name: role for name, role in vault.members.items() if name in names})
        for vault in vaults
    ]


def _write_vault(metadata: Metadata, vault: Vault, writer: Writer) -> None:
    moving = metadata.moving()
    versions = conflicts = unsettled = after = 0
    while after < vault.clock and (page := moving.versions(vault.id, after, PAGE)):
        for version in page:
            if version.stamp <= vault.clock:
                writer.row("version", version.to_json())
                versions += 1
        after = page[-1].stamp
    last = ""
    while some := moving.conflicts(vault.id, last, PAGE):
        for conflict in some:
            then = _as_it_stood(metadata, vault, conflict)
            if then is not None:
                writer.row("conflict", conflict_row(then))
                conflicts += 1
                unsettled += then.open
        last = some[-1].id
    # Read last: whatever a purge removed under the reader's eyes lies below it.
    now = metadata.vault(vault.name)
    removed = now is None or now.id != vault.id
    mark = vault.purge_mark if now is None or removed else min(now.purge_mark, vault.clock)
    writer.row(
        "vault-end",
        {"versions": versions, "conflicts": conflicts, "open": unsettled, "purge_mark": mark, "removed": removed},
    )


def _as_it_stood(metadata: Metadata, vault: Vault, conflict: Conflict) -> Conflict | None:
    """The conflict without what came of it after the vault's moment. A candidate that came later stays: nobody is worse
    off for it.

    One that was settled since is open again, for the versions that settled it, and kept its candidates, are not there.
    """
    if conflict.opened > vault.clock and not metadata.history(vault.id, conflict.path, before=vault.clock + 1, limit=1):
        return None  # about a file that there was not yet
    settled = conflict.resolution or {}
    stamps = [*settled.get("versions", []), settled.get("at", 0)]
    return conflict._replace(resolution=None) if max(stamps) > vault.clock else conflict


class Contents:
    """A snapshot as the source of a move (store.migration.Contents), read once and in its order.

    Every vault has a new epoch, by which clients learn that they have to look at everything again. `stored`: the bytes
    of the bodies that each vault has now.
    """

    def __init__(self, path: Path, there: Summary, stored: Mapping[str, int]) -> None:
        self._users = there.users
        self._vaults = [replace(one, epoch=secrets.token_hex(6), stored=stored.get(one.id, 0)) for one in there.vaults]
        self._secret = secrets.token_bytes(32)
        self._rows = rows(path)
        self._next: Row | None = next(self._rows)

    def secret(self) -> bytes:
        """A new one: it signs sessions, and those of before end."""
        return self._secret

    def users(self) -> list[User]:
        return self._users

    def vaults(self) -> list[Vault]:
        return self._vaults

    def moving(self) -> Contents:
        return self

    def versions(self, vault_id: str, after: int, limit: int) -> list[Version]:
        if after == 0:
            self._go_to(vault_id)
        return [version_of(fields) for fields in self._take("version", limit)]

    def conflicts(self, vault_id: str, after: str, limit: int) -> list[Conflict]:  # noqa: ARG002  # they come in order
        return [conflict_of(fields) for fields in self._take("conflict", limit)]

    def invitations(self) -> list[Invitation]:
        """They are over within days, and are not in a backup."""
        return []

    def _go_to(self, vault_id: str) -> None:
        while self._next is not None:
            kind, fields = self._next
            self._advance()
            if kind == "vault" and fields["id"] == vault_id:
                return

    def _take(self, kind: str, limit: int) -> Iterator[dict[str, object]]:
        while limit and self._next is not None and self._next[0] == kind:
            yield self._next[1]
            self._advance()
            limit -= 1

    def _advance(self) -> None:
        self._next = next(self._rows, None)
