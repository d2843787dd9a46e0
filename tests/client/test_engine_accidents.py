"""Cut connections, lost answers, full disks, lost state: whatever happens, the next sync finishes the job."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.index import NAME, Index
from client.ports import Blocked, Entry, LocalChange, ServerAway, ServerRefused, Skipped
from client.queue import Operation
from client.scan import EMPTIED
from sync.model import Version
from tests.client.direct import Server
from tests.client.machines import DiskMachine, Machine, MemoryMachine, settle
from tests.client.memory import SECOND


def away(method: str, when: str, times: int = 1) -> Callable[[str, str], None]:
    """The network breaks at this point, so many times."""
    left = [times]

    def meddle(now: str, moment: str) -> None:
        if (now, moment) == (method, when) and left[0]:
            left[0] -= 1
            raise ServerAway("the network is gone")

    return meddle


@pytest.fixture
def device(vault: Server) -> Iterator[MemoryMachine]:
    """A machine whose file system a test can meddle with."""
    machine = MemoryMachine(vault, "device")
    yield machine
    machine.close()


@pytest.fixture
def real(vault: Server, tmp_path: Path) -> Iterator[DiskMachine]:
    """A machine with a real folder."""
    machine = DiskMachine(vault, "real", tmp_path / "real")
    yield machine
    machine.close()


# -- the network


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["sync", "push"])
def test_a_sync_that_lost_its_server_is_finished_by_the_next_one(
    vault: Server, laptop: Machine, method: str, when: str
) -> None:
    laptop.write("a.md", "old")
    laptop.write("b.md", "x")
    laptop.write("c.md", "renamed")
    laptop.sync()
    laptop.write("a.md", "new")
    laptop.rm("b.md")
    laptop.move("c.md", "d.md")
    laptop.transport.meddle = away(method, when)
    with pytest.raises(ServerAway):
        laptop.sync()
    laptop.restart()
    report = laptop.sync()
    assert report.in_step
    assert vault.files() == laptop.files() == {"a.md": b"new", "d.md": b"renamed"}
    assert vault.history("a.md") == [b"new", b"old"]
    assert vault.conflicts() == []


def test_an_upload_whose_answer_was_lost_and_that_was_edited_since_is_one_line_of_history(
    vault: Server, laptop: Machine
) -> None:
    laptop.write("a.md", "first")
    laptop.write("new.md", "first")
    laptop.sync()
    for content in ("second", "third"):
        laptop.write("a.md", content)
        laptop.write(f"{content}.md", content)
        laptop.transport.meddle = away("push", "after")
        with pytest.raises(ServerAway):
            laptop.sync()
        laptop.restart()
    laptop.write("a.md", "fourth")
    laptop.write("third.md", "edited")
    report = laptop.sync()
    assert report.in_step
    assert vault.conflicts() == []
    assert vault.history("a.md") == [b"fourth", b"third", b"second", b"first"]
    assert vault.files()["third.md"] == b"edited"


def test_content_that_was_edited_between_scan_and_upload_is_known_as_sent(vault: Server, device: MemoryMachine) -> None:
    device.write("a.md", "base")
    device.sync()
    device.write("a.md", "scanned")

    def edit(method: str, _path: str) -> None:
        if method == "read" and device.files()["a.md"] == b"scanned":
            device.write("a.md", "really sent")

    device.memory.meddle = edit
    device.transport.meddle = away("push", "after")
    with pytest.raises(ServerAway):
        device.sync()
    device.restart()
    device.write("a.md", "edited on")
    assert device.sync().in_step
    assert vault.history("a.md") == [b"edited on", b"really sent", b"base"]


def test_a_file_that_is_removed_while_its_own_upload_is_on_the_way_is_deleted(vault: Server, laptop: Machine) -> None:
    """The delete names the version before: the index had not learned of the upload yet."""
    laptop.write("a.md", "one")
    laptop.sync()
    base = laptop.index.records["a.md"].stamp
    laptop.write("a.md", "two")
    laptop.sync()
    laptop.queue.append([Operation("delete", "a.md", base, by="rm")])
    laptop.delete("a.md")
    laptop.sync()
    assert vault.files() == laptop.files() == {}


def test_an_edit_that_never_arrived_and_was_taken_back_leaves_nothing_open(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "base")
    laptop.sync()
    laptop.write("a.md", "edited")
    laptop.transport.meddle = away("push", "before")
    with pytest.raises(ServerAway):
        laptop.sync()
    laptop.write("a.md", "base")
    laptop.sync()
    assert laptop.sync().in_step
    assert laptop.transport.reported == []
    assert vault.history("a.md") == [b"base"]


def test_what_was_sent_long_ago_is_remembered_over_one_broken_sync_after_another(
    vault: Server, laptop: Machine
) -> None:
    laptop.write("a.md", "base")
    laptop.sync()
    laptop.write("a.md", "sent")
    laptop.transport.meddle = away("push", "after")
    with pytest.raises(ServerAway):
        laptop.sync()
    laptop.restart()
    vault.put("other.md", b"x")

    def gone(method: str, _when: str) -> None:
        if method != "sync":
            raise ServerAway("the network is gone")

    laptop.transport.meddle = gone
    laptop.write("a.md", "edited")
    with pytest.raises(ServerAway):
        laptop.sync()
    laptop.restart()
    laptop.transport.meddle = lambda method, when: None
    laptop.write("a.md", "edited on")
    assert laptop.sync().in_step
    assert vault.history("a.md") == [b"edited on", b"sent", b"base"]


def test_a_delete_whose_answer_was_lost_is_not_repeated(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "x")
    laptop.sync()
    laptop.rm("a.md")
    laptop.transport.meddle = away("push", "after")
    with pytest.raises(ServerAway):
        laptop.sync()
    laptop.restart()
    laptop.sync()
    assert vault.history("a.md") == [None, b"x"]
    assert laptop.files() == {}


def test_a_cut_download_keeps_what_came_whole_and_fetches_only_the_rest(
    vault: Server, laptop: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        vault.put(f"{number}.md", b"x" * 100 + bytes([number]))
    bodies = [0]

    def cut(method: str, _when: str) -> None:
        if method == "body":
            bodies[0] += 1
        if bodies[0] > 3:
            raise ServerAway("the network is gone")

    laptop.transport.meddle = cut
    with pytest.raises(ServerAway):
        laptop.sync()
    assert len(laptop.files()) == 3
    laptop.restart()
    laptop.transport.meddle = lambda method, when: None
    laptop.sync()
    assert laptop.files() == vault.files()
    assert len(laptop.transport.pulled) == 3


def test_a_body_that_was_damaged_on_the_way_is_never_installed(vault: Server, laptop: Machine) -> None:
    vault.put("a.md", b"good")
    vault.put("b.md", b"fine")
    spoilt: Callable[[Version, bytes], bytes] = lambda version, body: b"evil" if version.path == "a.md" else body  # noqa: E731
    laptop.transport.spoil = spoilt
    report = laptop.sync()
    assert laptop.files() == {"b.md": b"fine"}
    assert [path for path, _ in report.refused] == ["a.md"]
    assert report.exit_code == 1
    laptop.transport.spoil = lambda version, body: body
    assert laptop.sync().in_step
    assert laptop.files() == vault.files()


def test_a_file_that_the_server_refuses_is_listed_as_that_and_not_as_one_to_be_sent(
    vault: Server, laptop: Machine
) -> None:
    laptop.write("old.md", "old")
    laptop.sync()

    def refuse(method: str, when: str) -> None:
        if (method, when) == ("push", "before"):
            raise ServerRefused(507, "quota", "the vault is full")

    laptop.transport.meddle = refuse
    laptop.write("new.md", "new")
    laptop.write("old.md", "edited")
    assert [path for path, _ in laptop.sync().refused] == ["new.md", "old.md"]
    laptop.write("later.md", "made after that")
    status = laptop.status()
    assert [path for path, _ in status.refused] == ["new.md", "old.md"]
    assert (status.new, status.edited) == (["later.md"], [])


@pytest.mark.parametrize("spoilt", [b"", b"much more than was announced"])
def test_a_large_body_of_another_length_is_never_installed(
    vault: Server, laptop: Machine, monkeypatch: pytest.MonkeyPatch, spoilt: bytes
) -> None:
    monkeypatch.setattr("client.download.SMALL", 5)
    vault.put("a.md", b"a large file")
    laptop.transport.spoil = lambda version, body: body[:-1] + spoilt
    assert [path for path, _ in laptop.sync().refused] == ["a.md"]
    assert laptop.files() == {}


def test_a_body_that_the_server_has_lost_does_not_hold_up_the_others(vault: Server, laptop: Machine) -> None:
    for number in range(9):
        vault.put(f"{number}.md", f"content {number}".encode())
    lost = vault.reader.head(vault.vault, "4.md")
    assert lost.hash is not None
    (body,) = (vault.folder / "bodies").rglob(f"*{lost.hash[2:]}")
    body.unlink()
    laptop.write("mine.md", "goes up all the same")
    report = laptop.sync()
    assert laptop.files().keys() == {f"{number}.md" for number in range(9) if number != 4} | {"mine.md"}
    assert [path for path, _ in report.refused] == ["4.md"]
    assert "mine.md" in {version.path for version in vault.reader.listing(vault.vault, "", "", 100)[0]}


def test_a_server_that_is_gone_is_not_taken_for_a_bundle_it_stumbles_over(vault: Server, laptop: Machine) -> None:
    for number in range(9):
        vault.put(f"{number}.md", f"content {number}".encode())

    def gone(method: str, _when: str) -> None:
        if method != "sync":
            raise ServerAway("the network is gone")

    laptop.transport.meddle = gone
    with pytest.raises(ServerAway):
        laptop.sync()
    assert laptop.transport.calls == ["sync", "pull", "vault"]


def test_what_was_received_before_a_kill_is_known_afterwards(
    vault: Server, real: DiskMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is in the index on disk before the one after the next is begun."""
    monkeypatch.setattr("client.install.BATCH_FILES", 2)
    monkeypatch.setattr("client.download.HANDFUL", 1)
    for number in range(6):
        vault.put(f"{number}.md", f"content {number}".encode())
    known: list[int] = []

    def look(method: str, _when: str) -> None:
        if method == "body":
            index = Index(real.state / NAME)
            known.append(len(index.records))
            index.close()

    real.transport.meddle = look
    real.sync()
    assert known == [0, 0, 0, 0, 2, 2]


