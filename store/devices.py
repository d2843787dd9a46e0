"""Passwords for single devices, and invitations that lead to one: made here, shown once, kept as hashes."""

from __future__ import annotations

import secrets

from store.access import Caller
from store.base import Bus, Device, Metadata, PeopleChanged, Vault
from store.bus import LocalBus
from store.errors import BadRequest
from store.people import device_hash, invitation_hash, no_invitation
from store.refusals import no_user
from sync import invitation
from sync.paths import is_device

HOUR_S = 3600
VALID_HOURS = 24
MOST_HOURS = 24 * 30


class Devices:
    """Adds and revokes passwords of single devices; tells other workers."""

    def __init__(self, metadata: Metadata, bus: Bus | None = None) -> None:
        self._metadata = metadata
        self._bus = bus or LocalBus()

    def of(self, user: str) -> tuple[Device, ...]:
        """By name. Raises NotFound."""
        found = self._metadata.user(user)
        if found is None:
            raise no_user(user)
        return found.devices

    def add(self, user: str, device: str) -> str:
        """The password. Raises NotFound, NameTaken, Forbidden (too many), BadRequest."""
        check_device(device)
        password = invitation.device_password(secrets.token_bytes(invitation.RANDOM_BYTES))
        self._metadata.add_device(user, device, device_hash(password))
        return password

    def revoke(self, user: str, device: str, by: Caller | None) -> None:
        """`by`: as in store/registry.py. Raises NotFound."""
        self._metadata.remove_device(user, device, by=by.identity if by else None)
        self._bus.publish(PeopleChanged())


class Invitations:
    """Each is good for one device's password, once, and not for long."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def make(self, user: str, vault: Vault, by: Caller | None, valid_hours: int = VALID_HOURS) -> tuple[str, int]:
        """The secret, and when it expires (µs). `by`: as in store/registry.py.

        Raises NotFound, Forbidden (too many), BadRequest.
        """
        if not 1 <= valid_hours <= MOST_HOURS:
            raise BadRequest(f"an invitation is valid for 1 to {MOST_HOURS} hours")
        secret = invitation.secret(secrets.token_bytes(invitation.RANDOM_BYTES))
        valid_s, identity = valid_hours * HOUR_S, by.identity if by else None
        made = self._metadata.add_invitation(invitation_hash(secret), user, vault.id, valid_s, by=identity)
        return secret, made.expires

    def redeem(self, secret: str, device: str, password: str) -> tuple[str, str]:
        """The user, and the vault's name. The device made up its password, so that it may ask again after a lost reply.

        Raises BadRequest; NotFound for a secret that is not good (any more); NameTaken, Forbidden (too many).
        """
        check_device(device)
        if not invitation.is_device_password(password):
            raise BadRequest(
                "`password` has to be 20 random bytes in base32: 32 of a-z and 2-7, a '-' after every fourth"
            )
        if not invitation.is_secret(secret):
            raise no_invitation()
        return self._metadata.redeem(invitation_hash(secret), device, device_hash(password))


def check_device(name: str) -> None:
    """Raises BadRequest."""
    if not is_device(name) or name in (".", ".."):  # these two cannot stand in an address
        raise BadRequest(f"{name!r} cannot name a device: use 1 to 64 printable ASCII characters")
