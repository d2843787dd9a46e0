"""People, their devices, sessions and invitations in MongoDB. A user's devices and sessions are in the user's document,
which whoever comes in has read anyway. What changes any of them happens in a transaction that begins with `take_turn`,
one at a time.

What makes a credential useless also raises the revision of every vault that its user is a member of. A group commit
reads both in one command and writes the vault's document only where it still has that revision: so what it read of the
credential is so when it commits, and that costs it no command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from bson import Int64
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from store import access
from store import mongo_transaction as transaction
from store.base import Device, Identity, Invitation, Role, Session, User
from store.mongo_documents import Document, key_of, members_document, vault_of
from store.mongo_schema import Mongo
from store.people import (
    check_may_invite,
    is_open,
    no_invitation,
    sessions_not_of,
    sessions_of_devices,
    with_device,
    with_session,
    without_device,
    without_session,
)
from store.refusals import last_owner_of, no_user, not_in_vault, orphaned, user_exists

Now = Callable[[int], int]


def user(db: Mongo, name: str, session: ClientSession | None = None) -> User | None:
    found = db["users"].find_one({"_id": name}, session=session)
    return user_of(found) if found else None


def users(db: Mongo) -> list[User]:
    return [user_of(one) for one in db["users"].find().sort("_id", 1)]


def add(db: Mongo, name: str, password: str, session: ClientSession) -> None:
    try:
        db["users"].insert_one({"_id": name, "password": password}, session=session)
    except DuplicateKeyError:
        raise user_exists(name) from None


def set_password(db: Mongo, name: str, password: str, session: ClientSession, *, revoke_devices: bool) -> None:
    left = () if revoke_devices else sessions_of_devices(_require(db, name, session))
    change: Document = {"password": password, "sessions": _sessions(left)}
    change |= {"devices": []} if revoke_devices else {}
    if db["users"].update_one({"_id": name}, {"$set": change}, session=session).matched_count == 0:
        raise no_user(name)
    _mark(db, name, session)
    if revoke_devices:
        db["invitations"].delete_many({"user": name}, session=session)


def remove(db: Mongo, name: str, heir: str | None, session: ClientSession) -> list[str]:
    _require(db, name, session)
    there = db["vaults"].find({"members.user": name, "name": {"$exists": True}}, session=session).sort("name", 1)
    left = orphaned([vault_of(document) for document in there], name)
    if left and heir in (None, name):
        raise last_owner_of(name, left)
    if heir is not None:
        _require(db, heir, session)
    for vault in left:
        members: dict[str, Role] = {**vault.members, str(heir): "owner"}
        change = {"$set": {"members": members_document(members)}}
        db["vaults"].update_one({"_id": key_of(vault.id)}, change, session=session)
    leaving: Document = {"$pull": {"members": {"user": name}}, "$inc": {"revision": 1}}
    db["vaults"].update_many({"members.user": name}, leaving, session=session)
    db["invitations"].delete_many({"user": name}, session=session)
    db["users"].delete_one({"_id": name}, session=session)
    return [vault.name for vault in left]


def rename(db: Mongo, name: str, new: str, session: ClientSession) -> None:
    document = db["users"].find_one({"_id": name}, session=session)
    if document is None:
        raise no_user(name)
    if user(db, new, session) is not None:
        raise user_exists(new)
    db["users"].insert_one(document | {"_id": new, "sessions": []}, session=session)
    db["users"].delete_one({"_id": name}, session=session)
    change: Document = {"$set": {"members.$.user": new}, "$inc": {"revision": 1}}
    db["vaults"].update_many({"members.user": name}, change, session=session)
    db["invitations"].update_many({"user": name}, {"$set": {"user": new}}, session=session)


def check_good(db: Mongo, by: Identity | None, session: ClientSession) -> None:
    """Raises Unauthorized where what `by` came with is not good any more."""
    if by is not None:
        access.check_good(user(db, by.user, session), by)


def _mark(db: Mongo, name: str, session: ClientSession) -> None:
    """Has every commit that read the user's credentials before begin anew."""
    db["vaults"].update_many({"members.user": name}, {"$inc": {"revision": 1}}, session=session)


# -- devices


def add_device(db: Mongo, name: str, device: str, hash: str, now: Now, session: ClientSession) -> None:
    owner = _require(db, name, session)
    _set_devices(db, name, with_device(owner, Device(device, hash, _now(db, now, session))), session)


def remove_device(db: Mongo, name: str, device: str, session: ClientSession) -> None:
    owner = _require(db, name, session)
    _set_devices(db, name, without_device(owner, device), session)
    _set_sessions(db, name, sessions_not_of(owner, device), session)
    _mark(db, name, session)


# -- sessions


