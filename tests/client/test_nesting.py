"""Vaults inside vaults: refused from either side, and left out where one comes to lie in another all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.binding import check_words
from client.config import Config, new_id, save
from client.index import Record
from client.nesting import has_state
from client.ports import Stopped
from client.tree import Tree
from tests.client.direct import Server
from tests.client.machines import DiskMachine, settle

URL = "https://pi.example.org"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    return tmp_path / "configuration"


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    """A folder with a folder in it; neither is connected."""
    (tmp_path / "outer" / "deep" / "inner").mkdir(parents=True)
    return tmp_path / "outer"


def bind(folder: Path) -> Path:
    save(folder, Config(URL, "notes", "me", "laptop", False, new_id()), "secret")
    return folder


def ask(folder: Path) -> Config:
    return check_words(folder, URL, "other", "me", "laptop", False)


# -- connecting


def test_a_folder_inside_a_connected_one_is_refused(outer: Path) -> None:
    bind(outer)
    with pytest.raises(Stopped, match=r"lies inside .*outer, which is connected already") as stopped:
        ask(outer / "deep" / "inner")
    assert stopped.value.exit_code == 2


def test_a_folder_that_is_still_to_be_made_is_refused_there_too(outer: Path) -> None:
    bind(outer)
    with pytest.raises(Stopped, match="lies inside"):
        ask(outer / "deep" / "new")


@pytest.mark.parametrize("name", ["link", "link/inner", "link/new"])
def test_a_symbolic_link_is_no_way_around_that(outer: Path, tmp_path: Path, name: str) -> None:
    bind(outer)
    (tmp_path / "link").symlink_to(outer / "deep")
    with pytest.raises(Stopped, match="lies inside"):
        ask(tmp_path / name)


def test_a_folder_around_a_connected_one_is_refused(outer: Path) -> None:
    bind(outer / "deep" / "inner")
    with pytest.raises(Stopped, match=r"has .*inner in it, which is connected already") as stopped:
        ask(outer)
    assert stopped.value.exit_code == 2


def test_a_folder_beside_a_connected_one_is_not(outer: Path, tmp_path: Path) -> None:
    bind(outer / "deep" / "inner")
    (outer / "beside").mkdir()
    (outer / "beside" / "link").symlink_to(outer / "deep")
    assert ask(outer / "beside").vault == "other"


def test_a_folder_that_is_connected_already_can_be_so_again_whatever_is_in_it(outer: Path) -> None:
    """An earlier gobi allowed a vault around another one."""
    bind(outer)
    bind(outer / "deep" / "inner")
    for folder in (outer, outer / "deep" / "inner"):
        assert check_words(folder, URL, "notes", "me", "laptop", False).url == URL


def test_a_bind_mount_is_no_way_around_that(outer: Path, tmp_path: Path) -> None:
    bind(outer)
    (tmp_path / "alias").mkdir()
    script = (
        "import subprocess, sys; from pathlib import Path; from client.nesting import vault_above\n"
        "outer, alias = map(Path, sys.argv[1:])\n"
        "subprocess.run(['mount', '--bind', outer / 'deep', alias], check=True)\n"
        "assert vault_above(alias) == vault_above(alias / 'inner') == vault_above(alias / 'new') == outer\n"
        "assert vault_above(outer) is None"
    )
    whose = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", "--mount", *whose, "--propagation", "private", sys.executable, "-c", script]
    subprocess.run([*command, outer, tmp_path / "alias"], check=True, timeout=60)


# -- what lies in another vault all the same


@pytest.fixture
def real(vault: Server, tmp_path: Path) -> Iterator[DiskMachine]:
    machine = DiskMachine(vault, "real", tmp_path / "real")
    yield machine
    machine.close()


@pytest.fixture
def other(vault: Server, tmp_path: Path) -> Iterator[DiskMachine]:
    machine = DiskMachine(vault, "other", tmp_path / "other")
    yield machine
    machine.close()


def test_a_vault_inside_a_vault_is_left_out_and_named(vault: Server, real: DiskMachine) -> None:
    real.write("in/s.md", "secret")
    bind(real.root / "in")
    real.write("beside.md", "beside")
    report = real.sync()
    assert vault.files() == {"beside.md": b"beside"}
    assert [(one.name, "vault of its own" in one.reason) for one in report.skipped] == [("in", True)]
    assert report.exit_code == 0


def test_files_of_a_folder_that_becomes_a_vault_of_its_own_stay_on_both_sides(
    vault: Server, real: DiskMachine, other: DiskMachine
) -> None:
    real.write("in/s.md", "secret")
    settle([real, other])
    bind(real.root / "in")
    other.write("in/s.md", "edited")
    other.write("in/new.md", "new")
    settle([other, real])
    assert real.sync().in_step
    assert (real.root / "in" / "s.md").read_text() == "secret"
    assert not (real.root / "in" / "new.md").exists()
    assert set(vault.files()) == {"in/s.md", "in/new.md"}


def test_what_was_left_out_comes_when_the_inner_vault_is_let_go(real: DiskMachine, other: DiskMachine) -> None:
    real.write("in/s.md", "secret")
    settle([real, other])
    bind(real.root / "in")
    real.sync()
    other.write("in/new.md", "new")
    settle([other, real])
    (real.root / "in" / ".gobi" / "config.json").unlink()
    (real.root / "in" / ".gobi").rmdir()
    settle([real, other])
    assert real.files() == other.files() == {"in/s.md": b"secret", "in/new.md": b"new"}


@pytest.mark.parametrize("name", [".gobi", ".GOBI", ".Gobi"])
def test_gobis_own_folder_is_synced_from_no_depth(vault: Server, real: DiskMachine, name: str) -> None:
    for above in ("", "a/", "a/b/"):
        real.write(f"{above}{name}/config.json.bak", "{}")
    real.write("a/note.md", "note")
    assert real.sync().in_step
    assert vault.files() == {"a/note.md": b"note"}


def test_a_vault_with_another_ones_files_of_gobi_is_left_in_peace(
    vault: Server, real: DiskMachine, other: DiskMachine
) -> None:
    """As version 0.1.0 has sent them: nothing is deleted, nothing conflicts, and `gobi rm` takes them away for good."""
    vault.put("in/.gobi/config.json", b"of the other machine")
    version = vault.put("in/.gobi/lock", b"1")
    vault.put("note.md", b"note")
    (real.root / "in" / ".gobi").mkdir(parents=True)
    (real.root / "in" / ".gobi" / "lock").write_text("2")
    entry = Record("in/.gobi/lock", version.stamp, "0" * 64, 1, 0, 0, 0, 0, (), "conflict-id")
    real.index.put(entry)
    settle([real, other])
    assert (real.root / "in" / ".gobi" / "lock").read_text() == "2"
    assert other.files() == {"note.md": b"note"}
    assert set(vault.files()) == {"in/.gobi/config.json", "in/.gobi/lock", "note.md"}
    report = real.sync()
    assert (report.in_step, report.conflicts, real.status().conflicts) == (True, [], [])
    real.rm("in/.gobi/lock")
    settle([real, other])
    assert set(vault.files()) == {"in/.gobi/config.json", "note.md"}
    assert (real.root / "in" / ".gobi" / "lock").read_text() == "2"


def test_a_single_look_at_a_file_leaves_it_out_as_well(real: DiskMachine) -> None:
    """What `gobi watch` does when a vault is moved into the folder."""
    real.write("in/s.md", "secret")
    real.disk.scan()
    bind(real.root / "in")
    assert real.disk.look_at(["in/s.md", "in/.gobi/config.json"]) == ([], [])
    assert real.disk.ignored("in/s.md")


def test_a_vault_inside_the_folder_is_not_watched(real: DiskMachine) -> None:
    for name in ("in", "plain"):
        (real.root / name).mkdir()
    bind(real.root / "in")
    tree = Tree(str(real.root), real.disk.ignored_folder)
    try:
        tree.look_around()
        (real.root / "in" / "s.md").write_text("secret")
        (real.root / "plain" / "p.md").write_text("plain")
        assert {news.path for news in tree.news()} == {"plain/p.md"}
    finally:
        tree.close()


@pytest.mark.parametrize(
    ("path", "whether"),
    [(".gobi/x", True), ("a/.GoBi", True), ("a/.gobi/b", True), (".gobiignore", False), ("a/my.gobi/x", False)],
)
def test_what_is_gobis_own(path: str, whether: bool) -> None:
    assert has_state(path) is whether
