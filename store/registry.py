"""Vaults and who may do what in them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Self

from store.access import Caller, admit
from store.base import RANK, Bodies, Bus, Identity, Metadata, PeopleChanged, Role, Vault
from store.bus import LocalBus
from store.errors import BadRequest, Forbidden, NameTaken, OtherVault
from store.offload import Offload, inline
from sync.model import Version
from sync.paths import is_name


class VaultName(str):
    """A vault's name, from a caller who knows the vault by its id as well: the name may be another one's by now."""

    __slots__ = ("id",)

    def __new__(cls, name: str, vault_id: str) -> Self:
        made = super().__new__(cls, name)
        made.id = vault_id
        return made

    id: str


class Registry:
    """The door to every vault: nothing else decides who may enter.

    `creators`: who may make vaults, None for everybody. `most_vaults`: how many one person may own; 0 is no limit.
    `by`: whose request a change is, which is looked at where it is committed (store/access.py); None: whoever runs the
    server.
    """

    def __init__(
        self,
        metadata: Metadata,
        bodies: Bodies,
        bus: Bus | None = None,
        *,
        offload: Offload = inline,
        creators: Collection[str] | None = None,
        most_vaults: int = 0,
    ) -> None:
        self._metadata = metadata
        self._creators = creators
        self._most_vaults = most_vaults
        self._bodies = bodies
        self._bus = bus or LocalBus()
        self._offload = offload

    def of(self, user: str) -> list[Vault]:
        """The user's vaults by name."""
        return self._metadata.vaults(user)

    def all(self) -> list[Vault]:
        return self._metadata.vaults()

    def create(self, user: str, name: str, by: Caller | None) -> tuple[Vault, bool]:
        """The vault, and whether it was made now. Raises NameTaken where it is somebody else's, BadRequest; Forbidden
        for one who may make none, TooMany for one who owns as many as may be."""
        if isinstance(name, VaultName):
            return self.enter(user, name), False  # one that is known is not made anew
        _check_name(name)
        if self._creators is not None and user not in self._creators:
            return self._only_known(user, name), False
        try:
            return self._metadata.create_vault(name, user, self._most_vaults, by=_identity(by)), True
        except NameTaken:
            there = self._metadata.vault(name)
            if there is None or user not in there.members:
                raise
            return there, False

    def _only_known(self, user: str, name: str) -> Vault:
        """For one who may make none: the same refusal whether the name is in use or not. Raises Forbidden."""
        there = self._metadata.vault(name)
        if there is None or user not in there.members:
            raise Forbidden("you may not make vaults here: ask whoever runs the server (GOBI_VAULT_CREATORS)")
        return there

    def enter(self, user: str, name: str, need: Role = "read") -> Vault:
        """The vault, for a member. Raises NotFound (the same where it exists but not for the user), Forbidden.

        OtherVault where `name` is a VaultName, and of another vault.
        """
        return _admit(self._metadata.vault(str(name)), user, need, name)

    def enter_for(self, user: str, name: str, path: str, need: Role = "read") -> tuple[Vault, Version | None]:
        """The same, and the newest version of one path, in one go."""
        vault, head = self._metadata.vault_and_head(str(name), path)
        return _admit(vault, user, need, name), head

    def set_member(self, vault: Vault, user: str, role: str, by: Caller | None) -> None:
        """Raises BadRequest, NotFound, LastOwner; TooMany for a new owner who owns as many vaults as may be."""
        if role not in RANK:
            raise BadRequest("the role has to be read, write or owner")
        self._metadata.set_member(vault.id, user, role, self._most_vaults, by=_identity(by))
        self._bus.publish(PeopleChanged())

    def remove_member(self, vault: Vault, user: str, by: Caller | None) -> None:
        """Raises NotFound, LastOwner."""
        self._metadata.remove_member(vault.id, user, by=_identity(by))
        self._bus.publish(PeopleChanged())

    def set_auto_merge(self, vault: Vault, on: bool, by: Caller | None) -> Vault:
        """Whether conflicts whose texts merge without doubt are settled so; the vault with that. Raises NotFound."""
        self._metadata.set_auto_merge(vault.id, on, by=_identity(by))
        return replace(vault, auto_merge=on)

    def rename(self, vault: Vault, name: str) -> None:
        """Its members' clients have to be told the new name. Raises NotFound, NameTaken, BadRequest."""
        _check_name(name)
        self._metadata.rename_vault(vault.id, name)
        self._bus.publish(PeopleChanged())  # nobody is in one of the old name any more

    def remove(self, vault: Vault, by: Caller | None) -> None:
        """The metadata first: bodies that nothing refers to are garbage, the reverse would be a loss."""
        self._metadata.remove_vault(vault.id, by=_identity(by))
        self._bus.publish(PeopleChanged())  # nobody is in it any more
        self._offload(self._bodies.remove_vault, vault.id)


def _check_name(name: str) -> None:
    if not is_name(name):
        raise BadRequest(
            f"{name!r} cannot be a vault's name: use 1 to 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first"
        )


def _admit(vault: Vault | None, user: str, need: Role, name: str) -> Vault:
    vault = admit(vault, user, "read")
    if isinstance(name, VaultName) and name.id != vault.id:
        raise OtherVault(
            f"{vault.name} is another vault than this client was connected to: that one was removed, or its name was "
            "given to this one"
        )
    return admit(vault, user, need)


def _identity(by: Caller | None) -> Identity | None:
    return None if by is None else by.identity
