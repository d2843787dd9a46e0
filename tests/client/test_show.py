"""What the commands say to people and to scripts."""

from __future__ import annotations

from typing import Any

import pytest

from client import guard, hold
from client.config import Config
from client.ports import Skipped
from client.report import Report, Status
from client.show import report_json, report_lines, status_code, status_json, status_lines
from client.words import moment
from sync.model import Json

HOUR_US = 3_600_000_000
NOW = 1_800_000_000.0
CONFIG = Config("https://pi", "notes", "me", "laptop", False, "0" * 32)
AWAY: Json = {"reachable": False, "error": "cannot reach https://pi"}
THERE: Json = {"reachable": True, "conflicts": 0, "cursor": ""}


def lines(status: Status, server: Json = THERE) -> list[str]:
    return list(status_lines(status, "~/notes", CONFIG, server, NOW))


@pytest.mark.parametrize("stamp", [1 << 63, -(1 << 63), 10**30, -(10**30)])
def test_a_moment_that_the_calendar_lacks_is_shown_as_a_number(stamp: int) -> None:
    assert moment(stamp)
    assert moment(10**30) == f"{10**30} µs since 1970"
    assert lines(Status(last_sync=stamp))[1]


def test_a_sync_with_nothing_to_do_is_one_line() -> None:
    assert list(report_lines(Report(files=1), "notes")) == ["In step with notes: nothing to do (1 file)"]


def test_a_sync_says_what_went_each_way() -> None:
    report = Report(files=10_412, uploaded=2, bytes_up=14_000, downloaded=1, bytes_down=900, renamed=1, deleted_here=3)
    (line,) = report_lines(report, "notes")
    assert line == ("In step with notes: 2 sent (14 kB), 1 received (900 B), 1 renamed, 3 deleted here")


def test_a_sync_lists_everything_that_needs_a_person() -> None:
    report = Report(
        conflicts=[("today.md", "k1")],
        refused=[("a\nb.md", "the name holds a control character")],
        waiting=[("big.bin", "the disk is full")],
        skipped=[Skipped("link", "a symbolic link")],
        notes=["the ignore patterns changed"],
    )
    text = "\n".join(report_lines(report, "notes"))
    assert text.startswith("Not in step")
    for part in ("  today.md", "  a\\nb.md: the name", "  big.bin: the disk is full", "1 file left out", "patterns"):
        assert part in text


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 delete held back"), (499, "499 deletes held back"), (1_499, "1,499 deletes held back")]
)
@pytest.mark.parametrize("what", [hold.WHAT, guard.WHAT])
def test_deletes_that_are_held_back_are_counted_one_by_one(what: str, count: int, said: str) -> None:
    rows = [("a.md", "too large"), (f"{what} ({count:,} files)", "most of the files")]
    report = Report(refused=rows, held_deletes=count)
    text = list(report_lines(report, "notes"))
    assert text[1:] == [said, f"  {rows[1][0]}: most of the files", "1 refused", "  a.md: too large"]
    assert said in lines(Status(refused=rows, held_deletes=count, last_sync=1))
    row = report_json(report)
    assert (row["held_deletes"], [one["path"] for one in row["refused"]]) == (count, ["a.md", rows[1][0]])


def test_a_script_gets_every_list_by_name() -> None:
    report = Report(uploaded=1, conflicts=[("today.md", "k1")], skipped=[Skipped("link", "a symbolic link")])
    row = report_json(report)
    assert row["in_step"] is False
    assert row["uploaded"] == 1
    assert row["conflicts"] == [{"path": "today.md", "id": "k1"}]
    assert row["skipped"] == [{"name": "link", "reason": "a symbolic link"}]


def test_status_of_a_folder_in_step_is_two_lines() -> None:
    status = Status(last_sync=int(NOW * 1e6) - 3 * HOUR_US, files=7)
    first, second = lines(status)
    assert first == "~/notes and notes on https://pi (as me, from laptop)"
    assert second.startswith("In step; 7 files; last sync 3 hours ago (")


def test_a_folder_that_never_synced_is_not_in_step() -> None:
    assert lines(Status())[1] == "Not in step; 0 files; never synced"
    assert status_json(Status(), CONFIG, THERE)["in_step"] is False


