"""Two watched folders and two hasty people; servers restart, clients are killed. In the end all is the same."""

from __future__ import annotations

import random
import shutil
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.e2e.machines import House, Machine
from tests.e2e.watching import Watching
from tests.services import wait_until

SECONDS = 60


class Person:
    """Writes, renames and deletes in one folder, much too fast."""

    def __init__(self, machine: Machine, chance: random.Random) -> None:
        self.machine = machine
        self._chance = chance

    def act(self) -> None:
        deeds = [self.write] * 7 + [self.save_with_backup] * 3 + [self.save_by_rename] * 2 + [self.append]
        deeds += [self.delete] * 3 + [self.rename] * 2 + [self.rename_folder, self.delete_folder]
        with suppress(OSError, IndexError):  # the other person was faster, or there is nothing to do it to
            self._chance.choice(deeds)()

    def write(self) -> None:
        self.machine.write(self._name(), self._text())

    def save_with_backup(self) -> None:
        path = self._file()
        backup = path.with_name(path.name + "~")
        path.rename(backup)
        path.write_text(self._text())
        backup.unlink()

    def save_by_rename(self) -> None:
        path = self._file()
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(self._text())
        temporary.replace(path)

    def append(self) -> None:
        with (self.machine.folder / f"{self._chance.randrange(3)}.log").open("a") as file:
            file.write(self._text())

    def delete(self) -> None:
        self._file().unlink()

    def rename(self) -> None:
        target = self.machine.folder / self._name()
        target.parent.mkdir(parents=True, exist_ok=True)
        self._file().rename(target)

    def rename_folder(self) -> None:
        self._folder().rename(self.machine.folder / f"moved-{self._chance.randrange(5)}")

    def delete_folder(self) -> None:
        shutil.rmtree(self._folder())

    def _name(self) -> str:
        name = f"{self._chance.randrange(12)}.md"
        return (
            f"{self._chance.choice('abc')}/{self._chance.choice('xyz')}/{name}" if self._chance.random() < 0.7 else name
        )

    def _text(self) -> str:
        return f"{self.machine.name} {self._chance.random()}\n" * self._chance.randrange(1, 50)

    def _file(self) -> Path:
        return self._chance.choice([path for path in self._all() if path.is_file()])

    def _folder(self) -> Path:
        return self._chance.choice([path for path in self._all() if path.is_dir() and path.name != "kept"])

    def _all(self) -> list[Path]:
        return [path for path in self.machine.folder.rglob("*") if ".gobi" not in path.parts]


@pytest.fixture
def deployed() -> str:
    return "embedded"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_whatever_two_hasty_people_do_both_have_the_same_in_the_end(own_house: House, seed: int) -> None:
    chance = random.Random(seed)
    machines = [own_house.machine("laptop"), own_house.machine("desktop")]
    people = [Person(machine, chance) for machine in machines]
    for number in range(300):  # so many that deleting a folder is never deleting most
        machines[0].write(f"kept/{number}.md", f"{number}")
    for machine in machines:
        machine.sync()
    with ExitStack() as stack:
        watching = [stack.enter_context(Watching(machine)) for machine in machines]
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            chance.choice(people).act()
            if chance.random() < 0.6:
                time.sleep(chance.random() * chance.choice((0.01, 0.05, 0.3)))  # people pause
            accident = chance.random()
            if accident < 0.004:
                own_house.server.restart()
            elif accident < 0.008:
                number = chance.randrange(2)
                watching[number].kill9()
                watching[number] = stack.enter_context(Watching(machines[number]))
        wait_until(lambda: same(own_house, *machines), "both folders to be the same", patience_s=90)
        assert [one.stop() for one in watching] == [0, 0]
    for machine in machines:
        report = machine.sync("--json", code=None).json
        assert report["uploaded"] == report["downloaded"] == report["deleted_here"] == report["deleted_there"] == 0


def same(house: House, *machines: Machine) -> bool:
    """Everywhere the same, but for what is in conflict."""
    disputed = {conflict["path"] for conflict in house.conflicts()}
    try:
        folders = [machine.files() for machine in machines]
    except FileNotFoundError:
        return False
    agreed = [{path: text for path, text in files.items() if path not in disputed} for files in folders]
    return agreed[0] == agreed[1] and set(agreed[0]) == house.live() - disputed
