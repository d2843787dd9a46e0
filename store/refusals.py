"""What every backend refuses about people and vaults, in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from store.base import Vault
from store.errors import LastOwner, NameTaken, NotFound, TooMany

# Vaults that a message names.
_MOST_NAMED = 10


def no_user(name: str) -> NotFound:
    return NotFound(f"there is no user {name}: see `gobi user list`")


def no_vault() -> NotFound:
    return NotFound("there is no such vault (any more)")


def no_member(vault: Vault, user: str) -> NotFound:
    return NotFound(f"{user} is not a member of {vault.name}")


def not_in_vault(user: str) -> NotFound:
    return NotFound(f"{user} is not a member of that vault: an owner has to let them in first")


def user_exists(name: str) -> NameTaken:
    return NameTaken(f"there is a user {name} already: choose another name, or change the password")


def vault_exists(name: str) -> NameTaken:
    return NameTaken(f"the name {name} is taken: choose another one")


def check_owns_fewer(user: str, owned: int, most: int) -> None:
    """Raises TooMany where one more vault of theirs would be more than `most`; 0 is no limit."""
    if most and owned >= most:
        raise TooMany(
            f"{user} owns {owned} vaults, and may own {most}: remove one, or ask whoever runs the server "
            "(GOBI_VAULTS_PER_USER)"
        )


def orphaned(vaults: Iterable[Vault], without: str) -> list[Vault]:
    """Those of them of which `without` is the only owner."""
    return [one for one in vaults if _is_last_owner(one, without)]


def last_owner_of(user: str, vaults: Sequence[Vault]) -> LastOwner:
    """For a person who is to be removed. Others may have made them an owner unasked, so it has to take one command."""
    names = ", ".join(one.name for one in vaults[:_MOST_NAMED])
    more = f" and {len(vaults) - _MOST_NAMED} more" if len(vaults) > _MOST_NAMED else ""
    return LastOwner(
        f"{user} is the last owner of {names}{more}: give all of them to somebody with `gobi user remove {user} "
        "--vaults-to USER`, or remove those that nobody needs (gobi vault remove NAME --yes)"
    )


def check_keeps_an_owner(vault: Vault, without: str) -> None:
    """Raises LastOwner where `without` is the vault's only one."""
    if _is_last_owner(vault, without):
        raise LastOwner(f"{without} is the last owner of {vault.name}: make somebody else an owner first")


def _is_last_owner(vault: Vault, user: str) -> bool:
    return vault.members.get(user) == "owner" and list(vault.members.values()).count("owner") == 1
