"""Conflicts: nothing is overwritten, the candidate is on the server, and a settlement reaches everybody."""

from __future__ import annotations

import pytest

from client.ports import ServerAway
from tests.client.direct import Server
from tests.client.machines import Machine, settle


@pytest.fixture
def torn(vault: Server, laptop: Machine, desktop: Machine) -> tuple[Machine, Machine]:
    """Both changed a.md from one base; the desktop was first."""
    laptop.write("a.md", "base")
    settle([laptop, desktop], 1)
    desktop.write("a.md", "desktop's")
    laptop.write("a.md", "laptop's")
    settle([desktop, laptop], 1)
    return laptop, desktop


def test_both_sides_are_kept_and_the_conflict_is_listed_until_it_is_settled(
    vault: Server, torn: tuple[Machine, Machine]
) -> None:
    laptop, desktop = torn
    first, report = laptop.sync(), laptop.sync()
    assert first.conflicts == report.conflicts
    assert [path for path, _ in report.conflicts] == ["a.md"]
    assert report.exit_code == 1
    assert laptop.transport.calls == ["sync", "push"]
    assert laptop.status().conflicts == report.conflicts
    assert laptop.files() == {"a.md": b"laptop's"}
    assert desktop.files() == {"a.md": b"desktop's"}
    (conflict,) = vault.conflicts()
    assert len(conflict.candidates) == 1
    assert desktop.sync().in_step


@pytest.mark.parametrize(
    ("keep", "outcome"), [("server", b"desktop's"), ("client", b"laptop's"), ("both", b"desktop's")]
)
def test_after_a_settlement_every_client_ends_with_the_outcome(
    vault: Server, torn: tuple[Machine, Machine], keep: str, outcome: bytes
) -> None:
    laptop, desktop = torn
    vault.resolve(keep)
    settle([laptop, desktop], 1)
    assert laptop.files() == desktop.files() == vault.files()
    assert laptop.files()["a.md"] == outcome
    assert sorted(vault.files().values()) == ([outcome] if keep != "both" else [b"desktop's", b"laptop's"])
    assert {b"desktop's", b"laptop's", b"base"} <= set(vault.history("a.md"))
    assert laptop.sync().in_step
    assert laptop.status().in_step


def test_an_edit_after_the_settlement_is_a_conflict_of_its_own_and_loses_nothing(
    vault: Server, torn: tuple[Machine, Machine]
) -> None:
    laptop, _ = torn
    vault.resolve("server")
    laptop.write("a.md", "laptop's, edited on")
    report = laptop.sync()
    assert laptop.files() == {"a.md": b"laptop's, edited on"}
    assert [path for path, _ in report.conflicts] == ["a.md"]
    vault.resolve("client")
    laptop.sync()
    assert laptop.sync().in_step
    assert vault.files() == {"a.md": b"laptop's, edited on"}


def test_an_edit_before_the_settlement_is_another_candidate(vault: Server, torn: tuple[Machine, Machine]) -> None:
    laptop, _ = torn
    laptop.write("a.md", "laptop's second")
    laptop.sync()
    (conflict,) = vault.conflicts()
    assert len(conflict.candidates) == 2
    vault.resolve("client")
    laptop.sync()
    assert laptop.files() == vault.files() == {"a.md": b"laptop's second"}
    assert {b"laptop's", b"desktop's"} <= set(vault.history("a.md"))


@pytest.mark.parametrize(("candidate", "outcome"), [(1, b"laptop's"), (2, b"laptop's second")])
def test_whichever_of_a_machines_candidates_is_kept_is_what_everybody_has_afterwards(
    vault: Server, torn: tuple[Machine, Machine], candidate: int, outcome: bytes
) -> None:
    """The machine's other candidate comes into the history right below the outcome, and stays there."""
    laptop, desktop = torn
    laptop.write("a.md", "laptop's second")
    laptop.sync()
    vault.resolve("client", candidate)
    settle([laptop, desktop], 2)
    assert laptop.files() == desktop.files() == vault.files() == {"a.md": outcome}
    assert {b"laptop's", b"laptop's second", b"desktop's"} <= set(vault.history("a.md"))
    assert laptop.sync().in_step


def test_a_conflicting_file_put_back_to_its_base_takes_the_servers_version(
    vault: Server, torn: tuple[Machine, Machine]
) -> None:
    """The cursor has passed the server's version, so this is told only because the path is reported."""
    laptop, _ = torn
    laptop.write("a.md", "base")
    report = laptop.sync()
    assert laptop.files() == {"a.md": b"desktop's"}
    assert report.in_step


def test_a_conflicting_file_deleted_here_comes_back_as_the_server_has_it(
    vault: Server, torn: tuple[Machine, Machine]
) -> None:
    laptop, _ = torn
    laptop.delete("a.md")
    assert laptop.sync().in_step
    assert laptop.files() == {"a.md": b"desktop's"}


def test_the_candidate_becomes_the_version_where_the_server_deleted_its_own(
    vault: Server, torn: tuple[Machine, Machine]
) -> None:
    laptop, desktop = torn
    desktop.rm("a.md")
    settle([desktop, laptop, desktop], 1)
    assert laptop.files() == desktop.files() == vault.files() == {"a.md": b"laptop's"}


def test_a_candidate_whose_answer_was_lost_is_sent_once(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "base")
    laptop.sync()
    vault.put("a.md", b"theirs")
    laptop.write("a.md", "mine")
    pushes = [0]

    def lose(method: str, when: str) -> None:
        if (method, when) == ("push", "after"):
            pushes[0] += 1
            if pushes[0] == 2:  # the first only learns that the body is needed
                raise ServerAway("the network is gone")

    laptop.transport.meddle = lose
    with pytest.raises(ServerAway):
        laptop.sync()
    laptop.restart()
    laptop.transport.meddle = lambda method, when: None
    assert len(laptop.sync().conflicts) == 1
    (conflict,) = vault.conflicts()
    assert len(conflict.candidates) == 1


