"""The scenarios that gobi was asked for, in their words, with real processes."""

from __future__ import annotations

from tests.e2e.machines import House, Machine, in_step


def test_a_first_time_client_downloads_everything(house: House, laptop: Machine) -> None:
    laptop.write("today.md", "buy milk")
    laptop.write("projects/gobi/plan.md", "sync folders")
    laptop.sync()
    desktop = house.machine("desktop")
    desktop.sync()
    assert desktop.files() == {"today.md": b"buy milk", "projects/gobi/plan.md": b"sync folders"}


def test_a_client_that_added_a_file_offline_sends_it(house: House, laptop: Machine, desktop: Machine) -> None:
    desktop.sync()
    laptop.sync()
    laptop.write("offline.md", "written on a train")
    laptop.sync()
    assert house.live() == {"offline.md"}
    desktop.sync()
    assert desktop.read("offline.md") == "written on a train"


def test_a_client_pulls_what_is_new_on_the_server(laptop: Machine, desktop: Machine) -> None:
    laptop.write("old.md", "old")
    laptop.sync()
    desktop.sync()
    laptop.write("new.md", "new")
    laptop.sync()
    desktop.sync()
    assert desktop.read("new.md") == "new"
    assert in_step(laptop, desktop)


def test_a_file_that_was_deleted_offline_comes_back(house: House, laptop: Machine) -> None:
    laptop.write("precious.md", "the only copy")
    laptop.sync()
    laptop.delete("precious.md")
    laptop.sync()
    assert laptop.read("precious.md") == "the only copy"
    assert house.live() == {"precious.md"}


def test_a_file_that_was_deleted_offline_goes_everywhere_when_asked_for(laptop: Machine, desktop: Machine) -> None:
    laptop.write("done.md", "done")
    laptop.sync()
    desktop.sync()
    laptop.delete("done.md")
    laptop.sync("--propagate-deletes")
    desktop.sync()
    assert laptop.files() == desktop.files() == {}


def test_a_delete_while_the_client_runs_joins_its_queue_of_operations(laptop: Machine, desktop: Machine) -> None:
    laptop.write("draft.md", "draft")
    laptop.write("kept.md", "kept")
    laptop.sync()
    desktop.sync()
    laptop.rm("draft.md")
    queue = (laptop.folder / ".gobi" / "queue.jsonl").read_text()
    assert "draft.md" in queue
    assert not laptop.has("draft.md")
    laptop.sync()
    desktop.sync()
    assert desktop.files() == {"kept.md": b"kept"}
    assert "draft.md" not in (laptop.folder / ".gobi" / "queue.jsonl").read_text()


def test_a_file_that_the_server_deleted_is_deleted_on_the_client(house: House, laptop: Machine) -> None:
    laptop.write("old.md", "old")
    laptop.sync()
    house.delete("old.md")
    laptop.sync()
    assert laptop.files() == {}
    assert [one["kind"] for one in house.history("old.md")] == ["delete", "put"]


def test_a_rename_while_offline_is_one_deletion_and_one_addition(
    house: House, laptop: Machine, desktop: Machine
) -> None:
    laptop.write("draft.md", "the same words")
    laptop.sync()
    desktop.sync()
    laptop.rename("draft.md", "final/essay.md")
    laptop.sync()
    desktop.sync()
    assert laptop.files() == desktop.files() == {"final/essay.md": b"the same words"}
    assert [one["kind"] for one in house.history("draft.md")] == ["delete", "put"]
    assert [one["kind"] for one in house.history("final/essay.md")] == ["put"]


def test_a_rename_on_the_other_side_renames_here(laptop: Machine, desktop: Machine) -> None:
    for number in range(3):
        laptop.write(f"folder/{number}.md", f"note {number}")
    laptop.sync()
    desktop.sync()
    laptop.rename("folder", "moved/folder")
    laptop.sync()
    desktop.sync()
    assert in_step(laptop, desktop)
    assert not desktop.has("folder")


def test_changes_on_both_sides_become_a_conflict_that_overwrites_nothing(
    house: House, laptop: Machine, desktop: Machine
) -> None:
    laptop.write("plan.md", "version one")
    laptop.sync()
    desktop.sync()
    laptop.write("plan.md", "the laptop's words")
    desktop.write("plan.md", "the desktop's words")
    laptop.sync()
    run = desktop.sync(code=1)
    assert "plan.md" in run.out + run.err
    assert desktop.read("plan.md") == "the desktop's words"
    assert laptop.read("plan.md") == "the laptop's words"
    (conflict,) = house.conflicts()
    assert conflict["path"] == "plan.md"
    assert house.body(f"/conflicts/{conflict['id']}/client") == b"the desktop's words"
    assert house.body(f"/conflicts/{conflict['id']}/server") == b"the laptop's words"
    assert house.body(f"/conflicts/{conflict['id']}/base") == b"version one"
    assert [one["path"] for one in desktop.status()["conflicts"]] == ["plan.md"]


def test_a_second_sync_has_nothing_to_do(laptop: Machine, desktop: Machine) -> None:
    laptop.write("a.md", "a")
    laptop.write("b/c.md", "c")
    laptop.sync()
    desktop.sync()
    for machine in (laptop, desktop):
        report = machine.sync("--json").json
        assert report["uploaded"] == report["downloaded"] == 0
        assert machine.status()["in_step"] is True
