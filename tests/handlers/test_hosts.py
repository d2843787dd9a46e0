"""By which names the server may be called: a stranger's page that leads a name of its own here sees nothing."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from pathlib import Path

import falcon
import pytest
from falcon.testing import create_environ

from handlers.hosts import Hosts
from handlers.openapi.operations import OPERATIONS
from ops.settings import Settings
from tests.handlers.site import Site, refused

MACHINE = socket.gethostname().lower()
PROXIES = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8")]


def request(host: str, *, bound: str = "127.0.0.1", peer: str = "127.0.0.1", **headers: str) -> falcon.Request:
    environ = create_environ(headers={name.replace("_", "-"): value for name, value in headers.items()})
    environ["HTTP_HOST"] = host
    environ["SERVER_NAME"] = bound
    environ["REMOTE_ADDR"] = peer
    return falcon.Request(environ)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8787",
        "localhost.:8787",
        "gobi.localhost",
        "127.0.0.1:8787",
        "127.0.0.53",
        "[::1]:8787",
        "notes.example",
        "Notes.Example.:443",
        "xn--mnchen-3ya.example",
        "nas.lan:8787",
        "192.0.2.7",
        "[2001:db8:0::7]:8787",
        f"{MACHINE}:8787",
        f"{MACHINE.partition('.')[0]}.local",
        "",  # HTTP/1.0
    ],
)
def test_the_servers_own_names_are_accepted_whatever_port_they_have(host: str) -> None:
    names = ("nas.lan", "münchen.example", "192.0.2.7", "2001:db8::7")
    assert Hosts(names, public_url="https://notes.example/gobi").accepts(request(host))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8787",
        "notes.example.evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example, localhost",
        "localhost, evil.example",
        "localhost:80, evil.example",
        "[::1]:80, evil.example",
        "localhost:port",
        "localhost@evil.example",
        f"{MACHINE}.evil.example",
        "192.0.2.9",  # not where it listens
        "127.0.0.999",
        "[::2]",
        "[::1",
        " ",
        "*",
    ],
)
def test_any_other_name_is_not(host: str) -> None:
    assert not Hosts(("nas.lan",), public_url="https://notes.example").accepts(request(host))


@pytest.mark.parametrize(
    ("bound", "host", "accepted"),
    [
        ("192.168.1.5", "192.168.1.5:8787", True),
        ("192.168.1.5", "192.168.1.6:8787", False),
        ("0.0.0.0", "192.168.1.5:8787", True),  # noqa: S104  # whichever this machine has
        ("::", "192.168.1.5:8787", True),
        ("::", "[2001:db8::5%eth0]:8787", True),
        ("2001:db8::5", "[2001:DB8:0::5]", True),
        ("::ffff:192.168.1.5", "192.168.1.5", True),
        ("0.0.0.0", "evil.example", False),  # noqa: S104
        ("0.0.0.0", "192.168.1.5.evil.example", False),  # noqa: S104
    ],
)
def test_an_address_is_its_own_name_where_the_server_listens_on_it(bound: str, host: str, accepted: bool) -> None:
    assert Hosts().accepts(request(host, bound=bound, peer="192.168.1.9")) is accepted


@pytest.mark.parametrize(
    ("peer", "headers", "accepted"),
    [
        ("10.1.2.3", {"X_Forwarded_For": "192.0.2.1"}, True),
        ("::ffff:10.1.2.3", {"X_Forwarded_Proto": "https"}, True),
        ("", {}, True),  # a Unix socket: no browser gets there
        ("10.1.2.3", {}, False),  # a browser on the proxy's machine, straight
        ("192.0.2.1", {"X_Forwarded_For": "10.1.2.3"}, False),
    ],
)
def test_what_a_trusted_proxy_passes_on_goes_by_the_proxys_names(
    peer: str, headers: dict[str, str], accepted: bool
) -> None:
    assert Hosts(trusted_proxies=PROXIES).accepts(request("upstream", peer=peer, **headers)) is accepted


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.address}")
def test_no_address_answers_to_a_strangers_name(site: Site, operation: object) -> None:
    method, address = operation.method.upper(), operation.address  # type: ignore[attr-defined]
    for part, value in {"vault": "notes", "path": "a.md", "device": "x", "user": "you"}.items():
        address = address.replace("{" + part + "}", value)
    with site.unchanged():
        for person in (site.me, site.person(None)):
            refused(
                person.ask(method, address.replace("{", "").replace("}", ""), Host="evil.example"), 421, "wrong-host"
            )


def test_an_unknown_address_does_not_either(site: Site) -> None:
    refused(site.me.get("/nothing", Host="evil.example"), 421, "wrong-host")


def test_the_refusal_says_what_to_set(site: Site) -> None:
    detail = refused(site.me.get("/v1/vaults", Host="pi.lan:8787"), 421, "wrong-host")["detail"]
    assert "'pi.lan:8787'" in detail
    assert "GOBI_ALLOWED_HOSTS" in detail


def test_a_name_that_was_allowed_is_one_of_the_servers(tmp_path: Path) -> None:
    site = Site(tmp_path, allowed_hosts=("pi.lan",))
    assert site.me.get("/v1/vaults", Host="pi.lan:8787").status_int == 200


def test_a_page_at_a_strangers_name_sees_no_metrics_whatever_headers_it_adds(tmp_path: Path) -> None:
    """A proxy on this machine is trusted, and so comes from where a browser on it does."""
    site = Site(tmp_path, trusted_proxies=(ip_network("127.0.0.1"),))
    nobody = site.person(None)
    nobody.app.extra_environ["REMOTE_ADDR"] = "127.0.0.1"
    assert nobody.get("/metrics").status_int == 200
    refused(nobody.get("/metrics", Host="evil.example"), 421, "wrong-host")
    for header in ("X_Forwarded_For", "X_Forwarded_Proto", "X_Real_IP", "Forwarded", "Via"):
        refused(nobody.get("/metrics", Host="evil.example", **{header: "127.0.0.1"}), 404, "not-found")


def test_the_name_that_is_listened_on_is_the_servers(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, listen="pi.lan:8787", allowed_hosts=("nas",))
    assert settings.own_hosts == ("nas", "pi.lan")
    assert Settings(data_dir=tmp_path, listen="unix:/run/gobi.sock").own_hosts == ()
