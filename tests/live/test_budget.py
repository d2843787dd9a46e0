"""What sockets cost: memory while nothing happens, database commands and time when something does."""

from __future__ import annotations

import resource
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.peer import Vault, memory_kib
from tests.mongo_proxy import MongoProxy
from tests.server import GobiServer
from tests.services import ReplicaSet

KIB_A_SOCKET = 4
NEVER = "3600"


@pytest.fixture
def proxy(mongo: ReplicaSet) -> Iterator[MongoProxy]:
    with MongoProxy(mongo.members[0].port) as one:
        yield one


@pytest.fixture
def far_vault(proxy: MongoProxy, mongo: ReplicaSet, tmp_path: Path) -> Iterator[Vault]:
    """Its database's commands are counted; the sweep's own are not among them."""
    database = f"test-{secrets.token_hex(6)}"
    settings = {"GOBI_MONGO_URI": proxy.uri, "GOBI_MONGO_DB": database, "GOBI_SWEEP_S": NEVER}
    server = GobiServer(tmp_path / "server").start(**settings)
    server.add_user()
    vault = Vault(server)
    yield vault
    vault.close()
    server.close()
    mongo.drop(database)


def test_an_edit_seen_by_a_hundred_sockets_costs_nothing_after_its_commit(far_vault: Vault, proxy: MongoProxy) -> None:
    proxy.reset()
    far_vault.put("alone.md")
    alone = proxy.commands
    assert "commitTransaction" in alone
    peers = [far_vault.greeted() for _ in range(100)]
    proxy.reset()
    for number in range(3):
        far_vault.put(f"{number}.md")
        for peer in peers:
            assert peer.paths(1) == [f"{number}.md"]
    assert proxy.commands == alone * 3


def test_what_a_hundred_sockets_missed_is_read_once(far_vault: Vault, proxy: MongoProxy) -> None:
    cursor = far_vault.cursor()
    far_vault.put("a.md")
    proxy.reset()
    peers = [far_vault.greeted(cursor) for _ in range(100)]
    for peer in peers:
        assert peer.paths(1) == ["a.md"]
    # A handshake looks up user, vault and cursor; whoever comes while the log is read has a read in common with others.
    assert proxy.commands.count("find") < 5 * 100


def test_an_idle_socket_costs_little(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault()
    assert each_costs_kib(vault, 1_000) < KIB_A_SOCKET


def test_a_thousand_sockets_hear_of_an_edit_within_a_second(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault()
    peers = [vault.greeted() for _ in range(1_000)]
    began = time.monotonic()
    vault.put("a.md")
    for peer in peers:
        assert peer.paths(1) == ["a.md"]
    assert time.monotonic() - began < 1


@pytest.mark.soak
def test_five_thousand_idle_sockets_cost_little(open_vault: Callable[..., Vault]) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    vault = open_vault()
    assert each_costs_kib(vault, 5_000) < KIB_A_SOCKET
    assert memory_kib(vault.server) < 90 << 10


def each_costs_kib(vault: Vault, count: int) -> float:
    first = vault.greeted()
    vault.put("first.md")
    assert first.paths(1) == ["first.md"]
    before = memory_kib(vault.server)
    peers = [vault.greeted() for _ in range(count)]
    vault.put("second.md")  # each has been written to once, too
    for peer in peers:
        assert peer.paths(1) == ["second.md"]
    return (memory_kib(vault.server) - before) / count
