"""A file has the same name whatever locale a sync runs in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.machines import House, Machine, in_step
from tests.e2e.watching import Watching
from tests.services import wait_until

NAMES = ["Bücher/täßt.txt", "naïve.md", "日本.txt", "plain.md"]
# Without a locale of an old encoding, C does: Python takes it for UTF-8 only as long as nobody forbids that.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def deployed() -> str:
    """What a client does is the same everywhere."""
    return "embedded"


@pytest.fixture(params=["latin-1", "ascii"])
def old_locale(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    compiler = shutil.which("localedef")
    if request.param == "ascii" or compiler is None:
        return ASCII
    done = subprocess.run([compiler, "-i", "de_DE", "-f", "ISO-8859-1", tmp_path / "de_DE"], capture_output=True)
    return {"LC_ALL": "de_DE", "LOCPATH": str(tmp_path)} if done.returncode == 0 else ASCII


@pytest.fixture
def old(laptop: Machine, old_locale: dict[str, str]) -> Machine:
    """A machine with files of all kinds of names, in a locale of an old encoding from now on."""
    for name in NAMES:
        laptop.write(name, name)
    laptop.sync()
    laptop.environment |= old_locale
    laptop.encoding = "latin-1"
    return laptop


def test_a_sync_in_a_locale_of_an_old_encoding_renames_nothing(house: House, old: Machine, desktop: Machine) -> None:
    row = old.sync("--json").json
    assert (row["uploaded"], row["renamed"], row["deleted_there"], row["in_step"]) == (0, 0, 0, True)
    old.write("grün.md", "new")
    old.sync()
    desktop.sync()
    assert house.live() == {*NAMES, "grün.md"}
    assert in_step(old, desktop)


def test_what_comes_from_elsewhere_has_its_name_in_any_locale(old: Machine, desktop: Machine) -> None:
    desktop.write("한국어/ł.md", "new")
    desktop.sync()
    old.sync()
    assert old.read("한국어/ł.md") == "new"
    assert in_step(old, desktop)


def test_a_watch_in_a_locale_of_an_old_encoding_says_all_names(house: House, old: Machine, desktop: Machine) -> None:
    with Watching(old) as watching:
        old.write("中文.md", "new")
        wait_until(lambda: "中文.md" in house.live(), "the new file to be sent")
        watching.wait_for("sent ")
    assert house.live() == {*NAMES, "中文.md"}


def test_every_command_says_what_the_terminal_can_show_and_spells_out_the_rest(old: Machine) -> None:
    old.write("中文.md", "new")
    old.delete("naïve.md")
    said = old.gobi("status", str(old.folder), code=1).out
    assert r"\u4e2d\u6587.md" in said or "中文.md".encode().decode("latin-1") in said
    old.gobi("history", str(old.folder), "日本.txt")
    old.gobi("verify", str(old.folder), code=1)
    old.rm("日本.txt")
