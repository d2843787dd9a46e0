"""What people are told of older versions, conflicts and undos."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from client.show_past import conflict_lines, history_lines, log_lines, skipped_lines, undo_lines
from client.words import command
from sync.model import Json, Version

FOLDER = Path("/home/me/my notes")


def version(
    stamp: int, *, size: int | None = 10, base: int | None = None, path: str = "a.md", hash: str = ""
) -> Version:
    """A put, or a tombstone where there is no size."""
    if size is None:
        return Version(path, "delete", stamp, base, None, 0, None, "laptop", "me")
    return Version(path, "put", stamp, base, hash or str(stamp), size, None, "laptop", "me")


def test_a_history_says_what_each_version_was() -> None:
    rows = [
        version(50, base=40, hash="40", size=30),
        version(40, base=30, size=30),
        version(30, base=20, size=None),
        version(20, base=10, size=2010),
        version(10, size=10),
    ]
    said = list(history_lines(rows, False, "a.md", FOLDER))
    assert [line.split()[3] for line in said[1:-1]] == ["same", "new", "deleted", "changed", "new"]
    assert "(+2.0 kB)" in said[4]
    assert said[-1] == "To put one back: gobi restore '/home/me/my notes' a.md --stamp N"


def test_a_new_file_is_taken_back_by_deleting_it_and_all_else_by_restoring() -> None:
    assert [*log_lines(version(10), FOLDER)][1].endswith("gobi rm '/home/me/my notes' a.md")
    for later in (version(20, base=10), version(20, base=10, size=None)):
        assert [*log_lines(later, FOLDER)][1].endswith("gobi restore '/home/me/my notes' a.md --stamp 10")


@pytest.mark.parametrize("path", ["plain.md", "it's here.md", "-x.md", "a\u202eb.md", "süß.md", "a'\u200b\\b.md"])
def test_a_command_reads_back_as_it_was_meant_in_one_printable_line(path: str) -> None:
    line = command("restore", FOLDER, path, "--stamp", "1")
    assert line.isprintable()
    show = f'gobi() {{ printf "%s\\n" "$@"; }}; {line}'
    env = {"LC_ALL": "C.UTF-8"}
    words = subprocess.run(["bash", "-c", show], env=env, capture_output=True, text=True, check=True).stdout.split("\n")
    assert words[:4] == ["restore", str(FOLDER), f"./{path}" if path.startswith("-") else path, "--stamp"]


def test_control_characters_never_reach_the_terminal() -> None:
    evil = "\x1b]0;owned\x07"
    conflict: Json = {
        "id": "1",
        "path": evil,
        "opened": 1,
        "server": version(1)._replace(device=evil).to_json(),
        "candidates": [{"n": 1, "user": evil, "device": evil, "size": 1, "at": 1}],
    }
    row = version(1, path=evil).to_json() | {"restores": None}
    skipped = [version(2, path=evil).to_json() | {"reason": evil}]
    lines = [
        *conflict_lines([conflict], FOLDER),
        *history_lines([version(1, path=evil)], False, evil, FOLDER),
        *log_lines(version(1, path=evil), FOLDER),
        *undo_lines({"changes": [row], "skipped": skipped}, done=False),
    ]
    assert all(line.isprintable() for line in lines)


def test_a_long_undo_is_cut_after_twenty_lines() -> None:
    rows = [version(n, path=f"{n}.md").to_json() | {"restores": 1} for n in range(500)]
    said = list(undo_lines({"changes": rows, "skipped": []}, done=False))
    assert said[0] == "500 files would be put back"
    assert len(said) == 22
    assert said[-1] == "  … and 480 more"


def test_every_reason_for_leaving_a_file_is_told_in_words() -> None:
    rows = [version(1).to_json() | {"reason": reason} for reason in ("others", "conflict", "since", "path-taken")]
    first, *reasons = skipped_lines(rows)
    assert first == "4 files stay as they are"
    assert not any(line == f"  a.md: {row['reason']}" for line, row in zip(reasons, rows, strict=True))


def test_two_conflicts_about_one_path_are_told_apart() -> None:
    rows: list[Json] = [{"id": f"c{n}", "path": "a.md", "opened": n, "server": None, "candidates": []} for n in (1, 2)]
    said = "\n".join(conflict_lines(rows, FOLDER))
    assert "--id c1 --keep" in said
    assert "--id c2 --keep" in said
