"""Browsers that are signed in. Each is a record in its user's row, and a signed cookie that names it.

Whoever comes with a cookie has that row read anyway, so ending a session counts with the next request, on every worker,
with every copy of the cookie, and costs no command more. A session has one end, which nothing puts off.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from store.base import Bus, Identity, Metadata, Session, SessionsChanged
from store.refusals import no_user

LIFETIME_S = 30 * 24 * 3600
# Of what a browser calls itself.
LONGEST_AGENT = 160


class Sessions:
    """Begins, recognises and ends them; tells live sockets. `clock` gives seconds since 1970.

    The signature covers the stored hash of the password that the session began with, the user's or a device's own:
    where that is another one, no record helps.
    """

    def __init__(self, metadata: Metadata, bus: Bus, clock: Callable[[], float] = time.time) -> None:
        self._metadata = metadata
        self._bus = bus
        self._clock = clock
        self._secret: bytes | None = None

    def begin(self, who: Identity, agent: str) -> tuple[str, Session]:
        """The cookie, and what is kept. Raises Unauthorized."""
        name = "".join(letter if letter.isprintable() else "?" for letter in agent[:LONGEST_AGENT])
        session_id = secrets.token_hex(8)
        session = self._metadata.add_session(who.user, session_id, who.device, name, LIFETIME_S, by=who)
        return f"{who.user}:{session.id}:{self._sign(who, session.id)}", session

    def identity(self, cookie: str) -> Identity | None:
        """Whose cookie it is, or None for one that is forged, or whose session has ended."""
        name, _, rest = cookie.partition(":")
        session_id, _, signature = rest.partition(":")
        user = self._metadata.user(name) if session_id and signature else None
        session = user.session(session_id, self._now()) if user is not None else None
        if user is None or session is None:
            return None
        stored = user.stored(session.device)
        if stored is None:
            return None
        who = Identity(user.name, session.device, stored, session.id)
        right = hmac.compare_digest(self._sign(who, session.id).encode(), signature.encode("utf-8", "surrogatepass"))
        return who if right else None

    def of(self, name: str) -> list[Session]:
        """Those that have not ended, the newest first. Raises NotFound."""
        user = self._metadata.user(name)
        if user is None:
            raise no_user(name)
        return [one for one in reversed(user.sessions) if self._now() < one.expires]

    def get(self, who: Identity) -> Session | None:
        """The session that `who` came with."""
        return next((one for one in self.of(who.user) if one.id == who.session), None)

    def end(self, user: str, session_id: str, by: Identity) -> None:
        """Raises NotFound, Unauthorized."""
        self._metadata.remove_session(user, session_id, by=by)
        self._bus.publish(SessionsChanged())

    def _now(self) -> int:
        return int(self._clock() * 1_000_000)

    def _sign(self, who: Identity, session_id: str) -> str:
        if self._secret is None:
            self._secret = self._metadata.secret()
        # No two passwords of a user are stored as the same, so this says which device, too.
        text = f"browser session\0{who.user}\0{session_id}\0{who.stored}"
        digest = hmac.digest(self._secret, text.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