def test_a_version_that_was_replaced_while_it_was_asked_for_comes_in_the_next_round(
    vault: Server, laptop: Machine
) -> None:
    vault.put("a.md", b"one")
    vault.put("b.md", b"two")

    def purge(method: str, when: str) -> None:
        if (method, when) == ("pull", "before") and vault.history("a.md") == [b"one"]:
            old = vault.reader.head(vault.vault, "a.md").stamp
            vault.put("a.md", b"newer")
            with sqlite3.connect(vault.folder / "metadata.db") as db:
                db.execute("DELETE FROM versions WHERE stamp = ?", (old,))
            db.close()

    laptop.transport.meddle = purge
    assert laptop.sync().in_step
    assert laptop.files() == {"a.md": b"newer", "b.md": b"two"}


# -- files that change meanwhile


def test_an_edit_while_a_file_is_uploaded_is_sent_too(vault: Server, device: MemoryMachine) -> None:
    device.sync()
    device.write("a.md", "one")

    def edit(method: str, when: str) -> None:
        if (method, when) == ("push", "before") and device.files()["a.md"] == b"one":
            device.write("a.md", "two")

    device.transport.meddle = edit
    device.sync()
    device.sync()
    assert vault.files() == {"a.md": b"two"}


def test_an_edit_between_scan_and_upload_sends_what_was_really_read(vault: Server, device: MemoryMachine) -> None:
    device.write("a.md", "one")

    def edit(method: str, path: str) -> None:
        if method == "read" and device.files()["a.md"] == b"one":
            device.write("a.md", "two")

    device.memory.meddle = edit
    assert device.sync().in_step
    assert vault.files() == {"a.md": b"two"}
    assert device.sync().uploaded == 0


