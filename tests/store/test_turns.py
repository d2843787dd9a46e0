"""Turns are one for all processes over a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from store.errors import Unavailable
from store.turns import Turns

ROOT = Path(__file__).resolve().parents[2]
TAKE = """
import sys
from pathlib import Path
from store.turns import Turns
print(Turns(Path(sys.argv[1])).take("me") is not None, flush=True)
sys.stdin.read()
"""


def test_a_turn_is_taken_once_until_it_ends(tmp_path: Path) -> None:
    one, two = Turns(tmp_path / "turns"), Turns(tmp_path / "turns")
    end = one.take("me")
    assert end is not None
    assert one.take("me") is None
    assert two.take("me") is None
    assert two.take("you") is not None
    end()
    assert two.take("me") is not None


def test_a_turn_ends_with_the_process_that_has_it(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", TAKE, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert Turns(tmp_path).take("me") is None
        other.kill()
    assert Turns(tmp_path).take("me") is not None


def test_where_the_data_folder_is_away_there_is_no_turn_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Turns(tmp_path / "away" / "turns").take("me")
    assert not (tmp_path / "away").exists()
