"""The receiving end of a push: what a stranger could send, and what each change comes to."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from store import intake
from store.base import Message
from store.errors import BadRequest, DiskFull, TooLarge
from store.intake import MAX_BYTES, MAX_CHANGES, MAX_MANIFEST
from sync import bundle
from sync.model import Json
from tests.store.world import World, archive, change, parcel, removal, sha256

LARGE = bytes(range(256)) * 1024  # 256 KiB: comes in pieces


def leftovers(tmp_path: Path) -> list[str]:
    return os.listdir(tmp_path / "bodies" / "tmp")


def assert_untouched(world: World, tmp_path: Path) -> None:
    assert world.log() == []
    assert world.vault.stored == 0
    assert leftovers(tmp_path) == []


# -- a good push


@pytest.mark.parametrize("piece", [1, 511, 512, 513, 1 << 20])
def test_a_push_means_the_same_in_pieces_of_any_size(world: World, tmp_path: Path, piece: int) -> None:
    files = {"a.md": b"a", "empty": b"", "Bücher/日記 🌱.md": b"deep", "large": LARGE if piece > 1 else LARGE[:5000]}
    data = parcel([change(path, body) for path, body in files.items()], files.items())
    results = world.push(data, piece=piece).results
    assert [one.status for one in results] == ["stored"] * 4
    assert world.files() == files
    assert leftovers(tmp_path) == []


def test_results_come_in_the_manifests_order_with_versions(world: World) -> None:
    old = world.new("old", b"old")
    data = parcel(
        [change("b", b"b"), removal("old", old.stamp), change("a", b"a"), change("b", b"b")], [("b", b"b"), ("a", b"a")]
    )
    pushed = world.push(data)
    assert [(one.path, one.status) for one in pushed.results] == [
        ("b", "stored"),
        ("old", "deleted"),
        ("a", "stored"),
        ("b", "same"),
    ]
    versions = [one.version for one in pushed.results]
    assert [one and one.stamp for one in versions] == [pushed.cursor - 2 + n for n in (0, 1, 2, 0) if pushed.cursor]
    assert pushed.after == old.stamp


def test_an_empty_push_does_nothing(world: World, tmp_path: Path) -> None:
    assert world.push(parcel([])).results == []
    assert_untouched(world, tmp_path)


# -- refused alone


def test_a_body_that_the_disk_has_no_room_for_is_refused_alone(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it had taken is free again for those behind it. Where nothing goes, the answer is for the whole push."""
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        if os.fstat(descriptor).st_size + len(data) > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    old = world.new("old", b"old")
    files = {"a": b"a", "large": LARGE, "b": b"b"}
    data = parcel([change(path, body) for path, body in files.items()] + [removal("old", old.stamp)], files.items())
    assert world.statuses(data) == ["stored", "disk-full", "stored", "deleted"]
    assert world.files() == {"a": b"a", "b": b"b"}
    assert leftovers(tmp_path) == []
    assert "no room on the disk for 1 of 4 changes of a push into notes" in caplog.text
    with pytest.raises(DiskFull):
        world.push(parcel([change("large", LARGE)], [("large", LARGE)]))
    assert leftovers(tmp_path) == []


# -- refused as a whole, and nothing changed


GOOD = change("a", b"a")

