"""What `make dist` built, tried on this machine's Pythons and in an arm64 Debian. `make test-dist` builds it first."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest

from deploy.package.single import ROOTS
from deploy.package.wheels import PYTHONS
from tests.packages import machine
from tests.services import free_port

pytestmark = pytest.mark.dist

ROOT = Path(__file__).resolve().parent.parent.parent
DIST = ROOT / "dist"
NOBODY = pwd.getpwnam("nobody")
ROUND = Path(__file__).with_name("round.sh")
PATIENCE_S = 1_800  # unpacking and compiling takes an emulated processor minutes
# The shared libraries that the packages' Depends: stand for.
OF_THE_SYSTEM = {
    "libc",
    "libm",
    "libdl",
    "librt",
    "libpthread",
    "libgcc_s",
    "libstdc++",
    "ld-linux-x86-64",
    "ld-linux-aarch64",
}

# It brings its libraries, so that nothing is downloaded; it is built from wheels, by no Debian source package; and it
# has no maintainer's address.
ACCEPTED = ("embedded-library", "no-changelog", "unstripped-binary-or-object", "bogus-mail-host")


def pythons() -> dict[str, Path]:
    """Every Python of this machine that the single file is for."""
    found: dict[str, Path] = {}
    for version in PYTHONS:
        name = f"python{version}"
        places = [Path("/usr/bin") / name, Path("/usr/local/bin") / name]
        places += sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/{name}"))
        there = [place for place in places if place.exists()]
        if there:
            found[version] = there[0]
    return found


def test_the_wheel_has_every_file_that_gobi_needs_and_no_other() -> None:
    (wheel,) = DIST.glob("gobi_sync-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        packed = {name for name in opened.namelist() if ".dist-info/" not in name}
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rooms = re.compile(r"(handlers|store|sync|client|ops)/.*|gobi\.py")
    assert packed == {name for name in listed if rooms.fullmatch(name)}
    assert any(name.startswith("handlers/web/vendor/") for name in packed)


@pytest.mark.parametrize("version", PYTHONS)
def test_the_single_file_does_a_round_on(version: str, tmp_path: Path) -> None:
    if version not in pythons():
        pytest.skip(f"this machine has no Python {version}")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(pythons()[version])
    environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "LANG": "C.UTF-8"}
    command = ["sh", str(ROUND), str(DIST / "gobi"), str(tmp_path / "round"), str(free_port())]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.stdout.endswith("in step\n"), done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root goes on as somebody else")
def test_root_runs_the_single_file_over_a_data_folder_of_somebody_elses() -> None:
    """As `sudo gobi user add me` does, with the service's data: nobody else may look into root's home."""
    kept = Path(ROOTS).exists()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        for name, mode in (("home", 0o700), ("data", 0o700), ("backups", 0o700)):
            (folder / name).mkdir(mode=mode)
        for name in ("data", "backups"):
            os.chown(folder / name, NOBODY.pw_uid, NOBODY.pw_gid)
        environ = {"PATH": "/usr/bin:/bin", "HOME": f"{folder}/home", "GOBI_DATA_DIR": f"{folder}/data"}
        environ["GOBI_LISTEN"] = f"127.0.0.1:{free_port()}"

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([DIST / "gobi", *arguments], env=environ, capture_output=True, text=True, timeout=120)

        commands = ("user add me --generate", "user list", "doctor", "check", "gc", f"backup {folder}/backups")
        for command in commands:
            done = run(*command.split())
            assert done.returncode == 0, (command, done)
        assert {path.stat().st_uid for path in (folder / "data").rglob("*")} == {NOBODY.pw_uid}
        with subprocess.Popen([DIST / "gobi", "serve"], env=environ, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            said = server.stdout.readline()
            server.terminate()
        assert "gobi is listening on" in said
        assert list((folder / "home").iterdir()) == []
    if not kept:
        shutil.rmtree(ROOTS)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_the_single_file_does_a_round_on_an_arm64(suite: str) -> None:
    """Whose processor is emulated for its programs alone: the kernel is this machine's."""
    if lack := machine.missing() or machine.cannot_run("arm64"):
        pytest.skip(lack)
    root = machine.root(suite, "arm64", "python3")
    shutil.rmtree(root / "round", ignore_errors=True)
    (root / "round").mkdir()
    for file in (DIST / "gobi", ROUND):
        shutil.copy(file, root / "round")
    command = ["chroot", str(root), "sh", "/round/round.sh", "/round/gobi", "/round/work", str(free_port())]
    environ = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.stdout.endswith("in step\n"), done.stdout + done.stderr


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_the_package_depends_on_every_library_that_its_extensions_want(architecture: str, tmp_path: Path) -> None:
    for program in ("dpkg-deb", "readelf"):
        if shutil.which(program) is None:
            pytest.skip(f"this machine has no {program}")
    (package,) = DIST.glob(f"gobi_*_{architecture}.deb")
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path], check=True)
    extensions = sorted(tmp_path.rglob("*.so"))
    assert len(extensions) > 100
    read = subprocess.run(["readelf", "-hd", *extensions], capture_output=True, text=True, check=True).stdout
    assert {name.partition(".so")[0] for name in re.findall(r"NEEDED.*\[(.*)\]", read)} <= OF_THE_SYSTEM
    machines = set(re.findall(r"Machine: +(.*)", read))
    assert machines == {{"amd64": "Advanced Micro Devices X86-64", "arm64": "AArch64"}[architecture]}


def test_lintian_finds_nothing_that_was_not_thought_about() -> None:
    if shutil.which("lintian") is None:
        pytest.skip("this machine has no lintian")
    (package,) = DIST.glob("gobi_*_amd64.deb")
    environ = os.environ | {"LC_ALL": "C.UTF-8"}
    command = ["lintian", "--fail-on=error", "--suppress-tags", ",".join(ACCEPTED), str(package)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
