"""Conflicts: how they come, how a person settles them, and how they settle themselves (docs/protocol.md, section 8)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from store.errors import BadRequest, NotFound, PathTaken, Stale
from store.settle import Choice
from sync.judge import Verdict
from sync.model import Conflict, Cursor, Version
from tests.store.world import World, change, parcel, sha256

TODAY = datetime.now(UTC).strftime("%Y-%m-%d")


class Dispute:
    """A file `a.md` that two sides changed: `server` is live, the phones' bodies are candidates."""

    def __init__(self, world: World, *candidates: bytes) -> None:
        self.world = world
        self.base = world.new("a.md", b"base")
        self.server = world.new("a.md", b"server", self.base.stamp)
        for number, body in enumerate(candidates or (b"phone",), 1):
            self.conflict = world.keep("a.md", body, self.base.stamp, device=f"phone{number}")

    def bodies(self, versions: list[Version]) -> list[tuple[str, bytes | None]]:
        return [(version.path, self.world.body(version) if version.live else None) for version in versions]


@pytest.fixture
def dispute(world: World) -> Dispute:
    return Dispute(world)


def beside(device: str = "phone1", number: str = "") -> str:
    return f"a (conflict {device} {TODAY}{number}).md"


# -- how a conflict comes


def test_a_put_that_loses_becomes_a_candidate(dispute: Dispute) -> None:
    """The head stays, the vault counts one open conflict, the body is kept."""
    world, conflict = dispute.world, dispute.conflict
    assert world.head("a.md") == dispute.server
    assert world.vault.conflicts == 1
    assert world.vault.stored == len(b"base") + len(b"server") + len(b"phone")
    assert (conflict.path, conflict.base, conflict.open) == ("a.md", dispute.base.stamp, True)
    (row,) = world.reader.conflict_json(world.vault, world.reader.conflicts(world.vault))
    assert row["base"] == dispute.base.to_json()
    assert row["server"] == dispute.server.to_json()
    (candidate,) = row["candidates"]
    assert (candidate["n"], candidate["device"], candidate["hash"]) == (1, "phone1", sha256(b"phone"))


def test_candidates_on_one_path_and_base_share_a_record(world: World) -> None:
    """Each is added with the next number, none replaces another."""
    dispute = Dispute(world, b"one", b"two", b"three")
    assert [one.id for one in world.reader.conflicts(world.vault)] == [dispute.conflict.id]
    assert [(one.n, one.device, one.hash) for one in dispute.conflict.candidates] == [
        (1, "phone1", sha256(b"one")),
        (2, "phone2", sha256(b"two")),
        (3, "phone3", sha256(b"three")),
    ]


def test_candidates_on_another_base_have_a_record_of_their_own(dispute: Dispute) -> None:
    other = dispute.world.keep("a.md", b"new", None)
    assert other.id != dispute.conflict.id
    assert dispute.world.vault.conflicts == 2
    (row,) = dispute.world.reader.conflict_json(dispute.world.vault, [other])
    assert row["base"] is None


def test_keeping_the_same_once_more_adds_nothing(dispute: Dispute) -> None:
    """A repeated request: its reply was lost."""
    world, stored = dispute.world, dispute.world.vault.stored
    again = world.keep("a.md", b"phone", dispute.base.stamp, device="phone1")
    assert again == dispute.conflict
    assert world.vault.conflicts == 1
    assert world.vault.stored == stored


@pytest.mark.parametrize("keep", ["server", "both", "merged"])
def test_keeping_the_same_once_more_after_the_settlement_adds_nothing(dispute: Dispute, keep: str) -> None:
    """It answers with the settled conflict; the person's decision stands."""
    world = dispute.world
    world.resolve(dispute.conflict, keep, dispute.server.stamp, text="merged" if keep == "merged" else None)
    log, stored = world.log(), world.vault.stored
    again = world.keep("a.md", b"phone", dispute.base.stamp, device="phone1")
    assert again == world.conflict(dispute.conflict)
    assert not again.open
    assert (world.log(), world.vault.stored, world.vault.conflicts) == (log, stored, 0)


