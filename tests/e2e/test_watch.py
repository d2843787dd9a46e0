"""`gobi watch`: what is done on one machine is on the other before anybody looks, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.deployments import DEPLOYMENTS
from tests.e2e.machines import House, Machine
from tests.e2e.watching import Deaf, Watching, wait_until_in_step
from tests.services import wait_until


@pytest.fixture
def deployed() -> str:
    """What a client does is the same everywhere; where that could differ, a test says so."""
    return "embedded"


@pytest.fixture
def watched(laptop: Machine, desktop: Machine) -> Iterator[tuple[Watching, Watching]]:
    """Both machines, watching."""
    with Watching(laptop) as one, Watching(desktop) as other:
        yield one, other


def wait_for(machine: Machine, path: str, content: str) -> None:
    def there() -> bool:
        return machine.has(path) and machine.read(path) == content

    wait_until(there, f"{path} on {machine.name}")


def wait_for_absence(machine: Machine, path: str) -> None:
    wait_until(lambda: not machine.has(path), f"{path} to go from {machine.name}")


def kinds(house: House, path: str) -> list[str]:
    return [one["kind"] for one in house.history(path)]


@pytest.mark.parametrize("deployed", DEPLOYMENTS, indirect=True)
def test_an_edit_arrives_and_so_does_the_answer(
    laptop: Machine, desktop: Machine, watched: tuple[Watching, Watching]
) -> None:
    laptop.write("plan.md", "one")
    wait_for(desktop, "plan.md", "one")
    desktop.write("plan.md", "two")
    wait_for(laptop, "plan.md", "two")
    for one in watched:
        one.wait_for("sent plan.md")
        one.wait_for("received plan.md")


# -- how programs save


def save_like_vim(path: Path, text: str) -> None:
    """With a backup beside it, as most do: the name is missing for a moment."""
    probe = path.with_name("4913")
    probe.touch()
    probe.unlink()
    backup = path.with_name(path.name + "~")
    path.rename(backup)
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    backup.unlink()


def save_by_rename(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.replace(path)


def save_in_place(path: Path, text: str) -> None:
    with path.open("w") as file:
        for letter in text:
            file.write(letter)
            file.flush()


SAVES = [save_like_vim, save_by_rename, save_in_place]


@pytest.mark.parametrize("save", SAVES)
def test_however_a_program_saves_it_is_one_edit(
    house: House, laptop: Machine, desktop: Machine, watched: object, save: object
) -> None:
    assert callable(save)
    laptop.write("note.md", "before")
    wait_for(desktop, "note.md", "before")
    save(laptop.folder / "note.md", "after")
    wait_for(desktop, "note.md", "after")
    laptop.write("next.md", "and on")
    wait_for(desktop, "next.md", "and on")
    assert house.contents("note.md") == [b"after", b"before"]
    assert kinds(house, "note.md") == ["put", "put"]
    assert house.live() == {"note.md", "next.md"}


@pytest.mark.parametrize("save", SAVES)
def test_of_a_hundred_rapid_saves_the_last_one_stays(
    house: House, laptop: Machine, desktop: Machine, watched: object, save: object
) -> None:
    assert callable(save)
    laptop.write("note.md", "start")
    for number in range(100):
        save(laptop.folder / "note.md", f"save {number}")
    wait_for(desktop, "note.md", "save 99")
    assert laptop.read("note.md") == "save 99"
    assert house.conflicts() == []
    assert {one["path"] for one in house.api("GET", "/files?limit=100")["files"]} == {"note.md"}
    assert set(kinds(house, "note.md")) == {"put"}


def test_a_file_that_is_still_being_written_is_not_sent_half(
    house: House, laptop: Machine, desktop: Machine, watched: object
) -> None:
    with (laptop.folder / "film.mov").open("w") as file:
        for number in range(20):
            file.write("frame ")
            file.flush()
            laptop.write("beside.md", f"{number}")
            wait_for(desktop, "beside.md", f"{number}")
            assert "film.mov" not in house.live()
        whole = "frame " * 20
    wait_for(desktop, "film.mov", whole)
    assert house.contents("film.mov") == [whole.encode()]


def test_a_file_that_is_never_closed_is_sent_when_it_has_been_quiet(
    laptop: Machine, desktop: Machine, watched: object
) -> None:
    with (laptop.folder / "journal.log").open("w") as file:
        file.write("started\n")
        file.flush()
        wait_for(desktop, "journal.log", "started\n")


def test_the_other_side_never_sees_half_a_file_nor_none(laptop: Machine, desktop: Machine, watched: object) -> None:
    texts = [f"{number:03} ".encode() * 5_000 for number in range(200)]
    laptop.write("page.md", texts[0])
    wait_for(desktop, "page.md", texts[0].decode())
    seen: set[bytes] = set()
    missing = over = 0
    done = Event()

    def read() -> None:
        nonlocal missing
        while not done.is_set():
            try:
                seen.add((desktop.folder / "page.md").read_bytes())
            except FileNotFoundError:
                missing += 1

    reader = Thread(target=read)
    reader.start()
    try:
        for over, text in enumerate(texts):
            save_by_rename(laptop.folder / "page.md", text.decode())
            if over % 10 == 0:
                wait_for(desktop, "page.md", text.decode())
        wait_for(desktop, "page.md", texts[-1].decode())
    finally:
        done.set()
        reader.join()
    assert over == 199
    assert missing == 0
    assert seen <= set(texts)
    assert len(seen) > 20


# -- many at once


def test_a_thousand_files_arrive_in_a_few_bundles(laptop: Machine, desktop: Machine, watched: object) -> None:
    outside = laptop.root / "unpacked"
    for number in range(1000):
        place = outside / f"{number % 10}" / f"{number}.md"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"note {number}")
    before = requests(laptop, "push")
    shutil.copytree(outside, laptop.folder / "album")
    wait_until_in_step(laptop, desktop)
    assert len(desktop.files()) == 1000
    assert requests(laptop, "push") - before <= 12


def requests(machine: Machine, what: str) -> int:
    return len(re.findall(rf"/v1/vaults/{machine.vault}/{what}\b", machine.server.log))


def test_a_folder_that_is_moved_in_arrives_with_what_is_in_it(
    laptop: Machine, desktop: Machine, watched: object
) -> None:
    outside = laptop.root / "outside" / "deep"
    outside.mkdir(parents=True)
    (outside / "a.md").write_text("a")
    outside.parent.rename(laptop.folder / "inside")
    wait_for(desktop, "inside/deep/a.md", "a")
    laptop.write("inside/deep/b.md", "b")
    wait_for(desktop, "inside/deep/b.md", "b")


# -- deleting and renaming


def test_what_is_deleted_while_it_runs_is_deleted_everywhere(
    house: House, laptop: Machine, desktop: Machine, watched: tuple[Watching, Watching]
) -> None:
    laptop.write("draft.md", "draft")
    wait_for(desktop, "draft.md", "draft")
    laptop.delete("draft.md")
    wait_for_absence(desktop, "draft.md")
    assert kinds(house, "draft.md") == ["delete", "put"]
    watched[0].wait_for("deleted everywhere draft.md")


def test_a_delete_outlives_the_client_that_saw_it(own_house: House) -> None:
    laptop, desktop = own_house.machine("laptop"), own_house.machine("desktop")
    laptop.write("draft.md", "draft")
    laptop.sync()
    desktop.sync()
    with Watching(laptop) as watching:
        own_house.server.stop()
        laptop.delete("draft.md")
        wait_until(lambda: "draft.md" in queue(laptop), "the delete to be in the queue")
        watching.kill9()
    own_house.server.start()
    with Watching(laptop):
        desktop.sync()
    assert not laptop.has("draft.md")
    assert not desktop.has("draft.md")


def queue(machine: Machine) -> set[str]:
    lines = (machine.folder / ".gobi" / "queue.jsonl").read_text().splitlines()
    return {row["path"] for row in map(json.loads, lines) if row["op"] == "delete"}


def test_a_rename_is_one_delete_and_one_put(house: House, laptop: Machine, desktop: Machine, watched: object) -> None:
    laptop.write("old.md", "the same words")
    wait_for(desktop, "old.md", "the same words")
    laptop.rename("old.md", "new/name.md")
    wait_for(desktop, "new/name.md", "the same words")
    wait_for_absence(desktop, "old.md")
    assert kinds(house, "old.md") == ["delete", "put"]
    assert kinds(house, "new/name.md") == ["put"]


def test_a_folder_that_is_renamed_is_renamed_on_the_other_side(
    laptop: Machine, desktop: Machine, watched: tuple[Watching, Watching]
) -> None:
    for number in range(5):
        laptop.write(f"trip/{number}.md", f"day {number}")
    wait_until_in_step(laptop, desktop)
    laptop.rename("trip", "travels/trip")
    wait_until_in_step(laptop, desktop)
    wait_until(lambda: not desktop.has("trip"), "the folder to go once its last file has")
    watched[1].wait_for("renamed here trip/0.md → travels/trip/0.md")
    laptop.write("travels/trip/5.md", "home again")
    wait_for(desktop, "travels/trip/5.md", "home again")


def test_a_folder_of_many_files_that_is_renamed_is_renamed_on_the_other_side(laptop: Machine, desktop: Machine) -> None:
    for number in range(1_100):
        laptop.write(f"album/{number % 3}/{number}.jpg", f"photo {number}")
    laptop.sync()
    desktop.sync()
    for path in desktop.folder.glob("album/*/*"):
        path.chmod(0o755)
    desktop.sync()
    laptop.sync()
    before = requests(desktop, "pull")
    with Watching(laptop), Watching(desktop) as other:
        laptop.rename("album", "travels")
        wait_until_in_step(laptop, desktop)
        wait_until(lambda: not desktop.has("album"), "the folder to go once its last file has")
        assert not other.said("received")
        assert not other.said("deleted here")
    assert all(path.stat().st_mode & 0o111 for path in desktop.folder.glob("travels/*/*"))
    assert requests(desktop, "pull") == before


def test_a_rename_on_one_side_and_an_edit_on_the_other_lose_no_word(own_house: House) -> None:
    laptop, desktop = own_house.machine("laptop"), own_house.machine("desktop")
    laptop.write("essay.md", "first words")
    laptop.sync()
    with Watching(laptop) as one, Watching(desktop) as other:
        own_house.server.stop()
        laptop.rename("essay.md", "final.md")
        desktop.write("essay.md", "better words")
        one.wait_for("offline")
        other.wait_for("offline")
        own_house.server.start()
        wait_for(laptop, "essay.md", "better words")
        wait_for(desktop, "final.md", "first words")
        wait_for(laptop, "final.md", "first words")


def test_most_of_a_folder_is_not_deleted_and_all_else_goes_on(house: House, laptop: Machine) -> None:
    for number in range(30):
        laptop.write(f"{number}.md", f"note {number}")
    laptop.sync()
    with Watching(laptop) as watching:
        for number in range(29):
            laptop.delete(f"{number}.md")
        watching.wait_for("more than half of the files went at once")
        laptop.write("29.md", "edited")
        watching.wait_for("sent 29.md")
        # On a busy machine the last of them are seen a moment later.
        wait_until(
            lambda: [row["path"] for row in laptop.status()["refused"]] == ["what was deleted here (29 files)"],
            "all of them to be held back",
        )
    assert len(house.live()) == 30
    with Watching(laptop):
        assert len(laptop.files()) == 30


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_folder_that_is_gone_stops_the_client_and_deletes_nothing(house: House, laptop: Machine, how: str) -> None:
    for number in range(10):
        laptop.write(f"{number}.md", f"note {number}")
    with Watching(laptop) as watching:
        if how == "removed":
            shutil.rmtree(laptop.folder)
        else:
            laptop.folder.rename(laptop.root / "elsewhere")
        assert watching.ended() == 78
    assert len(house.live()) == 10


# -- the server, the network


def test_what_is_done_offline_goes_out_when_the_server_is_back(own_house: House) -> None:
    laptop, desktop = own_house.machine("laptop"), own_house.machine("desktop")
    for name in ("kept.md", "gone.md", "old.md"):
        laptop.write(name, name)
    laptop.sync()
    with Watching(laptop) as one, Watching(desktop):
        own_house.server.stop()
        laptop.write("kept.md", "edited on a train")
        one.wait_for("offline")
        laptop.write("new.md", "written on a train")
        laptop.delete("gone.md")
        laptop.rename("old.md", "renamed.md")
        wait_until(lambda: queue(laptop) == {"gone.md", "old.md"}, "the deletes to be in the queue")
        own_house.server.start()
        one.wait_for("back")
        wait_until_in_step(laptop, desktop)
    assert desktop.files() == {
        "kept.md": b"edited on a train",
        "new.md": b"written on a train",
        "renamed.md": b"old.md",
    }


def test_a_server_that_restarts_is_found_again(own_house: House) -> None:
    laptop, desktop = own_house.machine("laptop"), own_house.machine("desktop")
    with Watching(laptop), Watching(desktop):
        for number in range(3):
            laptop.write("note.md", f"before {number}")
            own_house.server.restart()
            laptop.write("other.md", f"after {number}")
            wait_for(desktop, "note.md", f"before {number}")
            wait_for(desktop, "other.md", f"after {number}")


def test_a_server_that_stands_on_an_empty_disk_for_a_moment_is_waited_for(own_house: House) -> None:
    laptop, server = own_house.machine("laptop"), own_house.server
    with Watching(laptop) as watching:
        laptop.write("note.md", "before")
        wait_until(lambda: own_house.live() == {"note.md"}, "the note")
        server.stop()
        aside = server.data_dir.rename(server.data_dir.with_name("not mounted"))
        server.start()
        laptop.write("note.md", "meanwhile")
        watching.wait_for("there are no users on this server")
        server.stop()
        shutil.rmtree(server.data_dir)
        aside.rename(server.data_dir)
        server.start()
        watching.wait_for("back: ")
        wait_until(lambda: own_house.contents("note.md") == [b"meanwhile", b"before"], "the edit")


def test_a_network_without_live_sockets_only_costs_time(house: House, laptop: Machine) -> None:
    with Deaf(laptop.server.address[1]) as network:
        desktop = house.machine("desktop", url=network.url)
        with Watching(laptop), Watching(desktop) as deaf:
            deaf.wait_for("asking it now and then")
            laptop.write("note.md", "patience")
            wait_for(desktop, "note.md", "patience")
            desktop.write("note.md", "thank you")
            wait_for(laptop, "note.md", "thank you")


def test_both_sides_edited_while_apart_is_a_conflict_that_can_be_settled(own_house: House) -> None:
    laptop, desktop = own_house.machine("laptop"), own_house.machine("desktop")
    laptop.write("plan.md", "one")
    laptop.sync()
    with Watching(laptop) as one, Watching(desktop) as other:
        own_house.server.stop()
        laptop.write("plan.md", "the laptop's")
        desktop.write("plan.md", "the desktop's")
        one.wait_for("offline")
        other.wait_for("offline")
        own_house.server.start()
        wait_until(lambda: one.said("in conflict plan.md") or other.said("in conflict plan.md"), "a conflict")
        wait_until(lambda: len(own_house.conflicts()) == 1, "the conflict on the server")
        assert {laptop.read("plan.md"), desktop.read("plan.md")} == {"the laptop's", "the desktop's"}
        server = own_house.body("/files/plan.md").decode()
        own_house.resolve("server")
        wait_for(laptop, "plan.md", server)
        wait_for(desktop, "plan.md", server)
    assert own_house.conflicts() == []


def test_a_password_that_is_not_accepted_any_more_stops_it(own_house: House) -> None:
    laptop = own_house.machine("laptop")
    with Watching(laptop) as watching:
        done = own_house.server.gobi("user", "passwd", "me", "--password-file", "/dev/stdin", input="another secret\n")
        assert done.returncode == 0, done.stderr
        own_house.server.restart()
        laptop.write("note.md", "words")
        assert watching.ended() == 78
        assert watching.said("gobi connect")


# -- beside other commands


def test_a_second_client_is_refused_and_told_of_the_first(laptop: Machine) -> None:
    with Watching(laptop):
        assert "gobi watch" in laptop.sync(code=75).err
        assert "gobi watch" in laptop.gobi("watch", str(laptop.folder), code=75).err
        assert laptop.status()["in_step"] is True


def test_gobi_rm_works_beside_it(house: House, laptop: Machine, desktop: Machine, watched: object) -> None:
    for number in range(50):
        laptop.write(f"{number}.md", f"note {number}")
    wait_until_in_step(laptop, desktop)
    laptop.rm(*[f"{number}.md" for number in range(24)])
    wait_until_in_step(laptop, desktop)
    assert len(desktop.files()) == len(house.live()) == 26
    assert len(desktop.trash()) == 24


def test_when_most_files_go_by_name_here_the_other_machine_asks_first(
    house: House, laptop: Machine, desktop: Machine, watched: tuple[Watching, Watching]
) -> None:
    for number in range(25):
        laptop.write(f"{number}.md", f"note {number}")
    wait_until_in_step(laptop, desktop)
    laptop.rm(*[f"{number}.md" for number in range(24)])
    wait_until(lambda: house.live() == {"24.md"}, "the files to be gone from the server")
    wait_until(lambda: watched[1].said("--allow-mass-delete"), "the desktop to say what to do")
    desktop.write("mine.md", "written meanwhile")
    laptop.write("theirs.md", "written meanwhile")
    wait_for(laptop, "mine.md", "written meanwhile")
    wait_for(desktop, "theirs.md", "written meanwhile")
    assert len(desktop.files()) == 27
    assert desktop.gobi("status", str(desktop.folder), code=1).out.count("--allow-mass-delete") == 1
    assert watched[1].stop() == 0
    desktop.sync("--allow-mass-delete")
    assert desktop.files() == laptop.files()
    with Watching(desktop):
        assert desktop.status()["in_step"] is True


def test_patterns_take_effect_while_it_runs(house: House, laptop: Machine, desktop: Machine, watched: object) -> None:
    laptop.write(".gobiignore", "*.tmp\n")
    wait_for(desktop, ".gobiignore", "*.tmp\n")
    laptop.write("scratch.tmp", "nobody's business")
    laptop.write("note.md", "words")
    wait_for(desktop, "note.md", "words")
    assert "scratch.tmp" not in house.live()


def test_it_stops_when_it_is_told_to(laptop: Machine, desktop: Machine) -> None:
    with ExitStack() as stack:
        one = stack.enter_context(Watching(laptop))
        other = stack.enter_context(Watching(desktop))
        laptop.write("last.md", "words")
        wait_for(desktop, "last.md", "words")
        assert one.stop() == 0
        assert other.stop() == 0
    assert one.lines[-1] == "stopped\n"
    assert laptop.sync("--json").json["uploaded"] == 0
