"""The domain's errors. Backends and services raise them; handlers/errors.py alone turns them into HTTP.

StoreError
├── NotFound            a vault, path, version, conflict or user that is not there (or not for the caller)
├── Unauthorized        the credential that the request came with is not good any more
├── Forbidden           the caller's role does not allow it
├── BadRequest          what was asked makes no sense
│   └── BadCursor
├── Refused             a clear no to a write; nothing was changed
│   ├── Stale           the head is not the base            (carries the head)
│   ├── PathTaken       a file where a folder is, or the reverse (carries the version in the way)
│   ├── NameTaken       the vault's name is somebody else's, or the user exists
│   ├── OtherVault      the name is another vault's than the caller means
│   ├── LastOwner
│   ├── TooMany         of what there may be: candidates on one path, say
│   ├── HashMismatch
│   ├── LengthMismatch
│   └── TooLarge
├── CursorExpired       sync again from "0"
├── Purged              the version or moment was purged
├── BodyMissing         the metadata knows a body that the disk has lost
│   └── BodyDamaged     it is there, and its bytes are others
├── SlowDown            too much at once, or in a day (carries seconds to wait)
├── Full                no room
│   ├── DiskFull
│   ├── MetadataFull
│   └── QuotaExceeded
├── Misconfigured       a setting names what cannot be: only a person can mend it
├── WrongClock          the time is too doubtful to remove anything by it: a person has to look
└── Unavailable         the store is away; trying again later is right (carries seconds to wait)
    ├── InUse           somebody else is at work on it, who will end
    └── Unusable        trying again mends nothing before a person has: a refused password, a damaged file
"""

from __future__ import annotations

from sync.model import Version


class StoreError(Exception):
    """The root. The message is for people: it says what is wrong and what to do next, and holds no secret."""


class NotFound(StoreError):
    """`head` is the tombstone where a deleted path was asked for; `missing` the list where many were."""

    def __init__(
        self, message: str, head: Version | None = None, missing: list[dict[str, object]] | None = None
    ) -> None:
        super().__init__(message)
        self.head = head
        self.missing = missing


class Unauthorized(StoreError):
    pass


class Forbidden(StoreError):
    pass


class BadRequest(StoreError):
    pass


class BadCursor(BadRequest):
    pass


class Refused(StoreError):
    pass


class Stale(Refused):
    def __init__(self, message: str, head: Version | None) -> None:
        super().__init__(message)
        self.head = head


class PathTaken(Refused):
    def __init__(self, message: str, version: Version) -> None:
        super().__init__(message)
        self.version = version


class NameTaken(Refused):
    pass


class OtherVault(Refused):
    pass


class LastOwner(Refused):
    pass


class TooMany(Refused):
    pass


class HashMismatch(Refused):
    pass


class LengthMismatch(Refused):
    pass


class TooLarge(Refused):
    pass


class CursorExpired(StoreError):
    pass


class Purged(StoreError):
    pass


class BodyMissing(StoreError):
    pass


class BodyDamaged(BodyMissing):
    pass


class SlowDown(StoreError):
    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Full(StoreError):
    pass


class DiskFull(Full):
    pass


class MetadataFull(Full):
    pass


class QuotaExceeded(Full):
    pass


class Misconfigured(StoreError):
    pass


class WrongClock(StoreError):
    pass


class Unavailable(StoreError):
    def __init__(self, message: str, retry_after: int = 2) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InUse(Unavailable):
    pass


class Unusable(Unavailable):
    """To a client it is as any other absence: the server may be well again later."""

    def __init__(self, message: str, retry_after: int = 60) -> None:
        super().__init__(message, retry_after)
