"""How the packages are put together, as far as it can be tried without building them: `make dist` takes minutes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import gobi
from deploy.package import deb, man, single, tree, units, unpack, wheels

ROOT = Path(__file__).resolve().parent.parent.parent
EPOCH = 1_700_000_000
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INTEL, ARM = wheels.Target("3.11", "x86_64"), wheels.Target("3.13", "aarch64")


def wheel(folder: Path, name: str, **files: str) -> Path:
    """In `files` `__` stands for `/`."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as made:
        for place, content in files.items():
            made.writestr(place.replace("__", "/"), content)
    return folder / f"{name}-1-py3-none-any.whl"


@pytest.fixture
def small_tree(tmp_path: Path) -> Path:
    """A program that says what it is told, and two extensions that are none."""
    folder = tmp_path / "tree"
    plain = wheel(
        tmp_path / "wheels", "small", **{"gobi.py": "import sys\ndef main(): print('small', *sys.argv[1:])\n"}
    )
    made = {one: wheel(tmp_path / str(one), "speedy", **{"speedy.abi3.so": one.architecture}) for one in (INTEL, ARM)}
    tree.merge({one: [plain, made[one]] for one in (INTEL, ARM)}, folder)
    return folder


# -- what is in them


def test_they_bring_exactly_what_gobi_asks_for_in_versions_that_it_allows() -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", wheels.LOCK.read_text(), re.MULTILINE))
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["client"]]
    for one in map(Requirement, asked):
        assert one.specifier.contains(pinned[one.name]), f"make dist-lock: {one}"
    assert len(pinned) < 2 * len(asked), "much that is brought is not asked for"


def test_they_say_the_same_of_the_pythons_they_are_for() -> None:
    oldest, newest = (tuple(map(int, one.split("."))) for one in (wheels.PYTHONS[0], wheels.PYTHONS[-1]))
    beyond = f"{newest[0]}.{newest[1] + 1}"
    assert PROJECT["requires-python"] == f">={wheels.PYTHONS[0]}"
    assert (oldest, tuple(map(int, beyond.split(".")))) == (unpack.OLDEST, unpack.BEYOND)
    assert {ending.split("-")[1] for ending in unpack.ENDINGS} == set(wheels.ARCHITECTURES)
    control = (deb.HERE / "control").read_text()
    assert f"python3 (>= {wheels.PYTHONS[0]}), python3 (<< {beyond})" in control


def test_every_unit_is_in_the_package_and_starts_the_packages_program() -> None:
    placed = dict(units.placed())
    assert len(placed) == sum(path.is_file() for path in units.FOLDER.rglob("*"))
    started = re.findall(r"^Exec\w+=[-+!@:]*(\S*gobi\S*)", "\n".join(placed.values()), re.MULTILINE)
    assert set(started) == {units.PROGRAM}
    assert not [place for place, text in placed.items() if re.search(r"/opt/|%h/gobi|\.config/systemd", text)]
    assert f"{units.USER}/gobi-watch@.service" in placed
    assert f"{units.SYSTEM}/gobi.service" in placed


def test_what_the_package_starts_at_once_needs_no_decision() -> None:
    assert units.enabled()[0] == "gobi.service"
    assert "gobi.socket" not in units.enabled()
    assert not [name for name in units.enabled() if "@" in name]


def test_the_manual_page_has_every_command() -> None:
    page = man.page()
    for name in (*gobi.CLIENT_COMMANDS, *gobi.SERVER_COMMANDS):
        assert f"\n.B gobi {name}\n" in page
    if shutil.which("man"):
        shown = subprocess.run(["man", "--warnings", "-l", "-"], input=page, capture_output=True, text=True)
        assert (shown.returncode, shown.stderr) == (0, "")


# -- the tree


def test_extensions_of_all_targets_lie_side_by_side_under_names_that_are_found(small_tree: Path) -> None:
    names = {path.name for path in small_tree.iterdir()}
    assert names == {
        "__main__.py",
        "gobi.py",
        "speedy.cpython-311-x86_64-linux-gnu.so",
        "speedy.cpython-313-aarch64-linux-gnu.so",
    }
    assert [str(place) for place, _ in tree.files(small_tree, "aarch64") if place.suffix == ".so"] == [
        "speedy.cpython-313-aarch64-linux-gnu.so"
    ]


def test_two_wheels_that_want_different_files_in_one_place_are_refused(tmp_path: Path) -> None:
    one = wheel(tmp_path / "1", "one", **{"store____init__.py": "ours"})
    other = wheel(tmp_path / "2", "other", **{"store____init__.py": "theirs"})
    with pytest.raises(tree.Clash, match="store"):
        tree.merge({INTEL: [one, other]}, tmp_path / "tree")


def test_a_file_that_belongs_beside_the_modules_is_refused(tmp_path: Path) -> None:
    odd = wheel(tmp_path, "odd", **{"odd-1.data__scripts__odd": "#!python"})
    with pytest.raises(tree.Clash, match="scripts"):
        tree.merge({INTEL: [odd]}, tmp_path / "tree")


