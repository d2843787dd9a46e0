"""Syncing what was touched and what was told, without looking at the rest: as right as a sync, for less."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from client.changes import BY_WATCH, MassDelete
from client.foresee import Heard
from client.pending import Touched
from client.ports import LocalChange, ServerAway
from client.queue import DELETE, Operation
from client.report import Report
from sync.model import Cursor, Version
from tests.client.direct import Server
from tests.client.machines import DiskMachine, Machine, settle


class Watcher:
    """A machine whose client has been running for a while."""

    def __init__(self, machine: Machine, vault: Server) -> None:
        self.machine = machine
        self._vault = vault
        self.engine = machine.engine(watching=True)
        machine.clock.forward(60)
        self.engine.sync()
        self.calls = machine.transport.calls

    def follow(
        self,
        *paths: str,
        moved: Sequence[str] = (),
        busy: Sequence[str] = (),
        heard: Sequence[Heard] | None = (),
    ) -> Report:
        self.machine.clock.forward(0.01)
        self.calls.clear()
        return self.engine.follow(Touched(frozenset((*paths, *moved)), frozenset(moved), frozenset(busy)), heard)

    def told(self, *versions: Version, after: str = "") -> Heard:
        epoch = self._vault.vault.epoch
        return Heard(after or self.machine.index.cursor, str(Cursor(epoch, versions[-1].stamp)), versions)

    @property
    def cursor(self) -> str:
        return self.machine.index.cursor

    @property
    def deletes(self) -> set[str]:
        return {one.path for one in self.machine.queue.load()[0] if one.op == DELETE}


@pytest.fixture
def watcher(laptop: Machine, vault: Server) -> Watcher:
    laptop.write("note.md", "one")
    laptop.write("other.md", "other")
    return Watcher(laptop, vault)


def cursor_of(vault: Server) -> str:
    return str(Cursor(vault.vault.epoch, vault.vault.clock))


# -- what was touched here


def test_an_edit_is_one_request(watcher: Watcher, vault: Server) -> None:
    watcher.machine.write("note.md", "two")
    watcher.follow("note.md")
    assert watcher.calls == ["push"]
    assert vault.history("note.md") == [b"two", b"one"]
    assert watcher.cursor == cursor_of(vault)


def test_a_new_file_is_one_request(watcher: Watcher, vault: Server) -> None:
    watcher.machine.write("new/file.md", "new")
    watcher.follow("new/file.md")
    assert watcher.calls == ["push"]
    assert vault.files()["new/file.md"] == b"new"


def test_a_file_that_is_gone_was_deleted(watcher: Watcher, vault: Server) -> None:
    watcher.machine.delete("note.md")
    watcher.follow("note.md")
    assert watcher.calls == ["push"]
    assert vault.history("note.md") == [None, b"one"]
    assert watcher.deletes == set()


def test_a_rename_is_one_request_without_a_body(watcher: Watcher, vault: Server) -> None:
    watcher.machine.move("note.md", "renamed.md")
    report = watcher.follow(moved=["note.md", "renamed.md"])
    assert watcher.calls == ["push"]
    assert report.bytes_up == 0
    assert set(vault.files()) == {"renamed.md", "other.md"}


def test_what_came_and_went_is_not_worth_a_word(watcher: Watcher) -> None:
    watcher.follow("4913", "note.md~")
    assert watcher.calls == []


def test_a_file_that_was_touched_and_is_the_same_is_not_worth_a_word(watcher: Watcher) -> None:
    watcher.machine.write("note.md", "one")
    watcher.follow("note.md")
    assert watcher.calls == []


def test_what_nobody_touched_is_not_looked_at(watcher: Watcher, vault: Server) -> None:
    watcher.machine.write("other.md", "not yet")
    watcher.machine.write("note.md", "two")
    watcher.follow("note.md")
    assert vault.files()["other.md"] == b"other"


def test_what_somebody_is_in_the_middle_of_is_left_alone(watcher: Watcher, vault: Server) -> None:
    watcher.machine.write("film.mov", "half")
    watcher.machine.write("note.md", "two")
    watcher.follow("note.md", busy=["film.mov"])
    assert "film.mov" not in vault.files()


def test_a_name_that_is_missing_for_a_moment_is_not_deleted(watcher: Watcher, vault: Server) -> None:
    watcher.machine.delete("note.md")
    watcher.machine.queue.append([Operation(DELETE, "note.md", by=BY_WATCH)])
    watcher.machine.write("other.md", "edited")
    watcher.follow("other.md", busy=["note.md"])
    assert vault.files() == {"note.md": b"one", "other.md": b"edited"}
    assert watcher.deletes == {"note.md"}, "it stays recorded"
    watcher.machine.write("note.md", "two")
    watcher.follow("note.md")
    assert vault.history("note.md") == [b"two", b"one"]
    assert watcher.deletes == set()


def test_what_vanished_while_it_was_ignored_comes_back_when_it_is_not_ignored_any_more(
    watcher: Watcher, vault: Server
) -> None:
    watcher.machine.write(".gobiignore", "note.md\n")
    watcher.follow(".gobiignore")
    watcher.machine.delete("note.md")
    watcher.machine.write(".gobiignore", "*.tmp\n")
    watcher.follow(".gobiignore")
    assert vault.history("note.md") == [b"one"]
    assert watcher.machine.files()["note.md"] == b"one"


def test_what_vanished_before_the_first_look_comes_back_whatever_calls_for_another_look(
    laptop: Machine, vault: Server
) -> None:
    laptop.write("note.md", "one")
    laptop.sync()
    laptop.delete("note.md")
    engine = laptop.engine(watching=True)
    laptop.write(".gobiignore", "*.tmp\n")
    engine.follow(Touched(frozenset({"note.md", ".gobiignore"})))
    assert vault.history("note.md") == [b"one"]
    assert laptop.files()["note.md"] == b"one"


def test_what_is_missing_at_a_later_look_was_deleted_before_its_eyes(watcher: Watcher, vault: Server) -> None:
    watcher.machine.delete("note.md")
    watcher.engine.sync()
    assert vault.history("note.md") == [None, b"one"]


def test_what_was_received_and_is_missing_at_a_later_look_was_deleted(watcher: Watcher, vault: Server) -> None:
    watcher.follow(heard=[watcher.told(vault.put("new.md", b"new"))])
    watcher.machine.delete("new.md")
    watcher.engine.sync()
    assert vault.history("new.md") == [None, b"new"]


def lose_the_reply(watcher: Watcher, method: str) -> None:
    def lose(called: str, when: str) -> None:
        if (called, when) == (method, "after"):
            watcher.machine.transport.meddle = lambda method, when: None
            raise ServerAway("the connection was cut")

    watcher.machine.transport.meddle = lose


@pytest.mark.parametrize("heard", [(), None], ids=["foreseen", "asked"])
def test_a_new_file_that_is_deleted_after_its_reply_was_lost_does_not_come_back(
    watcher: Watcher, vault: Server, heard: Sequence[Heard] | None
) -> None:
    watcher.machine.write("new.md", "a new note")
    lose_the_reply(watcher, "push")
    with pytest.raises(ServerAway):
        watcher.follow("new.md", heard=heard)
    watcher.machine.delete("new.md")
    watcher.follow("new.md", heard=heard)
    assert vault.history("new.md") == [None, b"a new note"]
    assert "new.md" not in watcher.machine.files()
    assert watcher.deletes == set()


def test_a_new_file_that_is_removed_by_hand_after_its_reply_was_lost_does_not_come_back(
    watcher: Watcher, vault: Server
) -> None:
    watcher.machine.write("new.md", "a new note")
    lose_the_reply(watcher, "push")
    with pytest.raises(ServerAway):
        watcher.machine.sync()
    watcher.machine.rm("new.md")
    watcher.machine.sync()
    assert vault.history("new.md") == [None, b"a new note"]
    assert "new.md" not in watcher.machine.files()


def test_a_new_file_of_which_nothing_reached_the_server_is_forgotten(watcher: Watcher, vault: Server) -> None:
    def away(called: str, when: str) -> None:
        raise ServerAway("out of reach")

    watcher.machine.write("new.md", "a new note")
    watcher.machine.transport.meddle = away
    with pytest.raises(ServerAway):
        watcher.follow("new.md")
    watcher.machine.transport.meddle = lambda method, when: None
    watcher.machine.delete("new.md")
    watcher.follow("new.md")
    assert "new.md" not in vault.files()
    assert watcher.deletes == set()
    assert "new.md" not in watcher.machine.index.records


# -- most of the folder at once


MANY = [f"{number}.md" for number in range(30)]


@pytest.fixture
def emptied(watcher: Watcher, vault: Server) -> Watcher:
    for name in MANY:
        watcher.machine.write(name, name)
    watcher.follow(*MANY)
    for name in MANY:
        watcher.machine.delete(name)
    report = watcher.follow(*MANY)
    assert [path for path, _ in report.refused] == ["what was deleted here (30 files)"]
    return watcher


def test_most_of_a_folder_is_not_deleted_and_the_rest_goes_on(emptied: Watcher, vault: Server) -> None:
    emptied.machine.write("note.md", "edited")
    emptied.follow("note.md")
    emptied.follow(heard=[emptied.told(vault.put("theirs.md", b"theirs"))])
    emptied.engine.sync()
    emptied.machine.delete("other.md")
    emptied.follow("other.md")
    assert vault.files().keys() >= {*MANY, "other.md"}
    assert vault.files()["note.md"] == b"edited"
    assert set(emptied.machine.files()) == {"note.md", "theirs.md"}, "nothing comes back by itself"
    assert emptied.machine.status().deletes == []
    assert [path for path, _ in emptied.machine.status().refused] == ["what was deleted here (31 files)"]


def test_what_is_made_anew_is_no_delete_any_more(emptied: Watcher, vault: Server) -> None:
    for name in MANY[:25]:
        emptied.machine.write(name, "anew")
    report = emptied.follow(*MANY[:25])
    assert report.refused == []
    assert set(vault.files()) == {"note.md", "other.md", *MANY[:25]}, "the few that are left are believed"


def test_many_deletes_are_held_back_however_the_folder_grows(emptied: Watcher, vault: Server) -> None:
    more = [f"new/{number}.md" for number in range(60)]
    for name in more:
        emptied.machine.write(name, name)
    emptied.follow(*more)
    assert vault.files().keys() >= {*MANY, *more}


def test_what_was_held_back_comes_back_with_the_next_process(emptied: Watcher, vault: Server) -> None:
    emptied.machine.restart()
    report = emptied.machine.sync()
    assert report.exit_code == 0
    assert emptied.machine.files() == vault.files()
    assert set(vault.files()) == {"note.md", "other.md", *MANY}


@pytest.mark.parametrize("propagate", [False, True])
def test_what_was_held_back_is_deleted_where_a_person_says_so(emptied: Watcher, vault: Server, propagate: bool) -> None:
    emptied.machine.restart()
    emptied.machine.sync(propagate_deletes=propagate, allow_mass_delete=True)
    assert emptied.machine.files() == vault.files() == {"note.md": b"one", "other.md": b"other"}


def test_what_was_seen_and_not_judged_yet_stops_a_sync_once(watcher: Watcher, vault: Server) -> None:
    """As where the watch was killed right after the deletes."""
    for name in MANY:
        watcher.machine.write(name, name)
    watcher.follow(*MANY)
    records = watcher.machine.index.records
    watcher.machine.queue.append([Operation(DELETE, name, records[name].stamp, by=BY_WATCH) for name in MANY])
    for name in MANY:
        watcher.machine.delete(name)
    with pytest.raises(MassDelete):
        watcher.machine.sync()
    watcher.machine.sync()
    assert watcher.machine.files() == vault.files()
    assert len(vault.files()) == 32


def test_a_folder_with_most_files_in_it_may_be_renamed(watcher: Watcher, vault: Server) -> None:
    names = [f"{number}.md" for number in range(30)]
    for name in names:
        watcher.machine.write(f"old/{name}", name)
    watcher.follow(*(f"old/{name}" for name in names))
    for name in names:
        watcher.machine.move(f"old/{name}", f"new/{name}")
    watcher.follow(moved=[*(f"old/{name}" for name in names), *(f"new/{name}" for name in names)])
    assert watcher.calls == ["push"]
    assert vault.files() == watcher.machine.files()


# -- what others did meanwhile


def test_an_edit_on_an_old_base_overwrites_nothing(watcher: Watcher, vault: Server) -> None:
    vault.put("note.md", b"theirs")
    watcher.machine.write("note.md", "ours")
    watcher.follow("note.md")
    assert vault.files()["note.md"] == b"theirs"
    assert watcher.machine.files()["note.md"] == b"ours"
    assert [one.path for one in vault.conflicts()] == ["note.md"]


def test_an_edit_beats_a_delete(watcher: Watcher, vault: Server) -> None:
    vault.delete("note.md")
    watcher.machine.write("note.md", "still needed")
    watcher.follow("note.md")
    assert vault.files()["note.md"] == b"still needed"
    assert vault.conflicts() == []


def test_their_edit_beats_our_delete(watcher: Watcher, vault: Server) -> None:
    vault.put("note.md", b"theirs")
    watcher.machine.delete("note.md")
    watcher.follow("note.md")
    assert vault.files()["note.md"] == watcher.machine.files()["note.md"] == b"theirs"


def test_the_cursor_does_not_pass_what_was_not_seen(watcher: Watcher, vault: Server) -> None:
    vault.put("theirs.md", b"theirs")
    before = watcher.cursor
    watcher.machine.write("note.md", "two")
    watcher.follow("note.md")
    assert watcher.cursor == before
    watcher.machine.sync()
    assert watcher.machine.files()["theirs.md"] == b"theirs"


def test_a_lost_answer_makes_no_second_version_and_no_conflict(watcher: Watcher, vault: Server) -> None:
    def away(method: str, when: str) -> None:
        if (method, when) == ("push", "after"):
            raise ServerAway("cut off")

    watcher.machine.write("note.md", "two")
    watcher.machine.transport.meddle = away
    with pytest.raises(ServerAway):
        watcher.follow("note.md")
    watcher.machine.transport.meddle = lambda method, when: None
    watcher.machine.write("note.md", "three")
    watcher.follow("note.md")
    assert watcher.calls == ["sync", "push"], "nobody knows on what it is based"
    assert vault.history("note.md") == [b"three", b"two", b"one"]
    assert vault.conflicts() == []


# -- what was told


def test_what_was_told_is_fetched_and_nothing_is_asked(watcher: Watcher, vault: Server) -> None:
    told = watcher.told(vault.put("note.md", b"theirs"))
    watcher.follow(heard=[told])
    assert watcher.calls == ["pull"]
    assert watcher.machine.files()["note.md"] == b"theirs"
    assert watcher.cursor == cursor_of(vault)


def test_a_delete_that_was_told_is_done(watcher: Watcher, vault: Server) -> None:
    vault.delete("note.md")
    gone = vault.metadata.heads(vault.vault.id, ["note.md"])["note.md"]
    watcher.follow(heard=[watcher.told(gone)])
    assert watcher.calls == []
    assert watcher.machine.files() == {"other.md": b"other"}
    assert watcher.cursor == cursor_of(vault)


def test_several_messages_in_a_row_are_one(watcher: Watcher, vault: Server) -> None:
    first = watcher.told(vault.put("note.md", b"2"))
    second = watcher.told(vault.put("note.md", b"3"), after=first.cursor)
    watcher.follow(heard=[first, second])
    assert watcher.calls == ["pull"]
    assert watcher.machine.files()["note.md"] == b"3"


def test_ones_own_changes_come_back_and_cost_nothing(watcher: Watcher, vault: Server) -> None:
    before = watcher.cursor
    watcher.machine.write("note.md", "two")
    watcher.machine.delete("other.md")
    watcher.follow("note.md", "other.md")
    heads = vault.metadata.heads(vault.vault.id, ["note.md", "other.md"])
    versions = sorted(heads.values(), key=lambda version: version.stamp)
    watcher.follow(heard=[watcher.told(*versions, after=before)])
    assert watcher.calls == []
    assert watcher.machine.files() == {"note.md": b"two"}


def test_ones_own_changes_between_those_of_others(watcher: Watcher, vault: Server) -> None:
    theirs = watcher.told(vault.put("theirs.md", b"theirs"))
    watcher.machine.write("note.md", "two")
    watcher.follow("note.md")
    ours = watcher.told(vault.metadata.heads(vault.vault.id, ["note.md"])["note.md"], after=theirs.cursor)
    watcher.follow(heard=[theirs, ours])
    assert watcher.calls == ["pull"]
    assert watcher.cursor == cursor_of(vault)
    assert watcher.machine.files() == vault.files()


def test_ones_own_change_comes_back_after_the_next_one_was_made(watcher: Watcher, vault: Server) -> None:
    theirs = watcher.told(vault.put("theirs.md", b"theirs"))
    watcher.machine.write("note.md", "two")
    watcher.follow("note.md")
    ours = watcher.told(vault.metadata.heads(vault.vault.id, ["note.md"])["note.md"], after=theirs.cursor)
    watcher.machine.write("note.md", "three")
    watcher.follow("note.md", heard=[theirs, ours])
    assert watcher.calls == ["pull", "push"]
    assert vault.files() == watcher.machine.files()


def test_after_a_message_that_was_lost_the_server_is_asked(watcher: Watcher, vault: Server) -> None:
    lost = watcher.told(vault.put("lost.md", b"lost"))
    told = watcher.told(vault.put("note.md", b"theirs"), after=lost.cursor)
    watcher.follow(heard=[told])
    assert watcher.calls[0] == "sync"
    assert watcher.machine.files() == vault.files()
    assert watcher.cursor == cursor_of(vault)


def test_what_was_told_of_a_file_that_is_edited_here_becomes_a_conflict(watcher: Watcher, vault: Server) -> None:
    watcher.machine.write("note.md", "ours")
    watcher.follow(heard=[watcher.told(vault.put("note.md", b"theirs"))])
    assert watcher.calls[0] == "sync", "here more than one thing could be right"
    assert watcher.machine.files()["note.md"] == b"ours"
    assert [one.path for one in vault.conflicts()] == ["note.md"]


def test_what_was_told_of_a_file_that_is_being_written_waits(watcher: Watcher, vault: Server) -> None:
    watcher.follow(busy=["note.md"], heard=[watcher.told(vault.put("note.md", b"theirs"))])
    assert watcher.machine.files()["note.md"] == b"one"
    watcher.follow("note.md")
    assert watcher.machine.files()["note.md"] == b"theirs"


def test_what_was_received_is_not_taken_for_an_edit(watcher: Watcher, vault: Server) -> None:
    watcher.follow(heard=[watcher.told(vault.put("note.md", b"theirs"))])
    looked: list[str] = []
    digest = watcher.machine.fs.digest

    def read(path: str) -> object:
        looked.append(path)
        return digest(path)

    watcher.machine.fs.digest = read  # type: ignore[method-assign, assignment]
    watcher.follow(moved=["note.md"])
    assert looked == []
    assert watcher.calls == []


def test_without_word_of_what_happened_the_server_is_asked(watcher: Watcher, vault: Server) -> None:
    vault.put("note.md", b"theirs")
    vault.put("new.md", b"new")
    watcher.follow(heard=None)
    assert watcher.machine.files() == vault.files()


def test_a_delete_of_which_there_was_no_word_is_done_when_the_server_is_asked(watcher: Watcher, vault: Server) -> None:
    vault.delete("note.md")
    watcher.follow(heard=None)
    assert watcher.machine.files() == vault.files() == {"other.md": b"other"}


def test_a_file_edited_here_a_moment_before_its_delete_is_heard_of_survives(watcher: Watcher, vault: Server) -> None:
    vault.delete("note.md")
    watcher.machine.write("note.md", "still needed")
    watcher.follow(heard=None)
    assert watcher.machine.files() == vault.files()
    assert vault.files()["note.md"] == b"still needed"


def test_what_was_refused_is_not_tried_again_with_every_edit(watcher: Watcher, vault: Server) -> None:
    vault.vaults._max_file = 10
    watcher.machine.write("large.md", "more than ten bytes")
    watcher.follow("large.md")
    watcher.machine.write("note.md", "two")
    report = watcher.follow("note.md")
    assert watcher.calls == ["push"]
    assert [change.path for change in watcher.machine.transport.pushed[-1:]] == ["note.md"]
    assert [path for path, _ in report.refused] == ["large.md"]


def test_a_file_edited_a_moment_before_the_answer_is_reported_first(watcher: Watcher, vault: Server) -> None:
    vault.put("note.md", b"theirs")
    watcher.machine.write("note.md", "ours, and nobody has told of it yet")
    watcher.follow(heard=None)
    assert watcher.machine.files()["note.md"] == b"ours, and nobody has told of it yet"
    assert [one.path for one in vault.conflicts()] == ["note.md"]


def test_a_file_deleted_a_moment_before_the_answer_is_reported_first(watcher: Watcher, vault: Server) -> None:
    vault.delete("note.md")
    watcher.machine.delete("note.md")
    watcher.machine.delete("other.md")
    vault.put("other.md", b"edited")
    watcher.follow(heard=None)
    assert watcher.machine.files() == vault.files() == {"other.md": b"edited"}


def test_a_file_saved_while_it_is_fetched_is_kept(
    watcher: Watcher, vault: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = watcher.told(vault.put("note.md", b"theirs"))
    install: Callable[..., object] = watcher.machine.fs.install

    def meddle(*arguments: object) -> object:
        monkeypatch.undo()
        watcher.machine.write("note.md", "saved just now")
        return install(*arguments)

    monkeypatch.setattr(watcher.machine.fs, "install", meddle)
    watcher.follow(heard=[told])
    assert watcher.machine.files()["note.md"] == b"saved just now"
    assert [one.path for one in vault.conflicts()] == ["note.md"]


def test_patterns_that_change_call_for_a_look_at_everything(watcher: Watcher, vault: Server) -> None:
    watcher.machine.write("scratch.tmp", "scratch")
    watcher.machine.write(".gobiignore", "*.tmp\n")
    watcher.follow(".gobiignore", "scratch.tmp")
    assert set(vault.files()) == {"note.md", "other.md", ".gobiignore"}


def test_a_restart_after_all_that_finds_nothing_to_do(
    watcher: Watcher, desktop: Machine, laptop: Machine, vault: Server
) -> None:
    watcher.machine.write("note.md", "two")
    watcher.follow("note.md")
    watcher.follow(heard=[watcher.told(vault.put("theirs.md", b"theirs"))])
    laptop.restart()
    report = laptop.sync()
    assert (report.uploaded, report.downloaded, report.deleted_here) == (0, 0, 0)
    settle([laptop, desktop])
    assert laptop.files() == desktop.files() == vault.files()


def test_a_file_that_changes_all_the_time_is_sent_in_the_end(watcher: Watcher, vault: Server) -> None:
    watcher.machine.write("note.md", "two")
    attempts = iter(range(3))
    digest = watcher.machine.fs.digest

    def restless(path: str) -> object:
        if next(attempts, None) is not None:
            raise LocalChange("it changed while it was read")
        return digest(path)

    watcher.machine.fs.digest = restless  # type: ignore[method-assign, assignment]
    watcher.follow("note.md")
    assert vault.files()["note.md"] == b"two"


def test_patterns_that_are_heard_of_hold_before_anything_is_sent(watcher: Watcher, vault: Server) -> None:
    heard = watcher.told(vault.put(".gobiignore", b"private/\n"))
    watcher.machine.write("private/diary.md", "dear diary")
    watcher.machine.write("public.md", "hello")
    watcher.follow("private/diary.md", "public.md", heard=[heard])
    assert set(vault.files()) == {"note.md", "other.md", ".gobiignore", "public.md"}


def test_what_patterns_that_are_heard_of_let_in_is_sent(watcher: Watcher, vault: Server) -> None:
    watcher.machine.write(".gobiignore", "private/\n")
    watcher.machine.write("private/diary.md", "dear diary")
    watcher.follow(".gobiignore")
    assert "private/diary.md" not in vault.files()
    watcher.follow(heard=[watcher.told(vault.put(".gobiignore", b"*.tmp\n"))])
    assert "private/diary.md" in vault.files()


def test_a_file_that_others_made_executable_while_it_was_renamed_here_is_that_under_its_new_name(
    vault: Server, tmp_path: Path
) -> None:
    laptop, desktop = (DiskMachine(vault, name, tmp_path / name) for name in ("laptop", "desktop"))
    laptop.write("a.sh", "#!/bin/sh")
    watching = laptop.engine(watching=True)
    watching.sync()
    desktop.sync()
    (desktop.root / "a.sh").chmod(0o755)
    desktop.sync()
    laptop.clock.forward(60)
    laptop.move("a.sh", "b.sh")
    watching.follow(Touched(frozenset({"a.sh", "b.sh"}), frozenset({"b.sh"})))
    watching.follow(Touched(frozenset({"b.sh"}), frozenset({"b.sh"})))  # the kernel has told of it
    assert vault.files() == {"b.sh": b"#!/bin/sh"}
    assert vault.reader.history(vault.vault, "b.sh", None, 1)[0][0].executable
    desktop.sync()
    assert desktop.files().keys() == {"b.sh"}
    assert (desktop.root / "b.sh").stat().st_mode & 0o100
    for one in (laptop, desktop):
        one.close()
