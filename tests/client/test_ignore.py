"""`.gobiignore` means what `.gitignore` would mean at the same place."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from client.ignore import MAX_LINE, Either, Ignore
from client.ports import Stopped

PATHS = [
    "a.tmp",
    "keep.tmp",
    "sub/a.tmp",
    "sub/keep.tmp",
    "build/x",
    "build/deep/y",
    "sub/build/x",
    "build.md",
    "logs/a.log",
    "logs/keep/a.log",
    "top",
    "sub/top",
    "ünï.md",
    "#hash",
    "a b/c",
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


def ignored_by_git(root: Path, text: bytes, paths: Iterable[str]) -> set[str]:
    """Of these files, which are made for it, those that git leaves out by a `.gitignore` of this text."""
    for one in root.iterdir():
        if one.name != ".git":
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    (root / ".gitignore").write_bytes(text)
    asked = "\0".join(paths).encode()
    told = subprocess.run(
        ["git", "check-ignore", "--no-index", "-z", "--stdin"], cwd=root, input=asked, capture_output=True
    )
    assert told.returncode in (0, 1), told.stderr
    return set(told.stdout.decode().split("\0")) - {""}


@pytest.mark.parametrize(
    "text",
    [
        "*.tmp\n!keep.tmp\n",
        "build/\n",
        "/build\n",
        "logs/\n!logs/keep/\n",
        "logs/*\n!logs/keep/\n",
        "/top\n",
        "sub/**/x\n",
        "# a comment\n\n\\#hash\n",
        "ünï.*\na b/\n",
        "*\n!*.md\n",
        "*\n!*/\n!*.md\n",
        "/*\n!*/\n*\n!*/\n!*.md\n",
        "build\n!sub/\n",
        "build/\n!logs/\n",
        "/logs/*\n!/logs/keep/\n",
        "[[:alpha:]]*.tmp\n",
        "[![:digit:]]/\n",
        "sub**/x\n",
        "logs/**\n!logs/**/\n",
        "*.tmp \nbuild.md\\ \n",
        "???.*\n",
        "!\n!!\n/\n//\n",
    ],
)
def test_the_same_files_are_ignored_as_git_ignores(repository: Path, text: str) -> None:
    ignore = Ignore(text.encode())
    assert {path for path in PATHS if path in ignore} == ignored_by_git(repository, text.encode(), PATHS)


_PIECES = [
    *("a", "b", "ab", "x.md", ".", "1", "ü", " ", "#", "!", "-", "/", "/", "*", "*", "**", "**/", "/**", "?"),
    *("[ab]", "[!a]", "[^a]", "[a-x]", "[]a]", "[a", "[/]", "[:", "[[:digit:]]", "[[:alpha:]-]", "[[:nothing:]]"),
    *("\\", "\\*", "\\ ", "\\/"),
]
_names = some.sampled_from(["a", "b", "ab", "abx", "x.md", "1", "ü", "a b", "#a", "!b", "[a]", "*", "-", "a "])
_trees = some.lists(some.lists(_names, min_size=1, max_size=4).map("/".join), min_size=1, max_size=12, unique=True)


@some.composite
def _patterns(draw: some.DrawFn) -> bytes:
    middle = "".join(draw(some.lists(some.sampled_from(_PIECES), min_size=1, max_size=6)))
    begin, end = draw(some.sampled_from(["", "", "!", "/", "!/"])), draw(some.sampled_from(["", "", "/", " ", "  "]))
    return (begin + middle + end).encode()


@some.composite
def _texts(draw: some.DrawFn) -> bytes:
    lines = draw(some.lists(_patterns(), min_size=1, max_size=6))
    text = draw(some.sampled_from([b"\n", b"\r\n"])).join(lines)
    return draw(some.sampled_from([b"", b"\xef\xbb\xbf"])) + text + draw(some.sampled_from([b"", b"\n"]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_texts(), _trees)
def test_no_list_of_patterns_means_anything_else_than_to_git(repository: Path, text: bytes, tree: list[str]) -> None:
    folders = {path[:cut] for path in tree for cut, letter in enumerate(path) if letter == "/"}
    files = [path for path in tree if path not in folders]
    ignore = Ignore(text)
    assert {path for path in files if path in ignore} == ignored_by_git(repository, text, files)


@pytest.fixture
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.usefixtures("no_warnings")
@pytest.mark.parametrize("pattern", ["[[:digit:]]*.log", "[[a]", "[a--b]", "[a||b]", "[a&&b]", "[a~~b]"])
def test_nothing_is_said_on_the_terminal_about_a_pattern_of_any_shape(pattern: str) -> None:
    assert "nothing.md" not in Ignore(pattern.encode())


@pytest.mark.parametrize(
    "pattern",
    [
        "*a" * 100 + "b",
        "**/" * 300 + "b",
        "**/*a*a*a*a*a*a*a*a*a*b",
        "a**/" * 100 + "b",
        "**/*a*/**/*a*/**/*a*/**/*a*/**/b",
        "[ab]*" * 300 + "c",
        "a/**/" * 100 + "b",
    ],
)
def test_no_pattern_takes_longer_than_people_wait(pattern: str) -> None:
    """A matcher that tries all ways to divide such a name among the wildcards would not end in this universe."""
    ignore = Ignore(f"{pattern}\n".encode())
    for path in ("a" * 255, "a/" * 511 + "a", "/".join(["a" * 200] * 5)):
        assert path not in ignore


def test_thousands_of_patterns_are_looked_up_and_not_tried_one_by_one() -> None:
    ignore = Ignore(b"".join(b"name%d\n*.end%d\n/path/%d\n" % (n, n, n) for n in range(3_000)))
    assert all(path in ignore for path in ("x/name2999", "x.end0", "path/1500"))
    assert all(f"note-{n}.md" not in ignore for n in range(10_000))


def test_without_the_file_nothing_is_ignored() -> None:
    assert "anything" not in Ignore(None)


def test_the_rules_are_named_by_their_text() -> None:
    assert Ignore(b"*.tmp\n").rules == Ignore(b"*.tmp\n").rules
    assert len({Ignore(text).rules for text in (None, b"", b"*.tmp\n", b"*.log\n")}) == 4


def test_a_mark_of_a_windows_editor_is_no_part_of_the_first_pattern() -> None:
    assert "a.tmp" in Ignore(b"\xef\xbb\xbf*.tmp\r\n")


@pytest.mark.parametrize("line", [b"B\xfccher/", b"s\0e\0", b"a" * (MAX_LINE + 1)])
def test_a_line_that_is_no_pattern_is_named_and_the_others_hold(line: bytes) -> None:
    ignore = Ignore(b"*.tmp\n" + line + b"\n*.log\n")
    assert "line 2" in ignore.problems[0]
    assert len(ignore.problems) == 1
    assert "a.tmp" in ignore
    assert "a.log" in ignore


@pytest.mark.parametrize("text", [b"\xff\xfes\0e\0", b"a\n" * 10_001, b"a" * 300_000])
def test_what_is_no_list_of_patterns_at_all_is_refused_as_a_whole(text: bytes) -> None:
    with pytest.raises(Stopped, match=r"\.gobiignore"):
        Ignore(text)


@pytest.mark.parametrize("path", [".git/config", "repo/.git/refs/heads/main", "module/.git"])
def test_what_git_keeps_for_itself_is_left_out_unless_somebody_wants_it(path: str) -> None:
    assert path in Ignore(None)
    assert path in Ignore(b"*.tmp\n")
    assert path not in Ignore(b"!.git\n")
    assert (path in Ignore(b"!.git/\n")) == (path == "module/.git")


@pytest.mark.parametrize("path", [".gitignore", "repo/.github/x", "a.git/config", "git"])
def test_what_only_sounds_like_git_is_synced(path: str) -> None:
    assert path not in Ignore(None)


def test_two_lists_together_leave_out_what_either_does() -> None:
    both = Either(Ignore(b"a/\n"), Ignore(b"*.tmp\n"))
    assert both.folder("a")
    assert both.file("x.tmp")
    assert "a/x.md" in both
    assert "x.md" not in both
    assert both.rules not in (Ignore(b"a/\n").rules, Ignore(b"*.tmp\n").rules)
