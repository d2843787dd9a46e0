"""Collecting: what is too old goes, what is needed never does."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from store.aging import Collected
from store.bodies_aside import put_into_trash
from store.bodies_guard import needing
from store.collection import Collector, Limits
from store.errors import CursorExpired, InUse, Misconfigured, Purged, WrongClock
from sync.model import Cursor
from tests.contract.backends import Backend
from tests.contract.log import append
from tests.contract.past import Past
from tests.store.world import NAME, USER, World, change, parcel, sha256


@pytest.fixture
def past(backend: Backend, tmp_path: Path) -> Past:
    return Past(backend, tmp_path)


def texts(world: World, path: str) -> list[bytes | None]:
    """A path's history as the log has it, newest first; None for a deletion."""
    versions = world.metadata.history(world.vault.id, path, before=None, limit=100)
    return [world.body(version) if version.live else None for version in versions]


# -- versions


def test_old_versions_and_deletions_go_and_the_newest_of_a_living_file_never(past: Past) -> None:
    with past.days_ago(800) as world:
        kept, edited = world.new("kept", b"as ever"), world.new("edited", b"1")
        world.new("note", b"two years old")
        gone = world.new("gone", b"gone")
    with past.days_ago(700) as world:
        edited = world.new("edited", b"22", edited.stamp)
        gone = world.delete("gone", gone.stamp)
    with past.days_ago(600) as world:
        edited = world.new("edited", b"333", edited.stamp)
    with past.days_ago(300) as world:
        late = world.new("late", b"late")
    with past.days_ago(1) as world:
        note = world.head("note")
        assert note is not None
        world.new("note", b"of yesterday", note.stamp)
        world.delete("late", late.stamp)
    past.grow_old()
    assert past.collect() == Collected(versions=3, tombstones=1, bodies=3, bytes=7)
    world = past.world
    assert texts(world, "kept") == [b"as ever"]
    assert texts(world, "edited") == [b"333"]
    assert texts(world, "note") == [b"of yesterday", b"two years old"]
    assert texts(world, "late") == [None, b"late"]
    assert texts(world, "gone") == []
    assert world.files() == {"kept": b"as ever", "edited": b"333", "note": b"of yesterday"}
    assert world.vault.stored == past.stored()
    assert past.collect() == Collected()
    assert kept.stamp < gone.stamp < edited.stamp == world.vault.purge_mark


def test_what_stood_at_any_moment_from_the_purge_mark_on_is_still_known(past: Past) -> None:
    """Before it: 410 for cursors, versions, moments. A version that was purged stood until the next one came, and no
    moment before that is answered with its file left out."""
    with past.days_ago(800) as world:
        a, b = world.new("a", b"a1"), world.new("b", b"b1")
    with past.days_ago(700) as world:
        deleted = world.delete("b", b.stamp)
    between = deleted.stamp + 1
    with past.days_ago(500) as world:
        newer = world.new("a", b"a2", a.stamp)
    world.new("c", b"c")
    past.collect()
    vault, reader = world.vault, world.reader
    for stamp in (a.stamp, b.stamp, deleted.stamp):
        with pytest.raises(CursorExpired):
            reader.changes(vault, Cursor(vault.epoch, stamp), 10)
        with pytest.raises(Purged):
            reader.version(vault, "a", stamp)
        with pytest.raises(Purged):
            reader.archive(vault, stamp)
    with pytest.raises(Purged):
        reader.archive(vault, between)
    with pytest.raises(Purged):
        world.preview(between)
    assert vault.purge_mark == newer.stamp
    assert b"a2" in b"".join(reader.archive(vault, vault.purge_mark))
    page = reader.changes(vault, Cursor(vault.epoch, vault.purge_mark), 10)
    assert [one.path for one in page.changes] == ["c"]