# -- the single file


def run_single(program: Path, home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"} | variables
    return subprocess.run([program, *arguments], env=environ, capture_output=True, text=True)


def test_the_single_file_unpacks_itself_once_however_many_start_it(small_tree: Path, tmp_path: Path) -> None:
    program, home = tmp_path / "gobi", tmp_path / "home"
    single.write(small_tree, program, EPOCH, roots=str(home / ".cache" / "gobi"))
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda n: run_single(program, home, str(n), "two words"), range(4)))
    assert [(one.stdout, one.stderr) for one in done] == [(f"small {n} two words\n", "") for n in range(4)]
    assert len(list((home / ".cache" / "gobi").iterdir())) == 1
    program.write_bytes(program.read_bytes().partition(b"PK")[0])
    assert run_single(program, home, "without its archive").stdout == "small without its archive\n"


def test_a_service_unpacks_the_single_file_into_its_own_cache(small_tree: Path, tmp_path: Path) -> None:
    single.write(small_tree, tmp_path / "gobi", EPOCH)
    done = run_single(tmp_path / "gobi", Path("/nonexistent"), "serve", CACHE_DIRECTORY=str(tmp_path / "cache"))
    assert done.stdout == "small serve\n"


def test_the_single_file_says_what_to_do_where_it_cannot_unpack(small_tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    single.write(small_tree, tmp_path / "gobi", EPOCH, roots=str(tmp_path / "file" / "gobi"))
    done = run_single(tmp_path / "gobi", tmp_path / "file")
    assert done.returncode == 1
    assert "XDG_CACHE_HOME" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root unpacks for others")
def test_what_root_unpacks_can_be_read_by_whom_root_goes_on_as(small_tree: Path) -> None:
    """Also with a closed home, and a umask that closes everything: `sudo gobi user add me`."""
    with tempfile.TemporaryDirectory() as made:
        folder, home = Path(made), Path(made) / "home"
        folder.chmod(0o755)
        home.mkdir(mode=0o700)
        single.write(small_tree, folder / "gobi", EPOCH, roots=str(folder / "cache"))
        before = os.umask(0o077)
        try:
            assert run_single(folder / "gobi", home, "root").stdout == "small root\n"
        finally:
            os.umask(before)
        (unpacked,) = (folder / "cache").iterdir()
        assert not list(home.iterdir())
        for path in (folder / "cache", unpacked, *unpacked.rglob("*")):
            assert path.stat().st_mode & 0o044 == 0o044, path
            assert path.stat().st_mode & 0o022 == 0, path


def test_the_same_files_make_the_same_single_file(small_tree: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        single.write(small_tree, tmp_path / name, EPOCH)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


# -- the Debian package


@pytest.mark.parametrize("name", [*deb.SCRIPTS, "gobi", "rtupdate"])
def test_its_scripts_are_plain_shell(name: str) -> None:
    subprocess.run(["dash" if shutil.which("dash") else "sh", "-n"], input=deb.script(name), text=True, check=True)
    assert not re.search("@[A-Z]+@", deb.script(name)), "something was not filled in"


def test_a_purge_does_not_name_what_people_have_among_what_it_removes() -> None:
    removing = [line for line in deb.script("postrm").splitlines() if re.match(r"\s*(rm|find|userdel|deluser)\b", line)]
    assert removing == ["\trm -rf /etc/gobi /var/cache/gobi"]


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="this machine has no dpkg-deb")
def test_it_installs_the_program_the_units_and_settings_that_others_cannot_read(
    small_tree: Path, tmp_path: Path
) -> None:
    packages = [deb.build(small_tree, "aarch64", tmp_path / "stage", tmp_path, EPOCH)]
    first = packages[0].read_bytes()
    assert deb.build(small_tree, "aarch64", tmp_path / "stage", tmp_path, EPOCH).read_bytes() == first
    asked = ["dpkg-deb", "--field", str(packages[0]), "Package", "Version", "Architecture"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    assert said[1::2] == ["gobi", gobi.__version__, "arm64"]
    listed = subprocess.run(["dpkg-deb", "-c", packages[0]], capture_output=True, text=True, check=True).stdout
    modes = {line.split()[5]: line.split()[:2] for line in listed.splitlines()}
    assert {owner for _, owner in modes.values()} == {"root/root"}
    assert modes["./etc/gobi/gobi.env"][0] == "-rw-r-----"
    assert modes["./usr/bin/gobi"][0] == "-rwxr-xr-x"
    assert modes["./usr/lib/gobi/gobi.py"][0] == "-rw-r--r--"
    assert not [place for place in modes if "x86_64" in place]
    assert not [place for place in modes if place.startswith("./var")], "dpkg would think that the data is its own"
    conffiles = subprocess.run(["dpkg-deb", "-I", packages[0], "conffiles"], capture_output=True, text=True, check=True)
    assert conffiles.stdout == "/etc/gobi/gobi.env\n"
