"""Whether a service can be reached, and if not, why."""

from __future__ import annotations

import socket
import threading

import pytest

from store.reach import knock, loses_its_end
from tests.services import free_port


def test_who_listens_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert knock("Redis", "GOBI_REDIS_URL", "127.0.0.1", listener.getsockname()[1]) is None


def test_whoever_does_not_is_named_with_the_setting_that_leads_there() -> None:
    port = free_port()
    found = knock("Redis", "GOBI_REDIS_URL", "127.0.0.1", port)
    assert found is not None
    assert (found.subject, found.level, found.cause) == ("Redis", "wrong", "reach")
    assert f"127.0.0.1:{port}" in found.text
    assert "GOBI_REDIS_URL" in found.advice


@pytest.mark.parametrize("host", ["nothing.invalid", "no..host", "x" * 64])
def test_a_name_that_there_is_not(host: str) -> None:
    found = knock("Redis", "GOBI_REDIS_URL", host, 6379)
    assert found is not None
    assert found.text == f"there is no host {host}"


def test_dns_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [answer.wait()])
    found = knock("Redis", "GOBI_REDIS_URL", "example.org", 6379, patience_s=0.01)
    answer.set()
    assert found is not None
    assert "cannot be looked up now" in found.text


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://me:123/4@host/",
        "mongodb://me:123?4@host/",
        "mongodb://me:1@23/4@host/",
        "mongodb://me:1?2/3@host/",
        "redis://:123/4@host:6379/0",
        "redis://:123?4@host:6379/0",
    ],
)
def test_a_password_that_ends_the_address_too_early_is_noticed(uri: str) -> None:
    assert loses_its_end(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://host/",
        "mongodb://me:123%2F4@one:1,two:2/gobi?replicaSet=gobi",
        "mongodb+srv://me:123@cluster.example.mongodb.net/?appName=me@home",
        "redis://:123@host:6379/0?client_name=me@home",
        "redis://host",
    ],
)
def test_an_address_in_order_is_not_suspected(uri: str) -> None:
    assert not loses_its_end(uri)
