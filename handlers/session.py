"""Sessions for browsers: a signed cookie instead of the password. The server keeps nothing.

The signature covers the stored hash of the password that the session began with, the user's or a device's own, so that
changing or revoking it, or the user's removal, ends the session at once. Signing out takes the cookie from the browser.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

import falcon

from handlers import caller, replies
from store.base import Metadata
from store.users import Identity
from sync.model import Json

COOKIE = "gobi_session"
LIFETIME_S = 14 * 24 * 3600


class Sessions:
    """Makes and checks cookies. `clock` gives seconds since 1970."""

    def __init__(self, metadata: Metadata, clock: Callable[[], float] = time.time) -> None:
        self._metadata = metadata
        self._clock = clock
        self._secret: bytes | None = None

    def issue(self, who: Identity) -> str:
        expires = int(self._clock()) + LIFETIME_S
        cookie = f"{who.user}:{expires}:{self._sign(who, expires)}"
        return cookie if who.device is None else f"{cookie}:{_encoded(who.device.encode())}"

    def identity(self, cookie: str) -> Identity | None:
        """Whose cookie it is, or None for one that is forged, expired or revoked."""
        name, expires, signature, device = [*cookie.split(":", 3), "", "", "", ""][:4]
        if not (expires.isascii() and expires.isdigit()) or len(expires) > 12 or int(expires) <= self._clock():
            return None
        if cookie.count(":") != 2 and not device:
            return None
        who = self._now(name, device)
        if who is None or not hmac.compare_digest(self._sign(who, int(expires)).encode(), signature.encode()):
            return None
        return who

    def _now(self, name: str, encoded_device: str) -> Identity | None:
        """Who that is, by what the database has now."""
        user = self._metadata.user(name)
        if user is None:
            return None
        named = (one.name for one in user.devices if _encoded(one.name.encode()) == encoded_device)
        device = next(named, None) if encoded_device else None
        stored = user.stored(device) if device is not None or not encoded_device else None
        return None if stored is None else Identity(name, device, stored)

    def _sign(self, who: Identity, expires: int) -> str:
        if self._secret is None:
            self._secret = self._metadata.secret()
        # No two passwords of a user are stored as the same, so this says which device, too.
        text = f"session\0{who.user}\0{expires}\0{who.stored}"
        return _encoded(hmac.digest(self._secret, text.encode(), hashlib.sha256))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Session:
    """/v1/session. `below`: the path below which browsers see the server."""

    def __init__(self, sessions: Sessions, below: str = "") -> None:
        self._sessions = sessions
        self._path = f"{below}/"

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        replies.send(resp, _row(caller.of(req).identity))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        who = caller.of(req).identity
        resp.set_cookie(
            COOKIE,
            self._sessions.issue(who),
            max_age=LIFETIME_S,
            path=self._path,
            secure=req.scheme == "https",
            http_only=True,
            same_site="Strict",
        )
        replies.send(resp, _row(who))

    def on_delete(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.unset_cookie(COOKIE, path=self._path, same_site="Strict")
        resp.status = falcon.HTTP_204


def _row(who: Identity) -> Json:
    """With the device where it was its own password that opened the session."""
    return {"user": who.user} | ({} if who.device is None else {"device": who.device})
