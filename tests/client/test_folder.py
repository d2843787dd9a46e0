"""A folder and gobi's state in it, as the commands use them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from client.folder import Folder
from client.folders import Folders
from client.lock import locked
from client.ports import Stopped
from tests.client.direct import Server
from tests.client.memory import ManualClock


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    root = tmp_path / "notes"
    root.mkdir()
    folder = Folder(root, clock=ManualClock())
    folder.create()
    return folder


def test_a_folder_is_synced_and_says_when_that_was(vault: Server, folder: Folder) -> None:
    (folder.root / "a.md").write_text("x")
    assert folder.status().last_sync is None
    assert folder.sync(vault.transport("laptop"), "laptop").in_step
    status = folder.status()
    assert status.last_sync == ManualClock().now_ns // 1000
    assert (status.files, status.in_step) == (1, True)
    assert vault.files() == {"a.md": b"x"}


def test_a_folder_whose_disk_is_not_mounted_stops_and_deletes_nothing(
    vault: Server, folder: Folder, tmp_path: Path
) -> None:
    (folder.root / "a.md").write_text("x")
    folder.sync(vault.transport("laptop"), "laptop")
    folder.root.rename(tmp_path / "unmounted")
    with pytest.raises(Stopped, match="mounted"):
        folder.sync(vault.transport("laptop"), "laptop")
    folder.root.mkdir()  # the empty mount point
    for do in (
        folder.status,
        lambda: folder.sync(vault.transport("laptop"), "laptop"),
        lambda: folder.remove(["a.md"]),
    ):
        with pytest.raises(Stopped, match="mounted"):
            do()
    assert vault.files() == {"a.md": b"x"}


def test_a_second_client_on_the_folder_is_refused(vault: Server, folder: Folder) -> None:
    with locked(folder.state), pytest.raises(Stopped, match="another gobi") as refused:
        folder.sync(vault.transport("laptop"), "laptop")
    assert refused.value.exit_code == 75
    assert folder.sync(vault.transport("laptop"), "laptop").in_step


_LOCK_AND_DIE = """
import os, sys
from pathlib import Path
from client.lock import locked
locked(Path(sys.argv[1])).__enter__()
os._exit(1)
"""


def test_a_lock_ends_with_its_process(folder: Folder) -> None:
    subprocess.run([sys.executable, "-c", _LOCK_AND_DIE, str(folder.state)], cwd=Path(__file__).parents[2])
    assert (folder.state / "lock").exists()
    with locked(folder.state):
        pass


def test_a_damaged_index_is_set_aside_by_the_next_sync_and_by_nothing_else(vault: Server, folder: Folder) -> None:
    (folder.root / "a.md").write_text("x")
    folder.sync(vault.transport("laptop"), "laptop")
    (folder.state / "index.db").write_bytes(b"rubbish" * 1000)
    for look in (folder.status, lambda: folder.remove(["a.md"])):
        with pytest.raises(Stopped, match="gobi sync"):
            look()
    report = folder.sync(vault.transport("laptop"), "laptop")
    assert (report.adopted, report.deleted_here, report.deleted_there) == (1, 0, 0)
    assert len(list(folder.state.glob("trash/*/index.db"))) == 1


def test_removing_works_beside_a_running_sync(vault: Server, folder: Folder) -> None:
    (folder.root / "a.md").write_text("x")
    folder.sync(vault.transport("laptop"), "laptop")
    with locked(folder.state):
        assert folder.remove(["a.md"]).removed == ["a.md"]
    folder.sync(vault.transport("laptop"), "laptop")
    assert vault.files() == {}


def test_a_half_written_download_of_an_earlier_run_is_thrown_away(vault: Server, folder: Folder) -> None:
    (folder.state / "incoming").mkdir()
    (folder.state / "incoming/half").write_text("x")
    folder.sync(vault.transport("laptop"), "laptop")
    assert list((folder.state / "incoming").iterdir()) == []
    assert not (folder.state / "trash").exists()


def test_what_an_earlier_version_left_on_its_way_out_of_the_folder_is_kept(vault: Server, folder: Folder) -> None:
    (folder.state / "tmp").mkdir()
    (folder.state / "tmp/0123456789abcdef").write_text("saved in the last moment")
    report = folder.sync(vault.transport("laptop"), "laptop")
    assert [path.read_text() for path in folder.state.glob("trash/*/*")] == ["saved in the last moment"]
    assert any(".gobi/trash/" in note for note in report.notes)


def test_gobis_own_folder_is_its_owners_alone(folder: Folder) -> None:
    assert folder.state.stat().st_mode & 0o777 == 0o700


def test_on_a_disk_that_folds_case_a_folder_counts_only_under_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands in for such a disk, which Linux rarely has: every name is opened in lower case."""
    from client import folders

    (tmp_path / "notes").mkdir()
    real = folders.open_folder
    monkeypatch.setattr(folders, "open_folder", lambda name, parent: real(name.lower(), parent))
    root = real(str(tmp_path), 0)
    exact = Folders(root, exact=True)
    exact.get("notes")
    with pytest.raises(FileNotFoundError):
        exact.get("Notes")
    with pytest.raises(FileExistsError):
        exact.get("Notes", make=True)
    exact.clear()
    os.close(root)
