"""The caller's devices that have a password of their own (docs/protocol.md, section 10)."""

from __future__ import annotations

import falcon

from handlers import caller, replies
from store.devices import Devices as Stored


class Devices:
    """/v1/devices"""

    def __init__(self, devices: Stored) -> None:
        self._devices = devices

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        rows = [{"name": one.name, "added": one.added} for one in self._devices.of(caller.of(req).user)]
        replies.send(resp, {"devices": rows})


class Device:
    """/v1/devices/{device}"""

    def __init__(self, devices: Stored) -> None:
        self._devices = devices

    def on_delete(self, req: falcon.Request, resp: falcon.Response, device: str) -> None:
        who = caller.of(req)
        if who.identity.device != device:  # a machine may give up its own
            who = caller.require_own_password(req)
        self._devices.revoke(who.user, device, who)
        resp.status = falcon.HTTP_204
