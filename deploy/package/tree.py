"""One folder that gobi runs from, on every Python and processor of the targets.

The names of extension modules say what they are for, so those of all targets lie side by side, and what is plain Python
is the same in all wheels, and there once. `python3 -IS FOLDER` runs it: nothing that is installed elsewhere is seen.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from deploy.package.wheels import Target

MAIN = """\
# What `python3 -IS` and this folder run.
from gobi import main

main()
"""
# For those who build or test the libraries; what only pip would read; and manuals of programs that are not installed.
_LEFT_OUT = re.compile(
    r"(gevent|greenlet|zope/interface(/\w+)?)/(tests|testing)/"
    r"|.*\.(c|cpp|h|hpp|pxd|pyx|pyi)$"
    r"|[^/]+\.dist-info/(RECORD|WHEEL|INSTALLER|direct_url\.json)$"
    r"|[^/]+\.data/(headers|data/share/man)/"
)
_EXTENSION = re.compile(r"(.*)\.(abi3|cpython-[\w-]+)\.so$")


class Clash(Exception):
    """Two wheels want different files in one place."""


def merge(wheels: Mapping[Target, list[Path]], tree: Path) -> None:
    """Raises Clash; also for a file that would not be found where it is put."""
    for target, files in wheels.items():
        for file in files:
            with zipfile.ZipFile(file) as wheel:
                for name, place in _places(wheel.namelist(), target):
                    _put(tree / place, wheel.read(name), file.name)
    (tree / "__main__.py").write_text(MAIN)


def _places(names: list[str], target: Target) -> Iterator[tuple[str, str]]:
    for name in names:
        if name.endswith("/") or _LEFT_OUT.match(name):
            continue
        if ".data/" in name:
            raise Clash(
                f"{name} belongs somewhere beside the modules: say in deploy/package/tree.py what to do with it"
            )
        # An extension for several Pythons does not name its processor. Under this name it is found just as well.
        yield name, re.sub(r"\.abi3\.so$", f".{target.tag}.so", name)


def _put(place: Path, content: bytes, whose: str) -> None:
    if place.exists():
        if place.read_bytes() != content:
            raise Clash(f"{place} is another file in {whose}")
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def files(tree: Path, architecture: str | None = None) -> Iterator[tuple[PurePosixPath, Path]]:
    """Every file by its place in the tree, in order; of extension modules those for one processor, or all."""
    for path in sorted(tree.rglob("*")):
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        extension = _EXTENSION.match(path.name)
        if architecture and extension and f"-{architecture}-" not in path.name:
            continue
        yield PurePosixPath(path.relative_to(tree).as_posix()), path
