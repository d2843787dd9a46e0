"""Metadata in MongoDB, for more than one worker or host: Atlas, its free tier too, or a replica set of one's own.

Writes are acknowledged by a majority and journalled; reads show what a majority has, from the primary. So nothing that
was acknowledged, or only seen, is taken back by a failover.
"""

from __future__ import annotations

import secrets
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, TypeVar

from bson import Int64
from pymongo import MongoClient, ReadPreference, ReturnDocument, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from store import mongo_log as log
from store import mongo_people as people
from store import mongo_transaction as transaction
from store.access import admit
from store.aging import Aging
from store.base import Identity, Invitation, Query, Role, Session, Transaction, User, Vault
from store.errors import Misconfigured, Unavailable
from store.mongo_aging import MongoAging
from store.mongo_documents import (
    Document,
    key_of,
    lapses_document,
    members_document,
    vault_document,
    vault_of,
    version_of,
)
from store.mongo_errors import translated
from store.mongo_folders import folder
from store.mongo_moving import IDENTITY, MongoMoving
from store.mongo_options import complaints, names_timeout
from store.mongo_schema import Mongo, upgrade
from store.mongo_transaction import MongoTransaction
from store.moving import Moving, check_writable
from store.reach import loses_its_end
from store.refusals import check_keeps_an_owner, check_owns_fewer, no_member, no_user, no_vault, vault_exists
from sync.model import Conflict, Version
from sync.plan import Facts

T = TypeVar("T")

# What a hung or vanished database may cost one command. Without it some hang for a minute and more.
TIMEOUT_MS = 3_000
# A free cluster has 500 connections for all workers on all hosts.
CONNECTIONS = 10
# Versions that one command of a vault's removal takes.
_REMOVED_AT_ONCE = 5_000


def _as_it_is(microseconds: int) -> int:
    return microseconds


