"""Vaults and their members (docs/protocol.md, section 3)."""

from __future__ import annotations

import math
from typing import Annotated

import falcon
from msgspec import Meta, Struct

from handlers import caller, params, replies
from handlers.bodies import read_json
from handlers.problems import Problem
from handlers.throttle import Buckets
from store.access import Caller
from store.base import RANK
from store.base import Vault as Stored
from store.errors import NotFound
from store.offload import Offload
from store.reader import Reader
from store.registry import Registry
from sync.model import Json


class Vaults:
    """/v1/vaults"""

    def __init__(self, registry: Registry, reader: Reader) -> None:
        self._registry = registry
        self._reader = reader

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        user = caller.of(req).user
        rows = [entry(self._reader, vault, user) for vault in self._registry.of(user)]
        replies.send(resp, {"vaults": rows})


class SettingsRequest(Struct):
    auto_merge: bool


class Vault:
    """/v1/vaults/{vault}"""

    def __init__(self, registry: Registry, reader: Reader, offload: Offload, quota: int) -> None:
        self._registry = registry
        self._reader = reader
        self._offload = offload
        self._quota = quota

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        user = caller.of(req).user
        replies.send(resp, self._row(self._registry.enter(user, vault), user))

    def on_put(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        who = caller.of(req)
        there, made = self._registry.create(who.user, vault, who)
        replies.send(resp, entry(self._reader, there, who.user), falcon.HTTP_201 if made else falcon.HTTP_200)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        who = caller.of(req)
        there = self._registry.enter(who.user, vault, "owner")
        asked = read_json(req, SettingsRequest, self._offload)
        replies.send(resp, self._row(self._registry.set_auto_merge(there, asked.auto_merge, who), who.user))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault, "owner")
        if params.query(req).get("confirm") != there.name:
            raise Problem("bad-request", f"this removes the vault and its history: confirm with ?confirm={there.name}")
        self._registry.remove(there, caller.of(req))
        resp.status = falcon.HTTP_204

    def _row(self, there: Stored, user: str) -> Json:
        return entry(self._reader, there, user) | {
            "epoch": there.epoch,
            "conflicts": there.conflicts,
            "members": dict(there.members),
            "quota": self._quota,
            "stored": there.stored,
            "auto_merge": there.auto_merge,
        }


class MemberRequest(Struct):
    role: Annotated[str, Meta(extra_json_schema={"enum": list(RANK)})]


class Member:
    """/v1/vaults/{vault}/members/{user}. `guesses`: of names that are nobody's, by whoever makes them."""

    def __init__(self, registry: Registry, offload: Offload, guesses: Buckets) -> None:
        self._registry = registry
        self._offload = offload
        self._guesses = guesses

    def on_put(self, req: falcon.Request, resp: falcon.Response, vault: str, user: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault, "owner")
        role = read_json(req, MemberRequest, self._offload).role
        if user in there.members:
            self._registry.set_member(there, user, role, caller.of(req))
        else:
            self._let_in(there, user, role, caller.of(req))
        replies.send(resp, {"user": user, "role": role})

    def _let_in(self, vault: Stored, user: str, role: str, by: Caller) -> None:
        """Somebody new. The answer says whether there is such a person, so it cannot be had for many names."""
        key = by.user.encode()
        wait = math.ceil(self._guesses.wait(key))
        if wait:
            raise Problem(
                "slow-down",
                f"too many names that nobody has: try again in {wait} s",
                headers={"Retry-After": str(wait)},
            )
        self._guesses.take(key)
        guessed = False
        try:
            self._registry.set_member(vault, user, role, by)
        except NotFound:
            guessed = True
            raise
        finally:
            if not guessed:
                self._guesses.give_back(key)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, vault: str, user: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault, "owner")
        self._registry.remove_member(there, user, caller.of(req))
        resp.status = falcon.HTTP_204


def entry(reader: Reader, vault: Stored, user: str) -> Json:
    return {
        "name": vault.name,
        "id": vault.id,
        "role": vault.members.get(user),
        "cursor": str(reader.cursor(vault)),
        "files": vault.files,
        "bytes": vault.bytes,
    }
