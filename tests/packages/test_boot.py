"""The package on whole machines that boot: guest.py has what is tried there. `make boot-test` builds it first."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packages import guest, machine

pytestmark = pytest.mark.boot

HERE = Path(__file__).resolve().parent
DIST = HERE.parent.parent / "dist"


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The package, the same as a later version, the single file, and what tries them."""
    if lack := machine.missing():
        pytest.skip(lack)
    (package,) = DIST.glob("gobi_*_amd64.deb")
    folder = tmp_path_factory.mktemp("later")
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder / "files"], check=True)
    control = folder / "files" / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("Version: ", "Version: 99."))
    later = folder / package.name.replace("gobi_", "gobi_99.")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", folder / "files", later], check=True)
    shutil.rmtree(folder / "files")
    return [package, later, DIST / "gobi", HERE / "guest.py"]


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_the_package_lives_on_a_machine_that_boots(suite: str, payload: list[Path]) -> None:
    lines = []
    for line in machine.boot(suite, payload):
        lines.append(line)
        if line.startswith(("ok ", "not ok ", "#")):
            sys.stdout.write(f"{suite}: {line}\n")  # what it measured, for whoever asked for this
            sys.stdout.flush()
    passed = [line for line in lines if line.startswith("ok ")]
    assert not [line for line in lines if line.startswith("not ok ")]
    assert len(passed) == len(guest.STEPS), "\n".join(lines[-50:])