def test_a_put_of_the_chosen_bytes_after_the_settlement_is_the_head(dispute: Dispute) -> None:
    world = dispute.world
    outcome = world.resolve(dispute.conflict, "client", dispute.server.stamp)[-1]
    again = world.put("a.md", b"phone", dispute.base.stamp, keep=True, device="phone1")
    assert (again.verdict, again.version) == (Verdict.SAME, outcome)


def test_other_bytes_on_the_old_base_after_the_settlement_are_a_new_conflict(dispute: Dispute) -> None:
    world = dispute.world
    world.resolve(dispute.conflict, "server", dispute.server.stamp)
    other = world.keep("a.md", b"more", dispute.base.stamp, device="phone1")
    assert other.id != dispute.conflict.id
    assert [one.n for one in other.candidates] == [1]
    assert world.vault.conflicts == 1


# -- the four ways to settle


def test_the_servers_side(dispute: Dispute) -> None:
    """The candidate is in the history, and the outcome on top is a version of its own."""
    versions = dispute.world.resolve(dispute.conflict, "server", dispute.server.stamp)
    assert dispute.bodies(versions) == [("a.md", b"phone"), ("a.md", b"server")]
    assert dispute.world.files() == {"a.md": b"server"}


def test_the_clients_side(dispute: Dispute) -> None:
    versions = dispute.world.resolve(dispute.conflict, "client", dispute.server.stamp)
    assert dispute.bodies(versions) == [("a.md", b"phone"), ("a.md", b"phone")]
    assert dispute.world.files() == {"a.md": b"phone"}


def test_both(dispute: Dispute) -> None:
    versions = dispute.world.resolve(dispute.conflict, "both", dispute.server.stamp)
    assert dispute.bodies(versions) == [("a.md", b"phone"), ("a.md", b"server"), (beside(), b"phone")]
    assert dispute.world.files() == {"a.md": b"server", beside(): b"phone"}


def test_merged(dispute: Dispute) -> None:
    text = "both sides, with an é\n"
    versions = dispute.world.resolve(dispute.conflict, "merged", dispute.server.stamp, text=text)
    assert dispute.bodies(versions) == [("a.md", b"phone"), ("a.md", text.encode())]
    assert dispute.world.files() == {"a.md": text.encode()}
    assert dispute.world.vault.stored == sum(map(len, (b"base", b"server", b"phone", text.encode())))


@pytest.mark.parametrize(
    ("keep", "candidate", "outcome"),
    [
        ("server", None, b"server"),
        ("server", 1, b"server"),
        ("client", None, b"three"),
        ("client", 1, b"one"),
        ("client", 2, b"two"),
        ("both", 2, b"server"),
        ("merged", 1, b"merged"),
    ],
)
def test_every_candidate_is_in_the_history_whichever_is_chosen(
    world: World, keep: str, candidate: int | None, outcome: bytes
) -> None:
    dispute = Dispute(world, b"one", b"two", b"three")
    text = "merged" if keep == "merged" else None
    versions = world.resolve(dispute.conflict, keep, dispute.server.stamp, candidate=candidate, text=text)
    expected: list[tuple[str, bytes | None]] = [("a.md", one) for one in (b"one", b"two", b"three", outcome)]
    if keep == "both":
        expected.append((beside("phone2"), b"two"))
    assert dispute.bodies(versions) == expected
    assert [version.device for version in versions[:4]] == ["phone1", "phone2", "phone3", "desktop"]
    assert world.vault.conflicts == 0


def test_a_settlement_is_recorded(dispute: Dispute) -> None:
    """Who decided what, and which versions came of it; the record can still be asked for."""
    world = dispute.world
    versions = world.resolve(dispute.conflict, "both", dispute.server.stamp)
    settled = world.conflict(dispute.conflict)
    assert settled.resolution == {
        "keep": "both",
        "candidate": 1,
        "user": "me",
        "device": "desktop",
        "versions": [version.stamp for version in versions],
    }
    assert world.reader.conflicts(world.vault) == []
    (row,) = world.reader.conflict_json(world.vault, [settled])
    assert (row["state"], row["resolution"]) == ("settled", settled.resolution)


