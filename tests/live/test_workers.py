"""Sockets on one worker hear of what was committed on another: over Redis, and without it by the sweep."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.peer import Vault, basic, workers
from tests.server import GobiServer
from tests.services import Redis, wait_until

NEVER = "3600"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    one = Redis(tmp_path / "redis").start()
    yield one
    one.stop()


class House:
    """Two servers over one data folder: what is committed on `vault` is heard on `far` over Redis only."""

    def __init__(self, folder: Path, redis: Redis, sweep_s: str) -> None:
        settings = {"GOBI_REDIS_URL": redis.url, "GOBI_SWEEP_S": sweep_s}
        self.one = GobiServer(folder / "one").start(**settings)
        self.one.add_user()
        self.other = GobiServer(folder / "other", data_dir=self.one.data_dir).start(**settings)
        self.vault = Vault(self.one)
        self.far = self.vault.at(self.other)

    def connected(self) -> bool:
        return all(_ready(server) for server in (self.one, self.other))

    def close(self) -> None:
        self.vault.close()
        self.one.close()
        self.other.close()


def _ready(server: GobiServer) -> bool:
    request = urllib.request.Request(server.url + "/readyz", headers={"Authorization": basic()})
    try:
        with urllib.request.urlopen(request) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False


@pytest.fixture
def open_house(tmp_path: Path, redis: Redis) -> Iterator[Callable[[str], House]]:
    houses: list[House] = []

    def make(sweep_s: str) -> House:
        houses.append(House(tmp_path, redis, sweep_s))
        wait_until(houses[-1].connected, "both to hear each other")
        return houses[-1]

    yield make
    for house in houses:
        house.close()


def test_a_commit_on_another_worker_is_heard(open_house: Callable[[str], House]) -> None:
    house = open_house(NEVER)
    peer, near = house.far.greeted(), house.vault.greeted()
    for number in range(20):
        house.vault.put(f"{number}.md")
    for one in (peer, near):
        assert one.paths(20) == [f"{number}.md" for number in range(20)]


def test_a_removed_member_is_closed_on_another_worker_at_once(open_house: Callable[[str], House]) -> None:
    house = open_house(NEVER)
    peer = house.far.greeted()
    house.vault.ask("DELETE", f"?confirm={house.vault.name}")
    assert peer.close_code() == 1008


def test_commits_from_both_sides_make_one_chain(open_house: Callable[[str], House]) -> None:
    house = open_house(NEVER)
    peers = [house.far.greeted(), house.vault.greeted(), house.far.greeted()]

    def write(vault: Vault) -> None:
        for number in range(50):
            vault.put(f"{vault.server.folder.name}/{number}.md", b"%d" % number)

    threads = [threading.Thread(target=write, args=(vault,)) for vault in (house.vault, house.far)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = house.vault.ask("GET", "/changes?cursor=0&limit=1000")["changes"]
    order = [row["path"] for row in sorted(log, key=lambda row: row["stamp"])]
    assert len(order) == 100
    for peer in peers:
        assert peer.paths(100) == order


def test_a_redis_that_restarts_in_a_stream_of_edits_loses_nothing(
    open_house: Callable[[str], House], redis: Redis
) -> None:
    house = open_house(NEVER)
    peer = house.far.greeted()
    count = 0
    for round in range(4):
        for _ in range(25):
            house.vault.put(f"{count}.md")
            count += 1
        redis.kill9() if round % 2 == 0 else redis.start()
    wait_until(house.connected, "both to hear each other again")
    assert peer.paths(count) == [f"{number}.md" for number in range(count)]


def test_a_subscriber_that_redis_throws_out_misses_nothing(open_house: Callable[[str], House], redis: Redis) -> None:
    house = open_house(NEVER)
    peer = house.far.greeted()
    for number in range(60):
        if number % 20 == 10:
            redis.throw_subscribers_out()
        house.vault.put(f"{number}.md")
    assert peer.paths(60) == [f"{number}.md" for number in range(60)]


def test_without_redis_the_sweep_finds_what_was_committed_elsewhere(
    open_house: Callable[[str], House], redis: Redis
) -> None:
    house = open_house("1")
    peer = house.far.greeted()
    redis.stop()
    house.vault.put("a.md")
    assert peer.paths(1) == ["a.md"]


def test_a_revoked_device_is_out_on_every_worker_at_once(tmp_path: Path, redis: Redis) -> None:
    """Sockets and requests, by a command beside the server; the user's other device stays."""
    server = GobiServer(tmp_path / "server").start(GOBI_WORKERS="2", GOBI_REDIS_URL=redis.url, GOBI_SWEEP_S=NEVER)
    server.add_user()
    vault = Vault(server)

    def device(name: str) -> str:
        made = server.gobi("user", "token", "add", "me", name).stdout
        return basic("me", made.split("Password: ")[1].split()[0])

    def refused_by_one() -> bool:
        try:
            vault.ask("GET", "", Authorization=laptop)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code in (401, 429)  # whoever asks so often counts as a guesser
        return False

    try:
        wait_until(lambda: _ready(server), "the workers to hear each other")
        laptop, phone = device("laptop"), device("phone")
        lost = [vault.greeted(Authorization=laptop) for _ in range(20)]
        kept = [vault.greeted(Authorization=phone) for _ in range(20)]
        assert not any(refused_by_one() for _ in range(20)), "both remember it now"
        assert server.gobi("user", "token", "revoke", "me", "laptop").returncode == 0
        assert {peer.close_code() for peer in lost} == {1008}
        wait_until(lambda: all(refused_by_one() for _ in range(20)), "every worker to refuse the device")
        vault.put("after.md", Authorization=phone)
        assert all(peer.paths(1) == ["after.md"] for peer in kept)
    finally:
        vault.close()
        server.close()


def test_many_workers_of_one_server_all_tell_theirs(tmp_path: Path, redis: Redis) -> None:
    server = GobiServer(tmp_path / "server").start(GOBI_WORKERS="2", GOBI_REDIS_URL=redis.url, GOBI_SWEEP_S=NEVER)
    server.add_user()
    vault = Vault(server)
    try:
        peers = [vault.greeted() for _ in range(40)]
        assert len(workers(server)) == 2
        for number in range(10):
            vault.put(f"{number}.md")
        for peer in peers:
            assert peer.paths(10) == [f"{number}.md" for number in range(10)]
    finally:
        vault.close()
        server.close()