WHOLE_REFUSALS: dict[str, tuple[bytes, str]] = {
    "nothing at all": (b"", "cut off"),
    "an empty archive": (bundle.END, "empty"),
    "no tar": (b"GET / HTTP/1.1\r\n" * 64, "checksum"),
    "a body before the manifest": (archive([("a", b"a"), ("manifest.json", b"{}")]), "first entry"),
    "no manifest": (archive([("a", b"a")]), "first entry"),
    "a manifest that is not JSON": (archive([("manifest.json", b"{")]), "not JSON"),
    "a manifest that is not UTF-8": (archive([("manifest.json", b'{"changes": ["\xff"]}')]), "not JSON"),
    "a manifest as deep as the stack": (archive([("manifest.json", b"[" * 60_000)]), "not JSON"),
    "a manifest with a number of a million digits": (archive([("manifest.json", b"9" * 1_000_000)]), "not JSON"),
    "a manifest that is a list": (archive([("manifest.json", b"[]")]), "changes"),
    "a manifest without changes": (archive([("manifest.json", b"{}")]), "changes"),
    "changes that are no list": (archive([("manifest.json", b'{"changes": {"a": 1}}')]), "changes"),
    "a change that is no object": (archive([("manifest.json", b'{"changes": ["a"]}')]), "without a path"),
    "a change without a path": (archive([("manifest.json", b'{"changes": [{"kind": "put"}]}')]), "without a path"),
    "a path that is a number": (archive([("manifest.json", b'{"changes": [{"path": 5}]}')]), "without a path"),
    "a body that nobody announced": (parcel([GOOD], [("a", b"a"), ("b", b"b")]), "announce"),
    "a body for a delete": (parcel([removal("a", 5)], [("a", b"a")]), "announce"),
    "the same body twice": (parcel([GOOD], [("a", b"a"), ("a", b"a")]), "announce"),
    "bodies out of order": (parcel([GOOD, change("b", b"b")], [("b", b"b"), ("a", b"a")]), "order"),
    "cut off in the manifest": (parcel([GOOD], [("a", b"a")])[:600], "cut off"),
    "cut off in a body": (parcel([change("l", LARGE)], [("l", LARGE)])[:-100_000], "cut off"),
    "cut off before its end": (parcel([GOOD], [("a", b"a")])[: -len(bundle.END)], "cut off"),
    "something after its end": (parcel([GOOD], [("a", b"a")]) + b"x", "follows"),
}


@pytest.mark.parametrize("name", WHOLE_REFUSALS)
def test_a_push_that_makes_no_sense_is_refused_whole(world: World, tmp_path: Path, name: str) -> None:
    """Whatever good changes it holds too."""
    data, why = WHOLE_REFUSALS[name]
    with pytest.raises(BadRequest, match=why):
        world.push(data)
    assert_untouched(world, tmp_path)


def test_a_link_in_a_push_is_refused(world: World, tmp_path: Path) -> None:
    data = bytearray(parcel([GOOD], [("a", b"a")]))
    start = bytes(data).index(b"a\0\0\0\0\0\0\0", 1024)
    link = bytearray(data[start : start + 512])
    link[156:157] = b"2"
    link[148:156] = b" " * 8
    link[148:156] = b"%06o\0 " % sum(link)
    data[start : start + 512] = link
    with pytest.raises(BadRequest, match="symbolic link"):
        world.push(bytes(data))
    assert_untouched(world, tmp_path)


def test_too_many_changes_are_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="more than 10000 changes"):
        world.push(parcel([GOOD] * (MAX_CHANGES + 1)))
    assert_untouched(world, tmp_path)


def test_more_files_than_changes_can_be_are_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MAX_CHANGES", 3)
    changes = [change(str(number), b"") for number in range(3)]
    with pytest.raises(TooLarge, match="more than 4 files"):
        world.push(parcel(changes, [(str(number), b"") for number in range(4)]))
    assert_untouched(world, tmp_path)


def test_a_push_over_its_limit_is_refused_when_it_announces_itself(world: World, tmp_path: Path) -> None:
    """The header alone is enough: nobody waits for 256 MiB."""
    manifest = json.dumps({"changes": [GOOD]}).encode()
    data = bundle.header("manifest.json", len(manifest), 0) + manifest + bundle.padding(len(manifest))
    with pytest.raises(TooLarge, match="longer than"):
        world.push(data + bundle.header("a", MAX_BYTES, 0))
    assert_untouched(world, tmp_path)


def test_a_manifest_over_its_limit_is_refused_when_it_announces_itself(world: World, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match=r"manifest\.json"):
        world.push(bundle.header("manifest.json", MAX_MANIFEST + 1, 0))
    assert_untouched(world, tmp_path)


# -- refused alone, while the rest goes on


