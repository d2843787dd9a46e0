"""Nothing that `.gobiignore` leaves out leaves the machine, whatever happens to that file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from client.disk import Disk
from client.engine import Engine
from client.options import Options
from client.pending import Touched
from client.ports import Stopped
from client.quiet import QUIET
from client.remove import remove
from tests.client.direct import Server
from tests.client.machines import DiskMachine, Machine, MemoryMachine

RULES = ".gobiignore"
SECRET = "secrets/key"


@pytest.fixture
def careful(laptop: Machine) -> Machine:
    """In step, with a file that is left out."""
    laptop.write(RULES, "secrets/\n")
    laptop.write("note.md", "note")
    laptop.write(SECRET, "top secret")
    laptop.sync()
    return laptop


@pytest.fixture
def on_disk(vault: Server, tmp_path: Path) -> DiskMachine:
    machine = DiskMachine(vault, "laptop", tmp_path / "laptop")
    machine.write(RULES, "secrets/\n")
    machine.write(SECRET, "top secret")
    machine.sync()
    return machine


# -- away


def test_a_list_that_vanished_is_fetched_before_anything_is_sent(careful: Machine, vault: Server) -> None:
    careful.delete(RULES)
    careful.write("new.md", "new")
    report = careful.sync()
    assert SECRET not in {change.path for change in (*careful.transport.pushed, *careful.transport.reported)}
    assert vault.files().keys() == {RULES, "note.md", "new.md"}
    assert careful.files()[RULES] == b"secrets/\n"
    assert report.exit_code == 0


def test_a_list_that_vanished_holds_for_the_next_process_too(careful: Machine, vault: Server) -> None:
    careful.delete(RULES)
    careful.restart()
    assert SECRET not in careful.status().new
    careful.sync()
    assert SECRET not in vault.files()


def test_a_list_that_vanished_before_anybody_remembered_it_is_fetched_first(careful: Machine, vault: Server) -> None:
    """As after an upgrade from a gobi that did not."""
    careful.delete(RULES)
    careful.fs.forget_rules()
    careful.sync()
    assert vault.files().keys() == {RULES, "note.md"}
    assert careful.files().keys() == {RULES, "note.md", SECRET}


def test_a_list_that_vanished_with_the_servers_answer_missing_lets_nothing_out(careful: Machine, vault: Server) -> None:
    careful.delete(RULES)
    careful.lose_state()
    careful.sync()
    assert vault.files().keys() == {RULES, "note.md"}


def test_a_list_that_is_only_renamed_is_not_let_go_of(careful: Machine, vault: Server) -> None:
    """Editors do so for a moment, and keep what was as a copy."""
    careful.move(RULES, f"{RULES}~")
    careful.sync()
    assert vault.files().keys() == {RULES, f"{RULES}~", "note.md"}
    assert careful.files()[RULES] == b"secrets/\n"


def test_a_list_that_no_server_has_holds_until_somebody_lets_go_of_it(laptop: Machine, vault: Server) -> None:
    laptop.write(RULES, "secrets/\n")
    laptop.write(SECRET, "top secret")
    laptop.fs.read_rules()
    laptop.fs.keep_rules()  # and here the first sync broke off
    laptop.delete(RULES)
    report = laptop.sync()
    assert vault.files() == {}
    assert [path for path, _ in report.refused] == [RULES]
    assert laptop.status().refused == report.refused
    laptop.rm(RULES)
    assert laptop.sync().in_step
    assert vault.files().keys() == {SECRET}


def test_a_list_that_leaves_itself_out_holds_when_it_vanishes(laptop: Machine, vault: Server) -> None:
    """As `*` does, in git too. Then it is one machine's own."""
    laptop.write(RULES, "*\n!*/\n!*.md\n")
    laptop.write("note.md", "note")
    laptop.write("sub/note.md", "note")
    laptop.write(SECRET, "top secret")
    laptop.sync()
    laptop.delete(RULES)
    report = laptop.sync()
    assert vault.files().keys() == {"note.md", "sub/note.md"}
    assert [path for path, _ in report.refused] == [RULES]
    laptop.rm(RULES)
    laptop.sync()
    assert SECRET in vault.files()


