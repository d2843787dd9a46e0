"""A conflict of which the disk has lost a side can be settled by what is there (docs/protocol.md, section 8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.errors import BodyMissing
from sync.model import Conflict, Version
from tests.contract.backends import Backend
from tests.contract.past import Past
from tests.store.world import World, sha256


@pytest.fixture
def past(backend: Backend, tmp_path: Path) -> Past:
    return Past(backend, tmp_path)


def disputed(world: World) -> tuple[Conflict, Version]:
    """With two candidates, `lost` and `there`."""
    base = world.new("a.md", b"base")
    server = world.new("a.md", b"server", base.stamp)
    world.keep("a.md", b"lost", base.stamp, device="phone")
    return world.keep("a.md", b"there", base.stamp, device="tablet"), server


@pytest.mark.parametrize(
    ("keep", "candidate", "outcome"),
    [("server", None, b"server"), ("client", 2, b"there"), ("both", 2, b"server"), ("merged", 2, b"merged")],
)
def test_a_lost_candidate_keeps_nobody_from_choosing_another_side(
    past: Past, keep: str, candidate: int | None, outcome: bytes
) -> None:
    """It is in the history with the others, and whoever has its bytes is asked for them."""
    world = past.world
    conflict, server = disputed(world)
    past.place(b"lost").unlink()
    text = "merged" if keep == "merged" else None
    versions = world.resolve(conflict, keep, server.stamp, candidate=candidate, text=text)
    assert [one.hash for one in versions][:3] == [sha256(b"lost"), sha256(b"there"), sha256(outcome)]
    assert world.files()["a.md"] == outcome
    assert world.vault.conflicts == 0
    assert world.reader.lost(world.vault) == [sha256(b"lost")]
    assert world.vault.stored == past.stored()
    world.vaults.give_back(world.vault, sha256(b"lost"), [b"lost"], length=4, by=world.by())
    assert world.body(versions[0]) == b"lost"
    assert world.vault.stored == past.stored()


@pytest.mark.parametrize(("keep", "lost"), [("client", b"lost"), ("both", b"lost"), ("server", b"server")])
def test_what_the_outcome_is_made_of_has_to_be_there(past: Past, keep: str, lost: bytes) -> None:
    world = past.world
    conflict, server = disputed(world)
    past.place(lost).unlink()
    log = world.log()
    with pytest.raises(BodyMissing):
        world.resolve(conflict, keep, server.stamp, candidate=1)
    assert (world.log(), world.vault.conflicts) == (log, 1)
    assert world.reader.lost(world.vault) == [sha256(lost)]
    world.vaults.give_back(world.vault, sha256(lost), [lost], length=len(lost), by=world.by())
    world.resolve(conflict, keep, server.stamp, candidate=1)
    assert world.vault.conflicts == 0


def test_a_candidate_that_supersedes_lost_ones_is_kept(past: Past) -> None:
    world = past.world
    base = world.new("a.md", b"base")
    world.new("a.md", b"server", base.stamp)
    for number in range(10):
        world.keep("a.md", b"%d" % number, base.stamp)
        past.place(b"%d" % number).unlink()
    (candidate,) = world.keep("a.md", b"the eleventh", base.stamp).candidates
    assert candidate.hash == sha256(b"the eleventh")
    assert world.files() == {"a.md": b"server"}
