"""Who may come in: strangers' pages and unknown callers are turned away before anything is looked up for them."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Sequence

import falcon

from handlers import caller, invitations, page
from handlers.exchange import request_id
from handlers.hosts import Hosts
from handlers.origin import Network, client_address, is_foreign
from handlers.passwords import Passwords, SlowDown
from handlers.problems import Problem, challenge
from handlers.session import Cookies, transport_security
from handlers.strangers import CONNECTION, Connection
from store import log_context
from store.access import Caller
from store.base import Identity
from store.registry import VaultName
from store.sessions import Sessions
from store.users import Users
from sync.paths import is_device

log = logging.getLogger("gobi.auth")

# And the page's own files. /metrics and invitations have rules of their own.
OPEN = ("/healthz", "/", "/metrics", "/openapi.json", invitations.REDEEM)
EMPTY_S = 5  # after which to ask a server again that has no users
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Addresses of which the log says that they may be a proxy: anybody can look like one.
MOST_HINTED = 100


class Gate:
    """Falcon middleware: request ids, Host and Origin, Basic or a session's cookie, and the device's name."""

    def __init__(
        self,
        users: Users,
        sessions: Sessions,
        cookies: Cookies,
        passwords: Passwords,
        *,
        hosts: Hosts,
        public_url: str | None,
        trusted_proxies: Sequence[Network],
    ) -> None:
        self._hosts = hosts
        self._users = users
        self._sessions = sessions
        self._cookies = cookies
        self._transport_security = transport_security(public_url)
        self._passwords = passwords
        self._public_url = public_url
        self._trusted = trusted_proxies
        self._hinted: set[str] = set()

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        if not self._hosts.accepts(req):
            raise Problem(
                "wrong-host",
                f"this server does not go by the name {(req.get_header('Host') or '')[:255]!r}: name it in "
                "GOBI_ALLOWED_HOSTS, or set GOBI_PUBLIC_URL to its address",
            )
        if (req.method not in SAFE_METHODS or _opens_socket(req)) and is_foreign(req, self._public_url):
            raise Problem(
                "cross-origin",
                "this came from another site's page; if it was gobi's own behind a proxy, set GOBI_PUBLIC_URL to its"
                " address",
            )
        address: str = req.env["PATH_INFO"]
        if address in OPEN or address.startswith(page.PREFIX):
            return
        who = self._authenticate(req)
        connection: Connection = req.env[CONNECTION]
        connection.sign_in()
        named = _device(req)
        device = who.device or named or who.user
        log_context.add(user=who.user, device=device)
        caller.put(req, Caller(who.user, device, who))

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, _resource: object, params: dict[str, str]
    ) -> None:
        """A name may be another vault's by now: who says which one is meant does not get into that."""
        meant = req.get_header("Gobi-Vault")
        if meant is not None and "vault" in params:
            params["vault"] = VaultName(params["vault"], meant)

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool) -> None:
        resp.set_header("X-Request-ID", request_id(req.env))
        resp.set_header("X-Content-Type-Options", "nosniff")
        if self._transport_security:
            resp.set_header("Strict-Transport-Security", self._transport_security)
        if resp.get_header("Cache-Control") is None:
            resp.set_header("Cache-Control", "private, no-cache")

    def _authenticate(self, req: falcon.Request) -> Identity:
        header = req.get_header("Authorization")
        if header is None:
            for cookie in self._cookies.get(req):
                who = self._sessions.identity(cookie)
                if who is not None:
                    return who
            raise _unauthorized(req, "sign in with a user and a password")
        credentials = _basic(header)
        if credentials is None:
            raise _unauthorized(req, "the Authorization header is not Basic with user:password in UTF-8")
        return self._verify(req, *credentials)

    def _verify(self, req: falcon.Request, name: str, password: str) -> Identity:
        address = client_address(req, self._trusted)
        try:
            who = self._passwords.identify(name, password, address)
        except SlowDown as refusal:
            if refusal.guesses:
                self._hint(req, address)
            raise
        if who is not None:
            return who
        log.warning("wrong password for %r from %s", name[:64], address)
        if self._users.nobody:
            no = _unauthorized(
                req,
                "there are no users on this server yet. If there were, its data is not where it looks for it; if it is "
                "new, run gobi user add on it",
            )
            no.headers["Retry-After"] = str(EMPTY_S)  # clients are to wait, for the disk may come
            raise no
        raise _unauthorized(req, "there is no such user, or the password is wrong")

    def _hint(self, req: falcon.Request, address: str) -> None:
        """Where it was most likely a proxy that was refused, the log says so, once for each."""
        if address != req.env.get("REMOTE_ADDR") or req.get_header("X-Forwarded-For") is None:
            return
        if address not in self._hinted and len(self._hinted) < MOST_HINTED:
            self._hinted.add(address)
            log.warning(
                "%s is slowed down for wrong passwords, and passes on requests of others: if it is your proxy, name it "
                "in GOBI_TRUSTED_PROXIES, or whoever guesses there locks out everybody behind it",
                address,
            )


def _opens_socket(req: falcon.Request) -> bool:
    """A GET, yet what it changes is that a page can read on: browsers send it across origins, with the cookie."""
    return "websocket" in (req.get_header("Upgrade") or "").lower()


def _basic(header: str) -> tuple[str, str] | None:
    """User and password (RFC 7617), or None."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(" "), validate=True).decode()
    except (binascii.Error, ValueError):  # UnicodeDecodeError is a ValueError
        return None
    name, colon, password = text.partition(":")
    return (name, password) if colon else None


def _unauthorized(req: falcon.Request, detail: str) -> Problem:
    return Problem("unauthorized", detail, headers=challenge(req))


def _device(req: falcon.Request) -> str | None:
    name = req.get_header("Gobi-Device")
    if name is not None and not is_device(name):
        raise Problem("bad-request", "Gobi-Device has to be 1 to 64 printable ASCII characters")
    return name