@pytest.mark.parametrize("synced", [True, False], ids=["after a sync", "before any"])
def test_a_list_that_leaves_itself_out_is_let_go_of_while_it_is_here(
    laptop: Machine, vault: Server, synced: bool
) -> None:
    laptop.write(RULES, f"{SECRET}\n{RULES}\n")
    laptop.write(SECRET, "not so secret")
    laptop.write("note.md", "note")
    if synced:
        laptop.sync()
    removal = laptop.rm(RULES)
    assert (removal.removed, removal.failed) == ([RULES], [])
    assert RULES not in laptop.files()
    assert f"{SECRET}\n{RULES}\n".encode() in laptop.trash()
    assert laptop.sync().in_step
    assert vault.files().keys() == {"note.md", SECRET}


def test_a_client_that_watches_lets_go_of_a_list_that_another_process_let_go_of(vault: Server, tmp_path: Path) -> None:
    laptop = DiskMachine(vault, "laptop", tmp_path / "laptop")
    laptop.write(RULES, f"{SECRET}\n{RULES}\n")
    laptop.write(SECRET, "not so secret")
    watching = laptop.engine(watching=True)
    watching.sync()
    assert vault.files() == {}
    with Disk(laptop.root, clock=laptop.clock) as disk:
        remove(disk, laptop.index, laptop.queue, laptop.clock, [RULES])
    assert watching.follow(Touched(frozenset([RULES]))).in_step
    assert vault.files().keys() == {SECRET}


