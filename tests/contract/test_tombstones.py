"""What a tombstone says beside that the file is gone (docs/protocol.md, section 5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.bodies import DiskBodies
from tests.contract.backends import Backend
from tests.store.world import World, parcel, removal


@pytest.fixture
def world(backend: Backend, tmp_path: Path) -> World:
    return World(backend.open(), DiskBodies(tmp_path / "bodies"))


@pytest.mark.parametrize("mtime", [None, 1_795_430_000_000_000, -1])
def test_a_tombstone_keeps_the_time_of_the_folder_that_is_still_there(world: World, mtime: int | None) -> None:
    there = world.new("new/1", b"a mail")
    assert world.statuses(parcel([removal("new/1", there.stamp) | {"mtime": mtime}], [])) == ["deleted"]
    head = world.metadata.heads(world.vault.id, ["new/1"])["new/1"]
    assert (head.kind, head.mtime, head.size, head.hash) == ("delete", mtime, 0, None)


def test_a_time_that_is_no_number_is_refused(world: World) -> None:
    there = world.new("new/1", b"a mail")
    assert world.statuses(parcel([removal("new/1", there.stamp) | {"mtime": "now"}], [])) == ["bad-request"]