def test_a_large_candidate_is_streamed(vault: Server, laptop: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.upload.SMALL", 10)
    vault.put("a.md", b"theirs")
    laptop.write("a.md", "mine, which is a large file")
    laptop.sync()
    assert laptop.transport.calls == ["sync", "push", "put"]
    assert len(vault.conflicts()) == 1
    laptop.sync()
    assert laptop.transport.calls == ["sync", "push"]


def test_the_same_edit_on_both_sides_is_no_conflict(vault: Server, laptop: Machine) -> None:
    laptop.write("a.md", "base")
    laptop.sync()
    vault.put("a.md", b"same edit")
    laptop.write("a.md", "same edit")
    report = laptop.sync()
    assert report.in_step
    assert report.adopted == 1
    assert vault.conflicts() == []


def test_a_candidates_edit_on_the_way_becomes_the_version_that_settles_it(
    vault: Server, torn: tuple[Machine, Machine]
) -> None:
    """Somebody simply writes the candidate's bytes as the new version: the conflict settles itself."""
    laptop, desktop = torn
    desktop.write("a.md", "laptop's")
    settle([desktop, laptop], 1)
    assert vault.conflicts() == []
    assert laptop.sync().in_step


def test_three_machines_with_three_edits_keep_all_three(vault: Server, laptop: Machine, desktop: Machine) -> None:
    laptop.write("a.md", "base")
    settle([laptop, desktop], 1)
    vault.put("a.md", b"page's")
    laptop.write("a.md", "laptop's")
    desktop.write("a.md", "desktop's")
    settle([laptop, desktop], 2)
    (conflict,) = vault.conflicts()
    assert len(conflict.candidates) == 2
    vault.resolve("server")
    settle([laptop, desktop], 1)
    assert laptop.files() == desktop.files() == {"a.md": b"page's"}
    assert {b"laptop's", b"desktop's", b"page's", b"base"} <= set(vault.history("a.md"))


def test_a_file_saved_again_and_again_in_an_open_conflict_has_a_few_hashes_to_remember(
    vault: Server, torn: tuple[Machine, Machine]
) -> None:
    """As by a program that saves every few seconds: what is remembered and reported does not grow."""
    laptop, desktop = torn
    for number in range(40):
        laptop.write("a.md", f"laptop's {number}")
        laptop.sync()
    assert len(laptop.index.records["a.md"].sent) <= 16
    assert max(len(change.sent) for change in laptop.transport.reported) <= 16
    vault.resolve("client")
    settle([laptop, desktop], 2)
    assert laptop.files() == desktop.files() == vault.files() == {"a.md": b"laptop's 39"}
    assert laptop.sync().in_step


@pytest.mark.parametrize("keep", ["server", "client"])
def test_a_conflict_settled_after_many_saves_and_one_more_loses_no_edit(
    vault: Server, torn: tuple[Machine, Machine], keep: str
) -> None:
    laptop, desktop = torn
    for number in range(40):
        laptop.write("a.md", f"laptop's {number}")
        laptop.sync()
    vault.resolve(keep)
    laptop.write("a.md", "laptop's, after the settlement")
    settle([laptop, desktop], 2)
    assert laptop.files() == {"a.md": b"laptop's, after the settlement"}
    if keep == "server":  # the edit was made on what lost: asked for once more
        assert len(vault.conflicts()) == 1
        vault.resolve("client")
        settle([laptop, desktop], 2)
    assert desktop.files() == vault.files() == laptop.files()
    assert laptop.sync().in_step


def test_an_upload_whose_answer_was_lost_is_remembered_through_a_conflict_with_many_saves(
    vault: Server, laptop: Machine
) -> None:
    """The conflict's base is that upload, which the record knows by its hash alone."""
    laptop.write("a.md", "base")
    laptop.sync()
    laptop.write("a.md", "uploaded")

    def lose(method: str, when: str) -> None:
        if (method, when) == ("push", "after") and b"uploaded" in vault.history("a.md"):
            raise ServerAway("the network is gone")

    laptop.transport.meddle = lose
    with pytest.raises(ServerAway):
        laptop.sync()
    laptop.transport.meddle = lambda method, when: None
    vault.put("a.md", b"theirs")
    for number in range(40):
        laptop.write("a.md", f"laptop's {number}")
        laptop.sync()
    assert len(laptop.index.records["a.md"].sent) <= 16
    assert len(vault.conflicts()) == 1
    vault.resolve("client")
    assert laptop.sync().in_step
    assert vault.files() == laptop.files() == {"a.md": b"laptop's 39"}


def test_answers_lost_again_and_again_leave_a_bounded_memory_and_no_false_conflict(
    vault: Server, laptop: Machine
) -> None:
    laptop.write("a.md", "base")
    laptop.sync()

    def lose(method: str, when: str) -> None:
        if (method, when) == ("push", "after"):
            raise ServerAway("the network is gone")

    laptop.transport.meddle = lose
    for number in range(40):
        laptop.write("a.md", f"edit {number}")
        with pytest.raises(ServerAway):
            laptop.sync()
        laptop.restart()
    laptop.transport.meddle = lambda method, when: None
    assert len(laptop.index.records["a.md"].sent) <= 16
    laptop.write("a.md", "the last edit")
    assert laptop.sync().in_step
    assert vault.conflicts() == []
    assert vault.files() == {"a.md": b"the last edit"}
