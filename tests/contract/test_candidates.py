"""How many candidates a conflict has, and what becomes of those that newer ones supersede (docs/protocol.md, 8)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from store.base import Identity, Transaction
from store.errors import TooMany
from store.vaults import Vaults
from sync.candidates import MOST, MOST_OF_DEVICE
from sync.model import Action, Candidate, Change, Conflict, Version
from tests.contract.backends import Backend
from tests.contract.past import Past
from tests.store.world import USER, World, change, parcel, sha256


@pytest.fixture
def past(backend: Backend, tmp_path: Path) -> Past:
    return Past(backend, tmp_path)


@pytest.fixture
def world(past: Past) -> World:
    return past.world


def edit(number: int) -> bytes:
    return b"edit %d" % number


def disputed(world: World) -> tuple[Version, Version]:
    """`a.md` as the phone had it, and what another machine made of it meanwhile."""
    base = world.new("a.md", b"base")
    return base, world.new("a.md", b"server", base.stamp)


def save_often(world: World, base: Version, times: int) -> Conflict:
    """An app that saves every few seconds, and a client that syncs after each. The conflict after the last one."""
    return [world.keep("a.md", edit(number), base.stamp) for number in range(times)][-1]


def kept(world: World) -> set[str | None]:
    """Every content in the history and among the candidates."""
    waiting = {one.hash for conflict in world.reader.conflicts(world.vault) for one in conflict.candidates}
    return waiting | {version.hash for version in world.log()}


def asked(world: World, base: Version, number: int, sent: range) -> Action | None:
    """What the phone is told when it reports the edit, and what it sent before."""
    hashes = tuple(sha256(edit(one)) for one in sent)
    change = Change("a.md", "put", base.stamp, sha256(edit(number)), 7, 5, hashes)
    cursor = world.reader.cursor(world.vault)
    actions = world.reader.sync(world.vault, cursor, [change], True, 100).actions
    return actions[0] if actions else None


def test_a_device_that_saves_for_hours_has_a_bounded_number_of_candidates(past: Past) -> None:
    """Nothing of it is lost, and to everybody else the file is as it was."""
    world = past.world
    base, _ = disputed(world)
    world.keep("a.md", b"tablet's", base.stamp, device="tablet")
    for number in range(3 * MOST_OF_DEVICE + 5):
        found = world.keep("a.md", edit(number), base.stamp).candidates
        own = [one.hash for one in found if one.device == "phone"]
        assert len(own) <= MOST_OF_DEVICE
        assert own[-1] == sha256(edit(number))
        assert [one.hash for one in found if one.device == "tablet"] == [sha256(b"tablet's")]
        assert world.files() == {"a.md": b"server"}
    assert {sha256(edit(number)) for number in range(3 * MOST_OF_DEVICE + 5)} < kept(world)
    assert len(world.log()) < 4 * MOST_OF_DEVICE
    assert (world.vault.files, world.vault.bytes, world.vault.conflicts) == (1, len(b"server"), 1)
    assert world.vault.stored == past.stored()


def test_what_was_superseded_is_a_version_of_its_device_and_the_servers_side_stands_on_it(world: World) -> None:
    base, server = disputed(world)
    save_often(world, base, MOST_OF_DEVICE + 1)
    shelved, again = world.log()[2:-1], world.log()[-1]
    assert [one.hash for one in shelved] == [sha256(edit(number)) for number in range(MOST_OF_DEVICE)]
    assert {one.device for one in shelved} == {"phone"}
    assert (again.hash, again.size, again.mtime, again.device) == (
        server.hash,
        server.size,
        server.mtime,
        server.device,
    )
    assert [one.base for one in world.log()[2:]] == [one.stamp for one in world.log()[1:-1]]
    assert world.notices[-1].changes == (*shelved, again)


def test_a_number_names_one_candidate_for_good(world: World) -> None:
    base, _ = disputed(world)
    conflict = save_often(world, base, MOST_OF_DEVICE + 3)
    numbers = [one.n for one in conflict.candidates]
    assert numbers == [MOST_OF_DEVICE + 1, MOST_OF_DEVICE + 2, MOST_OF_DEVICE + 3]
    assert conflict.candidate(1) is None
    assert conflict.candidate(numbers[0]) == conflict.candidates[0]


def test_a_device_whose_edits_were_superseded_is_in_the_same_conflict(world: World) -> None:
    """What it goes on to send is compared with what its first edit was made on."""
    base, _ = disputed(world)
    conflict = save_often(world, base, MOST_OF_DEVICE + 1)
    last = MOST_OF_DEVICE + 1
    action = asked(world, base, last, range(last))
    assert action is not None
    assert (action.do, action.base) == ("conflict", base.stamp)
    assert world.keep("a.md", edit(last), action.base).id == conflict.id


def test_a_device_that_lost_the_reply_to_an_upload_before_is_in_the_same_conflict_too(world: World) -> None:
    """It knows what its edits were made on by the hash alone."""
    base = world.new("a.md", b"base")
    upload = world.new("a.md", edit(0), base.stamp, device="phone")
    world.new("a.md", b"server", upload.stamp)
    ids = set()
    for number in range(1, 3 * MOST_OF_DEVICE):
        action = asked(world, base, number, range(number))
        assert action is not None
        assert (action.do, action.base) == ("conflict", upload.stamp)
        ids.add(world.keep("a.md", edit(number), action.base).id)
    assert len(ids) == 1


def test_a_device_that_goes_back_to_an_edit_that_was_superseded_keeps_it(world: World) -> None:
    base, _ = disputed(world)
    save_often(world, base, MOST_OF_DEVICE + 1)
    action = asked(world, base, 3, range(MOST_OF_DEVICE + 1))
    assert action is not None
    assert (action.do, action.base) == ("conflict", base.stamp)


@pytest.mark.parametrize("keep", ["server", "client"])
def test_a_settlement_wins_over_edits_that_were_superseded(world: World, keep: str) -> None:
    base, _ = disputed(world)
    count = MOST_OF_DEVICE + 3
    conflict = save_often(world, base, count)
    head = world.head("a.md")
    assert head is not None
    outcome = world.resolve(conflict, keep, head.stamp, candidate=conflict.candidates[0].n)[-1]
    action = asked(world, base, count - 1, range(count))
    assert action is not None
    assert (action.do, action.head) == ("download", outcome)


def test_what_a_device_goes_back_to_is_its_newest_candidate(world: World) -> None:
    """Under a new number: whoever was about to choose has to look again."""
    base, server = disputed(world)
    conflict = save_often(world, base, 3)
    again = world.keep("a.md", edit(0), base.stamp)
    assert [(one.n, one.hash) for one in again.candidates] == [
        (2, sha256(edit(1))),
        (3, sha256(edit(2))),
        (4, sha256(edit(0))),
    ]
    assert again.id == conflict.id
    assert world.resolve(again, "client", server.stamp)[-1].hash == sha256(edit(0))


def test_more_devices_than_a_record_takes_have_another_one(world: World) -> None:
    """And each finds its own again."""
    base, _ = disputed(world)
    for number in range(MOST + 2):
        world.keep("a.md", edit(number), base.stamp, device=f"phone {number}")
    first, second = world.reader.conflicts(world.vault)
    assert [len(first.candidates), len(second.candidates)] == [MOST, 2]
    assert world.keep("a.md", b"more", base.stamp, device="phone 0").id == first.id
    assert world.keep("a.md", b"more still", base.stamp, device=f"phone {MOST}").id == second.id
    assert world.vault.conflicts == 2


def test_a_record_takes_no_more_whoever_sends_again(past: Past) -> None:
    """A device with some in a full one supersedes them, and nothing is lost."""
    world = past.world
    base, _ = disputed(world)
    for number in range(MOST):
        world.keep("a.md", edit(number), base.stamp, device=f"phone {number}")
    for number in range(MOST_OF_DEVICE + 1):
        conflict = world.keep("a.md", edit(MOST + number), base.stamp, device="phone 0")
        assert len(conflict.candidates) == MOST
        assert conflict.candidates[-1].hash == sha256(edit(MOST + number))
    assert world.vault.conflicts == 1
    assert {sha256(edit(number)) for number in range(MOST + MOST_OF_DEVICE + 1)} < kept(world)
    assert world.files() == {"a.md": b"server"}
    assert world.vault.stored == past.stored()


def test_a_path_has_no_more_candidates_than_it_may_and_each_change_is_refused_alone(past: Past) -> None:
    world = past.world
    world.vaults = Vaults(world.metadata, world.bodies, world.bus, candidates=3)
    base, _ = disputed(world)
    world.new("b.md", b"b")
    other = world.new("a.md", b"other base", world.log()[1].stamp)
    for number, on in enumerate((base, base, other)):
        world.keep("a.md", edit(number), on.stamp - (on is other), device=f"phone {number}")
    files = [("a.md", edit(3)), ("c.md", b"c"), ("b.md", b"B")]
    changes = [change(path, body, base.stamp if path == "a.md" else None) for path, body in files]
    assert world.statuses(parcel(changes, files), keep=True) == ["too-many", "stored", "conflict"]
    with pytest.raises(TooMany):
        world.put("a.md", edit(4), base.stamp, keep=True, device="phone 4")
    again = world.keep("a.md", edit(5), base.stamp, device="phone 0")
    assert [one.device for one in again.candidates] == ["phone 0", "phone 1", "phone 0"]
    assert world.keep("a.md", edit(5), base.stamp, device="phone 0") == again, "a repeated request"
    waiting = {one.device for conflict in world.reader.conflicts(world.vault) for one in conflict.candidates}
    assert {"phone 3", "phone 4"}.isdisjoint(waiting)
    assert world.vault.stored == past.stored()


def test_a_push_of_a_thousand_edits_of_one_file_writes_its_conflict_once(world: World) -> None:
    base, _ = disputed(world)
    saved = list[Conflict]()
    transact = world.metadata.transact

    def watched(
        vault_id: str,
        work: Callable[[Transaction], Any],
        about: Collection[str] = (),
        by: Collection[Identity] = (),
    ) -> Any:
        def watching(tx: Transaction) -> Any:
            save = tx.save_conflict

            def noted(conflict: Conflict) -> None:
                saved.append(conflict)
                save(conflict)

            tx.save_conflict = noted  # type: ignore[method-assign]
            return work(tx)

        return transact(vault_id, watching, about, by)

    world.metadata.transact = watched  # type: ignore[method-assign]
    files = [("a.md", edit(number)) for number in range(1_000)]
    changes = [change(path, body, base.stamp) for path, body in files]
    assert set(world.statuses(parcel(changes, files), keep=True)) == {"conflict"}
    assert len(saved) == 1
    assert [world.conflict(saved[0])] == saved == world.reader.conflicts(world.vault)


def test_a_conflict_that_has_a_thousand_candidates_from_before_is_put_in_order_by_the_next(past: Past) -> None:
    """Those of an older gobi."""
    world = past.world
    base, _ = disputed(world)
    conflict = world.keep("a.md", edit(0), base.stamp)
    for number in range(1, 1_000):
        past.upload(edit(number))

    def fill(tx: Transaction) -> None:
        many = [
            Candidate(number + 1, USER, "phone", sha256(edit(number)), len(edit(number)), 5, conflict.opened)
            for number in range(1_000)
        ]
        tx.save_conflict(conflict._replace(candidates=tuple(many)))

    world.metadata.transact(world.vault.id, fill)
    after = world.keep("a.md", edit(1_000), base.stamp)
    assert [one.n for one in after.candidates] == [1_001]
    assert {sha256(edit(number)) for number in range(1_001)} < kept(world)
    assert world.files() == {"a.md": b"server"}


# -- after a collection


def test_a_candidate_of_which_no_version_is_left_is_new(past: Past) -> None:
    """Its device was off while it was settled, and for a year after. It is asked for the bytes again."""
    world = past.world
    with past.days_ago(800):
        base, server = disputed(world)
        conflict = world.keep("a.md", b"phone's", base.stamp)
    with past.days_ago(790):
        world.resolve(conflict, "server", server.stamp)
    world.new("now", b"now")
    past.grow_old()
    past.collect()
    assert sha256(b"phone's") not in kept(world)
    new = world.keep("a.md", b"phone's", base.stamp)
    assert (new.open, new.id != conflict.id) == (True, True)
    assert [one.hash for one in new.candidates] == [sha256(b"phone's")]
    assert world.vault.conflicts == 1
    head = world.head("a.md")
    assert head is not None
    assert world.resolve(new, "client", head.stamp)[-1].hash == sha256(b"phone's")
    assert world.vault.stored == past.stored()


def test_a_candidate_that_settled_its_conflict_by_itself_is_new_once_it_was_purged(past: Past) -> None:
    world = past.world
    with past.days_ago(800):
        base, server = disputed(world)
        conflict = world.keep("a.md", b"phone's", base.stamp)
        same = world.new("a.md", b"phone's", server.stamp)
        assert not world.conflict(conflict).open
        assert world.keep("a.md", b"others", base.stamp, device="tablet").id != conflict.id
    with past.days_ago(790):
        (other,) = world.reader.conflicts(world.vault)
        world.resolve(other, "client", same.stamp)
    assert world.keep("a.md", b"phone's", base.stamp).id == conflict.id
    world.new("now", b"now")
    past.grow_old()
    past.collect()
    assert world.keep("a.md", b"phone's", base.stamp).open
