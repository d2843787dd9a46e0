"""Who is asking: what authentication found out about a request, for the handlers."""

from __future__ import annotations

import falcon

from handlers.problems import Problem
from store.access import Caller

_KEY = "gobi.caller"


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
