"""Folders that were moved or copied with all that is in them, and whose they are."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from client import config as configuration
from client.binding import check_words, release
from client.config import Config
from client.identity import settled
from client.ports import Stopped

URL = "https://pi.example.org"
STRANGER = 54_321  # a uid that nobody has here


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    notes = tmp_path / "notes"
    notes.mkdir()
    configuration.save(notes, Config(URL, "notes", "me", "laptop", False, configuration.new_id()), "secret")
    return notes


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    subprocess.run(["cp", "-a", folder, tmp_path / "copy"], check=True)
    return tmp_path / "copy"


def use(folder: Path) -> str:
    """What every command does that needs the server; the password."""
    config, _ = settled(folder, configuration.load(folder))
    assert configuration.load(folder) == config
    return configuration.password(folder, config)


# -- copies


def test_letting_go_of_a_copy_leaves_the_original_its_password(folder: Path, copy: Path) -> None:
    release(copy)
    assert use(folder) == "secret"


def test_a_copy_that_is_used_becomes_a_binding_of_its_own(folder: Path, copy: Path) -> None:
    assert use(copy) == use(folder) == "secret"
    assert configuration.load(copy).id != configuration.load(folder).id
    release(folder)
    assert use(copy) == "secret"


def test_each_of_many_copies_stands_alone(folder: Path, copy: Path, home: Path) -> None:
    more = [copy.with_name(f"copy-{number}") for number in range(3)]
    for other in more:
        subprocess.run(["cp", "-a", copy, other], check=True)
    for other in (copy, *more, folder):
        assert use(other) == "secret"
    assert len({configuration.load(one).id for one in (folder, copy, *more)}) == 5
    for other in (copy, *more, folder):
        release(other)
    assert list((home / ".config" / "gobi" / "passwords").iterdir()) == []


def test_connecting_a_copy_again_takes_nothing_from_the_original(folder: Path, copy: Path) -> None:
    wanted = check_words(copy, URL, "notes", "me", "laptop", False)
    configuration.save(copy, wanted, "another")
    assert (use(copy), use(folder)) == ("another", "secret")


def test_the_same_folder_under_another_name_is_no_copy(folder: Path, tmp_path: Path, home: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    before = configuration.load(folder).id
    assert use(tmp_path / "link") == use(folder) == "secret"
    assert configuration.load(folder).id == before
    release(tmp_path / "link")
    assert list((home / ".config" / "gobi" / "passwords").iterdir()) == []


# -- moves


def test_a_folder_that_was_moved_goes_on_as_it_was(folder: Path, tmp_path: Path) -> None:
    before = configuration.load(folder)
    shutil.move(folder, tmp_path / "moved")
    assert use(tmp_path / "moved") == "secret"
    assert configuration.load(tmp_path / "moved") == before
    release(tmp_path / "moved")
    with pytest.raises(Stopped, match="not on this machine"):
        configuration.password(tmp_path / "moved", before)


def test_a_copy_that_takes_the_place_of_a_moved_folder_leaves_both_working(folder: Path, copy: Path) -> None:
    """A backup is put back under the old name, while the folder lives on under a new one."""
    moved = folder.with_name("moved")
    folder.rename(moved)
    assert use(moved) == "secret"
    copy.rename(folder)
    assert use(folder) == use(moved) == "secret"
    release(folder)
    assert use(moved) == "secret"


# -- users without a home, and root


def test_a_user_without_a_home_is_told_what_to_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration.load(folder)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    for attempt in (configuration.password, lambda folder, config: settled(folder, config)):
        with pytest.raises(Stopped, match=r"uid 54321.*set HOME, or XDG_CONFIG_HOME") as stopped:
            attempt(folder, config)
        assert stopped.value.exit_code == 78


@pytest.mark.parametrize("home", ["", "relative"])
def test_a_home_that_is_no_place_is_no_home(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pwd import getpwuid

    monkeypatch.setenv("HOME", home)
    assert configuration._home() == Path(getpwuid(os.geteuid()).pw_dir) / ".config"


@pytest.fixture
def strangers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody else's folder, and root looks at it."""
    if os.geteuid() == 0:
        for place in (folder, folder / ".gobi", folder / ".gobi" / "config.json"):
            os.chown(place, STRANGER, STRANGER)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


def test_root_is_kept_from_a_users_folder(strangers: Path) -> None:
    for attempt in (
        configuration.load,
        release,
        lambda folder: check_words(folder, URL, "notes", "me", "laptop", False),
    ):
        with pytest.raises(Stopped, match="sudo -u") as stopped:
            attempt(strangers)
        assert stopped.value.exit_code == 78
    assert (strangers / ".gobi" / "config.json").exists()


def test_root_is_kept_from_connecting_a_users_folder(strangers: Path) -> None:
    shutil.rmtree(strangers / ".gobi")
    with pytest.raises(Stopped, match="sudo -u"):
        check_words(strangers, URL, "notes", "me", "laptop", False)


def test_root_may_where_that_is_said(strangers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOBI_ALLOW_ROOT", "1")
    assert configuration.load(strangers).vault == "notes"
