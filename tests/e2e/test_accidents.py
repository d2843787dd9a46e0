"""Things go wrong: state is lost, the server is put back, connections break, names are impossible."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from tests.databases import Database
from tests.deployments import Deployment
from tests.e2e.machines import House, Machine, Run, in_step

MIB = 1 << 20
SECOND = 10**9


@pytest.fixture
def full(laptop: Machine) -> Machine:
    """A machine in step, with three files."""
    for name in ("one", "two", "three"):
        laptop.write(f"{name}.md", name)
    laptop.sync()
    return laptop


# -- the client's own state


def test_a_lost_state_folder_is_merged_by_content_and_deletes_nothing(house: House, full: Machine) -> None:
    shutil.rmtree(full.folder / ".gobi")
    full.delete("one.md")
    full.write("two.md", "two, edited")
    full.connect()
    full.sync(code=1)
    assert full.read("one.md") == "one"
    assert full.read("two.md") == "two, edited"
    assert house.live() == {"one.md", "two.md", "three.md"}
    (conflict,) = house.conflicts()
    assert conflict["path"] == "two.md"


def test_old_bytes_under_a_lost_state_folder_give_way_to_the_newer_version(house: House, full: Machine) -> None:
    shutil.rmtree(full.folder / ".gobi")
    house.put("one.md", b"newer", house.history("one.md")[0]["stamp"])
    full.connect()
    full.sync()
    assert full.read("one.md") == "newer"
    assert house.conflicts() == []


def test_a_corrupt_index_is_set_aside_and_nothing_is_deleted(house: House, full: Machine) -> None:
    (full.folder / ".gobi" / "index.db").write_bytes(b"this is no database, " * 500)
    full.write("four.md", "four")
    full.sync()
    assert house.live() == {"one.md", "two.md", "three.md", "four.md"}
    assert len(full.files()) == 4
    assert house.conflicts() == []


def test_an_unreadable_line_in_the_queue_hurts_nothing(house: House, full: Machine) -> None:
    full.rm("one.md")
    with (full.folder / ".gobi" / "queue.jsonl").open("a") as queue:
        queue.write('{"op": "dele\n')
    full.sync(code=None)
    assert house.live() == {"two.md", "three.md"}


def test_a_vault_folder_that_vanished_stops_the_sync(house: House, full: Machine) -> None:
    full.folder.rename(full.root / "elsewhere")
    run = full.sync(code=None)
    assert run.code not in (0, 1)
    assert str(full.folder) in run.err
    assert len(house.live()) == 3


def test_an_empty_mount_point_stops_the_sync(house: House, full: Machine) -> None:
    full.folder.rename(full.root / "elsewhere")
    full.folder.mkdir()
    run = full.sync(code=None)
    assert run.code not in (0, 1)
    assert "connect" in run.err
    assert full.files() == {}
    assert len(house.live()) == 3


def test_a_mass_delete_is_stopped_until_it_is_confirmed(house: House, laptop: Machine) -> None:
    for number in range(30):
        laptop.write(f"{number}.md", f"note {number}")
    laptop.sync()
    for number in range(29):
        laptop.delete(f"{number}.md")
    run = laptop.sync("--propagate-deletes", code=None)
    assert run.code not in (0, 69)
    assert "--allow-mass-delete" in run.err
    assert len(house.live()) == 30
    laptop.sync("--propagate-deletes", "--allow-mass-delete")
    assert house.live() == {"29.md"}


def test_two_clients_on_one_folder_are_one_too_many(house: House) -> None:
    seconds: list[Run] = []
    with house.proxy() as proxy:
        laptop = house.machine("laptop", url=proxy.url)
        laptop.write("large.bin", os.urandom(12 * MIB))
        proxy.call_after("up", 6 * MIB, lambda: seconds.append(laptop.sync(code=None)))
        laptop.sync()
    (second,) = seconds
    assert second.code == 75
    assert "another" in second.err


# -- the server's state


def test_a_cursor_below_the_purge_mark_means_a_full_sync(own_deployment: Deployment, own_house: House) -> None:
    laptop, tablet = own_house.machine("laptop"), own_house.machine("tablet")
    laptop.write("kept.md", "kept")
    laptop.write("edited.md", "before")
    laptop.write("deleted.md", "deleted")
    laptop.sync()
    tablet.sync()
    laptop.rm("deleted.md")
    laptop.sync()
    tablet.write("edited.md", "after")
    purge(own_house, own_deployment.database, "deleted.md")
    tablet.sync()
    assert tablet.files() == {"kept.md": b"kept", "edited.md": b"after"}
    assert b"deleted" in tablet.trash()
    laptop.sync()
    assert in_step(laptop, tablet)
    assert own_house.live() == {"kept.md", "edited.md"}


def purge(house: House, database: Database, path: str) -> None:
    """What collection does to a path whose time is over: the mark first, then the path's versions."""
    metadata = database.open()
    vault = metadata.vault(house.vault)
    assert vault is not None
    metadata.set_purge_mark(vault.id, metadata.heads(vault.id, [path])[path].stamp)
    metadata.close()
    database.forget(path)


