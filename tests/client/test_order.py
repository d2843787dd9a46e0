"""A folder of any size that is renamed: nobody is ever without its files, and nothing travels again."""

from __future__ import annotations

import pytest

from client import upload
from client.order import Names, pair
from client.ports import ServerAway
from tests.client.direct import Server
from tests.client.machines import Machine

MANY = 40


@pytest.fixture(autouse=True)
def small_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "BUNDLE_FILES", 15)


@pytest.fixture
def album(laptop: Machine, vault: Server) -> dict[str, bytes]:
    for number in range(MANY):
        laptop.write(f"album/deep/{number}.jpg", f"photo {number % 30}")
    laptop.sync()
    assert len(vault.files()) == MANY
    return laptop.files()


def rename(laptop: Machine) -> None:
    for path in laptop.files():
        laptop.move(path, path.replace("album/", "travels/"))


def test_both_names_of_a_file_go_in_one_request(laptop: Machine, vault: Server, album: dict[str, bytes]) -> None:
    contents = sorted(album.values())
    seen = []

    def look(method: str, when: str) -> None:
        if (method, when) == ("push", "after"):
            seen.append(sorted(vault.files().values()))

    rename(laptop)
    laptop.transport.meddle = look
    report = laptop.sync()
    assert len(seen) > 3, "in several requests"
    assert all(after == contents for after in seen)
    assert report.renamed == MANY
    assert report.bytes_up == 0


def test_whoever_is_cut_off_in_the_middle_leaves_nobody_without(
    laptop: Machine, desktop: Machine, vault: Server, album: dict[str, bytes]
) -> None:
    desktop.sync()
    rename(laptop)
    pushes = iter(range(10))

    def cut(method: str, when: str) -> None:
        if (method, when) == ("push", "before") and next(pushes) == 2:
            raise ServerAway("the connection was cut")

    laptop.transport.meddle = cut
    with pytest.raises(ServerAway):
        laptop.sync()
    report = desktop.sync()
    assert sorted(desktop.files().values()) == sorted(album.values())
    assert (report.downloaded, report.deleted_here) == (0, 0)
    assert report.renamed == 14, "two requests of seven files"
    laptop.transport.meddle = lambda method, when: None
    laptop.sync()
    desktop.sync()
    assert desktop.files() == laptop.files() == vault.files()
    assert desktop.transport.pulled == []


def test_a_file_that_changes_while_it_is_renamed_keeps_its_old_name_until_the_new_one_is_there(
    laptop: Machine, vault: Server, album: dict[str, bytes]
) -> None:
    rename(laptop)
    changed = "travels/deep/7.jpg"

    def change(method: str, when: str) -> None:
        laptop.transport.meddle = check
        laptop.write(changed, "another photo")

    def check(method: str, when: str) -> None:
        if (method, when) == ("push", "after"):
            assert vault.files().keys() & {changed, "album/deep/7.jpg"}

    laptop.transport.meddle = change
    laptop.sync()
    assert vault.files() == laptop.files()


def test_a_folder_takes_the_place_of_a_file_and_the_other_way_round(
    laptop: Machine, desktop: Machine, vault: Server
) -> None:
    laptop.write("notes", "a file")
    laptop.write("plans/one", "in a folder")
    laptop.write("plans/two", "in a folder, too")
    laptop.sync()
    desktop.sync()
    laptop.move("notes", "aside")
    laptop.move("aside", "notes/inside")
    laptop.move("plans/one", "one")
    laptop.delete("plans/two")
    laptop.write("plans", "a file now")
    reports = [laptop.sync(propagate_deletes=True), desktop.sync()]
    assert [report.notes for report in reports] == [[], []], "nothing was in the way of anything"
    assert vault.files() == {"notes/inside": b"a file", "one": b"in a folder", "plans": b"a file now"}
    assert laptop.files() == desktop.files() == vault.files()


def test_what_is_in_the_way_of_a_new_name() -> None:
    names = Names(["a/b/c", "d", "Photos/x"])
    assert [path for path in ("a", "a/b", "a/b/x", "d/e/f", "d", "dd", "photos/x") if names.need_room_of(path)] == [
        "a",
        "a/b",
        "d/e/f",
    ]
    folded = Names(["Photos/x", "b.md"], folded=True)
    assert [path for path in ("photos/y", "Photos/y", "B.md", "c.md") if folded.need_room_of(path)] == [
        "photos/y",
        "B.md",
    ]


def test_of_files_with_one_content_those_with_one_name_belong_together() -> None:
    old = {"x/a": "h", "x/b": "h", "x/c": "h"}
    assert pair(old, {"y/b": "h", "y/a": "h", "y/z": "h", "y/n": None}) == {"y/b": "x/b", "y/a": "x/a", "y/z": "x/c"}
