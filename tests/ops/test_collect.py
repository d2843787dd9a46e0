"""`gobi gc` as an operator runs it: what it says, and when it refuses."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import pytest

from store.bodies import DiskBodies
from store.bodies_guard import needing
from store.sqlite import SqliteMetadata
from tests.contract.past import DAY_US
from tests.mongo_proxy import MongoProxy
from tests.server import GobiServer
from tests.store.world import NAME, World


def age(server: GobiServer, *, until_days_ago: float = 1) -> None:
    """A vault in which a version is too old to be kept, and so is a deletion; nothing was written since."""
    days = 800.0
    metadata = SqliteMetadata(
        server.data_dir / "metadata.db", now=lambda: time.time_ns() // 1000 - round(days * DAY_US)
    )
    world = World(metadata, DiskBodies(server.data_dir / "bodies"))
    first, gone = world.new("a.md", b"old"), world.new("gone.md", b"gone")
    days = 700
    second = world.new("a.md", b"newer", first.stamp)
    world.delete("gone.md", gone.stamp)
    days = until_days_ago
    world.new("a.md", b"newest", second.stamp)
    metadata.close()


@pytest.fixture
def aged(offline: GobiServer) -> GobiServer:
    offline.data_dir.mkdir(parents=True)
    age(offline)
    return offline


def counted(server: GobiServer, *options: str) -> Any:
    done = server.gobi("gc", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_tells_what_goes_and_then_what_went(aged: GobiServer) -> None:
    foreseen = counted(aged, "--dry-run")
    assert foreseen["dry_run"]
    assert counted(aged, "--dry-run") == foreseen
    done = aged.gobi("gc")
    words = "2 old versions, 1 old deletion; to the trash 0 bodies of 0 bytes; out of it 0 of 0 bytes for good"
    assert done.stdout.splitlines() == [f"{NAME}: {words}", f"Gone in all: {words}"]
    assert foreseen["total"] == {**dict.fromkeys(foreseen["total"], 0), "versions": 2, "tombstones": 1}
    assert [one["vault"] for one in foreseen["vaults"]] == [NAME]
    assert counted(aged)["total"]["versions"] == 0


def test_it_goes_by_the_days_that_the_settings_say(aged: GobiServer) -> None:
    aged._env["GOBI_KEEP_DAYS"] = "750"
    assert counted(aged)["total"]["versions"] == 0
    aged._env["GOBI_KEEP_DAYS"] = "600"
    assert counted(aged)["total"]["versions"] == 2


def test_while_a_backup_runs_it_comes_again_later(aged: GobiServer) -> None:
    with needing(str(aged.data_dir / "bodies")):
        done = aged.gobi("gc")
    assert done.returncode == 75
    assert "backup" in done.stderr
    assert counted(aged)["total"]["versions"] == 2


def test_a_machine_that_slept_for_months_is_not_believed_without_force(offline: GobiServer) -> None:
    offline.data_dir.mkdir(parents=True)
    age(offline, until_days_ago=60)
    done = offline.gobi("gc")
    assert done.returncode == 1
    assert "60 days" in done.stderr
    assert "--force" in done.stderr
    assert offline.gobi("gc", "--dry-run").returncode == 1
    assert counted(offline, "--force")["total"]["versions"] == 2
    assert counted(offline)["total"]["versions"] == 0


def test_bodies_of_another_database_are_left_alone(aged: GobiServer) -> None:
    for file in aged.data_dir.glob("metadata.db*"):
        file.unlink()
    done = aged.gobi("gc")
    assert done.returncode == 78
    assert "GOBI_MONGO_DB" in done.stderr
    assert len([path for path in (aged.data_dir / "bodies").rglob("?" * 62) if path.is_file()]) == 4


@pytest.mark.parametrize("ahead_s", [366 * 86_400, -366 * 86_400, 2 * 3_600])
def test_a_database_whose_clock_is_not_this_machines_stops_it(
    offline: GobiServer, proxy: MongoProxy, prepared: str, ahead_s: float
) -> None:
    """Also with --force: one of the two is known to be wrong."""
    offline._env |= {"GOBI_MONGO_URI": proxy.uri, "GOBI_MONGO_DB": prepared}
    proxy.clock_ahead_s = ahead_s
    for options in ([], ["--force"]):
        done = offline.gobi("gc", *options)
        assert done.returncode == 1
        assert "clock" in done.stderr
        assert "timedatectl" in done.stderr
    proxy.clock_ahead_s = 0
    assert counted(offline)["total"]["versions"] == 0


def test_a_database_out_of_reach_is_told_and_nothing_goes(offline: GobiServer) -> None:
    offline._env |= {"GOBI_MONGO_URI": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200"}
    done = offline.gobi("gc")
    assert done.returncode == 69
    assert done.stdout == ""


def test_what_the_last_collection_did_is_among_the_measures(aged: GobiServer) -> None:
    def measures() -> dict[str, str]:
        with urllib.request.urlopen(f"{aged.url}/metrics") as answer:
            lines = [line.split(" ") for line in answer.read().decode().splitlines() if line[0] != "#"]
        return {name: value for name, value in lines if name.startswith("gobi_collection")}

    aged.start()
    try:
        assert measures() == {}
    finally:
        aged.stop()
    began = time.time()
    counted(aged)
    aged.start()
    try:
        told = measures()
    finally:
        aged.stop()
    assert float(told.pop("gobi_collection_timestamp_seconds")) >= began - 1
    assert {name: float(value) for name, value in told.items()} == {
        "gobi_collection_versions": 2,
        "gobi_collection_tombstones": 1,
        "gobi_collection_bodies": 0,
        "gobi_collection_bytes": 0,
        "gobi_collection_removed_bodies": 0,
        "gobi_collection_removed_bytes": 0,
    }
