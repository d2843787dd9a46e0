"""Older versions and settlements, by the commands that people use: nothing is lost, and everybody ends up the same."""

from __future__ import annotations

import os
import shlex
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.deployments import DEPLOYMENTS
from tests.e2e.machines import GOBI, House, Machine, in_step
from tests.e2e.watching import Watching
from tests.server import GobiServer
from tests.services import wait_until


@pytest.fixture
def deployed() -> str:
    """Where a test does not say otherwise: the one with the most in it. What is asked here is what commands do; that
    the store does the same on every database is said by tests/contract."""
    return "hosts"


EVERYWHERE = pytest.mark.parametrize("deployed", DEPLOYMENTS, indirect=True)


def on(machine: Machine, command: str, *more: str, code: int | None = 0) -> str:
    """Runs `gobi COMMAND DIR …` and gives what it printed."""
    return machine.gobi(command, str(machine.folder), *more, code=code).out


@pytest.fixture
def both(laptop: Machine, desktop: Machine) -> tuple[Machine, Machine]:
    """Two machines in step on one note."""
    laptop.write("note.md", "one\ntwo\nthree\nfour\nfive\n")
    laptop.sync()
    desktop.sync()
    return laptop, desktop


@pytest.fixture
def disputed(house: House, both: tuple[Machine, Machine]) -> tuple[Machine, Machine, Machine]:
    """The laptop was first; desktop and phone have each sent a candidate."""
    laptop, desktop = both
    phone = house.machine("phone")
    phone.sync()
    laptop.write("note.md", "LAPTOP\ntwo\nthree\nfour\nfive\n")
    desktop.write("note.md", "one\ntwo\nthree\nfour\nDESKTOP\n")
    phone.write("note.md", "PHONE\ntwo\nthree\nfour\nfive\n")
    laptop.sync()
    desktop.sync(code=1)
    phone.sync(code=1)
    return laptop, desktop, phone


# ---------------------------------------------------------------------------------------------------------- conflicts


def test_without_conflicts_it_says_so(laptop: Machine) -> None:
    assert on(laptop, "conflicts") == "No open conflicts.\n"


def test_conflicts_shows_every_side_and_how_to_settle(disputed: tuple[Machine, Machine, Machine]) -> None:
    laptop, *_ = disputed
    said = on(laptop, "conflicts", code=1)
    for words in ("note.md", "me on laptop", "me on desktop", "me on phone", "candidate 2", "gobi resolve"):
        assert words in said
    (one,) = laptop.gobi("conflicts", str(laptop.folder), "--json", code=1).json["conflicts"]
    assert [side["device"] for side in one["candidates"]] == ["desktop", "phone"]


@EVERYWHERE
@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        (["--keep", "server"], "LAPTOP\ntwo\nthree\nfour\nfive\n"),
        (["--keep", "client"], "PHONE\ntwo\nthree\nfour\nfive\n"),
        (["--keep", "client", "--candidate", "1"], "one\ntwo\nthree\nfour\nDESKTOP\n"),
        (["--keep", "both", "--candidate", "1"], "LAPTOP\ntwo\nthree\nfour\nfive\n"),
        (["--keep", "merged", "--candidate", "1"], "LAPTOP\ntwo\nthree\nfour\nDESKTOP\n"),
    ],
    ids=" ".join,
)
def test_every_settlement_reaches_every_machine_and_loses_nothing(
    house: House, disputed: tuple[Machine, Machine, Machine], options: list[str], outcome: str
) -> None:
    laptop, desktop, phone = disputed
    on(laptop, "resolve", "note.md", *options)
    for machine in (desktop, phone):
        machine.sync()
    assert in_step(laptop, desktop, phone)
    assert phone.read("note.md") == outcome
    everything = "".join(content.decode() for content in house.contents("note.md"))
    assert all(word in everything for word in ("one\ntwo", "LAPTOP", "DESKTOP", "PHONE"))
    assert house.conflicts() == []
    if "both" in options:
        (beside,) = set(phone.files()) - {"note.md"}
        assert phone.read(beside) == "one\ntwo\nthree\nfour\nDESKTOP\n"


