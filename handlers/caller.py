"""Who is asking: what authentication found out about a request, for the handlers."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

from handlers.problems import Problem
from store.users import Identity

_KEY = "gobi.caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """`device`: who is written down as the writer. `identity` names it only where it came with its own password."""

    user: str
    device: str
    identity: Identity


def require_own_password(req: falcon.Request) -> Caller:
    """For what a lost machine's password must not be good for. Raises Problem."""
    found = of(req)
    if found.identity.device is not None:
        raise Problem("forbidden", "a device's own password is not good for this: use the user's")
    return found


def of(req: falcon.Request) -> Caller:
    found: Caller = req.env[_KEY]
    return found


def put(req: falcon.Request, caller: Caller) -> None:
    req.env[_KEY] = caller
