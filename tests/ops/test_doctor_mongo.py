"""What `gobi doctor` says of a MongoDB: what Atlas and mongod do to newcomers, told apart and translated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest

from ops.doctor import exit_code
from store import mongo_check
from tests.mongo_proxy import QUOTA_ERROR, MongoProxy
from tests.ops.looking import look, wrong
from tests.services import Mongod, ReplicaSet, wait_until

Client = pymongo.MongoClient[dict[str, Any]]

pytestmark = pytest.mark.usefixtures("impatient")


def connected(uri: str, **options: Any) -> Client:
    return pymongo.MongoClient(uri, **options)


def test_nothing_is_wrong(mongo: ReplicaSet, prepared: str) -> None:
    assert {one.level for one in look(mongo.uri, prepared)} == {"ok"}


def test_before_the_first_start_nothing_is_made_and_nothing_is_missed(mongo: ReplicaSet) -> None:
    found = look(mongo.uri, "not_yet")
    assert {one.subject for one in found if one.level != "ok"} == {"users"}
    with connected(mongo.uri) as client:
        assert "not_yet" not in client.list_database_names()


# -- it is no replica set, or not this one


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    one = Mongod(tmp_path_factory.mktemp("alone"), None).start()
    yield one
    one.kill9()


@pytest.fixture(scope="module")
def uninitiated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    one = Mongod(tmp_path_factory.mktemp("uninitiated"), "gobi").start()
    yield one
    one.kill9()


@pytest.mark.parametrize("options", ["", "replicaSet=gobi"])
def test_it_is_no_replica_set(alone: Mongod, options: str) -> None:
    found = look(f"mongodb://{alone.host}/?{options}")
    assert "no replica set" in wrong(found).text
    assert "--replSet" in wrong(found).advice
    assert "rs.initiate()" in wrong(found).advice
    assert exit_code(found) == 1


@pytest.mark.parametrize("options", ["", "directConnection=true", "replicaSet=gobi"])
def test_its_replica_set_was_never_initiated(uninitiated: Mongod, options: str) -> None:
    found = look(f"mongodb://{uninitiated.host}/?{options}")
    assert "never initiated" in wrong(found).text
    assert "rs.initiate()" in wrong(found).advice


def test_its_replica_set_has_another_name(mongo: ReplicaSet) -> None:
    found = look(f"mongodb://{mongo.members[0].host}/?replicaSet=another")
    assert "replicaSet=gobi" in wrong(found).advice
    assert exit_code(found) == 78


def test_no_member_takes_writes(tmp_path: Path) -> None:
    own = ReplicaSet(tmp_path).start()
    try:
        own.members[0].admin("replSetStepDown", 600, force=True)
        found = look(own.uri)
        assert "no primary" in wrong(found).text
        assert exit_code(found) == 69
        assert "takes no writes" in wrong(look(own.members[0].uri)).text
    finally:
        own.stop()


# -- it refuses


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host of a replica set with two users, both with the password `geheim`: `writer`, and `reader`."""
    folder = tmp_path_factory.mktemp("guarded")
    key = folder / "key"
    key.write_text("a key that the members share")
    key.chmod(0o600)
    one = Mongod(folder, "gobi", "--auth", "--keyFile", str(key)).start()
    one.admin("replSetInitiate", {"_id": "gobi", "members": [{"_id": 0, "host": one.host}]})
    wait_until(lambda: one.is_primary, "a primary")
    # Until there is a user, whoever is on the machine may make one.
    one.admin("createUser", "root", pwd="geheim", roles=["root"])
    with connected(one.uri, username="root", password="geheim") as client:
        for name, role in (("writer", "readWrite"), ("reader", "read")):
            client.admin.command("createUser", name, pwd="geheim", roles=[{"role": role, "db": "gobi"}])
    yield one.host
    one.kill9()


def test_its_user_may_do_what_is_needed(guarded: str) -> None:
    found = look(f"mongodb://writer:geheim@{guarded}/")
    assert [one.level for one in found if one.subject != "users"].count("ok") == len(found) - 1


def test_the_password_is_wrong(guarded: str) -> None:
    found = look(f"mongodb://writer:wrong@{guarded}/")
    assert "refuses the user or the password" in wrong(found).text
    assert exit_code(found) == 78


