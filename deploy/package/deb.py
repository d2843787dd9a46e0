"""Debian packages: the tree in /usr/lib/gobi, the units, the settings. Built with dpkg-deb alone."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gobi
from deploy.package import man, units
from deploy.package.tree import files
from deploy.package.wheels import ROOT

HERE = Path(__file__).resolve().parent / "debian"
LIBRARY = "usr/lib/gobi"
DOCS = "usr/share/doc/gobi"
SETTINGS = "etc/gobi/gobi.env"
SCRIPTS = ("postinst", "prerm", "postrm")
# What Debian calls a processor.
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Entry:
    content: bytes
    mode: int = 0o644


def build(tree: Path, architecture: str, stage: Path, to: Path, epoch: int) -> Path:
    """`stage`: a folder that is made for it. Returns the package, which is in `to`."""
    contents = dict(entries(tree, architecture))
    for place, entry in contents.items():
        _put(stage / place, entry)
    for name, entry in control(contents, architecture):
        _put(stage / "DEBIAN" / name, entry)
    for folder in (one for one in (stage, *stage.rglob("*")) if one.is_dir()):
        folder.chmod(0o755)
    for path in (stage, *stage.rglob("*")):
        os.utime(path, (epoch, epoch))
    package = to / f"gobi_{gobi.__version__}_{DEBIAN[architecture]}.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(stage), str(package)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"SOURCE_DATE_EPOCH": str(epoch)})
    shutil.rmtree(stage)
    return package


def entries(tree: Path, architecture: str) -> Iterator[tuple[str, Entry]]:
    """Everything that is installed, by its place."""
    for part, path in files(tree, architecture):
        yield f"{LIBRARY}/{part}", Entry(path.read_bytes())
    yield "usr/bin/gobi", Entry((HERE / "gobi").read_bytes(), 0o755)
    yield "usr/share/python3/runtime.d/gobi.rtupdate", Entry((HERE / "rtupdate").read_bytes(), 0o755)
    for place, text in units.placed():
        yield place, Entry(text.encode())
    # The server reads it as its user, and so do commands for root; nobody else, for there may be secrets in it.
    yield SETTINGS, Entry((ROOT / "deploy" / "gobi.env.example").read_bytes(), 0o640)
    yield "usr/share/man/man1/gobi.1.gz", Entry(_packed(man.page().encode()))
    yield from _documentation()


def _documentation() -> Iterator[tuple[str, Entry]]:
    yield f"{DOCS}/copyright", Entry((HERE / "copyright").read_bytes() + _indented((ROOT / "LICENSE").read_text()))
    yield f"{DOCS}/CHANGELOG.md.gz", Entry(_packed((ROOT / "CHANGELOG.md").read_bytes()))
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        yield f"{DOCS}/{path.name}", Entry(path.read_bytes())
    for name in ("nginx.conf", "Caddyfile", "grafana.json"):
        yield f"{units.EXAMPLES}/{name}", Entry((ROOT / "deploy" / name).read_bytes())


def control(contents: dict[str, Entry], architecture: str) -> Iterator[tuple[str, Entry]]:
    """What dpkg itself reads."""
    size = sum(len(entry.content) for entry in contents.values()) // 1024
    filled = (HERE / "control").read_text().replace("@VERSION@", gobi.__version__)
    filled = filled.replace("@ARCHITECTURE@", DEBIAN[architecture]).replace("@SIZE@", str(size))
    yield "control", Entry(filled.encode())
    yield "conffiles", Entry(f"/{SETTINGS}\n".encode())
    sums = (f"{_md5(entry.content)}  {place}\n" for place, entry in contents.items() if place != SETTINGS)
    yield "md5sums", Entry("".join(sums).encode())
    for name in SCRIPTS:
        yield name, Entry(script(name).encode(), 0o755)


def script(name: str) -> str:
    """A maintainer script, told which units there are."""
    text = (HERE / name).read_text()
    everything, enabled = _whole_units(), units.enabled()
    others = [unit for unit in everything if unit not in enabled]
    for word, names in (("@UNITS@", everything), ("@ENABLED@", enabled), ("@OTHERS@", others)):
        text = text.replace(word, " ".join(names))
    return text


def _whole_units() -> list[str]:
    """Those that can be stopped by name; of a template there is no telling."""
    return [name for name in units.system_units() if "@." not in name]


def _put(path: Path, entry: Entry) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(entry.content)
    path.chmod(entry.mode)


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)


def _indented(text: str) -> bytes:
    return "".join(f" {line}\n" if line else " .\n" for line in text.splitlines()).encode()


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
