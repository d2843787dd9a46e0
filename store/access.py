"""Who may do what: by a role in the vault, and by the credential that a request came with.

Both are looked at when a request comes in, which refuses early, and once more in the transaction that commits it, which
decides. In between lies the request's whole body, and a login that is remembered for half a minute.
"""

from __future__ import annotations

from dataclasses import dataclass

from store.base import RANK, Identity, Role, Transaction, User, Vault
from store.errors import Forbidden, NotFound, Unauthorized


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `device`: who is written down as the writer. `identity` names it only where it came with its own
    password."""

    user: str
    device: str
    identity: Identity


def admit(vault: Vault | None, user: str, need: Role) -> Vault:
    """The vault, for a member with that role. Raises NotFound (the same where it exists but not for the user),
    Forbidden."""
    role = vault.members.get(user) if vault else None
    if vault is None or role is None:
        raise NotFound("there is no such vault, or you are not a member of it: ask its owner")
    if RANK[role] < RANK[need]:
        raise Forbidden(f"your role in {vault.name} is {role}; this needs {need}: ask an owner")
    return vault


def check_writer(tx: Transaction, who: Identity, need: Role = "write") -> None:
    """Whether what a transaction is about to do is still the caller's to do. Raises Unauthorized, NotFound,
    Forbidden."""
    if not tx.is_good(who):
        raise no_longer_good()
    admit(tx.vault, who.user, need)


def check_good(user: User | None, who: Identity) -> None:
    """Whether the credential is the one that is kept now. `user`: whom `who` names, as the database has them. Raises
    Unauthorized."""
    if user is None or not is_good(user, who):
        raise no_longer_good()


def is_good(user: User, who: Identity) -> bool:
    """Whether the user has the password, and the session if it was one, that `who` came with."""
    same = user.name == who.user and user.stored(who.device) == who.stored
    return same and (who.session is None or any(one.id == who.session for one in user.sessions))


def no_longer_good() -> Unauthorized:
    return Unauthorized("the password was changed or revoked, the session ended, or the user removed: sign in again")