def test_a_merge_that_needs_a_person_is_refused_and_changes_nothing(
    house: House, disputed: tuple[Machine, Machine, Machine]
) -> None:
    laptop, *_ = disputed
    refused = laptop.gobi("resolve", str(laptop.folder), "note.md", "--keep", "merged", "--candidate", "2", code=1)
    assert "1 place to be decided by a person" in refused.err
    assert len(house.conflicts()) == 1


def test_a_text_of_ones_own_settles(disputed: tuple[Machine, Machine, Machine]) -> None:
    laptop, desktop, phone = disputed
    text = laptop.home / "merged.txt"
    text.write_bytes(b"mine and\r\nyours\n")
    on(laptop, "resolve", "note.md", "--keep", "merged", "--text-file", str(text))
    desktop.sync()
    phone.sync()
    assert {machine.files()["note.md"] for machine in disputed} == {b"mine and\r\nyours\n"}


def test_what_its_author_wrote_after_the_conflict_survives_the_settlement(
    house: House, disputed: tuple[Machine, Machine, Machine]
) -> None:
    laptop, desktop, phone = disputed
    phone.write("note.md", "PHONE, and more\n")
    on(laptop, "resolve", "note.md", "--keep", "server")
    phone.sync(code=1)
    assert phone.read("note.md") == "PHONE, and more\n"
    (conflict,) = house.conflicts()
    assert house.body(f"/conflicts/{conflict['id']}/client") == b"PHONE, and more\n"
    on(phone, "resolve", "note.md", "--keep", "client")
    laptop.sync()
    desktop.sync()
    assert in_step(laptop, desktop, phone)
    assert laptop.read("note.md") == "PHONE, and more\n"


def test_a_watch_brings_the_settlement_where_it_runs(disputed: tuple[Machine, Machine, Machine]) -> None:
    laptop, *_ = disputed
    with Watching(laptop) as watching:
        assert "gobi watch" in on(laptop, "resolve", "note.md", "--keep", "client")
        wait_until(lambda: laptop.read("note.md").startswith("PHONE"), "the watch to bring the outcome")
        assert watching.stop() == 0


def test_without_a_browser_the_windows_address_is_printed(disputed: tuple[Machine, Machine, Machine]) -> None:
    laptop, *_ = disputed
    laptop.environment |= {"DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": ""}
    address = f"{laptop.server.url}/#/v/{laptop.vault}/conflicts"
    assert on(laptop, "resolve").startswith(f"{address}\nThere is no browser here")
    (conflict,) = laptop.gobi("conflicts", str(laptop.folder), "--json", code=1).json["conflicts"]
    assert on(laptop, "resolve", "note.md", "--print") == f"{address}/{conflict['id']}\n"


def test_a_browser_is_opened_where_there_is_one(laptop: Machine) -> None:
    opened = laptop.home / "opened"
    browser = laptop.home / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {shlex.quote(str(opened))}\n')
    browser.chmod(0o755)
    laptop.environment["BROWSER"] = str(browser)
    on(laptop, "resolve")
    assert opened.read_text() == f"{laptop.server.url}/#/v/{laptop.vault}/conflicts"


def test_a_path_without_a_conflict_is_a_usage_error(laptop: Machine) -> None:
    assert "gobi conflicts" in laptop.gobi("resolve", str(laptop.folder), "no.md", "--keep", "server", code=2).err


# ------------------------------------------------------------------------------------------------------------ history


