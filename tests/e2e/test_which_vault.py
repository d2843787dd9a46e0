"""A folder belongs to one vault, whatever has its name, and whatever its configuration was made to say.

An embedded server is enough: what is tested here is the client.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.machines import House, Machine
from tests.e2e.watching import Watching
from tests.server import GobiServer

OTHER = 78


@pytest.fixture
def deployed() -> str:
    return "embedded"


@pytest.fixture
def diary(house: House, laptop: Machine) -> Machine:
    """A machine in step with the vault, with a diary in it."""
    laptop.write("diary.md", "very private")
    laptop.sync()
    return laptop


def secret_of(machine: Machine) -> Path:
    """The file that the password is in."""
    config = json.loads((machine.folder / ".gobi" / "config.json").read_text())
    return machine.home / ".config" / "gobi" / "passwords" / str(config["id"])


def forget_which(machine: Machine) -> None:
    """What the file of an earlier gobi did not have."""
    file = secret_of(machine)
    row = json.loads(file.read_text())
    del row["vault"], row["vault_id"]
    file.write_text(json.dumps(row))


def edit(machine: Machine, **fields: str) -> None:
    file = machine.folder / ".gobi" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def known_id(machine: Machine) -> Any:
    return json.loads(secret_of(machine).read_text()).get("vault_id")


def make_again(house: House) -> None:
    house.request("DELETE", f"?confirm={house.vault}")
    house.request("PUT", "")


def nothing_there(house: House) -> bool:
    return house.live() == set() and house.api("GET", "/log")["versions"] == []


# -- the name is another vault's


@pytest.mark.parametrize("upgraded", [False, True])
def test_a_vault_that_was_made_again_under_the_name_gets_nothing(house: House, diary: Machine, upgraded: bool) -> None:
    if upgraded:
        forget_which(diary)
    make_again(house)
    diary.write("new.md", "private, too")
    for command in (["sync"], ["status"], ["log"], ["conflicts"], ["verify"], ["history", "diary.md"]):
        verb, *rest = command
        run = diary.gobi(verb, str(diary.folder), *rest, code=OTHER)
        assert "is not the vault" in run.err
        assert "--another-vault" in run.err
    diary.gobi("undo", str(diary.folder), "--since", "1h", "--yes", code=OTHER)
    assert nothing_there(house)
    assert diary.files() == {"diary.md": b"very private", "new.md": b"private, too"}


def test_whoever_watches_stops_when_the_name_is_given_to_another_vault(house: House, diary: Machine) -> None:
    with Watching(diary) as watching:
        make_again(house)
        diary.write("new.md", "private, too")
        assert watching.ended() == OTHER
    assert nothing_there(house)


def test_connecting_again_does_not_take_the_other_vault_for_it(house: House, diary: Machine) -> None:
    make_again(house)
    for options in ([], ["--create"]):
        assert "--another-vault" in diary.connect(*options, code=2).err
    diary.sync(code=OTHER)
    assert nothing_there(house)


def test_connecting_again_never_makes_the_vault_anew(house: House, diary: Machine) -> None:
    house.request("DELETE", f"?confirm={house.vault}")
    assert diary.connect("--create", code=None).code != 0
    house.request("PUT", "")
    assert nothing_there(house)


def test_who_says_so_puts_the_folder_into_the_other_vault_and_loses_nothing(house: House, diary: Machine) -> None:
    make_again(house)
    house.put("theirs.md", b"there before")
    diary.connect("--another-vault")
    diary.sync()
    assert house.live() == {"diary.md", "theirs.md"}
    assert set(diary.files()) == {"diary.md", "theirs.md"}
    assert diary.connect().code == 0


def test_a_folder_that_was_never_synced_is_not_led_to_another_vault_either(house: House, laptop: Machine) -> None:
    laptop.write("diary.md", "very private")
    make_again(house)
    laptop.sync(code=OTHER)
    assert nothing_there(house)


def test_the_same_vault_under_another_name_is_recognised(house: House, diary: Machine) -> None:
    renamed = house.server.gobi("vault", "rename", house.vault, f"{house.vault}-new")
    assert renamed.returncode == 0, renamed.stderr
    diary.sync(code=OTHER)  # there is none of that name
    diary.vault = f"{house.vault}-new"
    diary.connect()
    assert diary.sync("--json").json["full"] is False


# -- what an earlier gobi left


def test_a_binding_of_an_earlier_gobi_learns_its_vault_at_the_next_sync(house: House, diary: Machine) -> None:
    known = known_id(diary)
    forget_which(diary)
    diary.sync()
    assert known_id(diary) == known == house.api("GET", "")["id"]


# -- config.json, edited


def test_a_folder_whose_vault_was_edited_sends_nothing_to_that(house: House, diary: Machine) -> None:
    for upgraded in (False, True):
        shared = Machine(house.server, f"{house.vault}-shared-{int(upgraded)}", house.root, f"shared-{upgraded}")
        shared.connect("--create")
        if upgraded:
            forget_which(diary)
        edit(diary, vault=shared.vault)
        run = diary.sync(code=OTHER)
        assert "Nothing was sent" in run.err
        shared.sync()
        assert shared.files() == {}
        edit(diary, vault=house.vault)
        diary.sync()


def test_a_configuration_that_was_put_into_another_folder_does_not_lead_that_to_its_vault(
    house: House, diary: Machine
) -> None:
    shared = Machine(house.server, f"{house.vault}-shared", house.root, "shared")
    shared.home, diary_home = diary.home, shared.home
    shutil.rmtree(diary_home)
    shared.connect("--create")
    shared.write("for-all.md", "for all")
    shared.sync()
    shutil.copy(shared.folder / ".gobi" / "config.json", diary.folder / ".gobi" / "config.json")
    run = diary.sync(code=OTHER)
    assert "is not the vault" in run.err
    assert set(shared.files()) == {"for-all.md"}
    shared.sync()
    assert set(shared.files()) == {"for-all.md"}
    diary.connect()
    diary.sync()
    assert set(diary.files()) == {"diary.md"}


def test_a_whole_state_folder_that_was_put_into_another_folder_is_recognised(house: House, diary: Machine) -> None:
    shared = Machine(house.server, f"{house.vault}-shared", house.root, "shared")
    shutil.rmtree(shared.home)
    shared.home = diary.home
    shared.connect("--create")
    for name in ("one.md", "two.md"):
        shared.write(name, name)
    shared.sync()
    aside = diary.root / "aside"
    (diary.folder / ".gobi").rename(aside)
    (shared.folder / ".gobi").rename(diary.folder / ".gobi")
    aside.rename(shared.folder / ".gobi")
    for machine in (diary, shared):
        assert "is another folder's" in machine.sync(code=OTHER).err
    aside = diary.root / "aside"
    (diary.folder / ".gobi").rename(aside)
    (shared.folder / ".gobi").rename(diary.folder / ".gobi")
    aside.rename(shared.folder / ".gobi")
    for machine in (diary, shared):
        machine.sync()
    assert set(diary.files()) == {"diary.md"}


def test_a_configuration_alone_binds_no_folder(house: House, diary: Machine) -> None:
    thief = diary.root / "downloads"
    (thief / ".gobi").mkdir(mode=0o700, parents=True)
    shutil.copy(diary.folder / ".gobi" / "config.json", thief / ".gobi")
    (thief / "evil.md").write_text("from elsewhere")
    diary.gobi("sync", str(thief), code=OTHER)
    assert house.live() == {"diary.md"}
    diary.sync()


def test_a_folder_that_was_moved_or_copied_goes_on(house: House, diary: Machine) -> None:
    for upgraded in (False, True):
        if upgraded:
            forget_which(diary)
        copy = diary.root / f"copy-{upgraded}"
        shutil.copytree(diary.folder, copy, symlinks=True)
        (copy / f"new-{upgraded}.md").write_text("new")
        diary.gobi("sync", str(copy))
        moved = diary.root / f"moved-{upgraded}"
        os.rename(copy, moved)
        diary.gobi("sync", str(moved))
        diary.sync()
    assert house.live() == {"diary.md", "new-False.md", "new-True.md"}


# -- a server that was put back, or has forgotten


@pytest.fixture
def putting_back(tmp_path: Path) -> Iterator[tuple[House, Machine]]:
    server = GobiServer(tmp_path / "server")
    server.start()
    server.add_user()
    house = House([server], "notes", tmp_path)
    machine = house.machine("laptop")
    machine.write("before.md", "before the backup")
    machine.sync()
    yield house, machine
    server.close()


@pytest.mark.parametrize("upgraded", [False, True])
def test_a_server_that_was_put_back_to_a_backup_has_the_same_vault(
    putting_back: tuple[House, Machine], tmp_path: Path, upgraded: bool
) -> None:
    house, machine = putting_back
    server = house.server
    assert server.gobi("backup", str(tmp_path / "backups")).returncode == 0
    machine.write("after.md", "after the backup")
    machine.sync()
    server.stop()
    shutil.rmtree(server.data_dir)
    assert server.gobi("restore-backup", str(tmp_path / "backups"), "--yes").returncode == 0
    server.start()
    if upgraded:
        forget_which(machine)
    machine.sync()
    assert house.live() == {"before.md", "after.md"}
    assert known_id(machine) == house.api("GET", "")["id"]