def test_a_clock_that_was_put_back_shows_the_moment_alone() -> None:
    assert "last sync at 20" in lines(Status(last_sync=int(NOW * 1e6) + 5 * HOUR_US))[1]


def test_status_says_what_becomes_of_each_change() -> None:
    status = Status(last_sync=1, new=["a"], edited=["b"], deletes=["c"], missing=["d"])
    text = "\n".join(lines(status))
    for part in (
        "1 new here",
        "1 edited here",
        "1 to be deleted everywhere",
        "1 vanished here, back with the next sync",
    ):
        assert part in text


def test_a_long_harmless_list_is_cut_and_one_that_needs_a_person_is_not() -> None:
    many = [f"{number}.md" for number in range(30)]
    status = Status(last_sync=1, new=many, refused=[(path, "why") for path in many])
    text = lines(status)
    assert "  and 20 more" in text
    assert sum(line.endswith(": why") for line in text) == 30


def test_a_folder_that_has_not_seen_the_servers_latest_is_not_in_step() -> None:
    status = Status(last_sync=1, cursor="c1")
    assert lines(status, THERE | {"cursor": "c1"})[1].startswith("In step")
    ahead = THERE | {"cursor": "c2"}
    assert lines(status, ahead)[1].startswith("Not in step")
    assert "not here yet" in lines(status, ahead)[-1]
    assert status_json(status, CONFIG, ahead)["in_step"] is False


def test_status_answers_without_the_server_and_says_so() -> None:
    assert lines(Status(last_sync=1), AWAY)[-1] == "Server: cannot reach https://pi"
    assert status_json(Status(last_sync=1), CONFIG, AWAY)["server"]["reachable"] is False


def test_status_for_scripts_has_the_queue_and_what_is_pending() -> None:
    row = status_json(Status(last_sync=5, new=["a"], deletes=["c"], waiting=[("w", "why")]), CONFIG, THERE)
    assert row["pending"] == {"new": ["a"], "edited": [], "missing": []}
    assert row["queue"] == [{"do": "delete", "path": "c"}]
    assert row["waiting"] == [{"path": "w", "reason": "why"}]
    assert row["last_sync"] == 5


# -- in step is a promise


LEFT_OUT = Skipped("back\\slash", "the path holds a backslash; rename the file", refused=True)


def test_in_step_counts_and_names_what_is_left_out_until_somebody_does_something() -> None:
    first, *below = report_lines(Report(files=1, skipped=[LEFT_OUT]), "notes")
    assert first == "In step with notes, but for 1 left out: nothing to do (1 file)"
    assert "  back\\slash: the path holds a backslash; rename the file" in below
    assert lines(Status(last_sync=1, skipped=[LEFT_OUT]))[1].startswith("In step, but for 1 left out; 0 files")


@pytest.mark.parametrize(
    ("listed", "code"),
    [
        ({}, 0),
        ({"skipped": [Skipped("link", "a symbolic link")]}, 0),
        ({"skipped": [Skipped("repo/.git", "git's own files", by_rule=True)]}, 0),
        ({"skipped": [LEFT_OUT]}, 1),
        ({"waiting": [("big.log", "it keeps changing")]}, 1),
        ({"refused": [("a.md", "too large")]}, 1),
        ({"conflicts": [("a.md", "k1")]}, 1),
    ],
)
def test_the_exit_code_agrees_with_the_words_of_every_command(listed: dict[str, Any], code: int) -> None:
    assert Report(**listed).exit_code == code
    status = Status(last_sync=1, **listed)
    assert status_code(status, THERE) == code
    said = next(iter(report_lines(Report(files=1, **listed), "notes")))
    assert said.startswith("In step with notes:") == (code == 0)
    assert lines(status)[1].startswith("In step;") == (code == 0)


@pytest.mark.parametrize("pending", ["new", "edited", "deletes", "missing"])
def test_a_folder_with_something_to_sync_is_not_in_step_and_the_code_says_so(pending: str) -> None:
    status = Status(last_sync=1)
    setattr(status, pending, ["a.md"])
    assert lines(status)[1].startswith("Not in step")
    assert status_code(status, THERE) == 1


def test_without_the_server_in_step_is_said_with_reserve() -> None:
    assert "In step as far as is known without the server" in lines(Status(last_sync=1), AWAY)[1]
    assert status_code(Status(last_sync=1), AWAY) == 0
