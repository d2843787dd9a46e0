"""gobi's own folder is refused where somebody else has prepared it, with words that say what to do."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from client import config as configuration
from client.binding import check_words, release
from client.config import Config
from client.folder import Folder
from client.index import Index
from client.ports import Stopped
from client.queue import FileQueue, Operation
from client.state import check_state
from tests.client.memory import ManualClock

STRANGER = 54_321  # a uid that nobody has here
URL = "https://pi.example.org"
NAMES = (
    "config.json",
    "index.db",
    "index.db-journal",
    "index.db-wal",
    "index.db-shm",
    "queue.jsonl",
    "queue.new",
    "last-sync",
    "lock",
    "ignore",
    "ignore.new",
    "ignore-theirs",
    "elsewhere",
    "executable",
    "trash",
    "incoming",
    "tmp",
)


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
def bashrc(tmp_path: Path) -> Path:
    file = tmp_path / ".bashrc"
    file.write_text("precious")
    return file


def connect(folder: Path) -> None:
    check_words(folder, URL, "notes", "me", "laptop", False)


WAYS: list[Callable[[Path], object]] = [configuration.load, connect, release]


def refused(way: Callable[[Path], object], folder: Path) -> str:
    with pytest.raises(Stopped) as stopped:
        way(folder)
    assert stopped.value.exit_code == 78
    return str(stopped.value)


def test_what_gobi_has_made_itself_is_its_own(folder: Path) -> None:
    Folder(folder, clock=ManualClock()).status()
    for way in WAYS:
        way(folder)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702])
def test_a_state_folder_that_others_may_write_to_is_refused(
    folder: Path, way: Callable[[Path], object], mode: int
) -> None:
    (folder / ".gobi").chmod(mode)
    said = refused(way, folder)
    assert "others may write to" in said
    assert "chmod go-w" in said
    assert stat.S_IMODE((folder / ".gobi").stat().st_mode) == mode, "looking changes nothing"


@pytest.mark.parametrize("way", WAYS)
def test_a_state_folder_that_is_a_link_is_refused(folder: Path, tmp_path: Path, way: Callable[[Path], object]) -> None:
    (folder / ".gobi").rename(tmp_path / "elsewhere")
    (folder / ".gobi").symlink_to(tmp_path / "elsewhere")
    assert "is a symbolic link" in refused(way, folder)
    assert (tmp_path / "elsewhere" / "config.json").exists()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_a_link_in_the_state_folder_is_refused(
    folder: Path, bashrc: Path, way: Callable[[Path], object], name: str
) -> None:
    place = folder / ".gobi" / name
    place.unlink(missing_ok=True)
    place.symlink_to(bashrc)
    said = refused(way, folder)
    assert "is a symbolic link" in said
    assert name in said
    assert "remove it" in said
    assert bashrc.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["", *NAMES])
def test_what_belongs_to_somebody_else_is_refused(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder / ".gobi" / name
    place.touch()
    os.chown(place, STRANGER, STRANGER)
    for way in WAYS:
        assert "belongs to #54321" in refused(way, folder)
    monkeypatch.setenv("GOBI_ALLOW_ROOT", "1")
    for way in WAYS:
        assert "belongs to #54321" in refused(way, folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_that_is_meant_to_may_work_in_a_users_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOBI_ALLOW_ROOT", "1")
    for place in (folder, folder / ".gobi", folder / ".gobi" / "config.json"):
        os.chown(place, STRANGER, STRANGER)
    (folder / ".gobi" / "made-by-root").touch()
    for way in WAYS:
        way(folder)


def test_a_disk_without_owners_and_permissions_is_no_stranger(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT, and many a network disk: everything there has one owner and one mode, what gobi makes as well."""
    real_stat, real_fstat = os.lstat, os.fstat

    def flat(status: os.stat_result) -> os.stat_result:
        return os.stat_result((status.st_mode | 0o777, *status[1:4], STRANGER, STRANGER, *status[6:]))

    monkeypatch.setattr("client.state.os.lstat", lambda *a, **k: flat(real_stat(*a, **k)))
    monkeypatch.setattr("client.state.os.fstat", lambda *a, **k: flat(real_fstat(*a, **k)))
    check_state(folder)


# -- and where something gets there after the look


def test_what_is_written_in_the_state_folder_follows_no_link(folder: Path, bashrc: Path) -> None:
    state = folder / ".gobi"
    for name in ("queue.jsonl", "queue.new", "last-sync", "index.db", "index.db-journal"):
        (state / name).symlink_to(bashrc)
    with pytest.raises(Stopped):
        FileQueue(state).append([Operation("delete", "a.md")])
    with pytest.raises(Stopped):
        FileQueue(state).load()
    (state / "queue.jsonl").unlink()
    with pytest.raises(Stopped):
        FileQueue(state).replace([Operation("delete", "a.md")])
    with pytest.raises(Stopped):
        Index.open(state, repair=True, clock=ManualClock())
    Folder(folder, clock=ManualClock())._note_sync()
    assert bashrc.read_text() == "precious"
    assert not bashrc.with_name(".bashrc-journal").exists()


def test_a_queue_follows_no_link_to_its_folder(folder: Path, tmp_path: Path) -> None:
    (folder / ".gobi").rename(tmp_path / "elsewhere")
    (folder / ".gobi").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Stopped):
        FileQueue(folder / ".gobi").append([Operation("delete", "a.md")])
    assert not (tmp_path / "elsewhere" / "queue.jsonl").exists()
    shutil.rmtree(tmp_path / "elsewhere")