def test_a_version_of_a_deleted_file_is_listed_and_put_back_everywhere(both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    laptop.write("note.md", "rewritten\n")
    laptop.sync()
    laptop.rm("note.md")
    laptop.sync()
    said = on(desktop, "history", "note.md")
    assert [word in line for word, line in zip(("deleted", "changed", "new"), said.splitlines()[1:4], strict=True)]
    oldest = desktop.gobi("history", str(desktop.folder), "note.md", "--json").json["versions"][-1]
    on(desktop, "restore", "note.md", "--stamp", str(oldest["stamp"]))
    laptop.sync()
    assert in_step(laptop, desktop)
    assert laptop.read("note.md") == "one\ntwo\nthree\nfour\nfive\n"


def test_restoring_keeps_an_edit_that_was_not_sent_yet(house: House, both: tuple[Machine, Machine]) -> None:
    laptop, _ = both
    first = house.history("note.md")[0]["stamp"]
    laptop.write("note.md", "second\n")
    laptop.sync()
    laptop.write("note.md", "not sent yet\n")
    on(laptop, "restore", "note.md", "--stamp", str(first), code=1)
    assert laptop.read("note.md") == "not sent yet\n"
    assert house.body("/files/note.md") == b"one\ntwo\nthree\nfour\nfive\n"
    (conflict,) = house.conflicts()
    assert house.body(f"/conflicts/{conflict['id']}/client") == b"not sent yet\n"


def test_a_version_can_be_written_elsewhere_and_overwrites_nothing(house: House, both: tuple[Machine, Machine]) -> None:
    laptop, _ = both
    stamp = str(house.history("note.md")[0]["stamp"])
    on(laptop, "restore", "note.md", "--stamp", stamp, "--to", "copy.md")
    assert (laptop.home / "copy.md").read_text() == "one\ntwo\nthree\nfour\nfive\n"
    (laptop.home / "copy.md").write_text("precious")
    refused = laptop.gobi("restore", str(laptop.folder), "note.md", "--stamp", stamp, "--to", "copy.md", code=2)
    assert "exists" in refused.err
    assert (laptop.home / "copy.md").read_text() == "precious"
    assert [path.name for path in laptop.home.iterdir() if "gobi-restore" in path.name] == []


def test_each_line_of_the_log_says_how_to_take_it_back(house: House, both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    laptop.write("note.md", "worse\n")
    laptop.write("sub folder/it's.md", "new\n")
    laptop.sync()
    lines = on(desktop, "log", "--since", "1h").splitlines()
    assert len(lines) == 6
    for line in lines[1:4:2]:  # the last sync's two
        command = shlex.split(line)
        assert command[0] == "gobi"
        desktop.sync()
        desktop.gobi(*command[1:])
    desktop.sync()
    laptop.sync()
    assert in_step(laptop, desktop)
    assert laptop.read("note.md") == "one\ntwo\nthree\nfour\nfive\n"
    assert set(laptop.files()) == {"note.md"}


def test_the_log_ends_quietly_where_nobody_reads_on(house: House, laptop: Machine) -> None:
    for number in range(60):
        laptop.write(f"{number}.md", "text")
    laptop.sync()
    script = f"set -o pipefail; {GOBI} log {shlex.quote(str(laptop.folder))} | head -1"
    env = {**os.environ, "HOME": str(laptop.home)}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


# --------------------------------------------------------------------------------------------------------------- undo


@EVERYWHERE
def test_500_files_deleted_by_mistake_come_back_by_one_command(house: House, laptop: Machine, desktop: Machine) -> None:
    for number in range(500):
        laptop.write(f"notes/{number:03}.md", f"note {number}\n")
    laptop.sync()
    desktop.sync()
    before = laptop.files()
    since = str(max(version["stamp"] for version in house.api("GET", "/log")["versions"]))
    laptop.rm("notes")
    laptop.sync()
    desktop.write("notes/007.md", "the desktop's\n")
    desktop.sync("--allow-mass-delete")
    desktop.write("notes/008.md", "the desktop's, made anew\n")
    desktop.sync()
    place = str(laptop.folder)
    look = laptop.gobi("undo", place, "--since", since, "--dry-run", code=1).out
    assert "498 files would be put back" in look
    assert "… and 478 more" in look
    assert "notes/007.md: others changed it, too" in look
    assert len(house.live()) == 2
    assert "--yes" in laptop.gobi("undo", place, "--since", since, code=2).err
    assert len(house.live()) == 2
    assert "Put back 498 files" in laptop.gobi("undo", place, "--since", since, "--yes", code=1).out
    desktop.sync()
    assert in_step(laptop, desktop)
    edited = {"notes/007.md": b"the desktop's\n", "notes/008.md": b"the desktop's, made anew\n"}
    assert laptop.files() == before | edited


def test_an_undo_is_undone_by_an_undo(house: House, laptop: Machine) -> None:
    laptop.write("a.md", "first\n")
    laptop.sync()
    first = str(house.history("a.md")[0]["stamp"])
    laptop.write("a.md", "second\n")
    laptop.sync()
    second = str(house.history("a.md")[0]["stamp"])
    on(laptop, "undo", "--since", first, "--yes")
    assert laptop.read("a.md") == "first\n"
    done = laptop.gobi("undo", str(laptop.folder), "--since", second, "--yes", "--json").json
    assert [change["path"] for change in done["changes"]] == ["a.md"]
    assert laptop.read("a.md") == "second\n"


def test_an_undo_of_ones_own_lets_nothing_go_that_others_deleted(
    house: House, laptop: Machine, desktop: Machine
) -> None:
    for number in range(40):
        laptop.write(f"notes/{number:02}.md", f"note {number}\n")
    laptop.sync()
    desktop.sync()
    laptop.rm("notes")
    laptop.sync()
    desktop.sync(code=1)
    desktop.write("mine.md", "mine\n")
    desktop.sync(code=1)
    written = house.history("mine.md")[0]["stamp"]
    done = desktop.gobi("undo", str(desktop.folder), "--since", str(written - 1), "--yes", code=1)
    assert "1 deleted here" in done.out
    assert len(desktop.files()) == 40
    assert house.live() == set()


def test_an_undo_means_this_machine_unless_everybody_is_said(both: tuple[Machine, Machine]) -> None:
    _, desktop = both
    assert "Nothing to put back" in on(desktop, "undo", "--since", "1h", "--dry-run")
    assert "1 file would be deleted" in on(desktop, "undo", "--since", "1h", "--dry-run", "--everybody")
    assert "1 file would be deleted" in on(desktop, "undo", "--since", "1h", "--dry-run", "--device", "laptop")


def test_times_are_understood_where_the_servers_clock_was_ten_years_ahead_once(tmp_path: Path) -> None:
    """What came after that has a stamp of then, and is as old as it is."""
    server = GobiServer(tmp_path / "server").start()
    server.add_user()
    house = House([server], "notes", tmp_path)
    laptop = house.machine("laptop")
    day = 24 * 3600 * 1_000_000
    now = time.time_ns() // 1000
    ahead = now + 3650 * day

    def change(statement: str, *values: object) -> None:
        server.stop()
        with closing(sqlite3.connect(server.data_dir / "metadata.db", isolation_level=None)) as db:
            db.execute(statement, values)
        server.start()

    laptop.write("before.md", "before\n")
    laptop.sync()
    change("UPDATE vaults SET clock = ?", ahead)
    for name in ("long ago", "yesterday", "just now"):
        laptop.write(f"{name}.md", f"{name}\n")
        laptop.sync()
    stamps = {row["path"]: row["stamp"] for row in house.api("GET", "/log")["versions"]}
    assert stamps["just now.md"] == ahead + 3
    change("UPDATE versions SET at = NULL WHERE path = 'long ago.md'")
    change("UPDATE versions SET at = ? WHERE path = 'yesterday.md'", now - day)
    assert "1 file would be deleted" in on(laptop, "undo", "--since", "1h", "--dry-run")
    (line,) = [line for line in on(laptop, "log", "--since", "2h").splitlines() if " by me " in line]
    assert "just now.md" in line
    assert line.startswith(time.strftime("%Y-"))
    assert on(laptop, "log", "--since", "3d").count(" by me ") == 4, "the one before is younger than that"
    on(laptop, "undo", "--since", "1h", "--yes")
    assert set(laptop.files()) == {"before.md", "long ago.md", "yesterday.md"}
    change("UPDATE versions SET at = ? WHERE path = 'before.md'", now - 9 * day)
    said = laptop.gobi("log", str(laptop.folder), "--since", "3d")
    assert "long ago.md" not in said.out
    assert str(stamps["long ago.md"]) in said.err, "nobody knows when that was"
    server.stop()


def test_a_time_that_is_none_is_a_usage_error(laptop: Machine) -> None:
    assert "yesterday" in laptop.gobi("undo", str(laptop.folder), "--since", "soon", code=2).err


# ------------------------------------------------------------------------------------------------------------- verify


def test_verify_says_that_all_is_identical(both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    laptop.write("large.bin", os.urandom(9_000_000))
    laptop.write("empty", b"")
    laptop.sync()
    desktop.sync()
    assert on(desktop, "verify") == "3 files identical to the server, checked byte for byte\n"


def test_verify_tells_what_waits_from_what_is_lost(house: House, both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    for name in ("same.md", "edited.md", "behind.md", "lost.md", "gone.md"):
        laptop.write(name, "as it was\n", mtime_ns=1_700_000_000_000_000_000)
    laptop.write(".gobiignore", "*.tmp\n")
    laptop.sync()
    desktop.sync()
    laptop.write("behind.md", "newer\n")
    laptop.sync()
    laptop.rm("gone.md")
    laptop.sync()
    house.put("x.tmp", b"ignored")
    desktop.write("edited.md", "edited\n")
    desktop.write("new.md", "new\n")
    desktop.delete("lost.md")
    found = desktop.gobi("verify", str(desktop.folder), "--json", code=1).json
    assert found["identical"] == 3  # note.md, same.md, .gobiignore
    assert found["waiting"] == ["edited.md", "new.md"]
    assert found["behind"] == ["behind.md"]
    assert found["missing"] == ["lost.md"]
    assert found["extra"] == ["gone.md"]
    assert found["ignored"] == ["x.tmp"]
    assert found["different"] == []


def test_verify_takes_a_new_time_for_no_new_text(both: tuple[Machine, Machine]) -> None:
    """What was only touched here, and deleted on the server, is not said to be sent: the next sync deletes it."""
    laptop, desktop = both
    laptop.rm("note.md")
    laptop.sync()
    os.utime(desktop.folder / "note.md")
    assert desktop.gobi("verify", str(desktop.folder), "--json", code=1).json["extra"] == ["note.md"]


def test_verify_says_what_it_could_not_compare(both: tuple[Machine, Machine]) -> None:
    laptop, desktop = both
    laptop.write("d/a.md", "on the server\n")
    laptop.sync()
    desktop.sync()
    (desktop.folder / "d").rename(desktop.root / "elsewhere")
    (desktop.folder / "d").symlink_to(desktop.root / "elsewhere")
    found = desktop.gobi("verify", str(desktop.folder), "--json", code=1).json
    assert [row["path"] for row in found["unreadable"]] == ["d/a.md"]
    assert found["missing"] == []


def test_verify_finds_a_body_that_rotted_on_the_server(own_house: House) -> None:
    laptop = own_house.machine("laptop")
    laptop.write("note.md", "good bytes\n")
    laptop.sync()
    for path in Path(own_house.servers[0].data_dir, "bodies").rglob("*"):
        if path.is_file() and path.read_bytes() == b"good bytes\n":
            path.chmod(0o600)
            path.write_bytes(b"evil bytes\n")
    laptop.write("good.md", "good")
    laptop.sync()
    run = laptop.gobi("verify", str(laptop.folder), code=1)
    assert "note.md" in run.out, run.err
    assert "the server does not give it" in run.out
    assert "good.md" not in run.out


def test_verify_lets_nobody_sync_meanwhile(laptop: Machine) -> None:
    with Watching(laptop) as watching:
        assert "gobi watch" in laptop.gobi("verify", str(laptop.folder), code=75).err
        assert watching.stop() == 0
