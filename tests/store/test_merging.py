"""Merging a conflict's texts, and vaults that settle their conflicts so (docs/protocol.md, section 8)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from store import vaults as writing
from store.access import Caller
from store.base import Vault
from store.commit import Committed
from store.errors import BadRequest, BodyMissing, NotFound, QuotaExceeded, TooLarge, Unavailable
from store.merging import Declined, Merged, Merging
from store.settle import Choice
from sync.judge import Verdict
from sync.merge import MOST_BYTES, Hunk
from sync.model import Conflict, Version
from tests.store.world import World, change, parcel

BASE, SERVER, CLIENT, MERGED = b"1\n2\n3\n4\n", b"1\n2\n3\nfour\n", b"one\n2\n3\n4\n", b"one\n2\n3\nfour\n"


@pytest.fixture
def automatic(world: World) -> World:
    """A vault that merges by itself."""
    world.registry.set_auto_merge(world.vault, True, None)
    return world


def dispute(world: World, client: bytes = CLIENT, server: bytes = SERVER, base: bytes = BASE) -> Conflict:
    """The file `a.md`, of which the laptop and the phone made something else."""
    first = world.new("a.md", base)
    world.new("a.md", server, first.stamp)
    return world.keep("a.md", client, first.stamp, device="phone")


def merge(world: World, conflict: Conflict, number: int | None = None) -> Merged | Declined:
    return Merging(world.metadata, world.bodies).merge(world.vault, conflict.id, number)


def head(world: World) -> Version:
    there = world.head("a.md")
    assert there is not None
    return there


# -- looking


def test_a_merge_is_made_of_the_base_the_candidate_and_the_present_head(world: World) -> None:
    conflict = dispute(world)
    moved = world.new("a.md", b"1\n2\n3\nFOUR\n", head(world).stamp)
    found = merge(world, conflict)
    assert isinstance(found, Merged)
    assert (found.merge.clean, found.merge.text) == (True, "one\n2\n3\nFOUR\n")
    assert (found.candidate, found.head) == (1, moved.stamp)


def test_a_merge_settles_the_conflict_it_was_made_of(world: World) -> None:
    conflict = dispute(world)
    found = merge(world, conflict)
    assert isinstance(found, Merged)
    world.resolve(conflict, "merged", found.head, candidate=found.candidate, text=found.merge.text)
    assert world.files() == {"a.md": MERGED}


def test_each_candidate_can_be_merged_and_the_newest_is_where_none_is_named(world: World) -> None:
    conflict = dispute(world)
    world.keep("a.md", b"1\ntwo\n3\n4\n", conflict.base, device="tablet")
    texts = {}
    for number in (None, 1, 2):
        found = merge(world, conflict, number)
        assert isinstance(found, Merged)
        texts[number] = (found.candidate, found.merge.text)
    assert texts == {
        None: (2, "1\ntwo\n3\nfour\n"),
        1: (1, MERGED.decode()),
        2: (2, "1\ntwo\n3\nfour\n"),
    }
    for number in (0, 3):
        with pytest.raises(NotFound, match="it has 1, 2"):
            merge(world, conflict, number)


def test_markers_name_the_devices(world: World) -> None:
    found = merge(world, dispute(world, client=b"mine\n", server=b"theirs\n", base=b"base\n"))
    assert isinstance(found, Merged)
    assert not found.merge.clean
    assert found.merge.text == "<<<<<<< phone\nmine\n=======\ntheirs\n>>>>>>> laptop\n"
    assert found.merge.hunks == (Hunk("conflict", (0, 1), (0, 1), (0, 1), (0, 5)),)


def test_two_new_files_have_in_common_what_they_have_in_common(world: World) -> None:
    world.new("a.md", b"title\nmine\n")
    found = merge(world, world.keep("a.md", b"title\nyours\n", None))
    assert isinstance(found, Merged)
    assert found.merge.text == "title\n<<<<<<< phone\nyours\n=======\nmine\n>>>>>>> laptop\n"


def test_a_file_made_again_after_it_was_deleted_is_a_new_one(world: World) -> None:
    tombstone = world.delete("a.md", world.new("a.md", BASE).stamp)
    world.new("a.md", b"mine\n", tombstone.stamp)
    found = merge(world, world.keep("a.md", b"yours\n", tombstone.stamp))
    assert isinstance(found, Merged)
    assert [hunk.kind for hunk in found.merge.hunks] == ["conflict"]


@pytest.mark.parametrize(
    ("sides", "reason"),
    [
        ({"client": b"\xff"}, "not-text"),
        ({"server": b"a\0"}, "not-text"),
        ({"base": b"\xfe\xff"}, "not-text"),
        ({"client": b"\n" * 50_001}, "too-large"),
        ({"client": b"a" * (MOST_BYTES + 1)}, "too-large"),
        ({"server": b"a" * (MOST_BYTES + 1)}, "too-large"),
        ({"base": b"a" * (MOST_BYTES + 1)}, "too-large"),
    ],
)
def test_what_cannot_be_merged_is_declined_with_a_reason(
    automatic: World, sides: dict[str, bytes], reason: str
) -> None:
    """Also by a vault that merges by itself: there the conflict stays open."""
    conflict = dispute(automatic, **sides)
    assert conflict.open
    assert merge(automatic, conflict) == Declined(reason)  # type: ignore[arg-type]


def test_a_body_over_the_limit_is_not_even_opened(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    conflict = dispute(world, server=b"a" * (MOST_BYTES + 1))
    world.bodies.remove_vault(world.vault.id)
    assert merge(world, conflict) == Declined("too-large")


def test_there_is_no_merge_with_a_deletion_or_once_it_is_settled(world: World) -> None:
    conflict = dispute(world)
    tombstone = world.delete("a.md", head(world).stamp)
    assert merge(world, conflict) == Declined("deleted")
    world.resolve(conflict, "client", tombstone.stamp)
    assert merge(world, conflict) == Declined("settled")


def test_a_base_that_is_known_no_more_is_not_taken_for_an_empty_one(world: World) -> None:
    conflict = dispute(world)
    assert merge(world, conflict._replace(base=5)) != Declined("no-base"), "the record that is stored counts"
    unknown = Merging(world.metadata, world.bodies).merge_of(world.vault, conflict._replace(base=5), None)
    assert unknown == Declined("no-base")


def test_a_body_that_is_lost_is_said_to_be(world: World) -> None:
    conflict = dispute(world)
    world.bodies.remove_vault(world.vault.id)
    with pytest.raises(BodyMissing):
        merge(world, conflict)


def test_an_unknown_conflict_has_no_merge(world: World) -> None:
    with pytest.raises(NotFound):
        Merging(world.metadata, world.bodies).merge(world.vault, "0" * 16)


# -- settling with a text of one's own


def test_nothing_is_a_text_too(world: World) -> None:
    conflict = dispute(world)
    world.resolve(conflict, "merged", head(world).stamp, text="")
    assert world.files() == {"a.md": b""}


def test_half_of_a_surrogate_pair_is_no_text(world: World) -> None:
    conflict = dispute(world)
    with pytest.raises(BadRequest, match="surrogate"):
        world.resolve(conflict, "merged", head(world).stamp, text="a\ud800")
    assert world.conflict(conflict).open


def test_a_merged_text_may_be_as_long_as_any_file(tmp_path: Path) -> None:
    world = World.at(tmp_path / "small", max_file=20)
    conflict = dispute(world)
    stored = world.vault.stored
    with pytest.raises(TooLarge):
        world.resolve(conflict, "merged", head(world).stamp, text="é" * 11)
    assert (world.vault.stored, world.conflict(conflict).open) == (stored, True)
    world.resolve(conflict, "merged", head(world).stamp, text="é" * 10)


def test_a_merged_text_needs_room_as_any_file_does(tmp_path: Path) -> None:
    world = World.at(tmp_path / "small", quota=60)
    conflict = dispute(world)
    stored = world.vault.stored
    with pytest.raises(QuotaExceeded):
        world.resolve(conflict, "merged", head(world).stamp, text="x" * 60)
    assert (world.vault.stored, world.conflict(conflict).open) == (stored, True)
    assert not list((tmp_path / "small" / "bodies" / "tmp").iterdir())


# -- vaults that merge by themselves


def test_a_vault_does_not_merge_by_itself_unless_it_was_told_to(world: World) -> None:
    assert dispute(world).open
    assert world.files() == {"a.md": SERVER}


def test_what_merges_without_doubt_is_settled_in_the_name_of_its_author(automatic: World) -> None:
    """Both sides are in the history, and the others are told."""
    conflict = dispute(automatic)
    assert not conflict.open
    assert conflict == automatic.conflict(conflict)
    assert automatic.files() == {"a.md": MERGED}
    assert automatic.vault.conflicts == 0
    assert [automatic.body(one) for one in automatic.log()] == [BASE, SERVER, CLIENT, MERGED]
    assert (head(automatic).device, head(automatic).user) == ("phone", "me")
    assert conflict.resolution is not None
    assert (conflict.resolution["keep"], conflict.resolution["device"]) == ("merged", "phone")
    assert [automatic.body(one) for one in automatic.notices[-1].changes] == [CLIENT, MERGED]
    assert automatic.notices[-1].conflicts == (conflict,)


def test_the_put_is_answered_as_ever(automatic: World) -> None:
    base = automatic.new("a.md", BASE)
    server = automatic.new("a.md", SERVER, base.stamp)
    outcome = automatic.put("a.md", CLIENT, base.stamp, keep=True, device="phone")
    assert (outcome.verdict, outcome.head) == (Verdict.KEEP, server)
    again = automatic.put("a.md", CLIENT, base.stamp, keep=True, device="phone")
    assert (again.verdict, again.conflict) == (Verdict.KEEP, outcome.conflict), "a repeated request adds nothing"
    assert automatic.files() == {"a.md": MERGED}


def test_a_push_settles_each_of_its_conflicts_that_merges(automatic: World) -> None:
    paths = ["a.md", "b.md", "c.md"]
    bases = {path: automatic.new(path, BASE) for path in paths}
    for path in paths:
        automatic.new(path, SERVER, bases[path].stamp)
    bodies = [("a.md", CLIENT), ("b.md", b"1\n2\n3\nvier\n"), ("c.md", CLIENT), ("d.md", b"new")]
    changes = [change(path, body, bases[path].stamp if path in bases else None) for path, body in bodies]
    before = automatic.vault.clock
    pushed = automatic.push(parcel(changes, bodies), keep=True, device="phone")
    assert [one.status for one in pushed.results] == ["conflict", "conflict", "conflict", "stored"]
    assert [one.conflict and one.conflict.open for one in pushed.results] == [False, True, False, None]
    assert automatic.files() == {"a.md": MERGED, "b.md": SERVER, "c.md": MERGED, "d.md": b"new"}
    assert pushed.after == before
    new = automatic.head("d.md")
    assert new is not None
    assert pushed.cursor == new.stamp < automatic.vault.clock, "who moves to the cursor has the merges before it"


def test_what_would_keep_its_client_waiting_for_too_long_is_not_merged(
    automatic: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MERGING_S", -1)
    conflict = dispute(automatic)
    assert conflict.open
    assert automatic.vault.conflicts == 1


def test_sides_that_touch_wait_for_a_person(automatic: World) -> None:
    assert dispute(automatic, client=b"1\n2\n3\nvier\n").open
    assert automatic.files() == {"a.md": SERVER}


def test_a_second_candidate_waits_for_a_person(automatic: World) -> None:
    """Settling by the merge of one would pass over the other."""
    conflict = dispute(automatic, client=b"1\n2\n3\nvier\n")
    extended = automatic.keep("a.md", CLIENT, conflict.base, device="tablet")
    assert extended.open
    assert len(extended.candidates) == 2
    assert automatic.files() == {"a.md": SERVER}


def test_the_next_candidate_is_merged_into_what_was_merged(automatic: World) -> None:
    first = dispute(automatic)
    second = automatic.keep("a.md", b"1\n2\nthree\n4\n", first.base, device="tablet")
    assert (first.open, second.open) == (False, True), "the third line touches the fourth"
    other = automatic.new("b.md", b"1\n2\n3\n4\n5\n6\n7\n")
    automatic.new("b.md", b"one\n2\n3\n4\n5\n6\n7\n", other.stamp)
    assert not automatic.keep("b.md", b"1\n2\nthree\n4\n5\n6\n7\n", other.stamp, device="phone").open
    assert not automatic.keep("b.md", b"1\n2\n3\n4\nfive\n6\n7\n", other.stamp, device="tablet").open
    assert automatic.files()["b.md"] == b"one\n2\nthree\n4\nfive\n6\n7\n"


def test_a_merge_that_is_the_head_already_settles_too(automatic: World) -> None:
    """All that the candidate changed, the server has."""
    conflict = dispute(automatic, client=b"one\n2\n3\n4\n", server=MERGED)
    assert not conflict.open
    assert automatic.files() == {"a.md": MERGED}


# -- what comes in between


class Between:
    """Has something happen after a merge was made and before the conflict is settled by it, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, world: World) -> None:
        self._monkeypatch = monkeypatch
        self._world = world

    def do(self, work: Callable[[], object]) -> None:
        real = self._world.vaults._resolve
        waiting = [work]

        def resolve(by: Caller, vault: Vault, conflict_id: str, choice: Choice) -> Committed:
            while waiting:
                waiting.pop()()
            return real(by, vault, conflict_id, choice)

        self._monkeypatch.setattr(self._world.vaults, "_resolve", resolve)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch, automatic: World) -> Between:
    return Between(monkeypatch, automatic)


