"""Where a request comes from: which address, and whose web page."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import falcon

from sync.addresses import is_among, parse_address

Network = IPv4Network | IPv6Network

# Whoever sends one of these is not where the connection comes from.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "Via")


def client_address(req: falcon.Request, trusted: Sequence[Network]) -> str:
    return client_address_of(req.env, trusted)


def client_address_of(environ: dict[str, Any], trusted: Sequence[Network]) -> str:
    """The address that a request came from; behind trusted proxies, the one they name.

    X-Forwarded-For is read from its end, where the nearest proxy wrote; what stands before the first address that is
    not trusted may be anybody's invention. A peer on a Unix socket has no address, and can only be a proxy.
    """
    address: str = environ.get("REMOTE_ADDR", "")
    ip = parse_address(address)
    hops = [hop for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    while hops and (ip is None or is_among(ip, trusted)):
        hop = parse_address(hops.pop())
        if hop is None:
            break
        ip = hop
    return address if ip is None else str(ip)


def is_foreign(req: falcon.Request, public_url: str | None) -> bool:
    """Whether a browser sent this from a page that is not this server's own (RFC 6454).

    Its own are those of `public_url`, or else those under the address that the request itself was sent to.
    """
    origin = req.get_header("Origin")
    if origin is None:
        return False
    scheme, _, rest = own_address(req, public_url).lower().partition("://")
    return _without_port(origin.lower()) != _without_port(f"{scheme}://{rest.partition('/')[0]}")


def own_address(req: falcon.Request, public_url: str | None) -> str:
    """This server's address as the caller knows it, with the path below which it is."""
    return public_url or f"{req.scheme}://{req.get_header('Host') or ''}"


def own_path(public_url: str | None) -> str:
    """The path below which the server is, without a slash at its end: empty, most often."""
    _, _, rest = (public_url or "").partition("://")
    _, slash, path = rest.partition("/")
    return slash + path


def _without_port(origin: str) -> str:
    """Without the port that the scheme has anyway: some write it and some do not."""
    for scheme, port in (("http", ":80"), ("https", ":443")):
        if origin.startswith(scheme + "://"):
            return origin.removesuffix(port)
    return origin
