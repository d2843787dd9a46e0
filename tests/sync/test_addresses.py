"""What is meant by a network address, however it is written."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from sync.addresses import in_both_forms, is_among, parse_address


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:65535", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_an_address_with_or_without_a_port(text: str, meant: str) -> None:
    assert parse_address(text) == ip_address(meant)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "_hidden",
        "pi.example",
        "192.0.2",
        "192.0.2.1:",
        "192.0.2.1:x",
        "[2001:db8::1",
        "[::1]x",
        "192.0.2.1:80:80",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert parse_address(text) is None


def test_a_network_has_an_address_in_either_form() -> None:
    four, six = ip_address("10.1.2.3"), ip_address("2001:db8::1")
    assert is_among(four, [ip_network("10.0.0.0/8")])
    assert is_among(four, [ip_network("::ffff:10.0.0.0/104")])
    assert not is_among(four, [ip_network("::ffff:11.0.0.0/104"), ip_network("2001:db8::/32")])
    assert is_among(six, [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")])
    assert not is_among(six, [])


def test_networks_are_told_in_both_forms() -> None:
    told = in_both_forms([ip_network("10.0.0.0/8"), ip_network("::ffff:127.0.0.1"), ip_network("2001:db8::/32")])
    assert told == [
        ip_network("10.0.0.0/8"),
        ip_network("::ffff:10.0.0.0/104"),
        ip_network("::ffff:127.0.0.1"),
        ip_network("127.0.0.1"),
        ip_network("2001:db8::/32"),
    ]
