"""Which proxy leads to a server, by the variables that every client goes by."""

from __future__ import annotations

import pytest

from client.ports import Stopped
from client.proxies import proxy_for

PROXY = "http://proxy.example.org:3128"


def place(scheme: str, host: str, **environment: str) -> str | None:
    proxy = proxy_for(scheme, host, 443, environment)
    return None if proxy is None else f"{proxy.host}:{proxy.port}"


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_variable_names_the_proxy(variable: str) -> None:
    assert place("https", "pi.example.org", **{variable: PROXY}) == "proxy.example.org:3128"


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_plain_http_has_a_variable_of_its_own(variable: str) -> None:
    assert place("http", "pi.example.org", **{variable: PROXY}) == "proxy.example.org:3128"
    assert place("http", "pi.example.org", HTTPS_PROXY=PROXY) is None


def test_the_nearer_variable_wins() -> None:
    found = place("https", "pi", all_proxy="a:1", ALL_PROXY="A:2", https_proxy="s:3", HTTPS_PROXY="S:4")
    assert found == "s:3"
    assert place("https", "pi", all_proxy="a:1", HTTPS_PROXY="s:4") == "s:4"
    assert place("https", "pi", https_proxy="", ALL_PROXY="a:1") == "a:1"


def test_what_a_web_client_may_have_set_names_no_proxy() -> None:
    assert place("http", "pi", HTTP_PROXY=PROXY, REQUEST_METHOD="GET") is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.4.5", "::1", "pi.localhost"])
def test_this_machine_is_reached_without(host: str) -> None:
    assert place("http", host, ALL_PROXY=PROXY) is None


@pytest.mark.parametrize(
    ("needless", "host", "whether"),
    [
        ("*", "pi.example.org", True),
        ("pi.example.org", "pi.example.org", True),
        ("example.org", "pi.example.org", True),
        (".example.org", "pi.example.org", True),
        (".example.org", "example.org", True),
        ("*.example.org", "pi.example.org", True),
        ("EXAMPLE.ORG.", "Pi.Example.Org.", True),
        ("other.org, example.org", "pi.example.org", True),
        ("other.org example.org", "pi.example.org", True),
        ("pi.example.org:443", "pi.example.org", True),
        ("pi.example.org:8443", "pi.example.org", False),
        ("ample.org", "pi.example.org", False),
        ("pi.example.org.evil.org", "pi.example.org", False),
        ("192.168.0.0/16", "192.168.4.5", True),
        ("192.168.0.0/16", "192.169.4.5", False),
        ("192.168.4.5", "192.168.4.5", True),
        ("4.5", "192.168.4.5", False),
        ("fd00::/8", "fd00::1", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("fd00::1", "fd00::1", True),
        ("192.168.0.0/nonsense", "192.168.4.5", False),
        ("", "pi.example.org", False),
        (" , ,", "pi.example.org", False),
    ],
)
def test_what_needs_no_proxy(needless: str, host: str, whether: bool) -> None:
    for variable in ("no_proxy", "NO_PROXY"):
        assert (place("https", host, HTTPS_PROXY=PROXY, **{variable: needless}) is None) is whether


def test_a_proxy_may_want_a_password_and_nothing_shows_it() -> None:
    proxy = proxy_for("https", "pi", 443, {"HTTPS_PROXY": "http://me:p%40ss@proxy:3128"})
    assert proxy is not None
    assert proxy.headers == {"Proxy-Authorization": "Basic bWU6cEBzcw=="}
    assert "p@ss" not in str(proxy)


@pytest.mark.parametrize(
    ("text", "found"), [("proxy:3128", "proxy:3128"), ("http://proxy/", "proxy:80"), ("proxy", "proxy:80")]
)
def test_a_proxy_may_be_named_in_short(text: str, found: str) -> None:
    assert place("https", "pi", HTTPS_PROXY=text) == found


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("socks5h://me:secret@proxy:1080", "socks5h://"),
        ("https://me:secret@proxy", "http:// ones only"),
        ("http://me:secret@:3128", "not the address of a proxy"),
        ("http://me:secret@a..b:3128", "not the address of a proxy"),
        ("http://me:secret@proxy:port", "not the address of a proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_said_to_be_none(text: str, advice: str) -> None:
    with pytest.raises(Stopped, match=advice) as stopped:
        place("https", "pi", HTTPS_PROXY=text)
    assert stopped.value.exit_code == 78
    assert "secret" not in str(stopped.value)
    assert place("https", "pi", HTTPS_PROXY=text, NO_PROXY="pi") is None
