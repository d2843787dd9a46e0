"""Reading a vault: cursors, first listings, the sync exchange, archives (docs/protocol.md, sections 4 to 6)."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.errors import BadCursor, BadRequest, BodyMissing, CursorExpired, NotFound, Purged
from store.reader import Answer
from sync.model import START, Change, Cursor, Version
from tests.store.world import World, change, parcel, sha256


def paths(versions: Iterable[Version]) -> list[str]:
    return [version.path for version in versions]


def put(path: str, body: bytes, base: int | None = None) -> Change:
    return Change(path, "put", base, sha256(body), len(body))


def sync(world: World, cursor: Cursor, *changes: Change, last: bool = True, limit: int = 100) -> Answer:
    return world.reader.sync(world.vault, cursor, changes, last, limit)


def rows(answer: Answer) -> list[tuple[str, str]]:
    return [(action.do, action.path) for action in answer.actions]


def purge(world: World, stamp: int) -> None:
    world.metadata.set_purge_mark(world.vault.id, stamp)


# -- files


def test_a_file_is_its_live_head(world: World) -> None:
    first = world.new("a", b"one")
    second = world.new("a", b"two", first.stamp)
    assert world.reader.head(world.vault, "a") == second
    assert world.reader.version(world.vault, "a", first.stamp) == first
    with pytest.raises(NotFound) as refused:
        world.reader.head(world.vault, "b")
    assert refused.value.head is None


def test_a_deleted_file_is_not_found_with_its_tombstone(world: World) -> None:
    first = world.new("a", b"one")
    tombstone = world.delete("a", first.stamp)
    with pytest.raises(NotFound) as refused:
        world.reader.head(world.vault, "a")
    assert refused.value.head == tombstone
    assert world.reader.version(world.vault, "a", tombstone.stamp) == tombstone


def test_a_version_that_was_purged_is_told_from_one_that_never_was(world: World) -> None:
    stamp = world.new("a", b"one").stamp
    purge(world, stamp - 100)
    with pytest.raises(Purged):
        world.reader.version(world.vault, "a", stamp - 100)
    for never in (0, stamp - 99, stamp + 1):
        with pytest.raises(NotFound):
            world.reader.version(world.vault, "a", never)


def test_a_listing_goes_on_after_its_last_path(world: World) -> None:
    world.push(parcel([change(path, b"x") for path in "abcde"], [("a", b"x")]))
    page, after = world.reader.listing(world.vault, "", "", 3)
    assert (paths(page), after) == (["a", "b", "c"], "c")
    page, after = world.reader.listing(world.vault, "", "c", 3)
    assert (paths(page), after) == (["d", "e"], None)


# -- cursors


@pytest.mark.parametrize("text", ["", "1", "yesterday", "0123456789ab", "0123456789ab.1.!"])
def test_what_is_no_cursor_is_refused(world: World, text: str) -> None:
    with pytest.raises(BadCursor):
        world.reader.parse_cursor(text)


def test_changes_come_after_the_cursor_and_name_the_next_one(world: World) -> None:
    written = [world.new(path, b"x") for path in "abc"]
    cursor = Cursor(world.vault.epoch, written[0].stamp)
    page = world.reader.changes(world.vault, cursor, 1)
    assert page == ([written[1]], Cursor(world.vault.epoch, written[1].stamp), True)
    page = world.reader.changes(world.vault, page.cursor, 1)
    assert page == ([written[2]], world.reader.cursor(world.vault), False)
    assert world.reader.changes(world.vault, page.cursor, 1) == ([], page.cursor, False)


def test_a_cursor_is_the_last_version_returned_and_never_now(world: World) -> None:
    """What is committed while the reader holds an older view of the vault is not skipped."""
    view = world.vault
    first = world.new("a", b"x")
    page = world.reader.changes(view, Cursor(view.epoch, 0), 10)
    assert page.cursor == Cursor(view.epoch, first.stamp)
    world.new("b", b"x")
    assert paths(world.reader.changes(world.vault, page.cursor, 10).changes) == ["b"]


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_a_first_listing_is_the_live_heads_and_ends_at_the_moment_it_began(world: World, limit: int) -> None:
    """What changes between its pages comes after its cursor."""
    for path in "abcdef":
        world.new(path, b"x")
    world.delete("c", world.log()[2].stamp)
    moment = world.vault.clock
    page = world.reader.changes(world.vault, START, limit)
    seen = paths(page.changes)
    assert page.more == (page.cursor.position is not None)
    edited = world.new("f", b"edited", world.log()[5].stamp)
    added = world.new("aa", b"added")
    while page.more:
        page = world.reader.changes(world.vault, world.reader.parse_cursor(str(page.cursor)), limit)
        seen += paths(page.changes)
    assert page.cursor == Cursor(world.vault.epoch, moment)
    later = world.reader.changes(world.vault, page.cursor, 10)
    assert later.changes == [edited, added]
    assert set(seen) | {"f"} == set("abdef")
    assert len(seen) == len(set(seen))


def test_the_first_listing_of_an_empty_vault_gives_a_cursor_to_go_on_from(world: World) -> None:
    page, cursor, more = world.reader.changes(world.vault, START, 10)
    assert (page, cursor, more) == ([], Cursor(world.vault.epoch, 0), False)
    world.new("a", b"x")
    assert paths(world.reader.changes(world.vault, cursor, 10).changes) == ["a"]


def test_a_cursor_at_or_above_the_purge_mark_is_good(world: World) -> None:
    written = [world.new(path, b"x") for path in "abc"]
    purge(world, written[1].stamp)
    epoch = world.vault.epoch
    for stamp in (written[1].stamp, written[2].stamp):
        world.reader.changes(world.vault, Cursor(epoch, stamp), 10)
    for stamp in (0, written[0].stamp, written[1].stamp - 1):
        for cursor in (Cursor(epoch, stamp), Cursor(epoch, stamp, "a")):
            with pytest.raises(CursorExpired):
                world.reader.changes(world.vault, cursor, 10)


def test_a_purge_mark_that_names_no_version_is_a_good_cursor(world: World) -> None:
    """The version it named was purged, being the newest that was."""
    world.new("a", b"x")
    mark = world.vault.clock - 5
    purge(world, mark)
    assert len(world.reader.changes(world.vault, Cursor(world.vault.epoch, mark), 10).changes) == 1


def test_a_cursor_of_another_epoch_or_of_a_lost_version_has_expired(world: World) -> None:
    """The metadata was put back to an older copy."""
    stamp = world.new("a", b"x").stamp
    old = world.reader.cursor(world.vault)
    for lost in (stamp + 1, stamp - 1):
        for cursor in (Cursor(old.epoch, lost), Cursor(old.epoch, lost, "a")):
            with pytest.raises(CursorExpired):
                world.reader.changes(world.vault, cursor, 10)
            with pytest.raises(CursorExpired):
                sync(world, cursor, last=False)
    world.metadata.renew_epoch(world.vault.id)
    with pytest.raises(CursorExpired):
        world.reader.changes(world.vault, old, 10)
    assert len(world.reader.changes(world.vault, START, 10).changes) == 1


# -- the exchange


def test_a_first_time_client_downloads_everything(world: World) -> None:
    for path in "abc":
        world.new(path, b"x")
    answer = sync(world, START)
    assert rows(answer) == [("download", "a"), ("download", "b"), ("download", "c")]
    assert answer.cursor == world.reader.cursor(world.vault)
    assert rows(sync(world, answer.cursor)) == []


def test_what_the_client_reported_and_what_changed_are_answered_together(world: World) -> None:
    cursor = sync(world, START).cursor
    theirs = world.new("theirs", b"x")
    both = world.new("both", b"server")
    answer = sync(world, cursor, put("mine", b"x"), put("both", b"client"))
    assert rows(answer) == [("upload", "mine"), ("conflict", "both"), ("download", "theirs")]
    assert [action.head for action in answer.actions] == [None, both, theirs]


def test_a_row_is_judged_by_the_present_head_even_if_that_is_newer_than_the_page(world: World) -> None:
    first = world.new("a", b"one")
    world.new("b", b"x")
    head = world.new("a", b"two", first.stamp)
    answer = sync(world, Cursor(world.vault.epoch, 0), limit=1)
    (action,) = answer.actions
    assert (action.path, action.head) == ("a", head)
    assert answer.more


def test_a_path_reported_twice_is_refused(world: World) -> None:
    with pytest.raises(BadRequest, match="twice"):
        sync(world, START, put("a", b"x"), put("a", b"y"))


def test_what_is_new_on_the_server_waits_for_the_last_request(world: World) -> None:
    """From the start the first answer fixes the moment of the snapshot; it lasts through all requests."""
    world.new("theirs", b"x")
    first = sync(world, START, put("mine", b"x"), last=False)
    assert rows(first) == [("upload", "mine")]
    assert not first.more
    world.new("later", b"x")
    final = sync(world, first.cursor, put("mine too", b"x"))
    assert rows(final) == [("upload", "mine too"), ("download", "theirs")]
    assert rows(sync(world, final.cursor)) == [("download", "later")]


def test_a_request_that_is_not_the_last_leaves_a_later_cursor_where_it_is(world: World) -> None:
    cursor = sync(world, START).cursor
    world.new("theirs", b"x")
    answer = sync(world, cursor, put("mine", b"x"), last=False)
    assert answer.cursor == cursor
    assert rows(sync(world, answer.cursor)) == [("download", "theirs")]


def test_lost_replies_are_found_by_what_was_sent(world: World) -> None:
    """The upload arrived, its reply did not: the log knows it by its bytes."""
    first = world.new("a", b"one")
    second = world.new("a", b"two", first.stamp)
    reported = Change("a", "put", first.stamp, sha256(b"three"), 5, None, (sha256(b"two"),))
    (action,) = sync(world, Cursor(world.vault.epoch, first.stamp), reported).actions
    assert (action.do, action.base) == ("upload", second.stamp)


letters = st.sampled_from(("a", "b", "c", "d"))
writes = st.lists(st.tuples(letters, st.none() | st.sampled_from((b"x", b"y"))), max_size=12)
reported = st.dictionaries(letters, st.sampled_from(("put", "delete", "missing", "same")), max_size=4)


@given(writes, reported, st.integers(0, 12), st.integers(1, 3), st.booleans())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_there_is_at_most_one_row_a_path_and_the_pages_come_to_an_end(
    world: World,
    writes: list[tuple[str, bytes | None]],
    reported: dict[str, str],
    seen: int,
    limit: int,
    fresh: bool,
) -> None:
    """From the start or from anywhere, whatever was reported, in pages of one to three rows."""
    if world.metadata.vault("notes") is not None:
        world.registry.remove(world.vault, None)
    world.registry.create("me", "notes", None)
    for path, body in writes:
        head = world.head(path)
        if body is not None:
            world.put(path, body, head.stamp if head else None)
        elif head is not None and head.live:
            world.delete(path, head.stamp)
    log = world.log()
    known = log[min(seen, len(log)) - 1].stamp if log and seen else 0
    cursor = START if fresh else Cursor(world.vault.epoch, known)
    changes = tuple(
        Change(path, kind, known or None, sha256(b"x") if kind in ("put", "same") else None)  # type: ignore[arg-type]
        for path, kind in reported.items()
    )
    answer = sync(world, cursor, *changes, limit=limit)
    told = {action.path for action in answer.actions}
    assert len(told) == len(answer.actions)
    for _ in range(len(log) + 2):
        if not answer.more:
            break
        answer = sync(world, answer.cursor, limit=limit)
        assert len({action.path for action in answer.actions}) == len(answer.actions)
        told |= {action.path for action in answer.actions}
    assert not answer.more
    assert answer.cursor == world.reader.cursor(world.vault)
    changed = {version.path for version in log if fresh and version == world.head(version.path) and version.live}
    changed |= {version.path for version in log if not fresh and version.stamp > known}
    assert told >= changed - set(reported)


# -- history


def test_history_is_newest_first_and_goes_on(world: World) -> None:
    one = world.new("a", b"one")
    two = world.new("a", b"two", one.stamp)
    gone = world.delete("a", two.stamp)
    assert world.reader.history(world.vault, "a", None, 2) == ([gone, two], two.stamp)
    assert world.reader.history(world.vault, "a", two.stamp, 2) == ([one], None)
    with pytest.raises(NotFound):
        world.reader.history(world.vault, "never", None, 2)


# -- many files at once


def unpack(data: Iterable[bytes]) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(data))) as tar:
        return {one.name: file.read() for one in tar.getmembers() if (file := tar.extractfile(one))}


def test_a_pull_is_the_bodies_in_the_order_asked(world: World) -> None:
    files = {"b": b"bbb", "Bücher/日記 🌱": b"", "large": bytes(300 << 10), "a": b"a"}
    asked = [(path, world.new(path, body).stamp) for path, body in files.items()]
    length, data = world.reader.pull(world.vault, asked)
    whole = b"".join(data)
    assert len(whole) == length
    assert list(unpack([whole]).items()) == list(files.items())


def test_a_pull_with_anything_unknown_is_refused_with_all_of_it(world: World) -> None:
    stamp = world.new("a", b"a").stamp
    tombstone = world.delete("a", stamp).stamp
    with pytest.raises(NotFound) as refused:
        world.reader.pull(world.vault, [("a", stamp), ("a", tombstone), ("b", stamp), ("a", 5)])
    assert refused.value.missing == [
        {"path": "a", "stamp": tombstone},
        {"path": "b", "stamp": stamp},
        {"path": "a", "stamp": 5},
    ]


def test_a_body_that_lost_or_gained_bytes_is_never_sent_on(world: World, tmp_path: Path) -> None:
    """Small or large, the archive breaks off."""
    for path, body in (("small", b"small"), ("large", bytes(600 << 10))):
        version = world.new(path, body)
        digest = sha256(body)
        place = tmp_path / "bodies" / world.vault.id / digest[:2] / digest[2:]
        for damaged in (body[:-1], body + b"!"):
            place.write_bytes(damaged)
            with pytest.raises(BodyMissing, match="damaged"):
                unpack(world.reader.pull(world.vault, [(path, version.stamp)])[1])


def test_an_archive_is_the_vault_as_it_stood(world: World) -> None:
    one = world.new("a", b"one")
    world.new("dir/b", b"b")
    then = world.vault.clock
    world.new("a", b"two", one.stamp)
    world.delete("dir/b", then)
    assert unpack(world.reader.archive(world.vault, then)) == {"a": b"one", "dir/b": b"b"}
    assert unpack(world.reader.archive(world.vault, None)) == {"a": b"two"}
    assert unpack(world.reader.archive(world.vault, one.stamp - 1)) == {}
    purge(world, then)
    with pytest.raises(Purged):
        world.reader.archive(world.vault, then - 1)
    assert unpack(world.reader.archive(world.vault, then)) == {"a": b"one", "dir/b": b"b"}


def test_an_archive_of_many_files_comes_in_pieces(world: World) -> None:
    """Also where most of it is headers."""
    many = [f"{number:04}" for number in range(2500)]
    world.push(parcel([change(path, b"") for path in many], [(many[0], b"")]))
    data = list(world.reader.archive(world.vault, None))
    assert list(unpack(data)) == many
    assert max(map(len, data)) < 1 << 20
