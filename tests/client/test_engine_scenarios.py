"""The scenarios that gobi was built for, in their own words, and their neighbours."""

from __future__ import annotations

import pytest

from client.ports import Stopped
from tests.client.direct import Server
from tests.client.machines import Machine, settle


def test_first_time_client_everything_is_downloaded(vault: Server, laptop: Machine) -> None:
    vault.put("a.md", b"one")
    vault.put("sub/b.md", b"two")
    vault.put("gone.md", b"x")
    vault.delete("gone.md")
    report = laptop.sync()
    assert laptop.files() == {"a.md": b"one", "sub/b.md": b"two"}
    assert (report.downloaded, report.uploaded, report.exit_code) == (2, 0, 0)
    assert laptop.trash() == []


def test_client_who_has_added_a_file_offline_sends_it(vault: Server, laptop: Machine) -> None:
    laptop.sync()
    laptop.write("new 🌱.md", "hello")
    report = laptop.sync()
    assert vault.files() == {"new 🌱.md": b"hello"}
    assert (report.uploaded, report.bytes_up) == (1, 5)


def test_server_has_a_new_file_on_connection(vault: Server, laptop: Machine) -> None:
    laptop.sync()
    vault.put("new.md", b"hello")
    laptop.sync()
    assert laptop.files() == {"new.md": b"hello"}


def test_client_has_deleted_a_file_offline_and_it_gets_downloaded(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "keep me")
    laptop.sync()
    laptop.delete("a.md")
    report = laptop.sync()
    assert laptop.files() == vault.files() == {"a.md": b"keep me"}
    assert report.downloaded == 1


def test_a_file_deleted_with_the_client_running_joins_the_list_of_operations(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "x")
    laptop.write("b.md", "y")
    laptop.sync()
    assert laptop.rm("a.md").removed == ["a.md"]
    assert [one.path for one in laptop.queue.load()[0]] == ["a.md"]
    assert laptop.status().deletes == ["a.md"]
    report = laptop.sync()
    assert laptop.files() == vault.files() == {"b.md": b"y"}
    assert report.deleted_there == 1
    assert laptop.queue.load()[0] == []


def test_server_has_deleted_a_file_since_last_sync(vault: Server, laptop: Machine) -> None:
    laptop.write("sub/a.md", "x")
    laptop.sync()
    vault.delete("sub/a.md")
    report = laptop.sync()
    assert laptop.files() == {}
    assert report.deleted_here == 1
    assert laptop.trash() == []  # the server has the bytes in its history


def test_the_server_has_renamed_a_file_and_nothing_is_transferred(vault: Server, laptop: Machine) -> None:
    laptop.write("old.md", "content")
    laptop.sync()
    vault.put("sub/new.md", b"content")
    vault.delete("old.md")
    laptop.sync()
    assert laptop.files() == {"sub/new.md": b"content"}
    assert laptop.transport.pulled == []


def test_a_file_that_was_renamed_elsewhere_is_renamed_here_and_not_written_anew(
    laptop: Machine, desktop: Machine
) -> None:
    laptop.write("old/file", "content")
    settle([laptop, desktop], 1)
    before = desktop.index.records["old/file"].inode
    laptop.move("old/file", "new/file")
    laptop.sync()
    report = desktop.sync()
    assert (report.renamed, report.downloaded, report.deleted_here) == (1, 0, 0)
    assert desktop.index.records["new/file"].inode == before
    assert desktop.files() == {"new/file": b"content"}
    assert desktop.sync().in_step


def test_the_client_has_renamed_a_file_offline(vault: Server, laptop: Machine) -> None:
    laptop.write("old.md", "content")
    laptop.sync()
    laptop.move("old.md", "sub/new.md")
    report = laptop.sync()
    assert vault.files() == {"sub/new.md": b"content"}
    assert (report.renamed, report.uploaded, report.deleted_there, report.bytes_up) == (1, 0, 0, 0)
    assert laptop.files() == {"sub/new.md": b"content"}


def test_a_whole_folder_is_renamed_without_sending_a_byte(vault: Server, laptop: Machine, desktop: Machine) -> None:
    for number in range(30):
        laptop.write(f"old/{number}.md", f"content {number % 10}")
    settle([laptop, desktop], 1)
    for number in range(30):
        laptop.move(f"old/{number}.md", f"new/{number}.md")
    report = laptop.sync()
    assert (report.renamed, report.bytes_up) == (30, 0)
    desktop.sync()
    assert desktop.transport.pulled == []
    assert desktop.files() == laptop.files() == vault.files()
    assert len(vault.files()) == 30