def test_versions_of_a_settlement_stand_on_each_other(dispute: Dispute) -> None:
    """One transaction, one chain from the server's head up."""
    versions = dispute.world.resolve(dispute.conflict, "client", dispute.server.stamp)
    assert [version.base for version in versions] == [dispute.server.stamp, versions[0].stamp]
    assert dispute.world.notices[-1].changes == tuple(versions)
    assert [one.open for one in dispute.world.notices[-1].conflicts] == [False]


@pytest.mark.parametrize(
    ("keep", "files"),
    [
        ("server", {}),
        ("client", {"a.md": b"phone"}),
        ("both", {beside(): b"phone"}),
        ("merged", {"a.md": b"merged"}),
    ],
)
def test_a_conflict_whose_server_side_was_deleted(dispute: Dispute, keep: str, files: dict[str, bytes]) -> None:
    """The tombstone is the server's side: to keep it is to delete again, on top of the candidate."""
    world = dispute.world
    tombstone = world.delete("a.md", dispute.server.stamp)
    versions = world.resolve(dispute.conflict, keep, tombstone.stamp, text="merged" if keep == "merged" else None)
    assert versions[0].hash == sha256(b"phone")
    assert world.files() == files
    assert world.vault.files == len(files)


# -- refused, and nothing changed


def assert_unchanged(world: World, log: list[Version], conflicts: list[Conflict]) -> None:
    assert world.log() == log
    assert world.reader.conflicts(world.vault) == conflicts


@pytest.mark.parametrize("keep", ["server", "client", "both", "merged"])
def test_a_head_that_has_moved_stops_the_settlement(dispute: Dispute, keep: str) -> None:
    world = dispute.world
    moved = world.new("a.md", b"moved on", dispute.server.stamp)
    log, conflicts, stored = world.log(), world.reader.conflicts(world.vault), world.vault.stored
    text = "merged, in vain" if keep == "merged" else None
    with pytest.raises(Stale) as refused:
        world.resolve(dispute.conflict, keep, dispute.server.stamp, text=text)
    assert refused.value.head == moved
    assert_unchanged(world, log, conflicts)
    assert world.vault.stored == stored
    world.resolve(dispute.conflict, keep, moved.stamp, text=text)
    counted = {version.hash: version.size for version in world.log() if version.live}
    assert world.vault.stored == sum(counted.values())


def test_a_candidate_that_nobody_looked_at_stops_the_settlement(world: World) -> None:
    dispute = Dispute(world, b"one", b"two")
    log, conflicts = world.log(), world.reader.conflicts(world.vault)
    with pytest.raises(Stale, match="another edit"):
        world.resolve(dispute.conflict, "client", dispute.server.stamp, candidate=1, seen=1)
    assert_unchanged(world, log, conflicts)
    world.resolve(dispute.conflict, "client", dispute.server.stamp, candidate=1, seen=2)
    assert world.reader.conflicts(world.vault) == []


def test_a_conflict_is_settled_once(dispute: Dispute) -> None:
    world = dispute.world
    outcome = world.resolve(dispute.conflict, "server", dispute.server.stamp)[-1]
    log = world.log()
    with pytest.raises(BadRequest, match="already"):
        world.resolve(dispute.conflict, "client", outcome.stamp)
    assert_unchanged(world, log, [])


def test_a_candidate_that_is_not_there_cannot_be_chosen(dispute: Dispute) -> None:
    world, log = dispute.world, dispute.world.log()
    for number in (0, 2, -1):
        with pytest.raises(BadRequest, match=f"no candidate {number}: it has 1"):
            world.resolve(dispute.conflict, "client", dispute.server.stamp, candidate=number)
    assert_unchanged(world, log, [dispute.conflict])