BAD_PATHS = ["../up", "/etc/passwd", "a//b", "back\\slash", ".GOBI/index.db", "e\u0301", "x" * 256, "a\x01b"]

BAD_CHANGES: dict[str, Json] = {
    "an unknown kind": {"kind": "move"},
    "a kind of a sync": {"kind": "same"},
    "no kind": {"kind": None},
    "no hash": {"hash": None},
    "half a hash": {"hash": "ab" * 16},
    "a hash in capitals": {"hash": sha256(b"bad").upper()},
    "a hash that is a number": {"hash": 5},
    "no size": {"size": None},
    "a size below zero": {"size": -1},
    "a size that is text": {"size": "3"},
    "a size that is true": {"size": True},
    "a size with a fraction": {"size": 3.0},
    "a base that is text": {"base": "5"},
    "a base below zero": {"base": -5},
    "a base that no database could hold": {"base": 1 << 63},
    "an mtime that is text": {"mtime": "yesterday"},
    "a delete without a base": {"kind": "delete"},
    "a delete with a wrong base": {"kind": "delete", "base": "5"},
}


@pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
def test_a_bad_path_is_rejected_alone(world: World, tmp_path: Path, path: str) -> None:
    """With or without a body; the changes around it are stored."""
    changes = [change("a", b"a"), change(path, b"bad"), change("b", b"b")]
    bodies = [("a", b"a"), ("b", b"b")]
    assert world.statuses(parcel(changes, bodies)) == ["stored", "bad-path", "stored"]
    if "\x01" not in path:
        bodies.insert(1, (path, b"bad"))
        assert world.statuses(parcel(changes, bodies)) == ["same", "bad-path", "same"]
    assert world.files() == {"a": b"a", "b": b"b"}
    assert leftovers(tmp_path) == []


def test_half_of_a_surrogate_pair_is_rejected_with_a_path_that_can_be_told(world: World) -> None:
    data = archive([("manifest.json", b'{"changes": [{"path": "\\ud83c.md", "kind": "put"}]}')])
    (result,) = world.push(data).results
    assert (result.path, result.code) == ("?.md", "bad-path")


@pytest.mark.parametrize("name", BAD_CHANGES)
def test_a_change_that_makes_no_sense_is_rejected_alone(world: World, tmp_path: Path, name: str) -> None:
    changes = [change("a", b"a"), change("bad", b"bad") | BAD_CHANGES[name], change("b", b"b")]
    bodies = [("a", b"a"), ("bad", b"bad"), ("b", b"b")]
    assert world.statuses(parcel(changes, bodies)) == ["stored", "bad-request", "stored"]
    assert world.files() == {"a": b"a", "b": b"b"}
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("announced", "sent", "code"),
    [
        (change("x", b"good"), b"evil", "hash-mismatch"),
        (change("x", b"good"), b"longer", "length-mismatch"),
        (change("x", b"good"), b"", "length-mismatch"),
        (change("x", b"good", size=6), b"good", "length-mismatch"),
        (change("x", LARGE), LARGE[:-1] + b"!", "hash-mismatch"),
        (change("x", b""), LARGE, "length-mismatch"),
    ],
    ids=[
        "other bytes",
        "more bytes",
        "no bytes",
        "a wrong size",
        "a large body with one wrong byte",
        "a large surprise",
    ],
)
def test_a_body_that_is_not_the_announced_one_is_rejected_alone(
    world: World, tmp_path: Path, announced: Json, sent: bytes, code: str
) -> None:
    changes = [change("a", b"a"), announced, change("z", b"z")]
    assert world.statuses(parcel(changes, [("a", b"a"), ("x", sent), ("z", b"z")])) == ["stored", code, "stored"]
    assert world.files() == {"a": b"a", "z": b"z"}
    assert world.vault.stored == 2
    assert leftovers(tmp_path) == []