def test_both_server_and_client_have_changed_one_file(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "base")
    laptop.sync()
    vault.put("a.md", b"theirs")
    laptop.write("a.md", "mine")
    report = laptop.sync()
    assert laptop.files() == {"a.md": b"mine"}
    assert vault.files() == {"a.md": b"theirs"}
    assert [path for path, _ in report.conflicts] == ["a.md"]
    assert report.exit_code == 1
    (conflict,) = vault.conflicts()
    assert conflict.id == report.conflicts[0][1]


def test_a_second_sync_transfers_nothing(laptop: Machine) -> None:
    laptop.write("a.md", "x")
    laptop.write("sub/b.md", "")
    laptop.sync()
    report = laptop.sync()
    assert laptop.transport.calls == ["sync"]
    assert (report.uploaded, report.downloaded, report.adopted, report.in_step) == (0, 0, 0, True)


def test_ones_own_upload_is_not_told_again(laptop: Machine) -> None:
    laptop.sync()
    laptop.write("a.md", "x")
    laptop.sync()
    before = laptop.index.cursor
    laptop.sync()
    assert laptop.index.cursor == before


def test_others_changes_between_are_not_missed_by_the_cursor(vault: Server, laptop: Machine) -> None:
    laptop.sync()
    laptop.write("mine.md", "x")

    def meanwhile(method: str, when: str) -> None:
        if (method, when) == ("push", "before"):
            vault.put("theirs.md", b"y")

    laptop.transport.meddle = meanwhile
    laptop.sync()
    laptop.transport.meddle = lambda method, when: None
    laptop.sync()
    assert laptop.files() == {"mine.md": b"x", "theirs.md": b"y"}


def test_empty_files_travel(laptop: Machine, desktop: Machine) -> None:
    laptop.write("empty", "")
    laptop.write("also-empty", "")
    settle([laptop, desktop], 1)
    assert desktop.files() == {"empty": b"", "also-empty": b""}


def test_a_file_too_large_for_a_bundle_travels_alone(vault: Server, laptop: Machine, desktop: Machine) -> None:
    body = bytes(range(256)) * (40_000)  # 10 MB
    laptop.write("big.bin", body)
    laptop.write("small", "x")
    laptop.sync()
    assert laptop.transport.calls == ["sync", "push", "put"]
    desktop.sync()
    assert desktop.transport.calls == ["sync", "pull", "get"]
    assert desktop.files() == {"big.bin": body, "small": b"x"}
    assert desktop.sync().in_step


def test_edit_against_delete_the_edit_survives(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "base")
    laptop.sync()
    vault.delete("a.md")
    laptop.write("a.md", "edited")
    laptop.sync()
    assert laptop.files() == vault.files() == {"a.md": b"edited"}


def test_delete_against_edit_the_edit_survives(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "base")
    laptop.sync()
    laptop.rm("a.md")
    vault.put("a.md", b"edited")
    report = laptop.sync()
    assert laptop.files() == vault.files() == {"a.md": b"edited"}
    assert report.in_step
    assert laptop.queue.load()[0] == []


def test_rename_against_edit_the_edited_bytes_survive(vault: Server, laptop: Machine) -> None:
    laptop.write("old.md", "base")
    laptop.sync()
    laptop.move("old.md", "new.md")
    vault.put("old.md", b"edited")
    laptop.sync()
    assert laptop.files() == vault.files() == {"new.md": b"base", "old.md": b"edited"}


def test_the_same_new_file_on_both_sides_is_adopted_without_a_transfer(vault: Server, laptop: Machine) -> None:
    vault.put("a.md", b"same")
    laptop.write("a.md", "same")
    report = laptop.sync()
    assert laptop.transport.calls == ["sync"]
    assert (report.adopted, report.in_step) == (1, True)


