"""Three database servers, of which the first one dies in the middle of commits: what was acknowledged is there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.machines import House
from tests.mongo.asking import put
from tests.server import GobiServer
from tests.services import ReplicaSet, wait_until

WRITERS, KILLS = 4, 3


@pytest.fixture
def three(tmp_path: Path) -> Iterator[ReplicaSet]:
    one = ReplicaSet(tmp_path / "mongo", members=3).start()
    yield one
    one.stop()


@pytest.fixture
def house(three: ReplicaSet, tmp_path: Path) -> Iterator[House]:
    server = GobiServer(tmp_path / "server").start(GOBI_MONGO_URI=three.uri)
    server.add_user()
    one = House([server], "notes", tmp_path)
    one.api("PUT", "")
    yield one
    server.close()


def test_a_primary_killed_during_commits_costs_no_acknowledged_version(three: ReplicaSet, house: House) -> None:
    """Each writer repeats what was not acknowledged, as a client does: every content is there, and once."""
    acknowledged: list[tuple[str, int]] = []
    over = threading.Event()

    def write(writer: int) -> None:
        number = 0
        while not over.is_set():
            path = f"{writer}/{number}.md"
            while (answer := put(house, path, path.encode())).status not in (200, 201):
                assert answer.status == 503, answer
            acknowledged.append((path, answer.json["stamp"]))
            number += 1

    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write, number) for number in range(WRITERS)]
        for _ in range(KILLS):
            before = len(acknowledged)
            wait_until(lambda before=before: len(acknowledged) > before + 30, "commits")  # type: ignore[misc]  # bound early
            primary = three.wait_for_primary()
            primary.kill9()
            three.wait_for_primary()
            primary.start()
        before = len(acknowledged)
        wait_until(lambda: len(acknowledged) > before + 30, "commits after the last election")
        over.set()
        for one in writers:
            one.result()
    changes = house.api("GET", f"/changes?cursor={first_cursor(house)}&limit=10000")["changes"]
    assert sorted((one["path"], one["stamp"]) for one in changes) == sorted(acknowledged)
    assert all(earlier["stamp"] < later["stamp"] for earlier, later in pairwise(changes))
    assert house.api("GET", "")["files"] == len(acknowledged)


def first_cursor(house: House) -> str:
    """Before every version: the whole log comes after it, not only what is live."""
    epoch: str = house.api("GET", "")["epoch"]
    return f"{epoch}.0"
