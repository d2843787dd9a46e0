"""What version 0.1.0 left in a state that it could not get out of is healed by the next sync, without a person's hand.

`files/0.1.0-*.tar.xz` are a server's data and two machines' folders as processes of that version left them:

- `year-9999`: the laptop has a file dated 9999-12-31 and one dated 1601-01-01. It has sent both and cannot note that;
  the desktop has received both and cannot note that. Both ended with an OverflowError at every sync. An edit of `ok.md`
  on the desktop waits.
- `thousand-candidates`: the desktop has saved `workspace.json` more than a thousand times since it went into a
  conflict. It named as many hashes at every sync, which the server refused. An edit of `note.md` waits.
- `no-vault-id`: both in step; nothing says which vault they belong to but its name. A file waits on the desktop.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.machines import House, Machine, in_step
from tests.e2e.watching import Watching
from tests.server import GobiServer
from tests.services import wait_until

FILES = Path(__file__).with_name("files")


class Left(House):
    """What an archive holds, with this version's programs: its server, which runs, and its two machines."""

    def __init__(self, archive: str, root: Path) -> None:
        super().__init__([GobiServer(root / "server")], "notes", root)
        self.laptop, self.desktop = (self.machine(name, connect=False) for name in ("laptop", "desktop"))
        subprocess.run(["tar", "-xJf", FILES / f"0.1.0-{archive}.tar.xz", "-C", root], check=True)
        self.server.start()
        for machine in (self.laptop, self.desktop):
            config = machine.folder / ".gobi" / "config.json"
            before = json.loads(config.read_text())["url"]
            for file in (config, *(machine.home / ".config" / "gobi" / "passwords").iterdir()):
                file.write_text(file.read_text().replace(before, self.server.url))


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Callable[[str], Left]]:
    made: list[Left] = []

    def unpack(archive: str) -> Left:
        made.append(Left(archive, tmp_path))
        return made[-1]

    yield unpack
    for one in made:
        one.server.close()


@pytest.mark.parametrize("first", ["laptop", "desktop"])
def test_folders_that_a_date_had_stopped_go_on(left: Callable[[str], Left], first: str) -> None:
    house = left("year-9999")
    machines = sorted([house.laptop, house.desktop], key=lambda machine: machine.name != first)
    for machine in machines * 2:
        machine.sync()
    newcomer = house.machine("newcomer")
    newcomer.sync()
    assert in_step(house.laptop, house.desktop, newcomer)
    assert house.laptop.read("ok.md") == "ok\nedited on the desktop\n"
    assert sorted(newcomer.files()) == ["bad.md", "ok.md", "other.md", "undated.md"]
    for machine in (*machines, newcomer):
        assert machine.sync("--json").json["uploaded"] == 0
        assert machine.status()["in_step"]
        machine.gobi("verify", str(machine.folder))
        for command in (["history", str(machine.folder), "bad.md"], ["log", str(machine.folder)]):
            assert "bad.md" in machine.gobi(*command).out
    assert house.conflicts() == []


def test_a_folder_that_a_date_had_stopped_is_watched_again(left: Callable[[str], Left]) -> None:
    house = left("year-9999")
    with Watching(house.desktop), Watching(house.laptop):
        wait_until(lambda: house.laptop.read("ok.md").endswith("edited on the desktop\n"), "the edit to arrive")
        house.laptop.write("bad.md", "edited on the laptop")
        wait_until(lambda: house.desktop.read("bad.md") == "edited on the laptop", "the other edit to arrive")
    assert in_step(house.laptop, house.desktop)


@pytest.mark.parametrize("keep", ["server", "client", "both"])
def test_a_folder_that_a_conflict_had_stopped_goes_on_and_the_conflict_can_be_settled(
    left: Callable[[str], Left], keep: str
) -> None:
    house = left("thousand-candidates")
    assert "workspace.json" in house.desktop.sync(code=1).out
    house.laptop.sync()
    assert house.laptop.read("note.md") == "note\nedited on the desktop\n"
    assert house.desktop.read("new.md") == "new\n"
    house.desktop.write("workspace.json", '{"desktop": "one more"}\n')
    house.desktop.sync(code=1)
    house.desktop.gobi("resolve", str(house.desktop.folder), "workspace.json", "--keep", keep)
    outcome = "laptop\n" if keep != "client" else '{"desktop": "one more"}\n'
    machines: list[Machine] = [house.desktop, house.laptop, house.machine("newcomer")]
    for machine in machines:
        machine.sync()
    assert in_step(*machines)
    assert [machine.read("workspace.json") for machine in machines] == [outcome] * 3
    assert len(machines[0].files()) == (4 if keep == "both" else 3)
    assert house.conflicts() == []


def vault_id(machine: Machine) -> object:
    config = json.loads((machine.folder / ".gobi" / "config.json").read_text())
    file = machine.home / ".config" / "gobi" / "passwords" / config["id"]
    return json.loads(file.read_text()).get("vault_id")


def test_a_binding_to_a_name_becomes_one_to_the_vault(left: Callable[[str], Left]) -> None:
    house = left("no-vault-id")
    house.desktop.sync()
    house.laptop.sync()
    assert in_step(house.laptop, house.desktop)
    assert vault_id(house.laptop) == vault_id(house.desktop) == house.api("GET", "")["id"]


@pytest.mark.parametrize("command", ["sync", "watch", "status", "log"])
def test_a_binding_to_a_name_does_not_learn_that_of_another_vault(left: Callable[[str], Left], command: str) -> None:
    house = left("no-vault-id")
    house.request("DELETE", "?confirm=notes")
    house.request("PUT", "")
    run = house.desktop.gobi(command, str(house.desktop.folder), code=78)
    assert "is not the vault" in run.err
    assert house.live() == set()
    assert vault_id(house.desktop) is None
