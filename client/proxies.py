"""Which proxy leads to a server, by the variables that every client goes by."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from client.ports import Stopped
from sync.addresses import is_host, is_loopback

SETTINGS = 78


class Proxy(NamedTuple):
    """`credentials`: of the header Proxy-Authorization, None for none. `variable`: where it is named."""

    host: str
    port: int
    credentials: str | None
    variable: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"the proxy http://{host}:{self.port} (named in {self.variable})"

    @property
    def headers(self) -> dict[str, str]:
        return {"Proxy-Authorization": self.credentials} if self.credentials else {}


def proxy_for(scheme: str, host: str, port: int, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy to a server; None where it is reached directly, as this machine always is.

    `https_proxy` or `http_proxy` by the server's scheme, else `all_proxy`; `no_proxy` names what needs none. Small
    letters win over capitals. Raises Stopped for one that gobi cannot use.
    """
    if is_loopback(host):
        return None
    for name in (f"{scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if variable == "HTTP_PROXY" and "REQUEST_METHOD" in environment:
                continue  # a CGI program's environment: there it is the request's header `Proxy`, from anybody
            if environment.get(variable):
                needless = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
                return None if _is_named(host, port, needless) else _read(variable, environment[variable])
    return None


def _read(variable: str, text: str) -> Proxy:
    wrong = Stopped(f"{variable} is not the address of a proxy; write it like http://proxy.example.org:3128", SETTINGS)
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        raise wrong from None
    if not host or not is_host(host):
        raise wrong
    if parts.scheme != "http":
        raise Stopped(
            f"{variable} names a proxy of the kind {parts.scheme}://, and gobi speaks to http:// ones only; name one "
            "of those, or the server in NO_PROXY if it can be reached directly",
            SETTINGS,
        )
    credentials = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        credentials = "Basic " + b64encode(pair.encode()).decode()
    return Proxy(host, port, credentials, variable)


def _is_named(host: str, port: int, needless: str) -> bool:
    """Whether `host` is in a list of names, domains, addresses and networks, some with a port; `*` is everything."""
    host = host.lower().rstrip(".")
    return any(_covers(entry, host, port) for entry in needless.lower().replace(",", " ").split())


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return _is_in(host, entry)
    name, own_port = entry, ""
    if entry.startswith("["):
        name, _, own_port = entry[1:].partition("]")
        own_port = own_port.removeprefix(":")
    elif entry.count(":") == 1:
        name, _, own_port = entry.partition(":")
    if own_port and own_port != str(port):
        return False
    name = name.removeprefix("*").lstrip(".").rstrip(".")
    return bool(name) and (host == name or (host.endswith("." + name) and not host.replace(".", "").isdigit()))


def _is_in(host: str, network: str) -> bool:
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
