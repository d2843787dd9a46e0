"""Who is asking: what authentication found out about a request, for the handlers."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

_KEY = "gobi.caller"


@dataclass(frozen=True, slots=True)
class Caller:
    user: str
    device: str


def of(req: falcon.Request) -> Caller:
    found: Caller = req.env[_KEY]
    return found


def put(req: falcon.Request, caller: Caller) -> None:
    req.env[_KEY] = caller
