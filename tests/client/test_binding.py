"""Which file in the vault a person means."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.binding import vault_path
from client.ports import Stopped


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A vault's folder with `a.md`, `sub/a.md` and `sub/b.md`, seen from a place outside it."""
    root = tmp_path / "notes"
    (root / "sub").mkdir(parents=True)
    for path in ("a.md", "sub/a.md", "sub/b.md"):
        (root / path).touch()
    monkeypatch.chdir(tmp_path)
    return root


def test_a_name_is_looked_for_inside_the_folder(folder: Path) -> None:
    assert vault_path(folder, "sub/b.md") == "sub/b.md"
    assert vault_path(folder, "./sub//b.md") == "sub/b.md"
    assert vault_path(folder, "sub/") == "sub"


def test_a_name_that_is_gone_already_is_meant_inside_the_folder(folder: Path) -> None:
    assert vault_path(folder, "gone/today.md") == "gone/today.md"


def test_from_inside_the_folder_the_nearer_file_is_meant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "sub")
    assert vault_path(folder, "a.md") == "sub/a.md"
    assert vault_path(folder, "sub/a.md") == "sub/a.md"
    assert vault_path(folder, "../a.md") == "a.md"


def test_an_absolute_name_is_taken_as_it_stands(folder: Path) -> None:
    assert vault_path(folder, str(folder / "sub" / "a.md")) == "sub/a.md"


def test_a_folder_reached_over_a_link_is_the_same_folder(folder: Path, tmp_path: Path) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(folder)
    assert vault_path(alias, "a.md") == "a.md"
    assert vault_path(alias, str(alias / "a.md")) == "a.md"
    assert vault_path(folder, str(alias / "sub" / "b.md")) == "sub/b.md"


def test_a_link_inside_the_folder_is_itself_and_not_what_it_points_to(folder: Path) -> None:
    (folder / "link").symlink_to("/etc")
    assert vault_path(folder, "link") == "link"
    assert vault_path(folder, str(folder / "link")) == "link"


@pytest.mark.parametrize("name", ["..", "../other", "sub/../../other", "/etc/passwd"])
def test_nothing_outside_the_folder_can_be_named(folder: Path, name: str) -> None:
    with pytest.raises(Stopped, match="not inside"):
        vault_path(folder, name)


@pytest.mark.parametrize("name", [".", "./", "sub/.."])
def test_the_whole_folder_is_never_meant(folder: Path, name: str) -> None:
    with pytest.raises(Stopped, match="whole folder"):
        vault_path(folder, name)