def test_a_file_over_the_limit_is_rejected_alone(tmp_path: Path) -> None:
    """Its bytes are passed over, not kept."""
    world = World.at(tmp_path, max_file=1000)
    changes = [change("a", b"a"), change("large", LARGE), change("b", b"b" * 1000)]
    bodies = [("a", b"a"), ("large", LARGE), ("b", b"b" * 1000)]
    assert world.statuses(parcel(changes, bodies)) == ["stored", "too-large", "stored"]
    assert leftovers(tmp_path) == []


# -- bodies that are left out


def test_a_body_that_the_vault_has_may_be_left_out(world: World) -> None:
    """Wherever in the vault it is, live or only in history; also when it came with this very push."""
    first = world.new("a", b"body")
    world.delete("a", first.stamp)
    changes = [change("b", b"body"), change("c", b"new"), change("d", b"new")]
    assert world.statuses(parcel(changes, [("c", b"new")])) == ["stored", "stored", "stored"]
    assert world.files() == {"b": b"body", "c": b"new", "d": b"new"}
    assert world.vault.stored == 7


def test_a_body_that_the_vault_does_not_have_is_asked_for(world: World) -> None:
    world.registry.create("me", "other", None)
    world.vaults.push(
        world.registry.enter("me", "other"),
        [parcel([change("x", b"x")], [("x", b"x")])],
        keep=False,
        by=world.by(),
    )
    changes = [change("a", b"a"), change("x", b"x"), change("b", b"b")]
    assert world.statuses(parcel(changes, [("a", b"a"), ("b", b"b")])) == ["stored", "need-body", "stored"]
    assert world.files() == {"a": b"a", "b": b"b"}


def test_a_lying_size_does_not_find_a_body(world: World) -> None:
    world.new("a", b"body")
    assert world.statuses(parcel([change("b", b"body", size=5)])) == ["need-body"]


# -- what one push does to itself


def test_the_same_path_twice_in_one_manifest_is_judged_in_order(world: World) -> None:
    """The second believes the file new, like the first: it is refused, or becomes a candidate."""
    changes = [change("a", b"one"), change("a", b"two"), change("a", b"one")]
    bodies = [("a", b"one"), ("a", b"two"), ("a", b"one")]
    assert world.statuses(parcel(changes, bodies)) == ["stored", "conflict", "same"]
    world.delete("a", world.log()[-1].stamp)
    results = world.push(parcel(changes, bodies), keep=True).results
    assert [one.status for one in results] == ["stored", "conflict", "same"]
    assert results[1].conflict is not None
    assert results[1].head == results[0].version


def test_a_file_becomes_a_folder_in_one_push(world: World) -> None:
    old = world.new("thing", b"a file")
    changes = [removal("thing", old.stamp), change("thing/inside/deep", b"1"), change("thing/beside", b"2")]
    bodies = [("thing/inside/deep", b"1"), ("thing/beside", b"2")]
    assert world.statuses(parcel(changes, bodies)) == ["deleted", "stored", "stored"]
    assert world.files() == {"thing/inside/deep": b"1", "thing/beside": b"2"}


def test_a_folder_of_many_files_becomes_a_file_in_one_push(world: World) -> None:
    """And back, and both at once in one push, over more changes than one transaction takes."""
    inside = [f"thing/{number % 7}/{number}" for number in range(1200)]
    data = parcel([change(path, b"x") for path in inside], [(inside[0], b"x")])
    versions = [one.version for one in world.push(data).results]
    removals = [removal(one.path, one.stamp) for one in versions if one]
    other = world.new("other", b"a file")
    to_file = [*removals, change("thing", b"now a file")]
    to_folder = [removal("other", other.stamp), change("other/a", b"x"), change("other/b/c", b"x")]
    statuses = world.statuses(parcel(to_file + to_folder, [("thing", b"now a file")]))
    assert statuses == ["deleted"] * 1200 + ["stored", "deleted", "stored", "stored"]
    assert world.files() == {"thing": b"now a file", "other/a": b"x", "other/b/c": b"x"}


