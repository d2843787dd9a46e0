"""Devices, sessions and invitations: what every backend keeps of them, and refuses about them, in the same words.

Both secrets are random, 160 bits each. argon2 is slow so that passwords which people think of cannot be tried one after
another by whoever has stolen the database; nobody gets anywhere near trying 2¹⁶⁰. So one round of SHA-256 is enough for
these. What is hashed begins with what it is for: neither can pass for the other.
"""

from __future__ import annotations

import hashlib

from store.base import Device, Invitation, Session, User
from store.errors import Forbidden, NameTaken, NotFound

MOST_DEVICES = 100
# Of one user, at one time.
MOST_INVITATIONS = 100
# Of one user: more are most likely a script's that does not sign out, and the oldest make room.
MOST_SESSIONS = 50


def device_hash(password: str) -> str:
    return _hash("device", password)


def invitation_hash(secret: str) -> str:
    return _hash("invitation", secret)


def with_device(user: User, device: Device) -> tuple[Device, ...]:
    """The user's devices and this one, by name. Raises NameTaken, Forbidden."""
    if any(one.name == device.name for one in user.devices):
        raise NameTaken(
            f"{user.name} has a device {device.name!r} already: choose another name, or revoke that one first (gobi "
            "user token revoke, or the page)"
        )
    if any(one.hash == device.hash for one in user.devices):
        raise NameTaken("another device has this password: make a new one")
    if len(user.devices) >= MOST_DEVICES:
        raise Forbidden(f"{user.name} has {MOST_DEVICES} devices, which is all there may be: revoke one first")
    return tuple(sorted((*user.devices, device), key=lambda one: one.name))


def without_device(user: User, name: str) -> tuple[Device, ...]:
    """Raises NotFound."""
    left = tuple(one for one in user.devices if one.name != name)
    if len(left) == len(user.devices):
        raise NotFound(f"{user.name} has no device {name!r}: see `gobi user token list {user.name}`")
    return left


def with_session(user: User, session: Session) -> tuple[Session, ...]:
    """The user's sessions and this one, without those that are over when it begins. Raises NotFound."""
    if user.stored(session.device) is None:
        raise NotFound(f"{user.name} has no device {session.device!r} any more")
    left = [one for one in user.sessions if session.began < one.expires]
    return (*left[max(0, len(left) + 1 - MOST_SESSIONS) :], session)


def without_session(user: User, session_id: str) -> tuple[Session, ...]:
    """Raises NotFound."""
    left = tuple(one for one in user.sessions if one.id != session_id)
    if len(left) == len(user.sessions):
        raise NotFound("there is no such session (any more): see GET /v1/sessions for those that there are")
    return left


def sessions_of_devices(user: User) -> tuple[Session, ...]:
    """Those that did not begin with the user's own password."""
    return tuple(one for one in user.sessions if one.device is not None)


def sessions_not_of(user: User, device: str) -> tuple[Session, ...]:
    return tuple(one for one in user.sessions if one.device != device)


def check_may_invite(user: str, open_ones: int) -> None:
    """Raises Forbidden."""
    if open_ones >= MOST_INVITATIONS:
        raise Forbidden(f"{MOST_INVITATIONS} invitations of {user} are open, which is all there may be: use some first")


def no_invitation() -> NotFound:
    """The same for one that never was, was used, is over, or leads nowhere any more."""
    return NotFound("this invitation is not good (any more): make a new one with `gobi invite`")


def is_open(invitation: Invitation, user: User, device: str, password: str) -> bool:
    """Whether it is still to be used; False where this very use of it was made before and its reply was lost.

    `password` is a hash. Raises NotFound where somebody else has used it, or the device was revoked since.
    """
    if invitation.password is None:
        return True
    if invitation.password == password and any((one.name, one.hash) == (device, password) for one in user.devices):
        return False
    raise no_invitation()


def _hash(purpose: str, secret: str) -> str:
    return hashlib.sha256(f"gobi {purpose}\0{secret}".encode("utf-8", "surrogatepass")).hexdigest()