@pytest.mark.parametrize("idle", [False, True], ids=["a vault in use", "a vault left alone"])
@pytest.mark.parametrize("what", ["changes", "archive"])
def test_a_collection_in_the_middle_of_reading_old_things_leaves_nothing_out_unnoticed(
    past: Past, monkeypatch: pytest.MonkeyPatch, what: str, idle: bool
) -> None:
    with past.days_ago(700) as world:
        a, _ = world.new("a", b"a1"), world.new("b", b"b1")
        world.delete("a", a.stamp)
        world.new("last", b"last")
    if not idle:
        world.new("now", b"now")
    vault = world.vault
    method = "changes" if what == "changes" else "live"
    original = getattr(world.metadata, method)

    def collected_first(*arguments: object, **named: object) -> object:
        monkeypatch.undo()
        past.collect(force=idle)
        return original(*arguments, **named)

    monkeypatch.setattr(world.metadata, method, collected_first)
    if what == "changes":
        with pytest.raises(CursorExpired):
            world.reader.changes(vault, Cursor(vault.epoch, a.stamp), 10)
    else:
        with pytest.raises(Purged):
            list(world.reader.archive(vault, a.stamp))


def test_of_a_disputed_path_everything_stays_until_the_conflict_is_settled(past: Past) -> None:
    with past.days_ago(800) as world:
        base = world.new("a", b"base")
        other = world.new("b", b"b1")
    with past.days_ago(700) as world:
        head = world.new("a", b"server", base.stamp)
        world.new("b", b"b22", other.stamp)
        conflict = world.keep("a", b"client's", base.stamp)
    world.new("now", b"now")
    past.grow_old()
    assert past.collect() == Collected(versions=1, bodies=1, bytes=2)
    assert texts(world, "a") == [b"server", b"base"]
    assert past.where(b"client's") == "place"
    assert world.vault.stored == past.stored()
    world.resolve(conflict, "server", head.stamp)
    past.grow_old()
    assert past.collect() == Collected(versions=1, bodies=1, bytes=4, removed=1, removed_bytes=2)
    assert texts(world, "a") == [b"server", b"client's", b"server"]
    past.place(b"client's").unlink()  # as a collection will in a year
    with pytest.raises(Purged, match="settled"):
        world.reader.conflict_side(world.vault, conflict.id, "1")


def test_a_thousand_old_versions_go_in_many_transactions(past: Past) -> None:
    """Of one path and of many, in an order in which none ever comes back to life."""
    world = past.world
    with past.days_ago(800):
        for number in range(10):
            paths = [f"{number}/{n:03}" for n in range(60)]
            append(world.metadata, world.vault.id, *((path, "A") for path in paths), *[("one", f"{number}")] * 10)
            append(world.metadata, world.vault.id, *((path, "-") for path in paths))
    append(world.metadata, world.vault.id, ("now", "N"))
    assert past.collect() == Collected(versions=600 + 99, tombstones=600)
    assert [version.path for version in world.log()] == ["one", "now"]


# -- bodies


def test_a_body_leaves_in_two_steps_a_week_apart_and_is_not_counted_then(past: Past) -> None:
    with past.days_ago(800) as world:
        first = world.new("a", b"old")
    with past.days_ago(700) as world:
        world.new("a", b"newer", first.stamp)
    world.new("now", b"now")
    assert past.collect() == Collected(versions=1)
    assert past.where(b"old") == "place"
    past.grow_old()
    assert past.collect() == Collected(bodies=1, bytes=3)
    assert past.where(b"old") == "trash"
    assert past.collect() == Collected()
    past.grow_old("trash")
    assert past.collect() == Collected(removed=1, removed_bytes=3)
    assert past.where(b"old") == ""
    assert world.vault.stored == past.stored()
    assert not (past.root / "trash" / world.vault.id).exists()
    assert not list(past.root.rglob("*.forsaken"))


def test_whoever_needs_a_body_that_is_in_the_trash_gets_it_back_counted_once(past: Past) -> None:
    """Sending it, naming it in a push, restoring or reading a version: each looks there first."""
    world = past.world
    for body in (b"put", b"push", b"read"):
        past.upload(body)
    past.grow_old()
    assert past.collect() == Collected(bodies=3, bytes=11)
    assert [past.where(body) for body in (b"put", b"push", b"read")] == ["trash"] * 3
    world.new("put", b"put")
    assert world.statuses(parcel([change("push", b"push")])) == ["stored"]
    world.bodies.open(world.vault.id, sha256(b"read")).close()
    assert [past.where(body) for body in (b"put", b"push", b"read")] == ["place"] * 3
    assert world.vault.stored == past.stored()
    past.grow_old("trash")
    assert past.collect() == Collected()
    past.grow_old()
    assert past.collect() == Collected(bodies=1, bytes=4)