def test_an_edit_while_its_newer_version_is_downloaded_is_kept_as_a_conflict(
    vault: Server, device: MemoryMachine
) -> None:
    device.write("a.md", "base")
    device.sync()
    vault.put("a.md", b"theirs")

    def edit(method: str, path: str) -> None:
        if method == "install" and device.files()["a.md"] == b"base":
            device.write("a.md", "mine")

    device.memory.meddle = edit
    report = device.sync()
    assert device.files() == {"a.md": b"mine"}
    assert [path for path, _ in report.conflicts] == ["a.md"]


def test_a_file_that_appears_where_one_is_being_downloaded_is_kept(vault: Server, device: MemoryMachine) -> None:
    vault.put("a.md", b"theirs")

    def appear(method: str, path: str) -> None:
        if method == "install" and "a.md" not in device.files():
            device.write("a.md", "mine")

    device.memory.meddle = appear
    device.sync()
    assert device.files() == {"a.md": b"mine"}
    assert len(vault.conflicts()) == 1


def test_an_edit_while_a_deletion_comes_in_beats_it(vault: Server, device: MemoryMachine) -> None:
    device.write("a.md", "base")
    device.sync()
    vault.delete("a.md")

    def edit(method: str, path: str) -> None:
        if method == "remove" and device.files()["a.md"] == b"base":
            device.write("a.md", "mine")

    device.memory.meddle = edit
    device.sync()
    assert device.files() == vault.files() == {"a.md": b"mine"}


