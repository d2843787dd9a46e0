"""Vaults and who may do what in them."""

from __future__ import annotations

from store.base import RANK, Bodies, Metadata, Role, Vault
from store.errors import BadRequest, Forbidden, NameTaken, NotFound
from store.offload import Offload, inline
from sync.paths import is_name


class Registry:
    """The door to every vault: nothing else decides who may enter."""

    def __init__(self, metadata: Metadata, bodies: Bodies, *, offload: Offload = inline) -> None:
        self._metadata = metadata
        self._bodies = bodies
        self._offload = offload

    def of(self, user: str) -> list[Vault]:
        """The user's vaults by name."""
        return self._metadata.vaults(user)

    def all(self) -> list[Vault]:
        return self._metadata.vaults()

    def create(self, user: str, name: str) -> tuple[Vault, bool]:
        """The vault, and whether it was made now. Raises NameTaken where it is somebody else's, BadRequest."""
        if not is_name(name):
            raise BadRequest(
                f"{name!r} cannot be a vault's name: use 1 to 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first"
            )
        try:
            return self._metadata.create_vault(name, user), True
        except NameTaken:
            there = self._metadata.vault(name)
            if there is None or user not in there.members:
                raise
            return there, False

    def enter(self, user: str, name: str, need: Role = "read") -> Vault:
        """The vault, for a member. Raises NotFound (the same where it exists but not for the user), Forbidden."""
        vault = self._metadata.vault(name)
        role = vault.members.get(user) if vault else None
        if vault is None or role is None:
            raise NotFound("there is no such vault, or you are not a member of it: ask its owner")
        if RANK[role] < RANK[need]:
            raise Forbidden(f"your role in {vault.name} is {role}; this needs {need}: ask an owner")
        return vault

    def set_member(self, vault: Vault, user: str, role: str) -> None:
        """Raises BadRequest, NotFound, LastOwner."""
        if role not in RANK:
            raise BadRequest("the role has to be read, write or owner")
        self._metadata.set_member(vault.id, user, role)

    def remove_member(self, vault: Vault, user: str) -> None:
        """Raises NotFound, LastOwner."""
        self._metadata.remove_member(vault.id, user)

    def remove(self, vault: Vault) -> None:
        """The metadata first: bodies that nothing refers to are garbage, the reverse would be a loss."""
        self._metadata.remove_vault(vault.id)
        self._offload(self._bodies.remove_vault, vault.id)
