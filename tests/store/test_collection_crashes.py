"""A collection that is killed, or fails, at every step: nothing needed is lost, and the next one finishes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from store.base import Vault
from sync.model import Version
from tests.store.crashing_collection import LIVE, NEVER_COMMITTED, OLD_S, THROWN_AWAY, at, collect
from tests.store.world import World, sha256

ROOT = Path(__file__).resolve().parents[2]


def bodies_are_there(world: World, folder: Path) -> bool:
    """Whether every version's body lies in its place or in the trash, looked at without bringing any back."""
    wanted = [version.hash for version in world.log() if version.hash is not None]
    roots = [folder / "bodies" / aside / world.vault.id for aside in ("", "trash")]
    return all(any((root / one[:2] / one[2:]).exists() for root in roots) for one in wanted)


def end(world: World, folder: Path) -> tuple[list[Version], Vault, list[str]]:
    places = sorted(str(path.relative_to(folder)) for path in (folder / "bodies").rglob("*") if path.is_file())
    return world.log(), world.vault, places


@pytest.mark.parametrize("fault", ["kill", "EIO"])
def test_stopped_anywhere_nothing_needed_is_lost_and_the_next_one_ends_the_same(tmp_path: Path, fault: str) -> None:
    """The next one a day later: what was touched and not yet moved has that long again."""
    subprocess.run([sys.executable, "-m", "tests.store.crashing_collection", tmp_path, fault], cwd=ROOT, check=True)
    runs = sorted((one for one in tmp_path.iterdir() if one.name != "template"), key=lambda one: int(one.name))
    assert len(runs) > (60 if fault == "kill" else 40)
    all_versions = {version.stamp for version in World.at(tmp_path / "template").log()}
    ends = []
    for folder in runs:
        told = json.loads((folder / "told.json").read_text())
        assert told["told"].get("end", "") in ("", "done", "Unavailable")
        world = World.at(folder)
        purged = all_versions - {version.stamp for version in world.log()}
        assert max(purged, default=0) <= world.vault.purge_mark, told["trace"][-1]
        assert set(LIVE) == {one.path for one in world.metadata.live(world.vault.id, at=1 << 60, limit=10)}
        assert bodies_are_there(world, folder), told["trace"][-1]
        for path in (folder / "bodies").rglob("*"):
            if path.is_file() and "trash" not in path.parts:
                os.utime(path, (OLD_S, OLD_S))
        collect(world.metadata, folder)
        ends.append(end(world, folder))
        assert world.files() == LIVE
        world.metadata.close()
    log, vault, places = ends[0]
    for number, one in enumerate(ends):
        assert one == (log, vault, places), f"after a stop at step {number}"
    assert sorted(version.path for version in log) == sorted(LIVE)
    assert vault.stored == sum(map(len, LIVE.values()))
    kept = [at(Path("bodies"), vault.id, body) for body in LIVE.values()]
    thrown = [at(Path("bodies/trash"), vault.id, body) for body in (b"edited 1", b"edited 2", b"gone", NEVER_COMMITTED)]
    assert {str(one) for one in kept + thrown} <= set(places)
    assert not any(sha256(THROWN_AWAY)[2:] in place for place in places)
