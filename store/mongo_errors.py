"""MongoDB's failures as the store's, each with what to do next. Atlas's free tier has some of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import errors as mongo

from store.errors import MetadataFull, Misconfigured, StoreError, Unavailable, Unusable

UNAUTHORIZED, AUTHENTICATION_FAILED, NOT_A_REPLICA_SET, OUT_OF_DISK, ATLAS = 13, 18, 20, 14031, 8000
_HINT = "hint provided does not correspond"


@contextmanager
def translated() -> Iterator[None]:
    """Whatever the driver raises inside comes out as an error of the store."""
    try:
        yield
    except mongo.PyMongoError as error:
        raise translate(error) from error


def translate(error: mongo.PyMongoError) -> StoreError:
    match error:
        case mongo.ConfigurationError() if "DNS" in str(error):
            return Unavailable(
                "the database's name cannot be looked up now: see to the network; `gobi doctor` says more"
            )
        case mongo.ConfigurationError():  # InvalidURI is one
            return Misconfigured(f"GOBI_MONGO_URI cannot be used ({error}): see `gobi doctor`")
        case mongo.WaitQueueTimeoutError():
            return Unavailable("too many requests wait for the database: try again in a moment")
        case mongo.OperationFailure():
            return _refused(error)
        case _:
            return Unavailable(
                "the database does not answer: try again in a moment; `gobi doctor` looks for the reason"
            )


def _refused(error: mongo.OperationFailure) -> StoreError:
    """The database answered, with a no."""
    details = error.details or {}
    details = next(iter(details.get("writeErrors") or []), details)  # of many writes in one command, the first
    text, code = str(details.get("errmsg") or error), details.get("code", error.code)
    lower = text.lower()
    if code == OUT_OF_DISK or (code == ATLAS and "quota" in lower):
        return MetadataFull(
            "the database is full: no change can be stored until it has room again (a larger tier, or `GOBI_KEEP_DAYS` "
            "made smaller); reading goes on"
        )
    if code == AUTHENTICATION_FAILED or (code == ATLAS and "bad auth" in lower):
        return Unusable("the database refuses the user or the password in GOBI_MONGO_URI: correct it")
    if code == UNAUTHORIZED or (code == ATLAS and "not allowed" in lower):
        return Unusable("the database's user may not read and write there: give it the role readWrite")
    if code == NOT_A_REPLICA_SET and "replica set" in lower:
        return Unusable("the database is no replica set, which transactions need: see `gobi doctor`")
    if _HINT in lower:
        return Unavailable(
            "an index of the database is missing: nothing is written without it; restart the server, which makes it", 60
        )
    return Unavailable(f"the database refuses ({text}): see `gobi doctor`", 10)
