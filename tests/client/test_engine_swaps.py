"""A file becomes a folder, a folder becomes a file: on either side, and on both at once."""

from __future__ import annotations

from tests.client.direct import Server
from tests.client.machines import Machine, settle


def test_a_file_that_became_a_folder_elsewhere(vault: Server, laptop: Machine) -> None:
    laptop.write("a", "file")
    laptop.sync()
    vault.delete("a")
    vault.put("a/b", b"below")
    assert laptop.sync().in_step
    assert laptop.files() == {"a/b": b"below"}


def test_a_folder_that_became_a_file_elsewhere(vault: Server, laptop: Machine) -> None:
    laptop.write("a/b", "below")
    laptop.write("a/c/d", "deeper")
    laptop.sync()
    vault.delete("a/b")
    vault.delete("a/c/d")
    vault.put("a", b"file")
    assert laptop.sync().in_step
    assert laptop.files() == {"a": b"file"}


def test_a_file_that_is_moved_into_a_folder_of_its_own_name(vault: Server, laptop: Machine) -> None:
    laptop.write("a", "content")
    laptop.sync()
    laptop.move("a", "tmp")
    laptop.move("tmp", "a/b")
    report = laptop.sync()
    assert report.renamed == 1
    assert vault.files() == laptop.files() == {"a/b": b"content"}


def test_swaps_with_deletes_propagated_go_through_as_they_are(vault: Server, laptop: Machine) -> None:
    laptop.write("file", "x")
    laptop.write("folder/x", "y")
    laptop.sync()
    laptop.write("file/below", "new")
    laptop.write("folder", "a file now")
    assert laptop.sync(propagate_deletes=True).in_step
    assert vault.files() == laptop.files() == {"file/below": b"new", "folder": b"a file now"}


def test_a_folder_made_here_where_the_server_has_a_file_both_stay(vault: Server, laptop: Machine) -> None:
    laptop.sync()
    vault.put("a.md", b"theirs")
    laptop.write("a.md/one", "1")
    laptop.write("a.md/two", "2")
    report = laptop.sync()
    assert report.in_step
    aside = "a (conflict laptop 2027-01-15).md"
    assert vault.files() == {"a.md/one": b"1", "a.md/two": b"2", aside: b"theirs"}
    assert laptop.files() == vault.files()
    assert aside in report.notes[0]


def test_a_file_made_here_where_the_server_has_a_folder_both_stay(vault: Server, laptop: Machine) -> None:
    laptop.sync()
    vault.put("a.md/one", b"theirs")
    laptop.write("a.md", "mine")
    report = laptop.sync()
    assert report.in_step
    aside = "a (conflict laptop 2027-01-15).md"
    assert vault.files() == laptop.files() == {"a.md/one": b"theirs", aside: b"mine"}
    assert aside in report.notes[0]


def test_a_tracked_file_that_was_replaced_by_a_folder_offline_steps_aside(vault: Server, laptop: Machine) -> None:
    laptop.write("a", "file")
    laptop.sync()
    laptop.write("a/b", "below")
    assert laptop.sync().in_step
    assert vault.files() == {"a/b": b"below", "a (conflict laptop 2027-01-15)": b"file"}
    assert laptop.files() == vault.files()


def test_a_tracked_folder_that_was_replaced_by_a_file_offline_comes_back(vault: Server, laptop: Machine) -> None:
    laptop.write("a/b", "below")
    laptop.sync()
    laptop.write("a", "file")
    assert laptop.sync().in_step
    assert vault.files() == {"a/b": b"below", "a (conflict laptop 2027-01-15)": b"file"}
    assert laptop.files() == vault.files()


def test_an_edited_file_steps_aside_for_the_folder_that_replaced_it(vault: Server, laptop: Machine) -> None:
    laptop.write("a", "base")
    laptop.sync()
    laptop.write("a", "edited")
    vault.delete("a")
    vault.put("a/b", b"below")
    assert laptop.sync().in_step
    assert vault.files() == {"a/b": b"below", "a (conflict laptop 2027-01-15)": b"edited"}
    assert laptop.files() == vault.files()


def test_an_edited_file_in_a_folder_keeps_the_folder_where_a_file_came(vault: Server, laptop: Machine) -> None:
    laptop.write("a/b", "base")
    laptop.sync()
    laptop.write("a/b", "edited")
    vault.delete("a/b")
    vault.put("a", b"file")
    settle([laptop], 2)
    assert vault.files() == {"a/b": b"edited", "a (conflict laptop 2027-01-15)": b"file"}
    assert laptop.files() == vault.files()


def test_names_for_stepping_aside_that_are_taken_are_counted_on(vault: Server, laptop: Machine) -> None:
    laptop.sync()
    vault.put("a/x", b"theirs")
    vault.put("a (conflict laptop 2027-01-15)", b"already there")
    laptop.write("a (conflict laptop 2027-01-15) 2", "mine too")
    laptop.write("a", "mine")
    assert laptop.sync().in_step
    assert vault.files() == laptop.files()
    assert sorted(laptop.files().values()) == [b"already there", b"mine", b"mine too", b"theirs"]


def test_two_machines_that_swap_the_same_name_both_ways_lose_nothing(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    laptop.write("a", "laptop's file")
    desktop.write("a/b", "desktop's")
    settle([laptop, desktop], 3)
    assert laptop.files() == desktop.files() == vault.files()
    assert sorted(vault.files().values()) == [b"desktop's", b"laptop's file"]