def test_a_file_that_never_rests_waits_and_the_others_go_on(vault: Server, device: MemoryMachine) -> None:
    device.write("log", "0")
    device.write("a.md", "x")

    def busy(method: str, path: str) -> None:
        if path == "log" and method == "read":
            raise LocalChange("it changes all the time")

    device.memory.meddle = busy
    report = device.sync()
    assert vault.files() == {"a.md": b"x"}
    assert [path for path, _ in report.waiting] == ["log"]
    device.memory.meddle = lambda method, path: None
    assert device.sync().in_step
    assert vault.files() == {"a.md": b"x", "log": b"0"}


def test_an_edit_elsewhere_between_the_answer_and_the_upload_becomes_a_conflict(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "base")
    laptop.sync()
    laptop.write("a.md", "mine")

    def faster(method: str, when: str) -> None:
        if (method, when) == ("push", "before") and len(vault.history("a.md")) == 1:
            vault.put("a.md", b"theirs")

    laptop.transport.meddle = faster
    report = laptop.sync()
    assert vault.files() == {"a.md": b"theirs"}
    assert [path for path, _ in report.conflicts] == ["a.md"]
    assert laptop.files() == {"a.md": b"mine"}


# -- state that is gone, or no good any more


def test_lost_state_is_merged_by_hash_and_deletes_nothing(vault: Server, laptop: Machine) -> None:
    for name in ("same.md", "edited.md", "deleted-there.md", "deleted-here.md"):
        laptop.write(name, name)
    laptop.sync()
    vault.delete("deleted-there.md")
    laptop.delete("deleted-here.md")
    laptop.write("edited.md", "mine")
    laptop.lose_state()
    report = laptop.sync()
    assert report.deleted_here == report.deleted_there == 0
    assert laptop.files() == {
        "same.md": b"same.md",
        "edited.md": b"mine",
        "deleted-there.md": b"deleted-there.md",
        "deleted-here.md": b"deleted-here.md",
    }
    assert vault.files().keys() == laptop.files().keys()
    assert [path for path, _ in report.conflicts] == ["edited.md"]


def test_an_expired_cursor_keeps_deleted_files_deleted_and_nothing_else(vault: Server, laptop: Machine) -> None:
    for name in ("same.md", "deleted.md", "edited.md", "missing.md", "edited-there.md"):
        laptop.write(name, name)
    laptop.sync()
    vault.delete("deleted.md")
    vault.put("edited-there.md", b"theirs")
    newest = vault.put("new.md", b"new")
    laptop.write("edited.md", "mine")
    laptop.delete("missing.md")
    vault.metadata.set_purge_mark(vault.vault.id, newest.stamp)
    report = laptop.sync()
    assert report.full
    assert report.in_step
    assert laptop.files() == vault.files()
    assert vault.files() == {
        "same.md": b"same.md",
        "edited.md": b"mine",
        "missing.md": b"missing.md",
        "edited-there.md": b"theirs",
        "new.md": b"new",
    }
    # The index may be wrong about what the server still has, so what went went to the trash.
    assert sorted(laptop.trash()) == [b"deleted.md", b"edited-there.md"]


def test_after_a_full_sync_the_next_one_is_not(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "x")
    laptop.sync()
    newest = vault.put("b.md", b"y")
    vault.metadata.set_purge_mark(vault.vault.id, newest.stamp)
    assert laptop.sync().full
    assert not laptop.sync().full


def test_a_tombstone_that_was_purged_still_removes_the_file(vault: Server, laptop: Machine) -> None:
    laptop.write("deleted.md", "x")
    laptop.write("kept.md", "y")
    laptop.sync()
    vault.delete("deleted.md")
    newest = vault.put("new.md", b"z")
    with sqlite3.connect(vault.folder / "metadata.db") as db:
        db.execute("DELETE FROM versions WHERE path = 'deleted.md'")
    db.close()
    vault.metadata.set_purge_mark(vault.vault.id, newest.stamp)
    laptop.sync()
    assert laptop.files() == {"kept.md": b"y", "new.md": b"z"}
    assert vault.files() == laptop.files()


