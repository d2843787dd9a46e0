"""Taking changes back: the rules of docs/protocol.md, section 8, one by one.

`World.undo` looks first, and what it was told has to be what is done then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store.errors import BadCursor, CursorExpired, DiskFull, Purged
from store.undo import Asked, Undone
from sync.model import START, Cursor, Version
from tests.store.test_reader import purge
from tests.store.world import World, change, parcel, removal


def reasons(undone: Undone) -> dict[str, str]:
    return {one.head.path: one.reason for one in undone.skipped}


def restored(undone: Undone) -> dict[str, int | None]:
    return {one.version.path: one.restores for one in undone.changes}


def now(world: World) -> int:
    return world.vault.clock


def moment(world: World) -> Cursor:
    return world.reader.cursor(world.vault)


def edit(world: World, path: str, body: bytes, *, device: str = "laptop") -> Version:
    """Whatever stands there."""
    head = world.head(path)
    return world.new(path, body, head.stamp if head else None, device=device)


def remove(world: World, path: str, *, device: str = "laptop") -> Version:
    head = world.head(path)
    assert head is not None
    return world.delete(path, head.stamp, device=device)


# -- what is put back


def test_an_edit_is_taken_back_by_a_new_version_of_the_undoer(world: World) -> None:
    old = world.new("a", b"old")
    since = now(world)
    edited = world.new("a", b"edited", old.stamp)
    undone = world.undo(since, device="laptop")
    (change,) = undone.changes
    assert change.version == old._replace(stamp=change.version.stamp, base=edited.stamp, device="desktop")
    assert change.restores == old.stamp
    assert world.head("a") == change.version
    assert world.body(change.version) == b"old"
    assert undone.skipped == []


def test_a_deleted_file_comes_back(world: World) -> None:
    old = world.new("a", b"old")
    since = now(world)
    tombstone = world.delete("a", old.stamp)
    undone = world.undo(since)
    assert restored(undone) == {"a": old.stamp}
    assert undone.changes[0].version.base == tombstone.stamp
    assert world.files() == {"a": b"old"}


def test_a_new_file_is_deleted(world: World) -> None:
    world.new("a", b"a")
    since = now(world)
    world.new("b", b"b")
    assert restored(world.undo(since)) == {"b": None}
    assert world.files() == {"a": b"a"}


def test_a_file_that_was_deleted_then_is_deleted_again(world: World) -> None:
    world.new("a", b"a")
    remove(world, "a")
    since = now(world)
    edit(world, "a", b"again")
    assert restored(world.undo(since)) == {"a": None}
    assert world.files() == {}


def test_many_edits_of_a_file_are_one_step_back(world: World) -> None:
    old = world.new("a", b"1")
    since = now(world)
    for body in (b"2", b"3", b"4"):
        edit(world, "a", body)
    assert restored(world.undo(since)) == {"a": old.stamp}


def test_what_was_changed_and_changed_back_is_no_change(world: World) -> None:
    world.new("a", b"a")
    since = now(world)
    edit(world, "a", b"other")
    edit(world, "a", b"a")
    world.new("b", b"b")
    remove(world, "b")
    undone = world.undo(since)
    assert (undone.changes, undone.skipped) == ([], [])
    assert now(world) == undone.until.stamp


def test_everything_since_the_beginning_can_be_taken_back(world: World) -> None:
    world.new("a", b"a")
    world.new("b/c", b"c")
    assert restored(world.undo(0)) == {"a": None, "b/c": None}
    assert world.files() == {}


def test_of_the_future_there_is_nothing_to_take_back(world: World) -> None:
    world.new("a", b"a")
    for since in (now(world), now(world) + 1, (1 << 63) - 1):
        undone = world.undo(since)
        assert (undone.changes, undone.skipped, undone.until) == ([], [], moment(world))


def test_counters_stay_right(world: World) -> None:
    world.new("a", b"aaaa")
    world.new("b", b"bb")
    before = world.vault
    edit(world, "a", b"a")
    remove(world, "b")
    world.new("c", b"ccc")
    world.undo(before.clock)
    after = world.vault
    assert (after.files, after.bytes) == (before.files, before.bytes)
    assert after.stored == before.stored + len(b"a") + len(b"ccc")


def test_a_full_vault_can_go_back(tmp_path: Path) -> None:
    """What is put back is there already."""
    world = World.at(tmp_path, quota=10)
    world.new("a", b"12345")
    since = now(world)
    edit(world, "a", b"67890")
    world.undo(since)
    assert world.files() == {"a": b"12345"}


# -- whose changes


def test_only_the_devices_own_changes_are_taken_back(world: World) -> None:
    since = now(world)
    world.new("mine", b"1", device="laptop")
    world.new("theirs", b"2", device="phone")
    undone = world.undo(since, device="laptop")
    assert (restored(undone), undone.skipped) == ({"mine": None}, [])
    assert world.files() == {"theirs": b"2"}


def test_a_user_may_be_meant_with_all_devices(world: World) -> None:
    since = now(world)
    world.new("a", b"1", device="laptop")
    edit(world, "a", b"2", device="phone")
    assert world.undo(since, user="you").changes == []
    assert world.undo(since, user="me", device="tablet").changes == []
    assert restored(world.undo(since, user="me")) == {"a": None}


def test_without_a_device_and_a_user_everybodys_changes_are_taken_back(world: World) -> None:
    since = now(world)
    world.new("a", b"1", device="laptop")
    edit(world, "a", b"2", device="phone")
    assert restored(world.undo(since)) == {"a": None}


@pytest.mark.parametrize("last", ["laptop", "phone"])
def test_a_path_that_others_changed_too_is_skipped(world: World, last: str) -> None:
    world.new("a", b"0")
    since = now(world)
    edit(world, "a", b"1", device="phone" if last == "laptop" else "laptop")
    head = edit(world, "a", b"2", device=last)
    undone = world.undo(since, device="laptop")
    assert undone.changes == []
    assert [(one.head, one.reason) for one in undone.skipped] == [(head, "others")]


def test_what_others_did_before_is_none_of_its_concern(world: World) -> None:
    old = world.new("a", b"0", device="phone")
    since = now(world)
    edit(world, "a", b"1", device="laptop")
    assert restored(world.undo(since, device="laptop")) == {"a": old.stamp}


def test_a_prefix_limits_it_letter_by_letter(world: World) -> None:
    since = now(world)
    for path in ("notes/a", "notes/b/c", "notes.md", "Notes/a", "other"):
        world.new(path, b"x")
    assert set(restored(world.undo(since, prefix="notes/"))) == {"notes/a", "notes/b/c"}


# -- what is in the way


def test_a_path_with_an_open_conflict_is_skipped(world: World) -> None:
    base = world.new("a", b"0")
    world.new("b", b"0")
    since = now(world)
    head = edit(world, "a", b"1")
    edit(world, "b", b"1")
    conflict = world.keep("a", b"2", base.stamp)
    undone = world.undo(since, device="laptop")
    assert ([*restored(undone)], undone.skipped[0].head, reasons(undone)) == (["b"], head, {"a": "conflict"})
    world.resolve(conflict, "server", head.stamp)
    assert reasons(world.undo(since, device="laptop")) == {"a": "others"}


def test_what_changed_after_the_preview_is_skipped(world: World) -> None:
    world.new("a", b"0")
    world.new("b", b"0")
    since = now(world)
    edit(world, "a", b"1")
    edit(world, "b", b"1")
    preview = world.preview(since, device="laptop")
    assert preview.until == moment(world)
    head = edit(world, "a", b"2")
    world.new("c", b"not seen")
    undone = world.undo(since, device="laptop", until=preview.until)
    assert (undone.until, [*restored(undone)], reasons(undone)) == (preview.until, ["b"], {"a": "since"})
    assert undone.skipped[0].head == head
    assert world.files() == {"a": b"2", "b": b"0", "c": b"not seen"}


def test_others_after_the_preview_are_seen_as_after_the_preview(world: World) -> None:
    since = now(world)
    world.new("a", b"1")
    until = moment(world)
    edit(world, "a", b"2", device="phone")
    assert reasons(world.undo(since, device="laptop", until=until)) == {"a": "since"}


def test_a_file_does_not_come_back_where_a_folder_is_now(world: World) -> None:
    world.new("a", b"file")
    since = now(world)
    remove(world, "a")
    world.new("a/b", b"theirs", device="phone")
    undone = world.undo(since, device="laptop")
    assert (undone.changes, reasons(undone)) == ([], {"a": "path-taken"})
    assert world.files() == {"a/b": b"theirs"}


def test_a_file_does_not_come_back_below_what_is_a_file_now(world: World) -> None:
    world.new("a/b", b"mine")
    since = now(world)
    remove(world, "a/b")
    world.new("a", b"theirs", device="phone")
    assert reasons(world.undo(since, device="laptop")) == {"a/b": "path-taken"}


def test_a_folder_that_took_a_files_place_goes_and_the_file_comes_back(world: World) -> None:
    world.new("a", b"file")
    since = now(world)
    remove(world, "a")
    world.new("a/b", b"1")
    world.new("a/c/d", b"2")
    undone = world.undo(since, device="laptop")
    assert [change.version.path for change in undone.changes] == ["a/b", "a/c/d", "a"]
    assert world.files() == {"a": b"file"}


def test_a_file_that_took_a_folders_place_goes_and_the_folder_comes_back(world: World) -> None:
    world.new("a/b", b"1")
    world.new("a/c/d", b"2")
    since = now(world)
    remove(world, "a/b")
    remove(world, "a/c/d")
    world.new("a", b"file")
    world.undo(since, device="laptop")
    assert world.files() == {"a/b": b"1", "a/c/d": b"2"}


def test_one_file_in_the_folder_that_stays_is_enough_to_keep_the_file_away(world: World) -> None:
    world.new("a", b"file")
    since = now(world)
    remove(world, "a")
    world.new("a/b", b"1")
    world.new("a/c", b"2")
    edit(world, "a/c", b"3", device="phone")
    undone = world.undo(since, device="laptop")
    assert (restored(undone), reasons(undone)) == ({"a/b": None}, {"a": "path-taken", "a/c": "others"})


def test_a_lost_body_stops_its_own_path_only(world: World, tmp_path: Path) -> None:
    lost = world.new("a", b"lost")
    kept = world.new("b", b"kept")
    since = now(world)
    edit(world, "a", b"1")
    edit(world, "b", b"1")
    assert lost.hash is not None
    for file in (tmp_path / "bodies").rglob(lost.hash[2:]):
        file.unlink()
    undone = world.undo(since)
    assert (restored(undone), reasons(undone)) == ({"b": kept.stamp}, {"a": "body-missing"})


# -- moments that are gone


def test_a_moment_that_was_purged_cannot_be_gone_back_to(world: World) -> None:
    since = world.new("a", b"0").stamp
    mark = edit(world, "a", b"1").stamp
    purge(world, mark)
    for moment in (0, since, mark - 1):
        for undo in (world.undoing.preview, world.undoing.run):
            with pytest.raises(Purged):
                undo(world.vault, Asked(moment), by=world.by())
    assert world.undo(mark).changes == []


def test_a_version_that_is_purged_meanwhile_is_not_taken_for_nothing(world: World) -> None:
    """Or the file would be deleted."""
    old = world.new("a", b"0")
    since = now(world)
    edit(world, "a", b"1")
    world.metadata._write(  # type: ignore[attr-defined]  # what a purge does between two commands
        lambda db: db.execute("DELETE FROM versions WHERE stamp = ?", (old.stamp,))
    )
    undone = world.undo(since)
    assert (undone.changes, reasons(undone)) == ([], {"a": "purged"})


def test_until_has_to_be_a_cursor_that_a_preview_gave(world: World) -> None:
    stamp = world.new("a", b"0").stamp
    epoch = world.vault.epoch
    for bad in (START, Cursor(epoch, stamp, "")):
        with pytest.raises(BadCursor):
            world.preview(0, until=bad)
    for gone in (Cursor("0" * 12, stamp), Cursor(epoch, stamp + 1), Cursor(epoch, stamp - 1)):
        with pytest.raises(CursorExpired):
            world.preview(0, until=gone)


# -- many, and at the same time as others


def test_an_undo_can_be_undone(world: World) -> None:
    world.new("a", b"0")
    world.new("b", b"0")
    since = now(world)
    edit(world, "a", b"1")
    remove(world, "b")
    world.new("c", b"1")
    changed, back = world.files(), now(world)
    world.undo(since, device="laptop", by="desktop")
    world.undo(back, device="desktop")
    assert world.files() == changed


def test_a_thousand_and_more_files_come_back_in_several_transactions(world: World) -> None:
    files = [(f"folder/{number:04}", b"%d" % number) for number in range(1_500)]
    world.push(parcel([change(path, body) for path, body in files], files))
    since = now(world)
    heads = world.reader.listing(world.vault, "", "", 10_000)[0]
    world.push(parcel([removal(head.path, head.stamp) for head in heads]))
    world.new("folder", b"in its place")
    world.notices.clear()
    undone = world.undo(since)
    assert len(undone.changes) == 1_501
    assert world.files() == dict(files)
    assert [len(notice.changes) for notice in world.notices] == [1_000, 501]
    assert [one.version for one in undone.changes] == [one for notice in world.notices for one in notice.changes]


def test_an_undo_that_was_cut_off_goes_on_where_it_is_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.undo.MOST_WRITES", 2)
    for name in "abcde":
        world.new(name, b"0")
    since = now(world)
    for name in "abcde":
        edit(world, name, b"1")
    until = moment(world)
    reuse = world.bodies.reuse
    calls: Iterator[int] = iter(range(10))

    def fails_at_the_second(*arguments: object) -> object:
        if next(calls) == 1:
            raise DiskFull("no room")
        return reuse(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(world.bodies, "reuse", fails_at_the_second)
    with pytest.raises(DiskFull):
        world.undoing.run(world.vault, Asked(since, "laptop", until=until), by=world.by("desktop"))
    undone = world.undo(since, device="laptop", until=until)
    assert ([*restored(undone)], undone.skipped) == (["c", "d", "e"], [])
    assert set(world.files().values()) == {b"0"}


def between(world: World, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Has `act` happen after an undo read the log and before it commits."""
    reuse = world.bodies.reuse

    def and_then(*arguments: object) -> object:
        found = reuse(*arguments)  # type: ignore[arg-type]
        monkeypatch.setattr(world.bodies, "reuse", reuse)
        act()
        return found

    monkeypatch.setattr(world.bodies, "reuse", and_then)