@pytest.mark.parametrize("new_epoch", [True, False], ids=["restored by gobi", "copied back by hand"])
def test_metadata_put_back_to_an_older_copy_costs_nobody_a_file(
    own_deployment: Deployment, own_house: House, new_epoch: bool
) -> None:
    laptop, desktop = own_house.machine("laptop"), own_house.machine("desktop")
    laptop.write("old.md", "old")
    laptop.write("edited.md", "first")
    laptop.write("doomed.md", "doomed")
    laptop.sync()
    desktop.sync()
    database = own_deployment.database
    own_deployment.stop()
    database.save()
    own_deployment.start()
    laptop.write("newer.md", "newer than the backup")
    laptop.write("edited.md", "second")
    laptop.rm("doomed.md")
    laptop.sync()
    desktop.sync()
    own_deployment.stop()
    database.put_back()
    if new_epoch:
        metadata = database.open()
        vault = metadata.vault(own_house.vault)
        assert vault is not None
        metadata.renew_epoch(vault.id)
        metadata.close()
    own_deployment.start()
    for _ in range(2):
        laptop.sync()
        desktop.sync()
    assert in_step(laptop, desktop)
    assert laptop.read("newer.md") == "newer than the backup"
    assert laptop.read("edited.md") == "second"
    assert laptop.read("old.md") == "old"
    assert own_house.conflicts() == []


def test_a_server_that_is_away_leaves_everything_as_it_is(own_house: House) -> None:
    laptop = own_house.machine("laptop")
    laptop.write("waiting.md", "waiting")
    laptop.server.stop()
    laptop.sync(code=69)
    status = laptop.status()
    assert status["in_step"] is False
    assert status["pending"]["new"] == ["waiting.md"]
    laptop.server.start()
    laptop.sync()
    assert own_house.live() == {"waiting.md"}


# -- the network


@pytest.mark.parametrize("count", [1, 700, 200_000, 11 * MIB])
def test_an_upload_cut_anywhere_is_finished_by_the_next_sync(house: House, count: int) -> None:
    content = os.urandom(12 * MIB)
    with house.proxy() as proxy:
        laptop = house.machine("laptop", url=proxy.url)
        laptop.write("large.bin", content)
        for number in range(200):
            laptop.write(f"notes/{number}.md", f"note {number} " * 200)
        for _ in range(4):  # a client tries again by itself: cut each of its tries
            proxy.cut_after("up", count)
        laptop.sync(code=None)
        laptop.sync(code=None)
        laptop.sync()
    assert house.live() == set(laptop.files())
    assert house.body("/files/large.bin") == content
    assert all(len(house.history(path)) == 1 for path in ("large.bin", "notes/7.md"))


@pytest.mark.parametrize("count", [1, 700, 200_000, 11 * MIB])
def test_a_download_cut_anywhere_is_finished_by_the_next_sync(house: House, laptop: Machine, count: int) -> None:
    laptop.write("large.bin", os.urandom(12 * MIB))
    for number in range(200):
        laptop.write(f"notes/{number}.md", f"note {number} " * 200)
    laptop.sync()
    with house.proxy() as proxy:
        desktop = house.machine("desktop", url=proxy.url)
        for _ in range(4):
            proxy.cut_after("down", count)
        desktop.sync(code=None)
        whole = laptop.files()
        assert all(whole[path] == content for path, content in desktop.files().items()), "a half file is visible"
        desktop.sync(code=None)
        desktop.sync()
    assert in_step(laptop, desktop)
    assert desktop.status()["in_step"] is True


def test_an_edit_during_the_download_is_kept_and_becomes_a_conflict(house: House, laptop: Machine) -> None:
    laptop.write("large.bin", b"0" * (12 * MIB))
    laptop.sync()
    with house.proxy() as proxy:
        desktop = house.machine("desktop", url=proxy.url)
        desktop.sync()
        laptop.write("large.bin", b"1" * (12 * MIB))
        laptop.sync()
        proxy.call_after("down", 6 * MIB, lambda: desktop.write("large.bin", "typed while it came"))
        desktop.sync(code=1)
        assert not proxy.pending
    assert desktop.read("large.bin") == "typed while it came"
    (conflict,) = house.conflicts()
    assert house.body(f"/conflicts/{conflict['id']}/client") == b"typed while it came"


def test_an_edit_during_the_upload_is_sent_too(house: House) -> None:
    with house.proxy() as proxy:
        laptop = house.machine("laptop", url=proxy.url)
        laptop.write("large.bin", b"0" * (12 * MIB))
        proxy.call_after("up", 6 * MIB, lambda: laptop.write("large.bin", b"1" * (12 * MIB)))
        laptop.sync(code=None)
        assert not proxy.pending
        laptop.sync()
    assert house.body("/files/large.bin") == b"1" * (12 * MIB)
    assert set(house.contents("large.bin")) <= {b"0" * (12 * MIB), b"1" * (12 * MIB)}