def test_a_server_restored_from_an_older_copy_gets_the_newer_files_back(
    vault: Server, tmp_path: Path, laptop: Machine
) -> None:
    laptop.write("old.md", "old")
    laptop.write("edited.md", "first")
    laptop.sync()
    backup = sqlite3.connect(tmp_path / "backup.db")
    source = sqlite3.connect(vault.folder / "metadata.db")
    source.backup(backup)
    laptop.write("newer.md", "newer")
    laptop.write("edited.md", "second")
    laptop.sync()
    vault.delete("old.md")
    backup.backup(source)
    backup.close()
    source.close()
    vault.metadata.renew_epoch(vault.vault.id)
    report = laptop.sync()
    assert report.full
    assert report.deleted_here == report.deleted_there == 0
    assert vault.files() == {"old.md": b"old", "edited.md": b"second", "newer.md": b"newer"}
    assert laptop.files() == vault.files()
    assert laptop.sync().in_step


def test_a_file_that_was_deleted_everywhere_and_is_made_again_is_sent_although_the_first_try_broke_off(
    vault: Server, laptop: Machine
) -> None:
    """Its bytes are in the path's history from before. What was planned to be sent may not have been."""
    laptop.write("a.md", "x")
    laptop.sync()
    vault.delete("a.md")
    laptop.sync()
    laptop.write("a.md", "x")

    def cut(method: str, when: str) -> None:
        if method in ("push", "put"):
            raise ServerAway("the network is gone")

    for _ in range(2):
        laptop.transport.meddle = cut
        with pytest.raises(ServerAway):
            laptop.sync()
        laptop.restart()
    laptop.transport.meddle = lambda method, when: None
    laptop.sync()
    assert laptop.files() == vault.files() == {"a.md": b"x"}
    assert laptop.sync().in_step


def test_a_file_that_was_made_again_and_deleted_elsewhere_before_its_reply_came_is_deleted(
    vault: Server, laptop: Machine
) -> None:
    laptop.write("a.md", "x")
    laptop.sync()
    vault.delete("a.md")
    laptop.sync()
    laptop.write("a.md", "x")

    def lose(method: str, when: str) -> None:
        if (method, when) == ("push", "after") and vault.files():
            raise ServerAway("the network is gone")

    laptop.transport.meddle = lose
    with pytest.raises(ServerAway):
        laptop.sync()
    laptop.transport.meddle = lambda method, when: None
    vault.delete("a.md")
    laptop.sync()
    assert laptop.files() == vault.files() == {}


def test_newer_files_than_a_restored_server_has_return_although_it_has_purged_since(
    vault: Server, laptop: Machine, desktop: Machine
) -> None:
    """The laptop was away for so long that the purge mark has passed all that it knows."""
    laptop.write("edited.md", "old")
    settle([laptop, desktop], 1)
    vault.save()
    vault.days_later(1)
    laptop.write("edited.md", "the newest text")
    laptop.write("new.md", "written after the backup")
    laptop.write("contested.md", "laptop's")
    laptop.sync()
    vault.days_later(1)
    vault.put_back()
    desktop.write("contested.md", "desktop's")
    for text in ("1", "2"):
        vault.days_later(1)
        desktop.write("busy.md", text)
        desktop.sync()
    vault.days_later(5)
    vault.collect()
    assert vault.vault.purge_mark > (laptop.index.records["new.md"].stamp or 0)
    report = laptop.sync()
    assert report.deleted_here == 0
    assert [path for path, _ in report.conflicts] == ["contested.md"]
    assert laptop.files()["edited.md"] == vault.files()["edited.md"] == b"the newest text"
    assert laptop.files()["new.md"] == vault.files()["new.md"] == b"written after the backup"
    assert laptop.files()["contested.md"] == b"laptop's"
    vault.resolve("client")
    settle([laptop, desktop], 2)
    assert laptop.files() == desktop.files() == vault.files()


def test_a_vault_whose_history_changes_all_the_time_is_tried_later(vault: Server, laptop: Machine) -> None:
    def renew(method: str, when: str) -> None:
        if (method, when) == ("sync", "after"):
            vault.metadata.renew_epoch(vault.vault.id)

    for number in range(5):
        vault.put(f"{number}.md", b"x")
    laptop.chunk = 2
    laptop.transport.meddle = renew
    with pytest.raises(ServerAway, match="sync again"):
        laptop.sync()


# -- the disk