def test_a_file_in_a_folders_place_waits_for_all_of_the_folder(world: World) -> None:
    """One file left inside, or put there by the same push, keeps the place taken."""
    stamps = {path: world.new(path, b"x").stamp for path in ("thing/a", "thing/b")}
    changes = [removal("thing/a", stamps["thing/a"]), change("thing", b"file")]
    results = world.push(parcel(changes, [("thing", b"file")])).results
    assert [one.code or one.status for one in results] == ["deleted", "path-taken"]
    assert results[1].head is not None
    assert results[1].head.path == "thing/b"
    changes = [removal("thing/b", stamps["thing/b"]), change("thing/c", b"c"), change("thing", b"file")]
    assert world.statuses(parcel(changes, [("thing/c", b"c"), ("thing", b"file")])) == [
        "deleted",
        "stored",
        "path-taken",
    ]
    assert world.files() == {"thing/c": b"c"}


def test_the_order_within_a_push_decides_a_swap(world: World) -> None:
    """What comes before the file that has to go is refused; nothing is lost by it."""
    old = world.new("thing", b"a file")
    changes = [change("thing/inside", b"1"), removal("thing", old.stamp)]
    assert world.statuses(parcel(changes, [("thing/inside", b"1")])) == ["path-taken", "deleted"]
    assert world.files() == {}


def test_a_file_and_a_folder_of_one_name_in_one_push_do_not_both_become_live(world: World) -> None:
    """Whichever comes first stands; the other is told what is in its way."""
    for first, second in (("x", "x/y/z"), ("v/w/u", "v")):
        results = world.push(
            parcel([change(first, b"1"), change(second, b"2")], [(first, b"1"), (second, b"2")])
        ).results
        assert [one.code or one.status for one in results] == ["stored", "path-taken"]
        assert results[1].head == results[0].version
    assert world.files() == {"x": b"1", "v/w/u": b"1"}


def test_a_file_that_comes_and_goes_in_one_group_leaves_its_place_free(world: World) -> None:
    """Deleted, made again and deleted, all in one push: what counts is what stands at that moment."""
    one = world.new("d/f", b"1")
    changes = [removal("d/f", one.stamp), change("d/f", b"2"), change("d", b"file")]
    assert world.statuses(parcel(changes, [("d/f", b"2"), ("d", b"file")])) == ["deleted", "stored", "path-taken"]
    head = world.head("d/f")
    assert head is not None
    changes = [removal("d/f", head.stamp), change("d", b"file"), change("d/f", b"3")]
    assert world.statuses(parcel(changes, [("d", b"file"), ("d/f", b"3")])) == ["deleted", "stored", "path-taken"]


# -- cursors


def test_a_push_moves_the_cursor_where_nothing_foreign_lies_between(world: World) -> None:
    before = world.new("a", b"a").stamp
    many = [change(f"n/{number}", b"x") for number in range(1500)]
    pushed = world.push(parcel(many, [("n/0", b"x")]))
    assert (pushed.after, pushed.cursor) == (before, world.vault.clock)
    assert world.vault.clock == world.log()[-1].stamp


def test_a_push_that_changed_nothing_stays_where_the_vault_stands(world: World) -> None:
    stamp = world.new("a", b"a").stamp
    pushed = world.push(parcel([change("a", b"a"), change("a", b"b")], [("a", b"a"), ("a", b"b")]))
    assert [one.code or one.status for one in pushed.results] == ["same", "conflict"]
    assert pushed.after == pushed.cursor == stamp


def test_a_foreign_version_in_the_middle_of_a_push_leaves_the_cursor_where_it_is(world: World, tmp_path: Path) -> None:
    """Between its first thousand changes and the rest another worker commits: the client has to ask."""
    other = World.at(tmp_path)

    def commit(_: Message) -> None:
        other.put("foreign", b"y")

    world.bus.subscribe(commit)
    many = [change(f"n/{number}", b"x") for number in range(1001)]
    pushed = world.push(parcel(many, [("n/0", b"x")]))
    assert (pushed.after, pushed.cursor) == (None, None)
    assert [version.path for version in world.log()][1000] == "foreign"
