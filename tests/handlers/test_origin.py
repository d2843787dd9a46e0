"""Which address a request came from, and whose page sent it."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import falcon
import pytest
from falcon.testing import create_environ

from handlers.origin import client_address, is_foreign
from tests.handlers.site import Site

PROXIES = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8")]


def request(peer: str = "192.0.2.9", scheme: str = "http", **headers: str) -> falcon.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    environ = create_environ(headers=named, scheme=scheme, host="pi.example")
    environ["REMOTE_ADDR"] = peer
    return falcon.Request(environ)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.9", "", "192.0.2.9"),
        ("192.0.2.9", "203.0.113.5", "192.0.2.9"),  # a stranger's own invention
        ("127.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("127.0.0.1", "8.8.8.8, 203.0.113.5", "203.0.113.5"),  # what was sent to the proxy does not count
        ("127.0.0.1", "203.0.113.5, 10.1.2.3", "203.0.113.5"),  # two proxies
        ("127.0.0.1", "10.1.2.3", "10.1.2.3"),  # somebody in the trusted network
        ("127.0.0.1", "junk", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.5, junk", "127.0.0.1"),
        ("127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("", "203.0.113.5", "203.0.113.5"),  # a proxy on a Unix socket
        ("::ffff:192.0.2.9", "203.0.113.5", "192.0.2.9"),  # IPv4, on a listener for both
        ("::ffff:127.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("::ffff:127.0.0.1", "::ffff:203.0.113.5", "203.0.113.5"),
        ("::ffff:127.0.0.1", "203.0.113.5, ::ffff:10.1.2.3", "203.0.113.5"),
        ("127.0.0.1", "203.0.113.5:41234", "203.0.113.5"),  # some proxies tell the port as well
        ("127.0.0.1", "203.0.113.5:41234, 10.1.2.3:80", "203.0.113.5"),
        ("127.0.0.1", "[2001:db8::1]:41234", "2001:db8::1"),
        ("127.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("127.0.0.1", "2001:DB8:0::1", "2001:db8::1"),
        ("127.0.0.1", "203.0.113.5:x", "127.0.0.1"),
    ],
)
def test_only_trusted_proxies_say_where_a_request_came_from(peer: str, forwarded: str, address: str) -> None:
    headers = {"X_Forwarded_For": forwarded} if forwarded else {}
    assert client_address(request(peer, **headers), PROXIES) == address


def test_a_trusted_proxy_may_be_named_in_either_form() -> None:
    """As 127.0.0.1 or as ::ffff:127.0.0.1, wherever the server listens."""
    named = [ip_network("127.0.0.1"), ip_network("::ffff:127.0.0.1"), ip_network("::ffff:127.0.0.0/104")]
    for network in (*named, ip_network("::/0")):
        for peer in ("127.0.0.1", "::ffff:127.0.0.1"):
            assert client_address(request(peer, X_Forwarded_For="203.0.113.5"), [network]) == "203.0.113.5"


@pytest.mark.parametrize(
    ("origin", "scheme", "public_url", "foreign"),
    [
        ("http://pi.example", "http", None, False),
        ("http://PI.example:80", "http", None, False),
        ("https://pi.example", "https", None, False),
        ("https://pi.example:443", "https", None, False),
        ("https://pi.example", "http", None, True),
        ("http://pi.example:8080", "http", None, True),
        ("https://notes.example", "http", "https://notes.example", False),
        ("http://pi.example", "http", "https://notes.example", True),
        ("https://notes.example", "http", "https://notes.example/gobi", False),
        ("https://notes.example:443", "http", "https://notes.example/gobi", False),
        ("https://notes.example.evil.example", "http", "https://notes.example/gobi", True),
        ("null", "http", None, True),
        ("null", "http", "https://notes.example", True),
        ("", "http", None, True),
        ("http://pi.example.evil.example", "http", None, True),
    ],
)
def test_a_page_is_the_servers_own_by_its_whole_origin(
    origin: str, scheme: str, public_url: str | None, foreign: bool
) -> None:
    assert is_foreign(request(scheme=scheme, Origin=origin), public_url) is foreign


def test_what_is_no_browser_sends_no_origin_and_is_not_foreign() -> None:
    assert not is_foreign(request(), None)


def test_a_page_of_the_server_may_write(site: Site) -> None:
    assert site.me.put("a.md", b"text", Origin="http://localhost").status_int == 201


def test_behind_a_proxy_the_public_url_says_whose_pages_may_write(tmp_path: Path) -> None:
    site = Site(tmp_path, public_url="https://notes.example")
    assert site.me.put("a.md", b"text", Origin="https://notes.example").status_int == 201
    assert site.me.put("b.md", b"text", Origin="http://localhost").status_int == 403


def test_reading_is_not_refused_for_its_origin(site: Site) -> None:
    assert site.me.get("/v1/vaults", Origin="https://evil.example").status_int == 200