def test_what_is_referred_to_comes_back_although_it_was_in_the_trash_for_weeks(past: Past) -> None:
    """Whoever committed on it was killed before it could look."""
    world = past.world
    world.new("a", b"body")
    place, trashed = past.place(b"body"), past.place(b"body", aside="trash")
    trashed.parent.mkdir(parents=True)
    place.rename(trashed)
    past.grow_old()
    assert past.collect() == Collected(restored=1)
    assert world.files() == {"a": b"body"}
    assert world.vault.stored == past.stored()


def test_an_upload_that_was_cut_off_leaves_nothing_and_miscounts_nothing(past: Past) -> None:
    """A body that was kept and never committed, one that was refused, and a mark without its body."""
    world = past.world
    world.new("a", b"a")
    for body in (b"kept", b"refused"):
        past.upload(body)
    world.bodies.forsake(world.vault.id, [sha256(b"refused")])
    mark = past.place(b"lost").with_name(past.place(b"lost").name + ".forsaken")
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
    assert past.collect() == Collected()
    past.grow_old()
    assert past.collect() == Collected(bodies=2, bytes=11)
    assert not mark.exists()
    assert world.vault.stored == past.stored() == 1


def test_what_is_thrown_away_while_it_is_committed_is_back_when_that_is_acknowledged(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, transact = past.world, past.world.metadata.transact

    def after_a_collection(*arguments: object, **named: object) -> object:
        for _ in Collector(world.metadata, str(past.root), Limits(365, grace_s=-60)).run():
            pass
        thrown.append(past.where(b"put"))
        thrown.append(past.where(b"reused"))
        return transact(*arguments, **named)  # type: ignore[arg-type]

    thrown: list[str] = []
    past.upload(b"reused")
    monkeypatch.setattr(world.metadata, "transact", after_a_collection)
    world.new("put", b"put")
    assert past.where(b"put") == "place"
    assert world.statuses(parcel([change("pushed", b"reused")])) == ["stored"]
    assert past.where(b"reused") == "place"
    monkeypatch.undo()
    assert thrown == ["trash", "trash", "place", "trash"]
    assert world.files() == {"put": b"put", "pushed": b"reused"}


def test_what_is_committed_on_a_body_that_is_just_about_to_go_finds_it_in_its_place(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look: whoever committed has looked before it went, and will not look again."""
    world = past.world
    past.upload(b"body")

    def after_a_commit(*arguments: Any, **named: Any) -> bool:
        world.new("a", b"body")
        return put_into_trash(*arguments, **named)

    monkeypatch.setattr("store.collection.put_into_trash", after_a_commit)
    *_, (_, total) = Collector(world.metadata, str(past.root), Limits(365, grace_s=-60)).run()
    assert (total.bodies, total.restored) == (1, 1)
    assert past.where(b"body") == "place"


# -- vaults that are gone, and what is not gobi's


def test_bodies_of_a_removed_vault_go_and_what_is_not_gobis_is_never_touched(past: Past) -> None:
    world = past.world
    world.new("a", b"a")
    other, _ = world.registry.create(USER, "other", None)
    past.upload(b"other's", other.id)
    past.grow_old()
    world.metadata.remove_vault(other.id)
    strays = [past.root / name for name in ("lost+found/x", f"{other.id}/notes.txt", f"{world.vault.id}/ab/readme")]
    strays.append(past.root / "deadbeef" / sha256(b"a")[:2] / sha256(b"a")[2:])
    for one in strays:
        one.parent.mkdir(parents=True, exist_ok=True)
        one.write_bytes(b"a stray")
    past.grow_old()
    assert past.collect() == Collected(bodies=1, bytes=7)
    past.grow_old()
    assert past.collect() == Collected(removed=1, removed_bytes=7)
    assert all(one.exists() for one in strays)
    assert sorted(one.name for one in (past.root / other.id).iterdir()) == ["notes.txt"]
    strays[1].unlink()
    past.collect()
    assert not (past.root / other.id).exists()
    assert world.files() == {"a": b"a"}


def test_with_another_database_than_the_bodies_own_nothing_goes(past: Past) -> None:
    world = past.world
    world.new("a", b"a")
    past.grow_old()
    there = world.vault
    world.metadata.remove_vault(there.id)
    before = past.files()
    with pytest.raises(Misconfigured, match="no vault at all"):
        past.collect(force=True)
    world.registry.create(USER, NAME, None)
    with pytest.raises(Misconfigured, match="only other vaults"):
        past.collect(force=True)
    assert past.files() == before
    world.bodies.remove_vault(there.id)
    assert past.collect() == Collected()


# -- who else is there


def test_while_a_backup_runs_nothing_goes(past: Past) -> None:
    with past.days_ago(800) as world:
        first = world.new("a", b"old")
    with past.days_ago(700) as world:
        world.new("a", b"newer", first.stamp)
    world.new("now", b"now")
    past.grow_old()
    before = past.everything()
    with needing(str(past.root)), pytest.raises(InUse, match="backup"):
        past.collect()
    assert past.everything() == before
    assert past.collect() == Collected(versions=1, bodies=1, bytes=3)


# -- the time


@pytest.mark.parametrize("days", [365, -365], ids=["behind", "ahead"])
def test_by_a_clock_that_is_a_year_off_nothing_goes(past: Past, days: int) -> None:
    """Off from the newest change, or from that of the host."""
    with past.days_ago(400) as world:
        first = world.new("a", b"old")
    with past.days_ago(390) as world:
        world.new("a", b"newer", first.stamp)
    world.new("now", b"now")
    past.grow_old()
    before = past.everything()
    with past.days_ago(days), pytest.raises(WrongClock, match="timedatectl"):
        past.collect()
    assert past.everything() == before
    assert past.collect() == Collected(versions=1, bodies=1, bytes=3)


def test_a_clock_that_was_years_ahead_once_keeps_nobody_from_collecting(past: Past) -> None:
    """Once anything was written by the right one: that has a stamp of then, and says when it was made."""
    with past.days_ago(500) as world:
        old = world.new("a", b"old")
    with past.days_ago(400) as world:
        world.new("a", b"new", old.stamp)
    with past.days_ago(-3650) as world:
        ahead = world.new("b", b"by the wrong clock")
    last = past.world.new("c", b"by the right one")
    assert last.stamp == ahead.stamp + 1
    past.grow_old()
    assert past.collect().versions == 1
    assert past.world.files()["a"] == b"new"


def test_what_a_clock_that_was_ahead_stamped_is_kept_for_longer_and_never_for_a_shorter_time(past: Past) -> None:
    """Retention goes by stamps, and no stamp is before the moment at which its change was made."""
    with past.days_ago(800) as world:
        early, late = world.new("early", b"early"), world.new("late", b"late")
        gone = world.new("gone", b"gone")
    with past.days_ago(790) as world:
        world.new("early", b"early, in time", early.stamp)
    with past.days_ago(300) as world:  # by a clock that was 480 days ahead
        ahead = world.new("ahead", b"ahead")
    with past.days_ago(780) as world:
        edited = world.new("late", b"late, in time", late.stamp)
        world.delete("gone", gone.stamp)
    assert edited.stamp == ahead.stamp + 1
    newest = world.new("ahead", b"newer", ahead.stamp)
    past.grow_old()
    assert past.collect() == Collected(versions=1, bodies=1, bytes=5)
    assert texts(past.world, "early") == [b"early, in time"]
    assert texts(past.world, "late") == [b"late, in time", b"late"], "replaced 780 days ago, by its stamp 300"
    assert texts(past.world, "gone") == [None, b"gone"]
    assert all(version.stamp >= version.made for version in past.world.log())
    assert newest.at is None


def test_by_files_that_are_dated_by_another_clock_nothing_goes(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk of another machine, by whose time a body of today would be two days old."""
    past.upload(b"body")
    before, utime = past.files(), os.utime
    monkeypatch.setattr(os, "utime", lambda path, *_: utime(path, (time.time() - 2 * 86_400,) * 2))
    with pytest.raises(WrongClock, match="files' clock"):
        past.collect(force=True)
    assert past.files() == before
