"""A collector that waits for nothing, beside writers of the very bodies that it is after: none is ever missing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from store.bodies import DiskBodies
from store.collection import Collector, Limits
from tests.contract.backends import Backend
from tests.store.world import World, change, parcel, removal, sha256

WRITERS = 8
BODIES = [b"body %d" % number * 20 for number in range(5)]
# Every version that was followed goes at once, and every body that no version has.
MERCILESS = Limits(keep_days=0, grace_s=-60)


def stays(writer: int, number: int, rounds: int) -> bool:
    """Two files at the very end: meanwhile, now and then nothing refers to a body, and in the end to three."""
    return writer < 2 and number == rounds - 1


def write(world: World, writer: int, rounds: int) -> None:
    """Makes files of the same few bodies as all others, and deletes them again; each way to store one by turns."""
    for number in range(rounds):
        path, body = f"{writer}/{number}", BODIES[(writer + number) % len(BODIES)]
        if number % 2:
            stamp = world.new(path, body, device=f"{writer}").stamp
        else:
            files = [change(path, body)]
            if world.statuses(parcel(files)) == ["need-body"]:
                assert world.statuses(parcel(files, [(path, body)])) == ["stored"]
            head = world.head(path)
            assert head is not None
            stamp = head.stamp
        with world.bodies.open(world.vault.id, sha256(body)) as file:
            assert file.read() == body
        if not stays(writer, number, rounds):
            assert world.statuses(parcel([removal(path, stamp)])) == ["deleted"]


def all_at_once(backend: Backend, root: Path, rounds: int) -> int:
    """Returns how many bodies were thrown away meanwhile."""
    first = World(backend.open(), DiskBodies(root))
    worlds = [first, *(World(backend.open(), DiskBodies(root)) for _ in range(3))]
    failures: list[BaseException] = []

    def run(writer: int) -> None:
        try:
            write(worlds[writer % len(worlds)], writer, rounds)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run, args=(number,)) for number in range(WRITERS)]
    metadata, thrown = backend.open(), 0
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        *_, (_, total) = Collector(metadata, str(root), MERCILESS).run()
        thrown += total.bodies
        bodies = {(one.hash, one.size) for one in first.log() if one.hash is not None}
        assert first.bodies.missing(first.vault.id, bodies) == {}
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(first.files()) == 2
    *_, (_, total) = Collector(metadata, str(root), MERCILESS).run()
    assert first.vault.stored == sum({one.hash: one.size for one in first.log() if one.live}.values())
    return thrown + total.bodies


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_no_body_that_something_refers_to_is_ever_missing(backend: Backend, metadata: object, tmp_path: Path) -> None:
    assert all_at_once(backend, tmp_path / "bodies", 12) > 0


@pytest.mark.soak
def test_no_body_is_missing_after_many_thousand_writes(backend: Backend, metadata: object, tmp_path: Path) -> None:
    assert all_at_once(backend, tmp_path / "bodies", 600) > 0