def test_a_full_disk_leaves_the_downloads_waiting_and_the_cursor_may_move(vault: Server, device: MemoryMachine) -> None:
    for number in range(5):
        vault.put(f"{number}.md", b"12345" + bytes([number]))
    device.memory.room = 13
    device.write("mine.md", "x")
    report = device.sync()
    assert len(device.files()) == 3
    assert len(report.waiting) == 3
    assert report.exit_code == 1
    assert "no room" in report.waiting[0][1]
    assert vault.files()["mine.md"] == b"x"
    assert device.status().waiting == report.waiting
    device.memory.room = None
    assert device.sync().in_step
    assert device.files() == vault.files()
    assert device.sync().downloaded == 0


def test_what_fits_on_a_nearly_full_disk_comes_whatever_does_not(vault: Server, device: MemoryMachine) -> None:
    vault.put("a large one.md", bytes(2 * 1024 * 1024))
    vault.put("small.md", b"1")
    device.memory.room = 5
    assert [path for path, _ in device.sync().waiting] == ["a large one.md"]
    assert device.files() == {"small.md": b"1"}


def test_a_file_that_the_disk_refuses_waits_and_a_newer_version_of_it_is_what_comes(
    vault: Server, real: DiskMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.put("a.md", b"one")
    vault.put("b.md", b"fine")
    install = real.disk.install

    def refuse(handle: str, path: str, mtime_us: int | None, expected: Entry | None, trash: bool) -> Entry:
        if path == "a.md":
            real.disk.unstage(handle)
            raise Blocked("this disk cannot hold a file of that name")
        return install(handle, path, mtime_us, expected, trash)

    monkeypatch.setattr(real.disk, "install", refuse)
    report = real.sync()
    assert report.waiting == [("a.md", "this disk cannot hold a file of that name")]
    vault.put("a.md", b"two")
    monkeypatch.undo()
    assert real.sync().in_step
    assert real.files() == {"a.md": b"two", "b.md": b"fine"}


def test_a_waiting_download_that_was_deleted_meanwhile_is_forgotten(vault: Server, device: MemoryMachine) -> None:
    vault.put("a.md", b"too large")
    device.memory.room = 1
    assert [path for path, _ in device.sync().waiting] == ["a.md"]
    vault.delete("a.md")
    assert device.sync().in_step
    assert device.files() == {}


def test_a_deletion_that_the_disk_refuses_waits(
    vault: Server, real: DiskMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.write("a.md", "x")
    real.sync()
    vault.delete("a.md")

    def refuse(path: str, expected: Entry, trash: bool, *_: object) -> None:
        raise Blocked("the folder is read-only")

    monkeypatch.setattr(real.disk, "remove", refuse)
    assert [path for path, _ in real.sync().waiting] == ["a.md"]
    monkeypatch.undo()
    assert real.sync().in_step
    assert real.files() == {}


def test_a_flush_that_fails_records_nothing_and_the_next_sync_repeats_it(
    vault: Server, real: DiskMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.put("a.md", b"x")

    def fail() -> None:
        raise Blocked("the disk says: Input/output error")

    monkeypatch.setattr(real.disk, "flush", fail)
    assert [path for path, _ in real.sync().waiting] == ["a.md"]
    assert real.files() == {}
    assert real.index.records == {}
    monkeypatch.undo()
    assert real.sync().in_step
    assert real.files() == {"a.md": b"x"}


def test_files_below_a_link_in_their_folders_place_are_neither_missing_nor_deleted(
    vault: Server, real: DiskMachine, tmp_path: Path
) -> None:
    real.write("sub/a.md", "one")
    real.write("sub/b.md", "two")
    real.sync()
    outside = tmp_path / "outside"
    (real.root / "sub").rename(outside)
    (real.root / "sub").symlink_to(outside)
    vault.put("sub/a.md", b"newer")
    vault.delete("sub/b.md")
    first = real.sync(propagate_deletes=True)
    report = real.sync(propagate_deletes=True)  # the cursor has passed them; the queue has not
    assert report.waiting == first.waiting
    assert sorted(path for path, _ in report.waiting) == ["sub/a.md", "sub/b.md"]
    assert [one.path for one in report.skipped] == ["sub"]
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"a.md": b"one", "b.md": b"two"}
    assert vault.files() == {"sub/a.md": b"newer"}
    (real.root / "sub").unlink()
    outside.rename(real.root / "sub")
    assert real.sync().in_step
    assert real.files() == {"sub/a.md": b"newer"}


def test_a_folder_that_cannot_be_read_survives_even_a_full_sync(
    vault: Server, real: DiskMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.write("sub/kept.md", "one")
    real.write("sub/deleted.md", "two")
    real.sync()
    vault.delete("sub/deleted.md")
    newest = vault.put("new.md", b"new")
    vault.metadata.set_purge_mark(vault.vault.id, newest.stamp)
    hidden = Skipped("sub", "the folder cannot be listed", "sub")
    monkeypatch.setattr(real.disk, "scan", lambda: ([], [hidden]))
    report = real.sync()
    assert report.full
    assert [path for path, _ in report.waiting] == ["sub/deleted.md"]
    monkeypatch.undo()
    assert real.sync().in_step
    assert real.files() == vault.files() == {"sub/kept.md": b"one", "new.md": b"new"}


def test_a_file_that_a_power_cut_emptied_is_held_back_until_somebody_looks(
    vault: Server, device: MemoryMachine
) -> None:
    device.write("a.md", "content")
    device.write("b.md", "content")
    device.sync()
    device.write("a.md", "")
    device.write("b.md", "")
    device.clock.forward(60)
    device.clock.booted_ns = device.clock.now_ns
    report = device.sync()
    assert vault.files() == {"a.md": b"content", "b.md": b"content"}
    assert report.refused == [("a.md", EMPTIED), ("b.md", EMPTIED)]
    assert report.exit_code == 1
    device.delete("a.md")
    device.write("b.md", "")
    assert device.sync().in_step
    assert device.files() == vault.files() == {"a.md": b"content", "b.md": b""}


def test_two_saves_within_one_tick_of_the_clock_both_arrive(vault: Server, device: MemoryMachine) -> None:
    device.memory.tick_ns = SECOND
    device.memory.write("a.md", b"one")
    device.engine().sync()
    device.memory.write("a.md", b"two")
    device.sync()
    assert vault.files() == {"a.md": b"two"}


def test_a_save_in_the_tick_in_which_the_file_was_uploaded_arrives(vault: Server, device: MemoryMachine) -> None:
    """However long the upload took: what counts is when the file was read."""
    device.memory.tick_ns = SECOND
    device.memory.write("a.md", b"one")

    def save(method: str, when: str) -> None:
        if (method, when) == ("push", "before") and device.files()["a.md"] == b"one":
            device.memory.write("a.md", b"two")
            device.clock.forward(3600)

    device.transport.meddle = save
    device.engine().sync()
    device.sync()
    assert vault.files() == {"a.md": b"two"}


@pytest.mark.parametrize("years", [-1, 1])
def test_a_clock_that_jumps_changes_no_decision(vault: Server, laptop: Machine, years: int) -> None:
    laptop.write("a.md", "one")
    laptop.write("b.md", "two")
    laptop.sync()
    laptop.clock.forward(years * 365 * 86400)
    assert laptop.sync().in_step
    laptop.write("a.md", "edited")
    vault.put("b.md", b"edited too")
    laptop.sync()
    assert vault.files() == laptop.files() == {"a.md": b"edited", "b.md": b"edited too"}


# -- the queue


def test_a_queue_left_by_a_crash_brings_what_the_cursor_has_passed(vault: Server, laptop: Machine) -> None:
    """The cursor was saved, the download was not done: the queue is what remembers it."""
    laptop.sync()
    vault.put("a.md", b"x")
    cursor = laptop.transport.sync("0", [], True, 100).cursor
    laptop.queue.append([Operation("download", "a.md")])
    laptop.index.finish(cursor, "")
    laptop.restart()
    assert laptop.sync().in_step
    assert laptop.files() == {"a.md": b"x"}


def test_the_plan_is_in_the_queue_before_anything_is_done(vault: Server, laptop: Machine) -> None:
    vault.put("theirs.md", b"x")
    laptop.write("mine.md", "y")
    seen: list[set[tuple[str, str]]] = []

    def look(method: str, when: str) -> None:
        if when == "before" and method in ("pull", "push"):
            seen.append({(one.op, one.path) for one in laptop.queue.load()[0]})

    laptop.transport.meddle = look
    laptop.sync()
    assert seen == [{("download", "theirs.md"), ("upload", "mine.md")}] * 2
    assert laptop.queue.load()[0] == []


# -- what the server refuses


def test_a_refused_file_is_listed_and_the_others_go_on(tmp_path: Path) -> None:
    vault = Server(tmp_path / "small", max_file=10)
    laptop = MemoryMachine(vault, "laptop")
    laptop.write("large.md", "more than ten bytes")
    laptop.write("small.md", "x")
    for _ in range(2):
        report = laptop.sync()
        assert [path for path, _ in report.refused] == ["large.md"]
        assert report.exit_code == 1
    assert vault.files() == {"small.md": b"x"}
    assert [path for path, _ in laptop.status().refused] == ["large.md"]
    laptop.write("large.md", "short now")
    assert laptop.sync().in_step
    laptop.close()


def test_who_may_only_read_still_receives(vault: Server, laptop: Machine) -> None:
    vault.metadata.add_user("boss", "")
    vault.metadata.set_member(vault.vault.id, "boss", "owner")
    vault.metadata.set_member(vault.vault.id, "me", "read")
    laptop.write("mine.md", "x")
    laptop.write("also-mine.md", "x")
    report = laptop.sync()
    assert sorted(path for path, _ in report.refused) == ["also-mine.md", "mine.md"]
    assert "read" in report.refused[0][1]


def test_a_vault_that_is_gone_stops_the_sync(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "x")
    laptop.sync()
    vault.metadata.remove_vault(vault.vault.id)
    with pytest.raises(ServerRefused) as refused:
        laptop.sync()
    assert refused.value.code == "not-found"
    assert laptop.files() == {"a.md": b"x"}


# -- ignoring


def test_ignored_files_stay_here_and_do_not_come(vault: Server, laptop: Machine) -> None:
    laptop.write(".gobiignore", "*.tmp\n")
    laptop.write("a.tmp", "mine")
    laptop.write("a.md", "x")
    vault.put("theirs.tmp", b"y")
    laptop.sync()
    assert vault.files().keys() == {".gobiignore", "a.md", "theirs.tmp"}
    assert laptop.files().keys() == {".gobiignore", "a.md", "a.tmp"}


def test_a_path_that_becomes_ignored_is_neither_missing_nor_deleted(vault: Server, laptop: Machine) -> None:
    laptop.write("a.tmp", "x")
    laptop.write("b.tmp", "y")
    laptop.sync()
    laptop.write(".gobiignore", "*.tmp\n")
    laptop.delete("b.tmp")
    vault.delete("a.tmp")
    report = laptop.sync(propagate_deletes=True)
    assert report.deleted_here == report.deleted_there == report.downloaded == 0
    assert laptop.files() == {"a.tmp": b"x", ".gobiignore": b"*.tmp\n"}
    assert "b.tmp" in vault.files()


def test_a_path_that_is_not_ignored_any_more_is_synced_at_once(vault: Server, laptop: Machine) -> None:
    laptop.write(".gobiignore", "*.tmp\n")
    laptop.write("mine.tmp", "x")
    vault.put("theirs.tmp", b"y")
    laptop.sync()
    laptop.write(".gobiignore", "")
    assert laptop.sync().full
    assert laptop.files() == vault.files()
    assert vault.files().keys() == {".gobiignore", "mine.tmp", "theirs.tmp"}


def test_ignore_rules_from_elsewhere_hold_at_once(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "x")
    laptop.sync()
    vault.put(".gobiignore", b"*.tmp\n")
    laptop.sync()
    laptop.write("a.tmp", "x")
    assert not laptop.sync().full
    assert vault.files().keys() == {"a.md", ".gobiignore"}


def test_nothing_of_this_disturbs_a_second_machine(vault: Server, laptop: Machine, desktop: Machine) -> None:
    laptop.write("a.md", "x")
    laptop.write("sub/b.md", "y")
    settle([laptop, desktop], 1)
    laptop.lose_state()
    desktop.write("a.md", "edited")
    settle([desktop, laptop], 2)
    assert vault.files()["a.md"] == b"edited"


def test_a_file_that_keeps_changing_is_named_by_sync_and_by_status(laptop: Machine, vault: Server) -> None:
    laptop.write("big.log", "line")
    laptop.write("note.md", "note")
    digest = laptop.fs.digest

    def restless(path: str) -> tuple[Entry, str]:
        if path == "big.log":
            raise LocalChange("it changed while it was read")
        return digest(path)

    laptop.fs.digest = restless  # type: ignore[method-assign]
    report = laptop.sync()
    assert vault.files().keys() == {"note.md"}
    assert report.waiting == [("big.log", "it keeps changing")]
    assert (report.in_step, report.exit_code) == (False, 1)
    status = laptop.status()
    assert status.waiting == report.waiting
    assert (status.in_step, status.exit_code) == (False, 1)
    laptop.fs.digest = digest  # type: ignore[method-assign]
    assert laptop.sync().exit_code == 0
    assert laptop.status().exit_code == 0