def add_session(db: Mongo, name: str, made: Session, now: Now, session: ClientSession) -> Session:
    """`made.expires`: how long it is good, in µs; `made.began` is not looked at."""
    owner, moment = _require(db, name, session), _now(db, now, session)
    dated = replace(made, began=moment, expires=moment + made.expires)
    _set_sessions(db, name, with_session(owner, dated), session)
    return dated


def remove_session(db: Mongo, name: str, session_id: str, session: ClientSession) -> None:
    _set_sessions(db, name, without_session(_require(db, name, session), session_id), session)
    _mark(db, name, session)


# -- invitations


def invite(
    db: Mongo, hash: str, name: str, vault_id: str, valid_s: int, now: Now, session: ClientSession
) -> Invitation:
    _require(db, name, session)
    if _vault_name(db, vault_id, name, session) is None:
        raise not_in_vault(name)
    moment = _now(db, now, session)
    db["invitations"].delete_many({"expires": {"$lte": Int64(moment)}}, session=session)
    open_ones = db["invitations"].count_documents({"user": name, "password": None}, session=session)
    check_may_invite(name, open_ones)
    made = Invitation(hash, name, vault_id, moment + valid_s * 1_000_000)
    db["invitations"].insert_one(invitation_document(made), session=session)
    return made


def redeem(db: Mongo, hash: str, device: str, password: str, now: Now, session: ClientSession) -> tuple[str, str]:
    document = db["invitations"].find_one({"_id": hash}, session=session)
    moment = _now(db, now, session)
    found = invitation_of(document) if document else None
    if found is None or found.expires <= moment:
        raise no_invitation()
    vault, owner = _vault_name(db, found.vault_id, found.user, session), user(db, found.user, session)
    if vault is None or owner is None:
        raise no_invitation()
    if is_open(found, owner, device, password):
        _set_devices(db, owner.name, with_device(owner, Device(device, password, moment)), session)
        db["invitations"].update_one({"_id": hash}, {"$set": {"password": password}}, session=session)
    return owner.name, vault


def invitations(db: Mongo) -> list[Invitation]:
    return [invitation_of(one) for one in db["invitations"].find().sort("_id", 1)]


# -- as documents


def user_document(one: User) -> Document:
    return {
        "_id": one.name,
        "password": one.password,
        "devices": _devices(one.devices),
        "sessions": _sessions(one.sessions),
    }


def user_of(document: Document) -> User:
    rows = document.get("devices", ())  # none in a user whom an older gobi made
    devices = tuple(Device(one["name"], one["hash"], int(one["added"])) for one in rows)
    there = document.get("sessions", ())  # likewise
    began = tuple(
        Session(one["id"], one["device"], int(one["began"]), int(one["expires"]), one["agent"]) for one in there
    )
    return User(document["_id"], document["password"], devices, began)


def invitation_document(one: Invitation) -> Document:
    return {
        "_id": one.hash,
        "user": one.user,
        "vault": key_of(one.vault_id),
        "expires": Int64(one.expires),
        "password": one.password,
    }


def invitation_of(document: Document) -> Invitation:
    vault_id = f"{document['vault']:016x}"
    return Invitation(document["_id"], document["user"], vault_id, int(document["expires"]), document["password"])


def _devices(devices: Sequence[Device]) -> list[Document]:
    return [{"name": one.name, "hash": one.hash, "added": Int64(one.added)} for one in devices]


def _sessions(left: Sequence[Session]) -> list[Document]:
    return [asdict(one) | {"began": Int64(one.began), "expires": Int64(one.expires)} for one in left]


def _set_sessions(db: Mongo, name: str, left: Sequence[Session], session: ClientSession) -> None:
    db["users"].update_one({"_id": name}, {"$set": {"sessions": _sessions(left)}}, session=session)


def _set_devices(db: Mongo, name: str, devices: Sequence[Device], session: ClientSession) -> None:
    db["users"].update_one({"_id": name}, {"$set": {"devices": _devices(devices)}}, session=session)


def _require(db: Mongo, name: str, session: ClientSession) -> User:
    found = user(db, name, session)
    if found is None:
        raise no_user(name)
    return found


def _vault_name(db: Mongo, vault_id: str, member: str, session: ClientSession) -> str | None:
    there = {"_id": key_of(vault_id), "name": {"$exists": True}, "members.user": member}
    found = db["vaults"].find_one(there, {"name": 1}, session=session)
    return None if found is None else str(found["name"])


def _now(db: Mongo, now: Now, session: ClientSession) -> int:
    """The database's time in µs. What it is asked of is there: the turn that was taken wrote it."""
    asking: list[Document] = [{"$match": transaction.MOVE}, {"$project": {"_id": 0, "now": "$$NOW"}}]
    row = next(iter(db["meta"].aggregate(asking, session=session)))
    return now(transaction.microseconds(row["now"]))
