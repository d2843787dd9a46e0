"""The log of `gobi watch`: one line for each thing that happened."""

from __future__ import annotations

import pytest

from client.diary import NAMED, Diary
from client.ports import ServerAway, Skipped, SlowDown
from client.report import Report
from client.scan import BUSY, CHANGING


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def diary(lines: list[str]) -> Diary:
    one = Diary(lines.append, lambda: None, "here", "there")
    one.synced(Report(files=3))
    assert lines == ["watching here, in step with there (3 files)"]
    lines.clear()
    return one


def test_every_file_has_its_line(diary: Diary, lines: list[str]) -> None:
    diary.synced(Report(trail=[("sent", "a.md"), ("sent", "b.md"), ("received", "c.md")]))
    assert lines == ["sent a.md", "sent b.md", "received c.md"]


def test_many_files_have_one_line(diary: Diary, lines: list[str]) -> None:
    diary.synced(Report(trail=[("sent", f"{number}.md") for number in range(1234)]))
    assert lines == ["sent 1,234 files"]
    assert NAMED < 1234


def test_a_name_stays_within_its_line(diary: Diary, lines: list[str]) -> None:
    diary.synced(Report(trail=[("sent", "a\nforged line")]))
    assert lines == ["sent a\\nforged line"]


def test_nothing_is_worth_no_line(diary: Diary, lines: list[str]) -> None:
    diary.synced(Report())
    assert lines == []


def test_what_stays_undone_is_said_once(diary: Diary, lines: list[str]) -> None:
    for _ in range(3):
        diary.synced(Report(refused=[("a.md", "too large")], waiting=[("b.md", "no room"), ("c.md", BUSY)]))
    assert lines == ["refused: a.md: too large", "not done yet: b.md: no room"]


def test_what_stays_undone_for_another_reason_is_said_again(diary: Diary, lines: list[str]) -> None:
    diary.synced(Report(refused=[("a.md", "too large")]))
    diary.synced(Report(trail=[("sent", "a.md")]))
    diary.synced(Report(refused=[("a.md", "too large")]))
    assert lines == ["refused: a.md: too large", "sent a.md", "refused: a.md: too large"]


def test_a_server_that_is_away_is_mentioned_once_and_so_is_its_return(diary: Diary, lines: list[str]) -> None:
    diary.away(ServerAway("out of reach"))
    diary.away(ServerAway("out of reach"))
    diary.not_live("the connection was cut", absent=False)
    diary.synced(Report())
    diary.live()
    assert lines == [
        "offline: out of reach; nothing is lost, gobi keeps trying",
        "back: the server is reached again",
        "live again: what others do is told at once",
    ]


def test_a_server_that_asks_for_patience_is_not_away(diary: Diary, lines: list[str]) -> None:
    diary.away(SlowDown("too many requests", 5.0, then="try again in 5 s"))
    assert lines == ["waiting: too many requests; nothing is lost, gobi keeps trying"]


def test_that_it_is_live_again_comes_after_that_the_server_is_back(diary: Diary, lines: list[str]) -> None:
    diary.not_live("the connection was cut", absent=False)
    diary.away(ServerAway("out of reach"))
    diary.live()
    diary.synced(Report(trail=[("sent", "a.md")]))
    diary.live()
    assert lines[2:] == [
        "back: the server is reached again",
        "live again: what others do is told at once",
        "sent a.md",
    ]


def test_a_live_socket_that_is_lost_before_the_server_is_back_is_not_announced(diary: Diary, lines: list[str]) -> None:
    diary.not_live("the connection was cut", absent=False)
    diary.away(ServerAway("out of reach"))
    diary.live()
    diary.not_live("the connection was cut", absent=False)
    diary.synced(Report())
    assert lines[2:] == ["back: the server is reached again"]


def test_folders_that_cannot_be_watched_are_mentioned_once(diary: Diary, lines: list[str]) -> None:
    for why in ("too many", "too many", ""):
        diary.blind(why)
    assert lines == ["not every folder can be watched: too many. Looking at all of them now and then instead"]


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (Report(files=3), "in step with there (3 files)"),
        (Report(files=1), "in step with there (1 file)"),
        (Report(files=3, skipped=[Skipped("a\\b", "a backslash", refused=True)]), "but for 1 left out (3 files)"),
        (Report(files=3, waiting=[("big.log", CHANGING)]), "not in step with there (3 files)"),
        (Report(files=3, busy=1), "not in step with there (3 files)"),
    ],
)
def test_a_watch_begins_with_how_it_stands(report: Report, said: str) -> None:
    lines: list[str] = []
    Diary(lines.append, lambda: None, "here", "there").synced(report)
    assert lines[-1].startswith("watching here, ")
    assert lines[-1].endswith(said)