def test_a_list_that_the_disk_had_no_room_to_remember_holds_all_the_same(
    on_disk: DiskMachine, vault: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (on_disk.state / "ignore").unlink()
    on_disk.restart()
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", _no_room)
        on_disk.fs.read_rules()
        on_disk.fs.keep_rules()
    (on_disk.state / "ignore").unlink(missing_ok=True)
    (on_disk.root / RULES).unlink()
    on_disk.sync()
    assert SECRET not in vault.files()


def _no_room(_: int) -> None:
    raise OSError(errno.ENOSPC, "no room")


def test_a_list_is_not_let_go_of_by_a_command_that_deletes_nothing(laptop: Machine, vault: Server) -> None:
    laptop.write(RULES, f"{SECRET}\n{RULES}\n")
    laptop.write(SECRET, "top secret")
    laptop.sync()
    with pytest.raises(Stopped):
        laptop.rm(RULES, "no such file")
    laptop.delete(RULES)
    laptop.sync()
    assert SECRET not in vault.files()


def test_a_new_machine_gets_the_list_before_it_sends_anything(
    careful: Machine, machine: Callable[[str], Machine], vault: Server
) -> None:
    desktop = machine("desktop")
    desktop.write(SECRET, "another secret")
    desktop.write("mine.md", "mine")
    desktop.sync()
    assert {change.path for change in desktop.transport.pushed} == {"mine.md"}
    assert vault.files().keys() == {RULES, "note.md", "mine.md"}
    assert desktop.files()[SECRET] == b"another secret"


# -- meant


def test_a_list_that_a_person_deletes_by_name_holds_no_longer_once_the_server_knows(
    careful: Machine, vault: Server
) -> None:
    careful.rm(RULES)
    assert SECRET not in careful.status().new
    careful.sync()
    assert vault.files().keys() == {"note.md", SECRET}


def test_a_list_whose_vanishing_was_meant_holds_no_longer(careful: Machine, vault: Server) -> None:
    careful.delete(RULES)
    careful.sync(propagate_deletes=True)
    assert vault.files().keys() == {"note.md", SECRET}


def test_a_list_that_was_deleted_elsewhere_holds_no_longer(careful: Machine, vault: Server) -> None:
    vault.delete(RULES)
    careful.sync()
    assert vault.files().keys() == {"note.md", SECRET}
    assert RULES not in careful.files()


def test_a_list_that_is_deleted_while_the_server_is_away_holds_until_it_is_back(
    careful: Machine, vault: Server
) -> None:
    careful.rm(RULES)
    careful.restart()
    assert SECRET not in careful.status().new


# -- changed elsewhere


def test_a_list_that_was_changed_elsewhere_holds_before_anything_is_sent(careful: Machine, vault: Server) -> None:
    vault.put(RULES, b"secrets/\nprivate/\n")
    careful.write("private/diary.md", "dear diary")
    careful.write("public.md", "hello")
    careful.sync()
    assert vault.files().keys() == {RULES, "note.md", "public.md"}


def test_what_a_list_from_elsewhere_lets_in_is_sent_in_the_same_sync(careful: Machine, vault: Server) -> None:
    vault.put(RULES, b"private/\n")
    assert careful.sync().in_step
    assert vault.files().keys() == {RULES, "note.md", SECRET}


def test_what_others_deleted_while_it_was_left_out_here_is_kept_to_by_the_next_look(
    careful: Machine, vault: Server
) -> None:
    careful.write(RULES, "")
    careful.sync()
    careful.write(RULES, "secrets/\n")
    careful.sync()
    vault.delete(SECRET)
    vault.put(RULES, b"private/\n")
    careful.sync()
    assert SECRET not in vault.files()
    assert SECRET not in careful.files()


def test_what_either_of_two_lists_in_conflict_leaves_out_stays_where_it_is(
    careful: Machine, machine: Callable[[str], Machine], vault: Server
) -> None:
    desktop = machine("desktop")
    desktop.write(RULES, "private/\n")
    desktop.write("private/diary.md", "dear diary")
    desktop.write(SECRET, "another secret")
    desktop.write("mine.md", "mine")
    for _ in range(2):
        assert [path for path, _ in desktop.sync().conflicts] == [RULES]
        desktop.restart()
        assert desktop.status().new == []
        assert vault.files().keys() == {RULES, "note.md", "mine.md"}
    vault.resolve("client")
    desktop.sync()
    assert vault.files().keys() == {RULES, "note.md", "mine.md", SECRET}


# -- half written


@pytest.fixture
def in_memory(vault: Server) -> MemoryMachine:
    machine = MemoryMachine(vault, "laptop")
    machine.write(RULES, "secrets/\n")
    machine.write(SECRET, "top secret")
    machine.sync()
    return machine


def test_what_a_list_lets_in_is_let_in_once_it_has_stood_for_a_while(in_memory: MemoryMachine, vault: Server) -> None:
    in_memory.memory.settled = False
    in_memory.write(RULES, "")  # by an editor that empties a file before it writes it
    in_memory.write("note.md", "note")
    report = in_memory.sync()
    assert vault.files().keys() == {RULES, "note.md"}
    assert vault.files()[RULES] == b"secrets/\n"  # nor are others to let anything in
    assert report.rules_unsettled
    assert [path for path, _ in report.waiting] == [RULES]
    in_memory.memory.settled = True
    assert in_memory.sync().in_step
    assert vault.files().keys() == {RULES, "note.md", SECRET}


def test_what_a_list_leaves_out_is_left_out_at_once(in_memory: MemoryMachine, vault: Server) -> None:
    in_memory.memory.settled = False
    in_memory.write(RULES, "secrets/\n*.tmp\n")
    in_memory.write("a.tmp", "a")
    in_memory.sync()
    assert "a.tmp" not in vault.files()


def test_a_sync_of_a_moment_waits_for_the_list_to_stand(in_memory: MemoryMachine, vault: Server) -> None:
    in_memory.memory.settled = False
    in_memory.write(RULES, "")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        in_memory.memory.settled = len(slept) == 3

    in_memory.clock.sleep = sleep  # type: ignore[method-assign]
    engine = in_memory.engine()
    assert engine.sync(Options(patient=True)).in_step
    assert SECRET in vault.files()
    assert len(slept) == 3


def test_while_somebody_writes_the_list_other_files_are_synced_by_the_last_one(
    in_memory: MemoryMachine, vault: Server
) -> None:
    engine = in_memory.engine(watching=True)
    engine.sync()
    in_memory.write(RULES, "")
    in_memory.write("note.md", "note")
    engine.follow(Touched(frozenset({"note.md", SECRET}), frozenset(), frozenset({RULES})))
    assert vault.files().keys() == {RULES, "note.md"}


def test_a_list_that_somebody_has_open_for_writing_is_not_whole(on_disk: DiskMachine, vault: Server) -> None:
    with (on_disk.root / RULES).open("w") as file:
        on_disk.sync()
        assert on_disk.disk.patterns.unsettled
        assert SECRET not in vault.files()
        file.write("secrets/\n*.tmp\n")
    on_disk.write("a.tmp", "a")
    on_disk.sync()
    assert vault.files() == {RULES: b"secrets/\n*.tmp\n"}


def test_a_list_that_was_changed_a_moment_ago_is_not_whole(on_disk: DiskMachine, vault: Server) -> None:
    on_disk.write(RULES, "*.tmp\n")
    on_disk.clock.now_ns = (on_disk.root / RULES).stat().st_ctime_ns + 10_000_000
    on_disk.disk.read_rules()
    assert on_disk.disk.patterns.unsettled
    on_disk.clock.forward(2)
    on_disk.disk.read_rules()
    assert not on_disk.disk.patterns.unsettled


def test_a_list_that_was_emptied_by_a_power_cut_is_not_believed(on_disk: DiskMachine, vault: Server) -> None:
    path = on_disk.root / RULES
    path.write_bytes(b"")
    os.utime(path, ns=(on_disk.clock.now_ns, on_disk.clock.now_ns))
    on_disk.clock.forward(60)
    on_disk.clock.booted_ns = on_disk.clock.now_ns - 1
    report = on_disk.sync()
    assert RULES in dict(report.refused)
    assert vault.files() == {RULES: b"secrets/\n"}


# -- away or empty before the eyes of a client that watches


@pytest.fixture
def watching(careful: Machine) -> Engine:
    engine = careful.engine(watching=True)
    engine.sync()
    return engine


def away(machine: Machine) -> None:
    machine.delete(RULES)


def renamed(machine: Machine) -> None:
    machine.move(RULES, "rules.txt")


def emptied(machine: Machine) -> None:
    machine.write(RULES, "")


def nothing_but_a_comment(machine: Machine) -> None:
    machine.write(RULES, "# nothing yet\n")


TAKEN_AWAY = pytest.mark.parametrize("take_away", [away, renamed, emptied, nothing_but_a_comment])


@TAKEN_AWAY
def test_a_list_that_was_taken_away_is_not_let_go_of_before_it_was_seen_so_for_a_while(
    careful: Machine, watching: Engine, vault: Server, take_away: Callable[[Machine], None]
) -> None:
    take_away(careful)
    careful.clock.forward(3600)  # however long ago that was: as on a machine that slept
    for _ in range(2):
        careful.write("new.md", f"at {careful.clock.now_ns}")
        report = watching.sync()
        careful.clock.forward(QUIET / 4)
        assert SECRET not in vault.files()
        assert vault.files()[RULES] == b"secrets/\n"  # nor is anybody else to let go of it
        assert report.rules_unsettled
        assert [path for path, _ in report.waiting] == [RULES]
    careful.clock.forward(QUIET)
    assert watching.sync().in_step
    assert SECRET in vault.files()
    assert vault.files().get(RULES) == careful.files().get(RULES)


@TAKEN_AWAY
def test_a_list_that_is_there_again_was_never_away(
    careful: Machine, watching: Engine, vault: Server, take_away: Callable[[Machine], None]
) -> None:
    for again in range(3):
        take_away(careful)
        watching.sync()
        careful.clock.forward(QUIET / 2)
        watching.sync()
        careful.write(RULES, f"secrets/\n# {again}\n")
        watching.sync()
        careful.clock.forward(QUIET / 2)
    assert watching.sync().in_step
    assert SECRET not in vault.files()
    assert [text for text in vault.history(RULES) if not text] == []
    assert vault.files()[RULES] == b"secrets/\n# 2\n"


def test_what_happens_to_a_list_that_is_away_begins_the_while_anew(
    careful: Machine, watching: Engine, vault: Server
) -> None:
    careful.delete(RULES)
    for _ in range(4):
        watching.follow(Touched(frozenset({RULES})))
        careful.clock.forward(QUIET - 1)
        assert watching.quiet is not None
        watching.quiet.broken()
    watching.sync()
    assert vault.files().keys() == {RULES, "note.md"}


def test_other_files_are_synced_by_the_last_list_while_it_is_away(
    careful: Machine, watching: Engine, vault: Server
) -> None:
    careful.delete(RULES)
    watching.follow(Touched(frozenset({RULES})))
    careful.write("new.md", "new")
    careful.delete("note.md")
    watching.follow(Touched(frozenset({"new.md", "note.md", SECRET})))
    assert vault.files().keys() == {RULES, "new.md"}


def test_a_list_that_was_away_before_the_watch_began_comes_back_at_once(careful: Machine, vault: Server) -> None:
    careful.delete(RULES)
    engine = careful.engine(watching=True)
    engine.sync()
    assert careful.files()[RULES] == b"secrets/\n"
    assert vault.files().keys() == {RULES, "note.md"}


@pytest.mark.parametrize("text", [b"", None])
def test_a_list_that_was_let_go_of_elsewhere_is_let_go_of_at_once(
    careful: Machine, watching: Engine, vault: Server, text: bytes | None
) -> None:
    vault.put(RULES, text) if text is not None else vault.delete(RULES)
    assert watching.follow(Touched(), None).in_step
    assert SECRET in vault.files()


def test_a_list_that_a_person_deletes_by_name_is_let_go_of_at_once_by_a_watch(
    careful: Machine, watching: Engine, vault: Server
) -> None:
    careful.rm(RULES)
    assert watching.follow(Touched(frozenset({RULES}))).in_step
    assert vault.files().keys() == {"note.md", SECRET}


def test_a_list_that_still_leaves_out_something_is_believed_after_its_two_seconds(
    careful: Machine, watching: Engine, vault: Server
) -> None:
    careful.write(RULES, "*.tmp\n")
    careful.clock.forward(2)
    assert watching.sync().in_step
    assert SECRET in vault.files()


def test_a_list_that_git_takes_along_to_another_branch_is_waited_for(on_disk: DiskMachine, vault: Server) -> None:
    (on_disk.root / ".git").mkdir()
    on_disk.write("note.md", "note")
    engine = on_disk.engine(watching=True)
    engine.sync()
    on_disk.delete(RULES)
    for _ in range(3):
        on_disk.write("new.md", f"at {on_disk.clock.now_ns}")
        on_disk.clock.forward(3600)
        report = engine.sync()
        assert [path for path, _ in report.refused] == [RULES]
        assert "gobi rm" in report.refused[0][1]
        assert (report.exit_code, report.waiting, report.rules_unsettled) == (1, [], False)
        assert vault.files().keys() == {RULES, "note.md", "new.md"}
        assert RULES not in on_disk.files(), "git would not put its own there"
    on_disk.write(RULES, "secrets/\n")
    assert engine.sync().exit_code == 0
    on_disk.delete(RULES)
    engine.sync()
    on_disk.rm(RULES)
    engine.sync()
    assert vault.files().keys() == {"note.md", "new.md", SECRET}


# -- unreadable


@pytest.mark.parametrize("text", [b"\xff\xfes\0", b"*.tmp\n" * 60_000])
def test_a_list_that_cannot_be_read_is_named_and_the_last_one_holds(
    on_disk: DiskMachine, vault: Server, text: bytes
) -> None:
    on_disk.write(RULES, text)
    on_disk.write("note.md", "note")
    report = on_disk.sync()
    assert SECRET not in vault.files()
    assert "note.md" in vault.files()
    assert RULES in dict(report.refused)
    assert RULES in dict(on_disk.status().refused)
    assert report.exit_code == 1


def test_a_list_that_became_a_link_is_named_and_the_last_one_holds(on_disk: DiskMachine, vault: Server) -> None:
    on_disk.delete(RULES)
    (on_disk.root / RULES).symlink_to("/dev/null")
    on_disk.write("note.md", "note")
    report = on_disk.sync()
    assert vault.files().keys() == {RULES, "note.md"}
    assert RULES in dict(report.refused)


def test_a_line_that_is_no_pattern_lets_nothing_out(careful: Machine, vault: Server) -> None:
    careful.write(RULES, b"secr\xe9ts/\n*.tmp\n")
    careful.write("a.tmp", "a")
    report = careful.sync()
    assert vault.files().keys() == {RULES, "note.md"}
    assert "line 1" in dict(report.refused)[RULES]


def test_without_a_last_one_a_list_that_cannot_be_read_stops_the_sync(laptop: Machine, vault: Server) -> None:
    laptop.write(RULES, b"\xff\xfes\0")
    laptop.write(SECRET, "top secret")
    with pytest.raises(Stopped, match="UTF-16"):
        laptop.sync()
    assert vault.files() == {}


# -- git's own


def test_what_git_keeps_for_itself_stays_here_and_is_named(on_disk: DiskMachine, vault: Server) -> None:
    on_disk.write("repo/.git/config", "[core]")
    on_disk.write("repo/main.py", "print()")
    report = on_disk.sync()
    assert vault.files().keys() == {RULES, "repo/main.py"}
    assert [(one.path, one.refused) for one in report.skipped] == [("repo/.git", False)]
    assert report.exit_code == 0


def test_what_git_keeps_for_itself_is_taken_in_by_whoever_wants_it(careful: Machine, vault: Server) -> None:
    careful.write(".git/config", "[core]")
    careful.write(RULES, "secrets/\n!.git/\n")
    careful.sync()
    assert ".git/config" in vault.files()


def test_what_was_synced_of_git_before_is_deleted_nowhere(
    vault: Server, careful: Machine, machine: Callable[[str], Machine]
) -> None:
    """A folder that a gobi synced which did not leave it out. Its index has the patterns' name of then."""
    careful.write("repo/.git/config", "[core]")
    careful.write(RULES, "secrets/\n!.git/\n")
    desktop = machine("desktop")
    careful.sync()
    desktop.sync()
    vault.put(RULES, b"secrets/\n")
    for one in (careful, desktop):
        report = one.sync(propagate_deletes=True)
        assert report.deleted_here == report.deleted_there == 0
    assert "repo/.git/config" in vault.files()
    assert "repo/.git/config" in careful.files()
    assert "repo/.git/config" in desktop.files()
    careful.delete("repo/.git/config")
    careful.sync(propagate_deletes=True)
    desktop.sync()
    assert "repo/.git/config" in vault.files()
    assert "repo/.git/config" in desktop.files()


def test_a_folder_that_an_earlier_gobi_synced_with_gits_own_files_loses_none(
    vault: Server, machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop, desktop = machine("laptop"), machine("desktop")
    with monkeypatch.context() as earlier:
        earlier.setattr("client.ignore.BUILT_IN", "nothing")
        laptop.write("repo/.git/config", "[core]")
        laptop.write("repo/main.py", "print()")
        laptop.sync()
        desktop.sync()
    laptop.delete("repo/.git/config")  # by git, which knows no more than that it is its own
    for one in (laptop, desktop, laptop):
        report = one.sync(propagate_deletes=True)
        assert (report.deleted_here, report.deleted_there, report.downloaded) == (0, 0, 0)
        assert report.exit_code == 0
    assert vault.files().keys() == {"repo/.git/config", "repo/main.py"}
    assert "repo/.git/config" in desktop.files()


# -- names that cannot be synced


NFD = "u\N{COMBINING DIAERESIS}.txt"


@pytest.mark.parametrize(
    "name", ["tab\there", "back\\slash", "new\nline", NFD, b"latin\xe9".decode("utf-8", "surrogateescape")]
)
def test_a_name_that_cannot_be_synced_is_named_with_what_to_do(on_disk: DiskMachine, vault: Server, name: str) -> None:
    on_disk.write(name, "text")
    on_disk.write("note.md", "note")
    report = on_disk.sync()
    assert vault.files().keys() == {RULES, "note.md"}
    (left_out,) = report.left_out
    assert left_out.name.isprintable()
    assert "rename" in left_out.reason
    assert report.exit_code == on_disk.status().exit_code == 1


def test_a_name_that_cannot_be_synced_and_is_left_out_is_no_word_worth(on_disk: DiskMachine) -> None:
    on_disk.write(RULES, "*.tmp\nold*/\n")
    on_disk.write("tab\there.tmp", "text")
    on_disk.write("old\tones/note.md", "text")
    report = on_disk.sync()
    assert (report.skipped, report.exit_code) == ([], 0)