def test_there_is_no_password(guarded: str) -> None:
    found = look(f"mongodb://{guarded}/")
    assert "wants a user and a password" in wrong(found).text
    assert exit_code(found) == 78


def test_its_user_may_only_read(guarded: str) -> None:
    found = look(f"mongodb://reader:geheim@{guarded}/")
    assert "role readWrite on gobi" in wrong(found).advice
    assert exit_code(found) == 1


def test_atlas_says_it_in_its_own_way(proxy: MongoProxy, prepared: str) -> None:
    proxy.fail("saslStart", 8000, "bad auth : Authentication failed.")
    assert "refuses the user or the password" in wrong(look(proxy.uri.replace("//", "//me:wrong@"), prepared)).text
    proxy.fail("insert", 8000, "user is not allowed to do action [insert] on [gobi.meta]")
    assert "role readWrite" in wrong(look(proxy.uri, prepared)).advice


# -- it is full, old, or off


def test_atlas_is_full(proxy: MongoProxy, prepared: str) -> None:
    proxy.fail("insert", *QUOTA_ERROR, times=None)
    found = look(proxy.uri, prepared)
    assert "using 520 MB of 512 MB" in wrong(found).text
    assert "larger tier" in wrong(found).advice
    assert exit_code(found) == 1


@pytest.mark.parametrize(("kilobytes", "level"), [(100, "ok"), (850, "warning"), (1_000, "wrong")])
def test_it_is_nearly_full(mongo: ReplicaSet, kilobytes: int, level: str) -> None:
    name = f"nearly_full_{kilobytes}"
    with connected(mongo.uri) as client:
        client[name].ballast.insert_many([{"bytes": bytes(1_000)} for _ in range(kilobytes)])
    (one,) = [one for one in look(mongo.uri, name, quota_mb=1) if "of 1 MB" in one.text]
    assert one.level == level


def test_atlas_is_taken_for_its_free_tier(mongo: ReplicaSet, prepared: str) -> None:
    with connected(mongo.uri) as client:
        (far,) = mongo_check._size(client[prepared], None, on_atlas=True)
        (near,) = mongo_check._size(client[prepared], None, on_atlas=False)
    assert "0% of the 512 MB of Atlas's free tier" in far.text
    assert "%" not in near.text


@pytest.mark.parametrize(("ahead_s", "level"), [(3, "ok"), (-60, "warning"), (3_700, "wrong"), (-3_700, "wrong")])
def test_its_clock_is_off(proxy: MongoProxy, prepared: str, ahead_s: float, level: str) -> None:
    proxy.clock_ahead_s = ahead_s
    (one,) = [one for one in look(proxy.uri, prepared) if one.text.startswith("its clock")]
    assert one.level == level
    assert ("ahead" in one.text, "behind" in one.text) == (level != "ok" and ahead_s > 0, ahead_s < 0)


def test_stamps_run_ahead_of_its_clock(mongo: ReplicaSet, prepared: str) -> None:
    with connected(mongo.uri) as client:
        client[prepared]["vaults"].insert_many(
            [{"_id": n, "name": str(n), "clock": n * 3_600_000_000} for n in (5, 24)]
        )
        (ahead,) = mongo_check._stamps(client[prepared], 0.0)
        (right,) = mongo_check._stamps(client[prepared], 24 * 3600.0)
    assert (ahead.level, right.level) == ("warning", "ok")
    assert "stamped 24 hours in the clock's future" in ahead.text


def test_it_is_too_old() -> None:
    assert mongo_check._version("4.4.29").level == "wrong"
    assert mongo_check._version("5.0.0").level == "ok"


def test_it_belongs_to_a_newer_gobi(mongo: ReplicaSet, prepared: str) -> None:
    with connected(mongo.uri) as client:
        client[prepared].meta.update_one({"_id": "schema"}, {"$set": {"version": 99}})
    assert "schema 99 is of a newer gobi" in wrong(look(mongo.uri, prepared)).text


def test_an_index_is_missing(mongo: ReplicaSet, prepared: str) -> None:
    with connected(mongo.uri) as client:
        client[prepared].versions.drop_index("by_path")
    found = look(mongo.uri, prepared)
    assert "versions.by_path" in wrong(found).text
    assert exit_code(found) == 1