def test_what_changes_while_it_runs_is_not_overwritten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.new("a", b"0")
    world.new("b", b"0")
    since = now(world)
    edit(world, "a", b"1")
    edit(world, "b", b"1")
    between(world, monkeypatch, lambda: edit(world, "a", b"2"))
    undone = world.undoing.run(world.vault, Asked(since), by=world.by("desktop"))
    assert ([*restored(undone)], reasons(undone)) == (["b"], {"a": "since"})
    assert undone.skipped[0].head == world.head("a")
    assert world.files() == {"a": b"2", "b": b"0"}


def test_what_somebody_else_puts_back_while_it_runs_is_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.new("a", b"0")
    since = now(world)
    edit(world, "a", b"1")
    between(world, monkeypatch, lambda: edit(world, "a", b"0", device="phone"))
    undone = world.undoing.run(world.vault, Asked(since), by=world.by("desktop"))
    assert (undone.changes, undone.skipped) == ([], [])


def test_a_conflict_that_opens_while_it_runs_is_heeded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    base = world.new("a", b"0")
    since = now(world)
    edit(world, "a", b"1")
    between(world, monkeypatch, lambda: world.keep("a", b"2", base.stamp))
    undone = world.undoing.run(world.vault, Asked(since), by=world.by("desktop"))
    assert (undone.changes, reasons(undone)) == ([], {"a": "conflict"})


def test_what_an_undo_does_is_told_to_those_who_watch(world: World) -> None:
    world.new("a", b"0")
    since = now(world)
    edit(world, "a", b"1")
    before = now(world)
    world.notices.clear()
    undone = world.undo(since)
    (notice,) = world.notices
    assert (notice.after, notice.cursor, notice.changes) == (before, now(world), (undone.changes[0].version,))


def test_a_preview_of_several_transactions_foresees_each(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file comes back where a folder, or a file above it, is deleted in an earlier one."""
    monkeypatch.setattr("store.undo.MOST_WRITES", 1)
    for path in ("a", "b/c", "d"):
        world.new(path, b"0")
    since = now(world)
    for path in ("a", "b/c", "d"):
        remove(world, path)
    for path in ("a/x", "a/y", "b", "d/x"):
        world.new(path, b"1")
    edit(world, "d/x", b"2", device="phone")
    undone = world.undo(since, device="laptop")
    assert reasons(undone) == {"d": "path-taken", "d/x": "others"}
    assert set(world.files()) == {"a", "b/c", "d/x"}
