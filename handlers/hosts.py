"""By which names a server may be called.

A page of a stranger can have its own name lead to this machine (DNS rebinding); for a browser it then comes from here.
What gives it away is the `Host` that the browser sends: that name, and not one of this server's.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import falcon

from handlers.origin import FORWARDED, Network
from sync.addresses import is_among, is_loopback, parse_address


class Hosts:
    """`names`: those of the settings, beside the public address's, the machine's own, and those of loopback."""

    def __init__(
        self, names: Iterable[str] = (), *, public_url: str | None = None, trusted_proxies: Sequence[Network] = ()
    ) -> None:
        public = urlsplit(public_url or "").hostname
        machine = _name(socket.gethostname())
        own = [*names, machine, f"{machine.partition('.')[0]}.local", *([public] if public else [])]
        self._names = {_name(name) for name in own if name}
        self._trusted = trusted_proxies

    def accepts(self, req: falcon.Request) -> bool:
        """Whether the request calls this server by a name of its own. What is no browser may send none (HTTP/1.0).

        Which names lead to a trusted proxy is that proxy's business.
        """
        header = req.get_header("Host")
        if not header or self._is_forwarded(req):
            return True
        host = _without_port(header)
        if is_loopback(host) or host in self._names:
            return True
        return self._is_bound(host, req.env.get("SERVER_NAME", ""))

    def _is_bound(self, host: str, bound: str) -> bool:
        """A literal address leads nowhere but to itself; a listener for all addresses does not know which it has."""
        address, listener = parse_address(host), parse_address(bound)
        if address is None or listener is None:
            return False
        return listener.is_unspecified or address == listener

    def _is_forwarded(self, req: falcon.Request) -> bool:
        """A page can send these headers too, but then sees nothing that is for this machine only (metrics.py)."""
        remote = req.env.get("REMOTE_ADDR")
        if remote == "":  # a Unix socket's, where no browser gets
            return True
        peer = parse_address(remote or "")
        named = any(req.get_header(name) is not None for name in FORWARDED)
        return named and peer is not None and is_among(peer, self._trusted)


_HOST = re.compile(r"(?:\[(?P<address>[^\]%]+)(?:%[^\]]*)?\]|(?P<name>[^\[\]:]+))(?::[0-9]*)?")


def _without_port(header: str) -> str:
    """The host in `Host` (RFC 9110, section 7.2) as `_name` writes it, an IPv6 address without its zone; or nothing."""
    found = _HOST.fullmatch(header.strip())
    return _name(found["address"] or found["name"]) if found else ""


def _name(host: str) -> str:
    """In lower case, without the root's dot, as the DNS has it; an address as it is written in short."""
    host = host.strip().removesuffix(".").lower()
    if (address := parse_address(host)) is not None:
        return str(address)
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host