def test_a_file_made_during_the_sync_where_a_download_goes_is_not_overwritten(house: House, laptop: Machine) -> None:
    laptop.write("large.bin", b"0" * (12 * MIB))
    laptop.sync()
    with house.proxy() as proxy:
        desktop = house.machine("desktop", url=proxy.url)
        proxy.call_after("down", 6 * MIB, lambda: desktop.write("large.bin", "made while it came"))
        desktop.sync(code=1)
        assert not proxy.pending
    assert desktop.read("large.bin") == "made while it came"
    assert len(house.conflicts()) == 1


# -- names, sizes, times


@pytest.mark.parametrize(
    "name",
    [
        "with space.md",
        " leading and trailing ",
        "emoji 🌱.md",
        "日記/ノート.md",
        "quote'\"$`;&|.md",
        "per%cent?query#hash+plus.md",
        "-rf.md",
        "a" * 251 + ".md",
        "/".join(["deep"] * 60) + "/x.md",
        "ünï/çödé.md",
        "CON.md",
        "manifest.json",
    ],
)
def test_a_name_that_the_protocol_keeps_arrives_as_it_is(laptop: Machine, desktop: Machine, name: str) -> None:
    laptop.write(name, name)
    laptop.sync()
    desktop.sync()
    assert desktop.files() == {name: name.encode()}


@pytest.mark.parametrize(
    "name", [b"new\nline.md", b"tab\there.md", b"back\\slash.md", b"e\xcc\x81.md", b"broken \xff\xfe.md", b"\x7f.md"]
)
def test_a_name_that_the_protocol_refuses_stays_here_and_is_listed(house: House, laptop: Machine, name: bytes) -> None:
    path = os.fsencode(laptop.folder) + b"/" + name
    with open(path, "wb") as file:
        file.write(b"stays")
    laptop.write("good.md", "good")
    run = laptop.sync(code=1)
    assert house.live() == {"good.md"}
    with open(path, "rb") as file:
        assert file.read() == b"stays"
    assert len(laptop.status()["skipped"]) == 1
    assert "\n\n" not in run.out
    assert "\x7f" not in run.out


def test_what_is_no_regular_file_is_skipped_and_listed(house: House, laptop: Machine) -> None:
    laptop.write("real.md", "real")
    (laptop.folder / "link.md").symlink_to(laptop.folder / "real.md")
    (laptop.folder / "linked folder").symlink_to("/etc")
    os.mkfifo(laptop.folder / "pipe")
    laptop.sync(code=None)
    assert house.live() == {"real.md"}
    assert len(laptop.status()["skipped"]) == 3


def test_empty_files_travel(laptop: Machine, desktop: Machine) -> None:
    laptop.write("empty.md", "")
    laptop.write("folder/empty too.md", "")
    laptop.sync()
    desktop.sync()
    assert desktop.files() == {"empty.md": b"", "folder/empty too.md": b""}


def test_a_file_system_with_one_second_mtimes_hides_no_edit(laptop: Machine, desktop: Machine) -> None:
    second = time.time_ns() // SECOND * SECOND
    laptop.write("note.md", "aaaa", mtime_ns=second)
    laptop.sync()
    laptop.write("note.md", "bbbb", mtime_ns=second)
    laptop.sync()
    desktop.sync()
    assert desktop.read("note.md") == "bbbb"


def test_a_clock_that_jumps_changes_no_decision(laptop: Machine, desktop: Machine) -> None:
    year = 365 * 24 * 3600 * SECOND
    laptop.write("future.md", "one", mtime_ns=time.time_ns() + year)
    laptop.write("past.md", "one", mtime_ns=time.time_ns() - 40 * year)
    laptop.sync()
    desktop.sync()
    desktop.write("future.md", "two", mtime_ns=time.time_ns() - year)
    desktop.write("past.md", "two", mtime_ns=time.time_ns() - 41 * year)
    desktop.sync()
    laptop.sync()
    assert in_step(laptop, desktop)
    assert laptop.read("future.md") == laptop.read("past.md") == "two"


def test_a_files_own_time_travels_with_it(laptop: Machine, desktop: Machine) -> None:
    moment = 1_600_000_000_123_456_000
    laptop.write("note.md", "note", mtime_ns=moment)
    laptop.sync()
    desktop.sync()
    assert (desktop.folder / "note.md").stat().st_mtime_ns == moment


def test_ignored_paths_stay_out_and_are_no_deletes(house: House, laptop: Machine, desktop: Machine) -> None:
    laptop.write("note.md", "note")
    laptop.write("scratch/a.tmp", "a")
    laptop.sync()
    desktop.sync()
    laptop.write(".gobiignore", "scratch/\n*.log\n")
    laptop.write("noise.log", "noise")
    laptop.sync()
    desktop.sync()
    assert "noise.log" not in house.live()
    assert "scratch/a.tmp" in house.live()
    assert desktop.has("scratch/a.tmp")
    laptop.write(".gobiignore", "")
    laptop.sync()
    desktop.sync()
    assert in_step(laptop, desktop)
    assert desktop.has("noise.log")
