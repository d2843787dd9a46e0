"""`.gobiignore` means what `.gitignore` would mean at the same place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from client.ignore import Ignore, Nothing

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
    ],
)
def test_the_same_files_are_ignored_as_git_ignores(tmp_path: Path, text: str) -> None:
    (tmp_path / ".gitignore").write_text(text)
    for path in PATHS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    asked = "\0".join(PATHS)
    told = subprocess.run(
        ["git", "check-ignore", "-z", "--stdin"], cwd=tmp_path, input=asked, text=True, capture_output=True
    )
    ignore = Ignore(text.encode())
    assert {path for path in PATHS if path in ignore} == set(told.stdout.split("\0")) - {""}


def test_without_the_file_nothing_is_ignored() -> None:
    assert "anything" not in Nothing()


def test_the_rules_are_named_by_their_text() -> None:
    assert Ignore(b"*.tmp\n").rules == Ignore(b"*.tmp\n").rules != Ignore(b"*.log\n").rules
    assert Nothing.rules == ""


def test_a_mark_of_a_windows_editor_is_no_part_of_the_first_pattern() -> None:
    assert "a.tmp" in Ignore(b"\xef\xbb\xbf*.tmp\r\n")