def test_an_unknown_conflict_is_not_found(dispute: Dispute) -> None:
    choice = Choice("merged", dispute.server.stamp, "desktop", "me", text="x")
    with pytest.raises(NotFound):
        dispute.world.vaults.resolve(dispute.world.vault, "0" * 16, choice, by=dispute.world.by())


@pytest.mark.parametrize(("keep", "text"), [("mine", None), ("", None), ("merged", None), ("server", "text")])
def test_a_choice_has_to_make_sense(keep: str, text: str | None) -> None:
    with pytest.raises(BadRequest, match="`keep`"):
        Choice(keep, 1, "desktop", "me", text=text)


@pytest.fixture
def taken(dispute: Dispute) -> tuple[Version, Version]:
    """The path was deleted and became a folder meanwhile: its tombstone, and the file inside."""
    tombstone = dispute.world.delete("a.md", dispute.server.stamp)
    return tombstone, dispute.world.new("a.md/inside", b"x")


@pytest.mark.parametrize("keep", ["client", "merged"])
def test_a_place_that_is_taken_stops_what_would_stand_there(
    dispute: Dispute, taken: tuple[Version, Version], keep: str
) -> None:
    world, log = dispute.world, dispute.world.log()
    tombstone, inside = taken
    with pytest.raises(PathTaken) as refused:
        world.resolve(dispute.conflict, keep, tombstone.stamp, text="merged" if keep == "merged" else None)
    assert refused.value.version == inside
    assert_unchanged(world, log, [dispute.conflict])


@pytest.mark.parametrize(
    ("keep", "files"), [("server", {"a.md/inside": b"x"}), ("both", {"a.md/inside": b"x", beside(): b"phone"})]
)
def test_a_place_that_is_taken_leaves_the_deletion_to_choose(
    dispute: Dispute, taken: tuple[Version, Version], keep: str, files: dict[str, bytes]
) -> None:
    """The candidate is in the history all the same."""
    tombstone, _ = taken
    versions = dispute.world.resolve(dispute.conflict, keep, tombstone.stamp)
    assert dispute.bodies(versions)[:2] == [("a.md", b"phone"), ("a.md", None)]
    assert dispute.world.files() == files
    assert dispute.world.vault.files == len(files)


def test_a_file_in_the_folders_place_leaves_no_room_for_a_second_copy(world: World) -> None:
    """Not even beside the first; to choose the deletion is possible."""
    base = world.new("dir/a.md", b"base")
    server = world.new("dir/a.md", b"server", base.stamp)
    conflict = world.keep("dir/a.md", b"phone", base.stamp)
    tombstone = world.delete("dir/a.md", server.stamp)
    file = world.new("dir", b"a file now")
    log = world.log()
    with pytest.raises(PathTaken) as refused:
        world.resolve(conflict, "both", tombstone.stamp)
    assert refused.value.version == file
    assert_unchanged(world, log, [conflict])
    world.resolve(conflict, "server", tombstone.stamp)
    assert world.files() == {"dir": b"a file now"}


# -- the second copy's name


def test_the_second_copys_name_is_numbered_where_it_is_taken(dispute: Dispute) -> None:
    """By a live file or by a folder; a deleted file's name is free."""
    world = dispute.world
    world.new(beside(), b"taken")
    world.new(beside(number=" 2") + "/inside", b"taken")
    gone = world.new(beside(number=" 3"), b"gone")
    tombstone = world.delete(gone.path, gone.stamp)
    *_, copy = world.resolve(dispute.conflict, "both", dispute.server.stamp)
    assert (copy.path, copy.base) == (beside(number=" 3"), tombstone.stamp)
    assert world.body(copy) == b"phone"
    assert world.vault.files == 4


def test_a_hundred_copies_from_one_day_are_enough(dispute: Dispute) -> None:
    world = dispute.world
    taken = [beside(), *(beside(number=f" {number}") for number in range(2, 100))]
    world.push(parcel([change(path, b"x") for path in taken], [(taken[0], b"x")]))
    log = world.log()
    with pytest.raises(BadRequest, match="clear some away"):
        world.resolve(dispute.conflict, "both", dispute.server.stamp)
    assert_unchanged(world, log, [dispute.conflict])


