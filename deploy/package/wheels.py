"""The wheels that a package is put together from: gobi's own, and everybody else's as lock.txt pins them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = Path(__file__).with_name("lock.txt")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ARCHITECTURES = ("x86_64", "aarch64")
# The newest C library that a wheel may want. Debian 12, the oldest system that gobi is packaged for, has 2.36.
GLIBC = (2, 36)
# pip judges markers by the Python that it runs on, so this one is named: redis needs it before Python 3.11.3.
ELSEWHERE = ["async-timeout>=4.0.3,<6"]
LEFT_OUT = (".*", "build", "dist", "*.egg-info", "__pycache__", "node_modules", "tests", "bench")


@dataclass(frozen=True, slots=True)
class Target:
    python: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.python}-{self.architecture}"

    @property
    def tag(self) -> str:
        """What stands in the names of extension modules for it."""
        return f"cpython-{self.python.replace('.', '')}-{self.architecture}-linux-gnu"

    @property
    def pip_options(self) -> list[str]:
        major, newest = GLIBC
        platforms = [f"manylinux_{major}_{minor}_{self.architecture}" for minor in range(newest, 16, -1)]
        platforms.append(f"manylinux2014_{self.architecture}")
        return [
            *("--only-binary=:all:", "--implementation=cp", f"--python-version={self.python}"),
            *(f"--platform={one}" for one in platforms),
            *(f"--abi={one}" for one in (f"cp{self.python.replace('.', '')}", "abi3", "none")),
        ]


TARGETS = tuple(Target(python, architecture) for python in PYTHONS for architecture in ARCHITECTURES)


def build_own(to: Path) -> Path:
    """gobi's wheel, from a copy: setuptools leaves files behind, and packs what an earlier build left."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "gobi"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
        _pip("wheel", "--no-deps", "--wheel-dir", str(to), str(copy))
    (found,) = to.glob("gobi_sync-*.whl")
    return found


def fetch(to: Path) -> dict[Target, list[Path]]:
    """Everybody else's wheels for every target, each of the content that lock.txt names."""
    for target in TARGETS:
        options = ["--no-deps", "--require-hashes", "--requirement", str(LOCK), "--dest", str(to / str(target))]
        _pip("download", *options, *target.pip_options)
    return {target: sorted((to / str(target)).glob("*.whl")) for target in TARGETS}


def lock(own: Path) -> None:
    """Writes lock.txt anew: the newest versions that `own` allows and every target has."""
    with tempfile.TemporaryDirectory() as folder:
        for target in TARGETS:
            options = ["--dest", str(Path(folder) / str(target)), *target.pip_options]
            _pip("download", *options, f"{own}[client]", *ELSEWHERE)
        found: dict[str, set[str]] = {}
        for wheel in Path(folder).rglob("*.whl"):
            name, version, *_ = wheel.name.split("-")
            if name != "gobi_sync":
                digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
                found.setdefault(f"{name.replace('_', '-')}=={version}", set()).add(digest)
        _refuse_two_versions(list(found))
    LOCK.write_text("# Written by `make dist-lock`. What the packages contain beside gobi.\n" + "".join(_lines(found)))


def _refuse_two_versions(pins: list[str]) -> None:
    names = [pin.partition("==")[0] for pin in pins]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        sys.exit(f"Not every Python and processor has the same version of {', '.join(twice)}: pin it in pyproject.toml")


def _lines(found: dict[str, set[str]]) -> Iterator[str]:
    for pin, digests in sorted(found.items()):
        yield " \\\n    ".join([pin, *(f"--hash=sha256:{one}" for one in sorted(digests))]) + "\n"


def _pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments[:1], "--quiet", *arguments[1:]], check=False)
    if done.returncode:
        sys.exit(f"pip {arguments[0]} failed: it needs the package index")