def test_first_sync_of_two_folders_that_are_not_empty_merges_them(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    laptop.write("both.md", "same")
    laptop.write("laptop.md", "l")
    laptop.write("different.md", "laptop's")
    desktop.write("both.md", "same")
    desktop.write("desktop.md", "d")
    desktop.write("different.md", "desktop's")
    settle([laptop, desktop], 2)
    assert vault.files() == {
        "both.md": b"same",
        "laptop.md": b"l",
        "desktop.md": b"d",
        "different.md": b"laptop's",
    }
    assert laptop.files() == vault.files()
    assert desktop.files() == vault.files() | {"different.md": b"desktop's"}
    assert [path for path, _ in desktop.sync().conflicts] == ["different.md"]


def test_an_empty_note_made_by_an_app_never_replaces_the_real_one(vault: Server, laptop: Machine) -> None:
    vault.put("daily.md", b"the real note")
    laptop.write("daily.md", "")
    assert laptop.sync().exit_code == 1
    assert vault.files() == {"daily.md": b"the real note"}
    assert [one.path for one in vault.conflicts()] == ["daily.md"]


def test_vanished_files_are_deleted_everywhere_where_that_is_asked_for(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "x")
    laptop.write("b.md", "y")
    laptop.sync()
    laptop.delete("a.md")
    report = laptop.sync(propagate_deletes=True)
    assert vault.files() == {"b.md": b"y"}
    assert report.deleted_there == 1


def test_most_files_gone_stops_before_anything_is_sent(vault: Server, laptop: Machine) -> None:
    for number in range(30):
        laptop.write(f"{number}.md", str(number))
    laptop.sync()
    for number in range(21):
        laptop.delete(f"{number}.md")
    with pytest.raises(Stopped, match="--allow-mass-delete"):
        laptop.sync(propagate_deletes=True)
    assert laptop.transport.calls == []
    assert len(vault.files()) == 30
    laptop.sync(propagate_deletes=True, allow_mass_delete=True)
    assert len(vault.files()) == 9


def test_removing_a_whole_folder_by_hand_needs_no_second_question(vault: Server, laptop: Machine) -> None:
    for number in range(30):
        laptop.write(f"sub/{number}.md", str(number))
    laptop.sync()
    laptop.rm("sub/")
    laptop.sync()
    assert vault.files() == laptop.files() == {}


def test_renaming_most_files_is_no_mass_delete(vault: Server, laptop: Machine) -> None:
    for number in range(30):
        laptop.write(f"{number}.md", str(number))
    laptop.sync()
    for number in range(30):
        laptop.move(f"{number}.md", f"sub/{number}.md")
    assert laptop.sync(propagate_deletes=True).renamed == 30
    assert len(vault.files()) == 30


def test_a_removed_file_that_was_made_again_is_kept(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "old")
    laptop.sync()
    laptop.rm("a.md")
    laptop.write("a.md", "made again")
    laptop.sync()
    assert laptop.files() == vault.files() == {"a.md": b"made again"}
    assert laptop.queue.load()[0] == []


def test_a_deleted_file_that_somebody_puts_back_is_not_deleted_again(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "precious")
    laptop.sync()
    laptop.rm("a.md")
    laptop.sync()
    laptop.write("a.md", "precious")
    assert laptop.sync().deleted_here == 0
    assert laptop.files() == vault.files() == {"a.md": b"precious"}


def test_removing_something_that_is_not_there_removes_nothing(laptop: Machine) -> None:
    laptop.write("a.md", "x")
    with pytest.raises(Stopped, match="so nothing was deleted"):
        laptop.rm("a.md", "b.md")
    assert laptop.files() == {"a.md": b"x"}


def test_a_removed_file_goes_to_the_trash_unless_the_server_has_it(laptop: Machine) -> None:
    laptop.write("synced.md", "on the server")
    laptop.sync()
    laptop.clock.forward(60)
    laptop.write("new.md", "only here")
    laptop.rm("synced.md", "new.md")
    assert b"only here" in laptop.trash()


def test_status_says_what_waits_without_asking_the_server(laptop: Machine) -> None:
    for name in ("edited.md", "gone.md", "moved.md", "same.md"):
        laptop.write(name, name)
    laptop.sync()
    laptop.transport.calls.clear()
    laptop.write("edited.md", "now")
    laptop.write("new.md", "new")
    laptop.delete("gone.md")
    laptop.move("moved.md", "sub/moved.md")
    status = laptop.status()
    assert (status.new, status.edited, status.missing) == (["new.md", "sub/moved.md"], ["edited.md"], ["gone.md"])
    assert status.deletes == ["moved.md"]
    assert not status.in_step
    assert laptop.transport.calls == []
    laptop.sync()
    assert laptop.status().in_step


def test_many_pages_of_three_rows_bring_everything(vault: Server, laptop: Machine, desktop: Machine) -> None:
    for number in range(20):
        laptop.write(f"{number}.md", str(number))
    laptop.chunk = desktop.chunk = 3
    laptop.sync()
    for number in range(0, 20, 2):
        desktop.write(f"d{number}.md", str(number))
    settle([desktop, laptop], 2)
    assert laptop.files() == desktop.files() == vault.files()
    assert len(vault.files()) == 30