# -- settling itself


def test_a_conflict_settles_itself_when_the_head_has_the_only_candidates_bytes(dispute: Dispute) -> None:
    """Somebody brought the two sides together by hand."""
    world = dispute.world
    head = world.new("a.md", b"phone", dispute.server.stamp, device="phone1")
    settled = world.conflict(dispute.conflict)
    assert settled.resolution == {"keep": "client", "at": head.stamp, "by": "me"}
    assert world.vault.conflicts == 0
    assert world.notices[-1].changes == (head,)
    assert world.notices[-1].conflicts == (settled,)


def test_a_conflict_settles_itself_in_a_push_and_by_a_restore(world: World) -> None:
    dispute = Dispute(world, b"base")  # the phone went back to what was there before
    world.vaults.restore(world.vault, "a.md", dispute.base.stamp, dispute.server.stamp, by=world.by("d"))
    assert not world.conflict(dispute.conflict).open
    head = world.head("a.md")
    assert head is not None
    other = world.keep("a.md", b"pushed", None)
    assert world.statuses(parcel([change("a.md", b"pushed", head.stamp)])) == ["stored"]
    assert not world.conflict(other).open


def test_a_conflict_with_two_candidates_waits_for_a_person(world: World) -> None:
    dispute = Dispute(world, b"one", b"two")
    world.new("a.md", b"one", dispute.server.stamp)
    assert world.conflict(dispute.conflict).open
    assert world.vault.conflicts == 1


def test_a_conflict_does_not_settle_by_what_another_settlement_passes_through(world: World) -> None:
    """The candidate's version is below the outcome at once: the head never was the other conflict's only side."""
    dispute = Dispute(world, b"phone")
    other = world.keep("a.md", b"phone", None, device="tablet")
    outcome = world.resolve(dispute.conflict, "server", dispute.server.stamp)[-1]
    assert world.conflict(other).open
    assert world.vault.conflicts == 1
    world.resolve(other, "client", outcome.stamp)
    assert world.vault.conflicts == 0


def test_both_settles_a_conflict_at_the_second_copys_name(dispute: Dispute) -> None:
    """Whatever stores a version on a path settles that path's conflict with the same bytes."""
    world = dispute.world
    there = world.new(beside(), b"other")
    waiting = world.keep(beside(), b"phone", None, device="tablet")
    world.delete(beside(), there.stamp)
    *_, copy = world.resolve(dispute.conflict, "both", dispute.server.stamp)
    assert copy.path == beside()
    assert not world.conflict(waiting).open
    assert world.vault.conflicts == 0


# -- what clients see of it


def test_a_settlement_is_an_ordinary_change_for_every_reader(dispute: Dispute) -> None:
    world = dispute.world
    cursor = Cursor(world.vault.epoch, world.vault.clock)
    versions = world.resolve(dispute.conflict, "both", dispute.server.stamp)
    page = world.reader.changes(world.vault, cursor, 10)
    assert page.changes == versions


def test_a_conflicts_sides_can_be_read(world: World) -> None:
    dispute = Dispute(world, b"one", b"two")

    def side(name: str) -> bytes:
        found = world.reader.conflict_side(world.vault, dispute.conflict.id, name)
        with world.reader.open(world.vault, found.hash) as file:
            return file.read()

    sides = {name: side(name) for name in ("base", "server", "client", "1", "2")}
    assert sides == {"base": b"base", "server": b"server", "client": b"two", "1": b"one", "2": b"two"}
    for name in ("0", "3", "", "²", "١", "1" * 30, "../1"):
        with pytest.raises(NotFound):
            side(name)
    world.delete("a.md", dispute.server.stamp)
    with pytest.raises(NotFound):
        side("server")


def test_a_conflict_without_a_base_has_no_base_side(world: World) -> None:
    world.new("a.md", b"one")
    conflict = world.keep("a.md", b"two", None)
    with pytest.raises(NotFound, match="both sides made the file new"):
        world.reader.conflict_side(world.vault, conflict.id, "base")
