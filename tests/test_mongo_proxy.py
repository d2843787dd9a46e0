"""The proxy does to a real MongoDB's clients what a far, throttled, full, unlucky or hung one would."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pymongo
import pytest
from pymongo.errors import AutoReconnect, NetworkTimeout, OperationFailure

from tests.mongo_proxy import QUOTA_ERROR, MongoProxy
from tests.services import ReplicaSet, wait_until

Client = pymongo.MongoClient[dict[str, Any]]


@pytest.fixture
def proxy(mongo: ReplicaSet) -> Iterator[MongoProxy]:
    with MongoProxy(mongo.members[0].port) as one:
        yield one


@pytest.fixture
def client(proxy: MongoProxy) -> Iterator[Client]:
    one: Client
    with pymongo.MongoClient(proxy.uri, serverSelectionTimeoutMS=10_000) as one:
        one.drop_database("proxied")
        proxy.reset()
        yield one
        proxy.clear()
        proxy.resume()


def test_a_transaction_passes(client: Client, proxy: MongoProxy) -> None:
    notes = client.proxied.notes
    with client.start_session() as session, session.start_transaction():
        notes.insert_many([{"_id": number} for number in range(1_000)], session=session)
        notes.update_one({"_id": 7}, {"$set": {"seen": True}}, session=session)
    assert notes.count_documents({}) == 1_000
    assert proxy.commands == ["insert", "update", "commitTransaction", "aggregate"]


def test_drivers_housekeeping_is_not_counted(client: Client, proxy: MongoProxy) -> None:
    client.admin.command("ping")
    client.admin.command("hello")
    assert proxy.count == 0


def test_every_round_trip_takes_longer_and_none_waits_for_another(client: Client, proxy: MongoProxy) -> None:
    client.proxied.notes.find_one()
    proxy.delay_s = 0.2
    assert seconds(client, 1) >= 0.2
    assert seconds(client, 10) < 10 * 0.2


def seconds(client: Client, readers: int) -> float:
    """How long so many readers take that all begin at once."""
    at_once = [threading.Thread(target=client.proxied.notes.find_one) for _ in range(readers)]
    start = time.monotonic()
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join()
    return time.monotonic() - start


def test_a_throttled_database_refuses_nothing_and_takes_its_time(client: Client, proxy: MongoProxy) -> None:
    client.proxied.notes.find_one()
    proxy.commands_per_s = 50
    start = time.monotonic()
    for _ in range(20):
        client.proxied.notes.find_one()
    # A tenth of a second's worth, five, passes at once.
    assert time.monotonic() - start >= 15 / 50


def test_a_full_database_is_the_one_that_atlas_has(client: Client, proxy: MongoProxy) -> None:
    proxy.fail("insert", *QUOTA_ERROR, times=None)
    for _ in range(2):
        with pytest.raises(OperationFailure, match="over your space quota") as caught:
            client.proxied.notes.insert_one({})
        assert caught.value.code == 8000
        assert caught.value.details is not None
        assert caught.value.details["codeName"] == "AtlasError"
    assert client.proxied.notes.count_documents({}) == 0  # mongod saw nothing; reads go on
    proxy.clear()
    client.proxied.notes.insert_one({})


def test_a_failure_carries_its_labels_and_happens_as_often_as_told(client: Client, proxy: MongoProxy) -> None:
    proxy.fail("insert", 112, "write conflict", labels=["TransientTransactionError"])
    with pytest.raises(OperationFailure) as caught:
        client.proxied.notes.insert_one({})
    assert caught.value.has_error_label("TransientTransactionError")
    client.proxied.notes.insert_one({})


def test_a_lost_reply_leaves_the_deed_done(client: Client, proxy: MongoProxy) -> None:
    proxy.lose_reply("commitTransaction", times=2)  # pymongo repeats a commit once by itself
    with pytest.raises(AutoReconnect) as caught, client.start_session() as session, session.start_transaction():
        client.proxied.notes.insert_one({"_id": 1}, session=session)
    assert caught.value.has_error_label("UnknownTransactionCommitResult")
    assert client.proxied.notes.find_one() == {"_id": 1}


def test_a_database_may_have_another_time(client: Client, proxy: MongoProxy) -> None:
    right = client.admin.command("hello")["localTime"]
    proxy.clock_ahead_s = 7_200
    wrong = client.admin.command("hello")["localTime"]
    assert timedelta(hours=2) <= wrong - right < timedelta(hours=2, minutes=2)
    (row,) = client.proxied.aggregate([{"$documents": [{"at": {"now": "$$NOW"}, "n": 2**40}]}])
    assert row["at"]["now"] - right >= timedelta(hours=2)
    assert row["n"] == 2**40


def test_a_hung_database_answers_nothing_until_it_goes_on(client: Client, proxy: MongoProxy) -> None:
    proxy.stall()
    with pytest.raises(NetworkTimeout), pymongo.timeout(0.3):
        client.proxied.notes.find_one()
    assert proxy.count == 0
    proxy.resume()
    assert client.proxied.notes.find_one() is None


def test_cut_connections_can_be_made_again(client: Client, proxy: MongoProxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        own = connection.getsockname()
        wait_until(lambda: proxy.carries(own), "the proxy to have it")
        proxy.cut()
        assert connection.recv(1) == b""
    assert client.proxied.notes.find_one() is None
