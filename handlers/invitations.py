"""Invitations: made by who is signed in, used by a machine that nobody knows yet (docs/protocol.md, section 10)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import falcon
from msgspec import Struct

from handlers import caller, replies
from handlers.bodies import read_json
from handlers.origin import Network, client_address, own_address
from handlers.problems import Problem
from handlers.throttle import Throttle
from store.devices import VALID_HOURS, check_device
from store.devices import Invitations as Stored
from store.errors import NotFound
from store.offload import Offload
from store.registry import Registry
from sync.invitation import Code

log = logging.getLogger("gobi.auth")

REDEEM = "/v1/invitations/redeem"
MOST_BYTES = 4 << 10  # whoever asks is nobody yet


class InvitationRequest(Struct):
    device: str | None = None
    valid_hours: int = VALID_HOURS


class Invitations:
    """/v1/vaults/{vault}/invitations"""

    def __init__(self, registry: Registry, invitations: Stored, offload: Offload, public_url: str | None) -> None:
        self._registry = registry
        self._invitations = invitations
        self._offload = offload
        self._public_url = public_url

    def on_post(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        who = caller.require_own_password(req)
        there = self._registry.enter(who.user, vault)
        asked = read_json(req, InvitationRequest, self._offload)
        if asked.device is not None:
            check_device(asked.device)
        secret, expires = self._invitations.make(who.user, there, who, asked.valid_hours)
        code = Code(own_address(req, self._public_url), there.name, secret, asked.device)
        replies.send(resp, {"code": str(code), "expires": expires}, falcon.HTTP_201)
        resp.set_header("Cache-Control", "no-store")


class RedeemRequest(Struct):
    secret: str
    device: str
    password: str


class Redeem:
    """/v1/invitations/redeem"""

    def __init__(
        self, invitations: Stored, throttle: Throttle, offload: Offload, trusted_proxies: Sequence[Network]
    ) -> None:
        self._invitations = invitations
        self._throttle = throttle
        self._offload = offload
        self._trusted = trusted_proxies

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        address = client_address(req, self._trusted)
        wait = self._throttle.wait(address, None)  # before anything is read: whoever asks is nobody yet
        if wait:
            raise Problem(
                "slow-down", f"too many wrong invitations; try again in {wait} s", headers={"Retry-After": str(wait)}
            )
        asked = read_json(req, RedeemRequest, self._offload, MOST_BYTES)
        try:
            user, vault = self._invitations.redeem(asked.secret, asked.device, asked.password)
        except NotFound:
            self._throttle.take(address, None)
            log.warning("an invitation that is not good from %s", address)
            raise
        replies.send(resp, {"user": user, "vault": vault, "device": asked.device}, falcon.HTTP_201)
        resp.set_header("Cache-Control", "no-store")
