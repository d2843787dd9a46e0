"""What the kernel tells of a folder with folders in it, as news of paths. On real folders."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.inotify import Inotify
from client.ports import Stopped
from client.tree import How, News, Tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "notes"
    (root / ".gobi").mkdir(parents=True)
    return root


@pytest.fixture
def tree(root: Path) -> Iterator[Tree]:
    (root / "deep" / "er").mkdir(parents=True)
    (root / "cache").mkdir()
    one = Tree(str(root), lambda folder: folder == "cache")
    one.look_around()
    yield one
    one.close()


def latest(tree: Tree) -> dict[str, How]:
    """What was told last of each path."""
    return {news.path: news.how for news in tree.news()}


def test_a_file_that_is_closed_after_writing(root: Path, tree: Tree) -> None:
    (root / "deep" / "er" / "a.md").write_text("words")
    assert latest(tree) == {"deep/er/a.md": How.WRITTEN}
    assert latest(tree) == {}


def test_a_file_that_stays_open(root: Path, tree: Tree) -> None:
    with (root / "a.md").open("w") as file:
        file.write("half")
        file.flush()
        assert latest(tree) == {"a.md": How.OPEN}
    assert latest(tree) == {"a.md": How.WRITTEN}


def test_reading_is_no_news(root: Path, tree: Tree) -> None:
    (root / "a.md").write_text("words")
    latest(tree)
    (root / "a.md").read_text()
    assert latest(tree) == {}


def test_a_file_that_gets_another_name(root: Path, tree: Tree) -> None:
    (root / "a.md").write_text("words")
    latest(tree)
    (root / "a.md").rename(root / "deep" / "b.md")
    assert list(tree.news()) == [News("a.md", How.GONE), News("deep/b.md", How.MOVED, "a.md")]


def test_a_file_that_is_deleted_or_moved_away(root: Path, tree: Tree, tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (root / name).write_text("words")
    latest(tree)
    (root / "a.md").unlink()
    (root / "b.md").rename(tmp_path / "b.md")
    assert latest(tree) == {"a.md": How.GONE, "b.md": How.GONE}


def test_a_new_folder_is_watched_and_what_is_in_it_is_found(root: Path, tree: Tree) -> None:
    (root / "new" / "folder").mkdir(parents=True)
    (root / "new" / "folder" / "a.md").write_text("words")
    assert latest(tree) == {"new/folder/a.md": How.FOUND}
    (root / "new" / "folder" / "b.md").write_text("words")
    assert latest(tree) == {"new/folder/b.md": How.WRITTEN}


def test_a_folder_that_is_renamed_is_watched_under_its_new_name(root: Path, tree: Tree) -> None:
    (root / "deep" / "er" / "a.md").write_text("words")
    latest(tree)
    (root / "deep").rename(root / "shallow")
    assert list(tree.news()) == [
        News("deep", How.GONE_BELOW),
        News("shallow/er/a.md", How.MOVED, "deep/er/a.md"),
    ]
    (root / "shallow" / "er" / "b.md").write_text("words")
    assert latest(tree) == {"shallow/er/b.md": How.WRITTEN}


def test_a_folder_that_is_moved_away_is_not_watched_any_more(root: Path, tree: Tree, tmp_path: Path) -> None:
    (root / "deep").rename(tmp_path / "deep")
    assert latest(tree) == {"deep": How.GONE_BELOW}
    (tmp_path / "deep" / "er" / "a.md").write_text("words")
    assert latest(tree) == {}


def test_a_folder_that_is_made_again_is_watched_again(root: Path, tree: Tree) -> None:
    shutil.rmtree(root / "deep")
    (root / "deep").mkdir()
    latest(tree)
    (root / "deep" / "a.md").write_text("words")
    assert latest(tree) == {"deep/a.md": How.WRITTEN}


def test_ignored_folders_and_gobis_own_are_not_watched(root: Path, tree: Tree) -> None:
    (root / "cache" / "a").write_text("")
    (root / ".gobi" / "a").write_text("")
    assert latest(tree) == {}


def test_a_link_to_a_folder_is_not_followed(root: Path, tree: Tree, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "link").symlink_to(elsewhere)
    latest(tree)
    (elsewhere / "a.md").write_text("words")
    assert latest(tree) == {}


def test_names_that_are_no_text_are_told_as_python_has_them(root: Path, tree: Tree) -> None:
    (root / os.fsdecode(b"caf\xe9")).write_text("words")
    assert latest(tree) == {"caf\udce9": How.WRITTEN}


def test_a_queue_that_ran_over_says_so_once(root: Path, tree: Tree) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    names = [root / f"{number}" for number in range(100)]
    for _ in range(most // 300 + 1):  # three news each
        for name in names:
            name.write_text("")
            name.unlink()
    latest(tree)
    assert tree.lost
    tree.look_around()
    assert not tree.lost


def test_more_folders_than_one_may_watch_are_told_of(root: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Inotify.add

    def limited(inotify: Inotify, folder: str, more: int = 0) -> int:
        if folder.endswith("one too many"):
            raise OSError(errno.ENOSPC, "no space left on device")  # as the kernel says it
        return add(inotify, folder, more)

    monkeypatch.setattr(Inotify, "add", limited)
    (root / "one too many").mkdir()
    (root / "a.md").write_text("words")
    assert latest(tree) == {"a.md": How.WRITTEN}
    assert "max_user_watches" in tree.blind
    monkeypatch.undo()
    tree.look_around()
    assert tree.blind == ""


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_folder_that_is_gone_stops_everything(root: Path, tree: Tree, tmp_path: Path, how: str) -> None:
    if how == "removed":
        shutil.rmtree(root)
    else:
        root.rename(tmp_path / "elsewhere")
    with pytest.raises(Stopped) as stopped:
        latest(tree)
    assert stopped.value.exit_code == 78


def test_a_folder_above_that_is_renamed_stops_everything_and_says_where_it_is_now(root: Path, tree: Tree) -> None:
    (root / "a.md").write_text("words")
    latest(tree)
    above = root.parent.rename(root.parent.with_name("renamed"))
    try:
        with pytest.raises(Stopped, match=f"is {above / root.name} now") as stopped:
            latest(tree)
        assert stopped.value.exit_code == 78
    finally:
        above.rename(root.parent)


def test_what_happens_in_a_folder_that_is_not_there_any_more_is_no_news(
    root: Path, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a bind mount was unmounted, of which the kernel tells nothing: the folder goes on elsewhere."""
    monkeypatch.setattr(Inotify, "read", lambda _: iter(()))
    (root / "deep").rename(tmp_path / "deep")
    latest(tree)
    monkeypatch.undo()
    (root / "deep" / "er").mkdir(parents=True)
    tree.look_around()
    latest(tree)
    (tmp_path / "deep" / "er" / "a.md").write_text("words")
    assert latest(tree) == {}
    (root / "deep" / "er" / "a.md").write_text("words")
    assert latest(tree) == {"deep/er/a.md": How.WRITTEN}


@pytest.mark.parametrize(
    ("what", "error", "word"),
    [("add", errno.ENOSPC, "max_user_watches"), ("__init__", errno.EMFILE, "max_user_instances")],
)
def test_where_nothing_can_be_watched_it_says_why_and_tries_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, what: str, error: int, word: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Inotify, what, refuse)
    tree = Tree(str(root), lambda folder: False)
    tree.look_around()
    assert word in tree.blind
    assert latest(tree) == {}
    monkeypatch.undo()
    tree.look_around()
    assert tree.blind == ""
    (root / "a.md").write_text("words")
    assert latest(tree) == {"a.md": How.WRITTEN}
    tree.close()


def test_a_folder_that_is_let_go_stops_everything(root: Path, tree: Tree) -> None:
    (root / ".gobi").rmdir()
    with pytest.raises(Stopped, match="not connected"):
        latest(tree)
