"""Sessions for browsers: a cookie instead of the password (store/sessions.py)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import falcon

from handlers import caller, replies
from handlers.origin import own_path
from handlers.problems import Problem
from store.base import Identity
from store.base import Session as Kept
from store.sessions import Sessions
from sync.model import Json

COOKIE = "gobi_session"
# A browser that has several of one name has been given some by somebody else: more are not looked at.
MOST_COOKIES = 3
YEAR_S = 365 * 24 * 3600


class Cookies:
    """What a session's cookie is called, and how it is set.

    Where the public address is https, or the request came so, it never travels without, and its name says so to
    browsers, which then take it from no other host and from nothing unencrypted (RFC 6265bis, section 4.1.3).
    """

    def __init__(self, public_url: str | None = None) -> None:
        self._encrypted = (public_url or "").startswith("https://")
        self._path = f"{own_path(public_url)}/"

    def get(self, req: falcon.Request) -> list[str]:
        return (req.get_cookie_values(self._name(req)) or [])[:MOST_COOKIES]

    def set(self, req: falcon.Request, resp: falcon.Response, value: str, seconds: int) -> None:
        """For so long. In the past takes it away, as it was set: browsers refuse `__Host-…` without Secure."""
        resp.set_cookie(
            self._name(req),
            value,
            expires=datetime.now(UTC) + timedelta(seconds=seconds),
            max_age=seconds if seconds > 0 else None,
            path=self._path,
            secure=self._is_secure(req),
            http_only=True,
            same_site="Strict",
        )

    def unset(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.set(req, resp, "", -YEAR_S)

    def _name(self, req: falcon.Request) -> str:
        if not self._is_secure(req):
            return COOKIE
        return f"__Host-{COOKIE}" if self._path == "/" else f"__Secure-{COOKIE}"

    def _is_secure(self, req: falcon.Request) -> bool:
        return self._encrypted or req.scheme == "https"


def transport_security(public_url: str | None) -> str | None:
    """The value of `Strict-Transport-Security` (RFC 6797), where there is to be one.

    It is about every port of that host, so only where the public address is https at its usual port.
    """
    scheme, _, rest = (public_url or "").partition("://")
    host = rest.partition("/")[0]
    return f"max-age={YEAR_S}" if scheme == "https" and ":" not in host.rpartition("]")[2] else None


class Session:
    """/v1/session."""

    def __init__(self, sessions: Sessions, cookies: Cookies) -> None:
        self._sessions = sessions
        self._cookies = cookies

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        replies.send(resp, _signed_in(caller.of(req).identity))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        who = caller.of(req).identity
        if who.session is None:  # a session does not make another one, which would have a later end
            cookie, session = self._sessions.begin(who, req.user_agent or "")
            self._cookies.set(req, resp, cookie, (session.expires - session.began) // 1_000_000)
        replies.send(resp, _signed_in(who))

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        who = caller.of(req).identity
        if who.session is not None:
            self._sessions.end(who.user, who.session, who)
        self._cookies.unset(req, resp)
        resp.status = falcon.HTTP_204


class List:
    """/v1/sessions"""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        who = caller.of(req).identity
        rows = [_row(one, current=one.id == who.session) for one in self._sessions.of(who.user)]
        replies.send(resp, {"sessions": rows})


class One:
    """/v1/sessions/{session}"""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def on_delete(self, req: falcon.Request, resp: falcon.Response, session: str) -> None:
        who = caller.of(req)
        if who.identity.device is not None and not self._is_own(who.identity, session):
            raise Problem("forbidden", "a device's own password is not good for this: use the user's")
        self._sessions.end(who.user, session, who.identity)
        resp.status = falcon.HTTP_204

    def _is_own(self, who: Identity, session: str) -> bool:
        """Whether it began with the same device's password."""
        return any(one.id == session and one.device == who.device for one in self._sessions.of(who.user))


def _signed_in(who: Identity) -> Json:
    """With the device where it was its own password that opened the session."""
    return {"user": who.user} | ({} if who.device is None else {"device": who.device})


def _row(one: Kept, *, current: bool) -> Json:
    row: Json = {"id": one.id, "began": one.began, "expires": one.expires, "agent": one.agent, "current": current}
    return row if one.device is None else row | {"device": one.device}
