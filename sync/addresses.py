"""Network addresses: which are this machine's, and what is meant by one as a socket or a header writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it takes a client 4 ms to import
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    Address = IPv4Address | IPv6Address
    Network = IPv4Network | IPv6Network

# Where IPv6 has IPv4's addresses: a socket that takes both (`[::]`) tells of IPv4 peers as of ::ffff:192.0.2.1.
_MAPPED_PREFIX = 96

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)


def is_host(host: str) -> bool:
    """Whether it can be the name or the address of a machine, also in letters beyond ASCII (RFC 1035, RFC 5890)."""
    if ":" in host:
        from ipaddress import IPv6Address

        try:
            return bool(IPv6Address(host))
        except ValueError:
            return False
    try:
        name = host if host.isascii() else host.encode("idna").decode()  # the codec takes a while to load
    except UnicodeError:
        return False
    labels = name.removesuffix(".").split(".")
    return len(name) <= 254 and all(_LABEL.fullmatch(label) for label in labels)


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine: 127.0.0.0/8, ::1, localhost and names under it (RFC 6761)."""
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost") or host == "::1":
        return True
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdigit() and int(part) < 256 for part in parts)


def parse_address(text: str) -> Address | None:
    """The address in `192.0.2.1`, `2001:db8::1`, the same in brackets, and with a port behind; None for anything else.

    An IPv4 address in IPv6's form (::ffff:192.0.2.1) is that IPv4 address.
    """
    from ipaddress import IPv6Address, ip_address

    try:
        ip = ip_address(_without_port(text.strip()))
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def network_of(text: str) -> str:
    """What counts as one neighbour: an IPv4 address, or of IPv6 the /64, of which one household has at least one.

    Text that is no address (a peer on a Unix socket has none) stands for itself.
    """
    from ipaddress import ip_network

    ip = parse_address(text)
    if ip is None:
        return text
    return str(ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)


def is_among(address: Address, networks: Iterable[Network]) -> bool:
    """Whether one of the networks has this address, in whichever of the two forms either is written."""
    from ipaddress import IPv4Address, IPv6Address

    if any(address in network for network in networks):
        return True
    if not isinstance(address, IPv4Address):
        return False
    mapped = IPv6Address(f"::ffff:{address}")
    return any(mapped in network for network in networks)


def in_both_forms(networks: Iterable[Network]) -> list[Network]:
    """The networks, and for each of IPv4 also the one by which a socket for both kinds knows its addresses."""
    from ipaddress import IPv4Network, IPv6Network

    both: list[Network] = []
    for network in networks:
        both.append(network)
        if network.version == 4:
            both.append(IPv6Network(f"::ffff:{network.network_address}/{_MAPPED_PREFIX + network.prefixlen}"))
        elif (inner := network.network_address.ipv4_mapped) and network.prefixlen >= _MAPPED_PREFIX:
            both.append(IPv4Network((inner, network.prefixlen - _MAPPED_PREFIX)))
    return both


def _without_port(text: str) -> str:
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        return host if closed and _is_port(port) else text
    host, colon, port = text.partition(":")
    return host if "." in host and _is_port(colon + port) else text  # a bare IPv6 address has no port


def _is_port(text: str) -> bool:
    """Nothing, or `:` and digits."""
    return not text or (text[0] == ":" and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6)
