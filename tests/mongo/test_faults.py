"""The database is gone, hangs, is full, or has lost an answer: nothing is lost, and nothing waits for ever."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pymongo
import pytest

from tests.e2e.machines import House
from tests.mongo.asking import alive, ask, put
from tests.mongo_proxy import QUOTA_ERROR, MongoProxy
from tests.server import GobiServer
from tests.services import Mongod, ReplicaSet, wait_until

TRANSIENT = ["TransientTransactionError"]


@pytest.fixture
def house(far_house: House) -> House:
    far_house.api("PUT", "")
    far_house.put("first.md", b"first")
    return far_house


@pytest.fixture
def own_mongo(tmp_path: Path) -> Iterator[ReplicaSet]:
    """A MongoDB that the test may stop."""
    one = ReplicaSet(tmp_path / "mongo").start()
    yield one
    one.stop()


@pytest.fixture
def mongod(own_mongo: ReplicaSet) -> Mongod:
    return own_mongo.members[0]


@pytest.fixture
def own_house(own_mongo: ReplicaSet, tmp_path: Path) -> Iterator[House]:
    server = GobiServer(tmp_path / "server").start(GOBI_MONGO_URI=own_mongo.uri)
    server.add_user()
    house = House([server], "notes", tmp_path)
    house.api("PUT", "")
    house.put("first.md", b"first")
    yield house
    server.close()


def bodies_of(house: House, path: str) -> list[bytes]:
    return house.contents(path)


# -- gone


def test_without_its_database_the_server_says_when_to_come_back(own_house: House, own_mongo: ReplicaSet) -> None:
    own_mongo.members[0].stop()
    for answer in (put(own_house, "a.md", b"a"), ask(own_house, "GET", "/files/first.md")):
        assert (answer.status, answer.code) == (503, "store-unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert alive(own_house)
    own_mongo.members[0].start()
    own_mongo.wait_for_primary()
    assert put(own_house, "a.md", b"a").status == 201
    assert own_house.body("/files/first.md") == b"first"


def test_a_client_waits_for_the_database_and_then_finishes(own_house: House, own_mongo: ReplicaSet) -> None:
    laptop, desktop = own_house.machine("laptop"), own_house.machine("desktop")
    laptop.write("written meanwhile.md", "while the database was away")
    own_mongo.members[0].kill9()
    with laptop.start("sync", str(laptop.folder)) as waiting:
        wait_until(lambda: "/sync failed" in own_house.server.log, "the client to be told to wait")
        own_mongo.members[0].start()
        out, err = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, out + err
    desktop.sync()
    assert desktop.files() == {"first.md": b"first", "written meanwhile.md": b"while the database was away"}


def test_a_server_does_not_start_without_its_database_and_says_so(tmp_path: Path, own_mongo: ReplicaSet) -> None:
    own_mongo.members[0].stop()
    server = GobiServer(tmp_path / "server", GOBI_MONGO_URI=own_mongo.uri)
    done = server.gobi("serve")
    assert done.returncode == 69
    assert done.stderr.count("\n") == 1
    assert "gobi doctor" in done.stderr


# -- hung


def test_a_hung_database_holds_nobody_for_ever_and_nothing_else(own_house: House, mongod: Mongod) -> None:
    """Twenty requests, twice as many as there are connections: each gets its answer."""
    mongod.pause()
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(put, own_house, f"{number}.md", b"text") for number in range(20)]
        assert alive(own_house)
        assert {answer.result().status for answer in answers} == {503}
    mongod.resume()
    assert put(own_house, "0.md", b"text").status in (200, 201)
    assert own_house.contents("0.md") == [b"text"]


# -- full


def test_a_full_database_refuses_writes_and_reads_go_on(house: House, proxy: MongoProxy) -> None:
    """With the very words of Atlas's free tier."""
    head = house.history("first.md")[0]["stamp"]
    for command in ("insert", "update"):
        proxy.fail(command, *QUOTA_ERROR, times=None)
    for answer in (
        put(house, "second.md", b"second"),
        put(house, "first.md?on_conflict=keep", b"other"),
        ask(house, "DELETE", "/files/first.md", If_Match=f'"{head}"'),
    ):
        assert (answer.status, answer.code) == (507, "metadata-full")
        assert "full" in answer.json["detail"]
    assert house.body("/files/first.md") == b"first"
    assert [one["path"] for one in house.api("GET", "/changes?cursor=0")["changes"]] == ["first.md"]
    assert house.conflicts() == []
    proxy.clear()
    assert put(house, "second.md", b"second").status == 201


# -- answers that were lost


def test_a_commit_whose_answer_is_lost_makes_one_version(house: House, proxy: MongoProxy) -> None:
    """The driver asks once more by itself; four times is more than it does."""
    proxy.lose_reply("commitTransaction", times=4)
    assert put(house, "second.md", b"second").status == 201
    assert bodies_of(house, "second.md") == [b"second"]
    assert house.api("GET", "")["files"] == 2


def test_a_commit_that_was_taken_back_is_done_again(house: House, proxy: MongoProxy) -> None:
    proxy.fail("commitTransaction", 251, "the transaction was aborted by an election", times=2, labels=TRANSIENT)
    assert put(house, "second.md", b"second").status == 201
    assert bodies_of(house, "second.md") == [b"second"]
    assert house.api("GET", "")["files"] == 2


@pytest.mark.parametrize("command", ["update", "insert"])
def test_a_transaction_that_met_another_is_done_again(house: House, proxy: MongoProxy, command: str) -> None:
    proxy.fail(command, 112, "WriteConflict error: this operation conflicted", times=3, labels=TRANSIENT)
    assert put(house, "second.md", b"second").status == 201
    assert bodies_of(house, "second.md") == [b"second"]


def test_an_upload_whose_commit_stays_unknown_is_repeated_by_its_client(house: House, proxy: MongoProxy) -> None:
    """The answer is lost for as long as the server has patience; the same request later finds its own version."""
    proxy.lose_reply("commitTransaction", times=1_000)
    answer = put(house, "second.md", b"second")
    assert (answer.status, answer.code) == (503, "store-unavailable")
    proxy.clear()
    assert put(house, "second.md", b"second").status == 200
    assert bodies_of(house, "second.md") == [b"second"]


def test_connections_that_are_cut_under_load_lose_and_double_nothing(house: House, proxy: MongoProxy) -> None:
    acknowledged: list[str] = []

    def write(worker: int) -> None:
        for number in range(15):
            path = f"{worker}/{number}.md"
            if number % 5 == 2:
                proxy.cut()
            while put(house, path, path.encode()).status not in (200, 201):
                pass  # as a client does: the same again
            acknowledged.append(path)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, worker) for worker in range(4)]:
            done.result()
    log = house.api("GET", "/changes?cursor=0&limit=1000")["changes"]
    assert sorted(version["path"] for version in log) == sorted([*acknowledged, "first.md"])
    for path in acknowledged:
        assert bodies_of(house, path) == [path.encode()]


# -- incomplete


def test_without_its_index_nothing_is_written_and_a_restart_makes_it(
    house: House, mongo: ReplicaSet, database: str
) -> None:
    client: pymongo.MongoClient[dict[str, Any]]
    with pymongo.MongoClient(mongo.uri) as client:
        client[database].versions.drop_index("by_path")
    answer = put(house, "second.md", b"second")
    assert (answer.status, answer.code) == (503, "store-unavailable")
    assert "index" in answer.json["detail"]
    house.server.restart()
    assert put(house, "second.md", b"second").status == 201