def test_a_head_that_moves_meanwhile_leaves_the_conflict_open(automatic: World, between: Between) -> None:
    between.do(lambda: automatic.new("a.md", b"moved on\n", head(automatic).stamp))
    conflict = dispute(automatic)
    assert conflict.open
    assert automatic.conflict(conflict) == conflict
    assert automatic.files() == {"a.md": b"moved on\n"}


def test_a_candidate_that_comes_meanwhile_is_not_passed_over(automatic: World, between: Between) -> None:
    def another() -> None:
        base = automatic.log()[0].stamp
        automatic.keep("a.md", b"1\n2\n3\nvier\n", base, device="tablet")

    between.do(another)
    conflict = dispute(automatic)
    assert automatic.conflict(conflict).open
    assert len(automatic.conflict(conflict).candidates) == 2
    assert automatic.files() == {"a.md": SERVER}


@pytest.mark.parametrize("error", [Unavailable("the database is away"), BodyMissing("lost"), ValueError("a bug")])
def test_whatever_fails_the_put_was_stored_and_says_so(
    automatic: World, between: Between, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fail() -> None:
        raise error

    between.do(fail)
    with caplog.at_level(logging.INFO, "gobi.merge"):
        conflict = dispute(automatic)
    assert conflict.open
    assert automatic.conflict(conflict) == conflict
    assert conflict.id in caplog.text


def test_a_merge_for_which_there_is_no_room_leaves_the_conflict_open(tmp_path: Path) -> None:
    world = World.at(tmp_path / "small", quota=len(BASE + SERVER + CLIENT) + 3)
    world.registry.set_auto_merge(world.vault, True, None)
    conflict = dispute(world)
    assert conflict.open
    assert world.files() == {"a.md": SERVER}
    assert world.vault.stored == len(BASE + SERVER + CLIENT)


def test_only_one_candidate_means_only_one(world: World) -> None:
    conflict = dispute(world)
    world.keep("a.md", b"x", conflict.base, device="tablet")
    choice = Choice("merged", head(world).stamp, "desktop", "me", text="x", only_candidate=True)
    with pytest.raises(BadRequest, match="another candidate"):
        world.vaults.resolve(world.vault, conflict.id, choice, by=world.by())