class MongoMetadata:
    """Implements base.Metadata. Make it after the fork. It connects when it is first used.

    `now` is given the database's time in µs and returns the one to use. Raises Misconfigured for an impossible address.
    """

    def __init__(self, uri: str, database: str, *, now: Callable[[int], int] = _as_it_is) -> None:
        with translated():
            self._client = _client(uri)
            self._db: Mongo = self._client.get_database(
                database,
                read_preference=ReadPreference.PRIMARY,
                read_concern=ReadConcern("majority"),
                write_concern=WriteConcern(w="majority", j=True),
            )
        self._now = now
        # Writers of one vault in this process take turns: in the database they would only push each other back.
        self._turns: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)

    def prepare(self) -> None:
        """Makes or upgrades collections and indexes, and finishes removals that were cut off.

        Raises Unavailable, also where the schema is of a newer gobi.
        """
        with translated():
            upgrade(self._db)
            for document in self._db["vaults"].find({"name": {"$exists": False}}, {"_id": 1}):
                self._remove_log(document["_id"])

    # -- service

    def ping(self) -> None:
        with translated():
            self._db.command("ping")

    def check_sound(self, patience_s: float | None) -> bool:  # noqa: ARG002  # every page that it reads has a checksum
        return True

    def close(self) -> None:
        self._client.close()

    def secret(self) -> bytes:
        with translated():
            found = self._db["meta"].find_one({"_id": "secret"})
        if found is None:
            raise Unavailable("the database is not gobi's yet: `gobi serve` prepares it")
        return bytes(found["value"])

    def identity(self) -> str | None:
        with translated():
            found = self._db["meta"].find_one({"_id": IDENTITY})
        return str(found["value"]) if found else None

    def identify(self, identity: str, *, replace: bool = False) -> str:
        change = {"$set" if replace else "$setOnInsert": {"value": identity}}
        with translated():
            found = self._db["meta"].find_one_and_update(
                {"_id": IDENTITY}, change, upsert=True, return_document=ReturnDocument.AFTER
            )
        assert found is not None, "it was made where it was missing"
        return str(found["value"])

    def moving(self) -> Moving:
        return MongoMoving(self._client, self._db)

    def aging(self) -> Aging:
        return MongoAging(self._db, self._in_transaction, self._now)

    # -- people

    def add_user(self, name: str, password: str) -> None:
        self._in_transaction(lambda session: people.add(self._db, name, password, session))

    def set_password(self, name: str, password: str, *, revoke_devices: bool = False) -> None:
        change = partial(people.set_password, self._db, name, password, revoke_devices=revoke_devices)
        self._in_transaction(change)

    def remove_user(self, name: str, heir: str | None = None) -> list[str]:
        return self._in_transaction(lambda session: people.remove(self._db, name, heir, session))

    def rename_user(self, name: str, new: str) -> None:
        self._in_transaction(lambda session: people.rename(self._db, name, new, session))

    def user(self, name: str) -> User | None:
        with translated():
            return people.user(self._db, name)

    def users(self) -> list[User]:
        with translated():
            return people.users(self._db)

    def add_device(self, user: str, device: str, hash: str) -> None:
        self._in_transaction(partial(people.add_device, self._db, user, device, hash, self._now))

    def remove_device(self, user: str, device: str, *, by: Identity | None = None) -> None:
        def remove(session: ClientSession) -> None:
            people.check_good(self._db, by, session)
            people.remove_device(self._db, user, device, session)

        self._in_transaction(remove)

    def add_session(
        self,
        user: str,
        session_id: str,
        device: str | None,
        agent: str,
        valid_s: int,
        *,
        by: Identity | None = None,
    ) -> Session:
        made = Session(session_id, device, 0, valid_s * 1_000_000, agent)

        def add(session: ClientSession) -> Session:
            people.check_good(self._db, by, session)
            return people.add_session(self._db, user, made, self._now, session)

        return self._in_transaction(add)

    def remove_session(self, user: str, session_id: str, *, by: Identity | None = None) -> None:
        def remove(session: ClientSession) -> None:
            people.check_good(self._db, by, session)
            people.remove_session(self._db, user, session_id, session)

        self._in_transaction(remove)

    def add_invitation(
        self, hash: str, user: str, vault_id: str, valid_s: int, *, by: Identity | None = None
    ) -> Invitation:
        def invite(session: ClientSession) -> Invitation:
            people.check_good(self._db, by, session)
            return people.invite(self._db, hash, user, vault_id, valid_s, self._now, session)

        return self._in_transaction(invite)

    def redeem(self, hash: str, device: str, password: str) -> tuple[str, str]:
        return self._in_transaction(partial(people.redeem, self._db, hash, device, password, self._now))

    # -- vaults

    def create_vault(self, name: str, owner: str, most: int = 0, *, by: Identity | None = None) -> Vault:
        vault = Vault(f"{secrets.randbits(62):016x}", name, secrets.token_hex(6), 0, 0, {owner: "owner"})

        def create(session: ClientSession) -> None:
            people.check_good(self._db, by, session)
            self._require_user(owner, session)
            if self._db["vaults"].find_one({"name": name}, {"_id": 1}, session=session) is not None:
                raise vault_exists(name)
            check_owns_fewer(owner, self._owned(owner, session) if most else 0, most)
            try:
                self._db["vaults"].insert_one(vault_document(vault), session=session)
            except DuplicateKeyError:
                raise vault_exists(name) from None

        self._in_transaction(create)
        return vault

    def vault(self, name: str) -> Vault | None:
        with translated():
            found = self._db["vaults"].find_one({"name": name})
        return vault_of(found) if found else None

    def vault_and_head(self, name: str, path: str) -> tuple[Vault | None, Version | None]:
        newest: list[Document] = [{"$match": {"p": path}}, {"$sort": {"_id.v": 1, "p": 1, "_id.t": -1}}, {"$limit": 1}]
        log_of_vault = {"from": "versions", "localField": "_id", "foreignField": "_id.v", "as": "head"}
        with translated():
            stages: list[Document] = [
                {"$match": {"name": name}},
                {"$lookup": {**log_of_vault, "pipeline": newest}},
            ]
            found = next(iter(self._db["vaults"].aggregate(stages)), None)
        if found is None:
            return None, None
        return vault_of(found), version_of(found["head"][0]) if found["head"] else None

    def vaults(self, member: str | None = None) -> list[Vault]:
        condition: Document = {"name": {"$exists": True}}
        if member is not None:
            condition["members.user"] = member
        with translated():
            return [vault_of(one) for one in self._db["vaults"].find(condition).sort("name", 1)]

    def set_member(self, vault_id: str, user: str, role: Role, most: int = 0, *, by: Identity | None = None) -> None:
        def change(session: ClientSession) -> None:
            vault = self._require_vault(vault_id, session, by)
            self._require_user(user, session)
            if role != "owner":
                check_keeps_an_owner(vault, user)
            elif most and vault.members.get(user) != "owner":
                check_owns_fewer(user, self._owned(user, session), most)
            self._set_members(vault, {**vault.members, user: role}, session)

        self._in_transaction(change)

    def remove_member(self, vault_id: str, user: str, *, by: Identity | None = None) -> None:
        def remove(session: ClientSession) -> None:
            vault = self._require_vault(vault_id, session, by)
            if user not in vault.members:
                raise no_member(vault, user)
            check_keeps_an_owner(vault, user)
            self._set_members(vault, {name: role for name, role in vault.members.items() if name != user}, session)

        self._in_transaction(remove)

    def rename_vault(self, vault_id: str, name: str) -> None:
        def change(session: ClientSession) -> None:
            there = self._require_vault(vault_id, session)
            other = self._db["vaults"].find_one({"name": name}, {"_id": 1}, session=session)
            if other is not None and there.name != name:
                raise vault_exists(name)
            setting = {"$set": {"name": name}, "$inc": {"revision": 1}}
            self._db["vaults"].update_one({"_id": key_of(vault_id)}, setting, session=session)

        self._in_transaction(change)

    def set_auto_merge(self, vault_id: str, on: bool, *, by: Identity | None = None) -> None:
        def change(session: ClientSession) -> None:
            self._require_vault(vault_id, session, by)
            setting = {"$set": {"auto_merge": on}, "$inc": {"revision": 1}}
            self._db["vaults"].update_one({"_id": key_of(vault_id)}, setting, session=session)

        self._in_transaction(change)

    def remove_vault(self, vault_id: str, *, by: Identity | None = None) -> None:
        key = key_of(vault_id)

        def hide(session: ClientSession) -> None:
            if by is not None:
                self._require_vault(vault_id, session, by)
            # Without its name nobody finds it, and no transaction on it commits. Cut off here, `prepare` goes on.
            there = {"_id": key, "name": {"$exists": True}}
            change = {"$unset": {"name": 1}, "$inc": {"revision": 1}}
            if self._db["vaults"].update_one(there, change, session=session).matched_count == 0:
                raise no_vault()

        self._in_transaction(hide)
        with translated():
            self._remove_log(key)

    def _remove_log(self, key: int) -> None:
        versions = self._db["versions"]
        while True:
            entries = versions.find(log.stamps(key, -1), {"_id": 1}).sort("_id", 1)
            last = next(entries.skip(_REMOVED_AT_ONCE).limit(1), None)
            versions.delete_many(log.stamps(key, -1, int(last["_id"]["t"])) if last else log.stamps(key, -1))
            if last is None:
                break
        self._db["conflicts"].delete_many({"_id.v": key})
        self._db["vaults"].delete_one({"_id": key})

    # -- reading the log

    def heads(self, vault_id: str, paths: Collection[str]) -> dict[str, Version]:
        with translated():
            return log.heads(self._db, key_of(vault_id), paths)

    def find(self, vault_id: str, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Version]:
        with translated():
            return log.find(self._db, key_of(vault_id), wanted)

    def has_stamp(self, vault_id: str, stamp: int) -> bool:
        with translated():
            return log.has_stamp(self._db, key_of(vault_id), stamp)

    def changes(self, vault_id: str, after: int, limit: int) -> list[Version]:
        with translated():
            return log.changes(self._db, key_of(vault_id), after, limit)

    def live(self, vault_id: str, *, at: int, after: str = "", prefix: str = "", limit: int) -> list[Version]:
        with translated():
            return log.live(self._db, key_of(vault_id), at=at, after=after, prefix=prefix, limit=limit)

    def listing(self, vault_id: str, *, at: int, after: str, limit: int) -> tuple[list[Version], str | None]:
        with translated():
            return log.listing(self._db, key_of(vault_id), at=at, after=after, limit=limit)

    def folder(self, vault_id: str, *, prefix: str, after: str, limit: int) -> list[Version | str]:
        with translated():
            return folder(self._db, key_of(vault_id), prefix, after, limit)

    def recent(
        self, vault_id: str, *, before: int, since: int, device: str | None, user: str | None, prefix: str, limit: int
    ) -> tuple[list[Version], int | None]:
        chosen = partial(log.recent, device=device, user=user, prefix=prefix, limit=limit)
        with translated():
            return chosen(self._db, key_of(vault_id), before=before, since=since)

    def history(self, vault_id: str, path: str, *, before: int | None, limit: int) -> list[Version]:
        with translated():
            return log.history(self._db, key_of(vault_id), path, before, limit)

    def facts(self, vault_id: str, queries: Sequence[Query]) -> dict[str, Facts]:
        with translated():
            return log.facts(self._db, key_of(vault_id), queries)

    # -- conflicts

    def conflict(self, vault_id: str, conflict_id: str) -> Conflict | None:
        with translated():
            return log.conflict(self._db, key_of(vault_id), conflict_id)

    def open_conflicts(
        self, vault_id: str, *, after: tuple[int, str] = (0, ""), limit: int | None = None
    ) -> list[Conflict]:
        with translated():
            return log.open_conflicts(self._db, key_of(vault_id), after, limit)

    # -- writing

    def transact(
        self,
        vault_id: str,
        work: Callable[[Transaction], T],
        about: Collection[str] = (),
        by: Collection[Identity] = (),
    ) -> T:
        key = key_of(vault_id)

        def attempt(deadline: float) -> T:
            tx = MongoTransaction(self._db, key, about, self._now, by)
            result = work(tx)
            if tx.writes:
                transaction.commit(self._client, tx.write, deadline)
            return result

        with translated(), self._turns[key]:
            return transaction.again_and_again(attempt)

    def set_purge_mark(self, vault_id: str, stamp: int) -> None:
        self._change_vault(vault_id, {"$max": {"purge_mark": Int64(stamp)}})

    def renew_epoch(self, vault_id: str) -> str:
        epoch, now = secrets.token_hex(6), self.aging().clock().now

        def renew(session: ClientSession) -> None:
            document = self._db["vaults"].find_one({"_id": key_of(vault_id)}, {"clock": 1}, session=session)
            clock = int(document["clock"]) if document else 0
            (lapse,) = lapses_document(((clock, max(clock, now)),))
            change = {"$set": {"epoch": epoch}, "$push": {"lapses": lapse}, "$inc": {"revision": 1}}
            self._db["vaults"].update_one({"_id": key_of(vault_id)}, change, session=session)

        self._in_transaction(renew)
        return epoch

    def _in_transaction(self, work: Callable[[ClientSession], T]) -> T:
        """For what is not a vault's log: one at a time, on all hosts, and none during a move."""

        def in_turn(session: ClientSession) -> T:
            check_writable(transaction.take_turn(self._db, session))
            return work(session)

        with translated():
            return transaction.run(self._client, in_turn)

    def _require_vault(self, vault_id: str, session: ClientSession, by: Identity | None = None) -> Vault:
        """`by`: who has to own it. Raises NotFound, Unauthorized, Forbidden."""
        people.check_good(self._db, by, session)
        found = self._db["vaults"].find_one({"_id": key_of(vault_id), "name": {"$exists": True}}, session=session)
        if found is None:
            raise no_vault()
        return vault_of(found) if by is None else admit(vault_of(found), by.user, "owner")

    def _require_user(self, name: str, session: ClientSession) -> None:
        # A write, so that a removal of the user at the same moment and this cannot both commit.
        touched = self._db["users"].update_one({"_id": name}, {"$inc": {"revision": 1}}, session=session)
        if touched.matched_count == 0:
            raise no_user(name)

    def _owned(self, user: str, session: ClientSession) -> int:
        """How many vaults they are an owner of. The user has to be held (`_require_user`) for that to stay true."""
        owned = {"members": {"$elemMatch": {"user": user, "role": "owner"}}, "name": {"$exists": True}}
        return self._db["vaults"].count_documents(owned, session=session)

    def _set_members(self, vault: Vault, members: dict[str, Role], session: ClientSession) -> None:
        change = {"$set": {"members": members_document(members)}, "$inc": {"revision": 1}}
        self._db["vaults"].update_one({"_id": key_of(vault.id)}, change, session=session)

    def _change_vault(self, vault_id: str, change: Document) -> None:
        """Does nothing where the vault is unknown."""
        whole = change | {"$inc": {"revision": 1}}
        self._in_transaction(
            lambda session: self._db["vaults"].update_one({"_id": key_of(vault_id)}, whole, session=session)
        )


def _client(uri: str) -> MongoClient[Document]:
    """Raises PyMongoError, Misconfigured."""
    if loses_its_end(uri):  # here, before anybody tells a part of it
        raise Misconfigured("GOBI_MONGO_URI: write / ? and @ in its password as %2F, %3F and %40")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            client: MongoClient[Document] = MongoClient(uri, **_options(uri))
    except (ValueError, OSError) as error:  # a port that is none; a file named in it that is not there
        raise Misconfigured(f"GOBI_MONGO_URI cannot be used ({error}): see `gobi doctor`") from None
    wrong, _ = complaints(uri, said)
    if wrong:
        client.close()
        raise Misconfigured(f"GOBI_MONGO_URI: {wrong[0].rstrip('.')}: correct the options at its end")
    return client


def _options(uri: str) -> dict[str, Any]:
    options: dict[str, Any] = {"appname": "gobi", "maxPoolSize": CONNECTIONS, "serverMonitoringMode": "poll"}
    options["tz_aware"] = False  # whatever the address says
    # Whoever is very far from the database may say so in the address.
    if not names_timeout(uri):
        options["timeoutMS"] = TIMEOUT_MS
    return options
