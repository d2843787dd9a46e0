"""People and their passwords: argon2id, off the event loop. A verified one is remembered: for half a minute without a
look at the database, and for a day while the database has the same hash of it.

19 MiB, two passes, one lane: the OWASP minimum for argon2id, 25 ms where a Raspberry Pi is the server. A device's own
password is random and needs none of that (store/people.py).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unicodedata import normalize

from store.base import Bus, Gap, Identity, Message, Metadata, PeopleChanged, User
from store.bus import LocalBus
from store.errors import BadRequest, NameTaken
from store.offload import Offload, inline
from store.people import device_hash
from sync.paths import is_name

if TYPE_CHECKING:
    from argon2 import PasswordHasher

REMEMBERED_S = 30.0
KNOWN_S = 24 * 3600.0
MOST_KNOWN = 1_000
MAX_PASSWORD = 1_024


@dataclass(frozen=True, slots=True)
class _Verified:
    who: Identity
    at: float
    generation: int


class Users:
    """Adds, changes, removes and recognises people; tells other workers. `clock` gives seconds that only go forward."""

    def __init__(
        self,
        metadata: Metadata,
        bus: Bus | None = None,
        *,
        offload: Offload = inline,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metadata = metadata
        self._bus = bus or LocalBus()
        self._offload = offload
        self._clock = clock
        self._key = secrets.token_bytes(32)
        # Credentials that were verified, by a keyed digest, never in the clear.
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        # Goes up with whatever may have made a password wrong: what was verified before that is verified again.
        self._generation = 0
        self._nobody: str | None = None
        self._somebody = False
        self._bus.subscribe(self._hear)

    def add(self, name: str, password: str) -> None:
        """Raises NameTaken, BadRequest."""
        _check_name(name)
        if self._metadata.user(name) is not None:
            raise NameTaken(f"there is a user {name} already: choose another name, or change the password")
        self._metadata.add_user(name, self._hash(password))

    def set_password(self, name: str, password: str, *, revoke_devices: bool = False) -> None:
        """Devices' own passwords stay good, unless `revoke_devices`. Raises NotFound, BadRequest."""
        self._metadata.set_password(name, self._hash(password), revoke_devices=revoke_devices)
        self._bus.publish(PeopleChanged())

    def rename(self, name: str, new: str) -> None:
        """Signs in with the same passwords under the new name; sessions end. Raises NotFound, NameTaken, BadRequest."""
        _check_name(new)
        self._metadata.rename_user(name, new)
        self._bus.publish(PeopleChanged())

    def remove(self, name: str, heir: str | None = None) -> list[str]:
        """`heir`: who becomes the owner of vaults that would lose their last; the names of these. Raises NotFound,
        LastOwner."""
        inherited = self._metadata.remove_user(name, heir)
        self._bus.publish(PeopleChanged())
        return inherited

    @property
    def nobody(self) -> bool:
        """Whether there are no people at all: a server that is new, or stands on an empty disk."""
        self._somebody = self._somebody or bool(self._metadata.users())
        return not self._somebody

    def names(self) -> list[str]:
        return [user.name for user in self._metadata.users()]

    def authenticate(self, name: str, password: str) -> Identity | None:
        """Who this is: the password is the user's, or that of one of the user's devices. None for anybody else.

        An unknown user takes as long as a wrong password; a wrong password as long, whatever it looks like.
        """
        who = self.recognise(name, password)
        if who is not None:
            return who
        generation = self._generation  # of what the database says below: a change meanwhile has to count
        nobodys = self._nobodys()  # made when the first one asks, whoever that is
        user = self._metadata.user(name) if is_name(name) else None
        stored = user.password if user is not None and user.password is not None else nobodys
        # What is too long is nobody's, and takes its time like any other.
        right = self._verify(stored if len(password) <= MAX_PASSWORD else nobodys, password[:MAX_PASSWORD])
        if right and user is not None and stored is not nobodys:
            return self._remember(self.fingerprint(name, password), Identity(user.name, None, stored), generation)
        self._verified.pop(self.fingerprint(name, password), None)
        return None

    def recognise(self, name: str, password: str) -> Identity | None:
        """Who this is, where no argon2 is needed to know: a device by its own password, or whose password was verified
        against what the database still has. None where `authenticate` would have to find out."""
        generation = self._generation
        fingerprint = self.fingerprint(name, password)
        seen = self._verified.get(fingerprint)
        if seen is not None and seen.generation == generation and self._clock() - seen.at < REMEMBERED_S:
            return seen.who
        user = self._metadata.user(name) if is_name(name) and len(password) <= MAX_PASSWORD else None
        if user is None:
            return None
        who = _by_device(user, password) or self._as_before(user, seen)
        return None if who is None else self._remember(fingerprint, who, generation)

    def _as_before(self, user: User, seen: _Verified | None) -> Identity | None:
        """Who it was found to be lately, while the database keeps the same of that password."""
        if seen is None or self._clock() - seen.at >= KNOWN_S or user.password is None:
            return None
        before = seen.who
        return before if before.device is None and hmac.compare_digest(before.stored, user.password) else None

    def known(self, name: str, password: str) -> bool:
        """Whether this very credential was verified lately: then its owner is no guesser, whoever else guesses.

        Also where the password may have changed since: an owner who does not know of that yet may ask once.
        """
        seen = self._verified.get(self.fingerprint(name, password))
        return seen is not None and self._clock() - seen.at < KNOWN_S

    def _hear(self, message: Message) -> None:
        if isinstance(message, PeopleChanged | Gap):
            self._generation += 1

    def _remember(self, fingerprint: bytes, who: Identity, generation: int) -> Identity:
        self._somebody = True
        self._verified[fingerprint] = _Verified(who, self._clock(), generation)
        self._verified.move_to_end(fingerprint)
        while len(self._verified) > MOST_KNOWN:
            self._verified.popitem(last=False)
        return who

    def fingerprint(self, name: str, password: str) -> bytes:
        """The same for the same credential, in this process; says nothing about it to anybody else."""
        return hmac.digest(self._key, _bytes(repr((name, password))), hashlib.sha256)

    def _nobodys(self) -> str:
        if self._nobody is None:
            self._nobody = self._hash(secrets.token_urlsafe())
        return self._nobody

    def _hash(self, password: str) -> str:
        if not password:
            raise BadRequest("the password is empty: give one of at least one character")
        if len(password) > MAX_PASSWORD:
            raise BadRequest(f"the password is longer than {MAX_PASSWORD} characters")
        return self._offload(_hasher().hash, _bytes(normalize("NFC", password)))

    def _verify(self, stored: str, password: str) -> bool:
        return any(self._matches(stored, form) for form in _forms(password))

    def _matches(self, stored: str, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            return self._offload(_hasher().verify, stored, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False


def _by_device(user: User, password: str) -> Identity | None:
    digest = device_hash(password)
    for device in user.devices:
        if hmac.compare_digest(device.hash, digest):
            return Identity(user.name, device.name, device.hash)
    return None


def _forms(password: str) -> list[str]:
    """What a person who typed this means. One system composes letters (é), another does not; passwords are kept in NFC
    (RFC 8265, section 4.2.2), and those that were set before are as they were given."""
    return list(dict.fromkeys([normalize("NFC", password), password, normalize("NFD", password)]))


def _check_name(name: str) -> None:
    if not is_name(name):
        raise BadRequest(
            f"{name!r} cannot be a user's name: use 1 to 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first"
        )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # whatever came in a header


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # here: half of the commands never see a password

    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
