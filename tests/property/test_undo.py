"""Random edits by two devices, the undo of one, and the undo of that."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from store.errors import PathTaken
from store.undo import Undone
from sync.paths import ancestors
from tests.store.world import World

PATHS = ("a", "a/b", "a/b/c", "b", "b/a", "c", "d")
BODIES = (b"1", b"22", b"333")

# A body is put, or kept as a candidate where another one is there; None deletes.
devices = st.sampled_from(("laptop", "phone"))
edits = st.tuples(devices, st.sampled_from(PATHS), st.none() | st.sampled_from(BODIES), st.integers(0, 3))


def apply(world: World, device: str, path: str, body: bytes | None, kept: bool) -> None:
    """Does the edit if that is possible on what stands there."""
    head = world.head(path)
    try:
        if body is not None:
            world.put(path, body, None if kept or head is None else head.stamp, keep=kept, device=device)
        elif head is not None and head.live:
            world.delete(path, head.stamp, device=device)
    except PathTaken:
        pass


def in_the_way(path: str, files: dict[str, bytes]) -> bool:
    return any(other in ancestors(path) or path in ancestors(other) for other in files)


def undo(world: World, since: int, device: str, by: str, at_once: int) -> Undone:
    """With so many changes in one transaction."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("store.undo.MOST_WRITES", at_once)
        return world.undo(since, device=device, by=by)


@given(st.lists(edits, max_size=8), st.lists(edits, min_size=1, max_size=16), st.integers(1, 4))
@settings(deadline=None, max_examples=150)
def test_one_devices_changes_are_taken_back_and_nobody_elses(
    first: list[tuple[str, str, bytes | None, int]],
    then: list[tuple[str, str, bytes | None, int]],
    at_once: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World.at(Path(folder))
        for device, path, body, dice in first:
            apply(world, device, path, body, kept=dice == 0)
        since, stood = world.vault.clock, world.files()
        for device, path, body, dice in then:
            apply(world, device, path, body, kept=dice == 0)
        before, log = world.files(), world.log()

        undone = undo(world, since, "laptop", "desktop", at_once)
        after = world.files()
        skipped = {one.head.path: one.reason for one in undone.skipped}
        changed = {one.version.path: one.restores for one in undone.changes}
        disputed = {conflict.path for conflict in world.reader.conflicts(world.vault)}
        assert not skipped.keys() & changed.keys()
        for path in PATHS:
            by = {version.device for version in log if version.path == path and version.stamp > since}
            as_it_was = before.get(path) == stood.get(path)
            if by != {"laptop"} or path in skipped or as_it_was:
                assert path not in changed
                assert after.get(path) == before.get(path)
            else:
                assert path in changed
                assert after.get(path) == stood.get(path)
            if "laptop" in by and not as_it_was and path not in changed:
                event(f"skipped: {skipped[path]}")
                assert (skipped[path] == "others") == (by != {"laptop"})
                assert (skipped[path] == "conflict") == (by == {"laptop"} and path in disputed)
                if skipped[path] == "path-taken":
                    assert in_the_way(path, after)
            else:
                assert path not in skipped
        assert not any(in_the_way(path, after) for path in after)
        vault = world.vault
        assert (vault.files, vault.bytes) == (len(after), sum(map(len, after.values())))

        undo(world, log[-1].stamp if log else 0, "desktop", "tablet", at_once)
        assert world.files() == before
