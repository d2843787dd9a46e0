"""Folders with whatever a file system allows, made at random, and what really lies in one.

Names are bytes, and everything is reached by open folders, so that no name and no depth is beyond these helpers.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import subprocess
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

STATE = b".gobi"
NOBODY = 65_534

Parts = tuple[bytes, ...]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 4096
_PIECE = 1 << 20
_YEAR_1601, _YEAR_9999 = -11_644_473_600, 253_402_300_799
_BEYOND = 10**13  # seconds, of which 64 bits cannot hold the microseconds

_letters = "abcXYZ019 .-_~$()&;'\"%é\u0301ßıſλЖ中の\U0001f600\u202e\u200d\\\x01\n\t\x7f"
_odd_names = [
    b"Name",  # and its twins
    b"name",
    b"NAME",
    unicodedata.normalize("NFC", "é").encode(),
    unicodedata.normalize("NFD", "é").encode(),
    b"trailing dot.",
    b"trailing blank ",
    b" leading blank",
    b"-rf",
    b"back\\slash",
    b"new\nline",
    b"\x1b[31mred",
    b"\xff\xfe not UTF-8",
    "Latin-1 caf\xe9".encode("latin-1"),
    b"a" * 255,
    "\U0001f600".encode() * 63 + b"abc",
    b"CON",
    b"con.txt",
    b"a:b",
    b".GOBI",
    b".gobi.bak",
    b"index.db",
    b"a (conflict laptop 2026-11-30).md",
]

names = st.sampled_from(_odd_names) | st.text(_letters, min_size=1, max_size=12).map(str.encode).filter(
    lambda name: name not in (b".", b"..", STATE)
)
depths = st.sampled_from([0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 40, 480, 600])
sizes = st.sampled_from([0, 0, 1, 10, _BLOCK - 1, _BLOCK, _BLOCK + 1, 300_000, 3 * _PIECE + 1])
times = st.one_of(
    st.none(),
    st.integers(_YEAR_1601, _YEAR_9999),
    st.sampled_from([_YEAR_1601, -1, 0, 1 << 31, 1 << 32, 9_223_372_036, 9_223_372_037, _YEAR_9999, _BEYOND, -_BEYOND]),
)
modes = st.sampled_from([0o644, 0o644, 0o644, 0o000, 0o400, 0o200, 0o755, 0o4755, 0o2775, 0o1777, 0o111, 0o444])
kinds = st.sampled_from(["file"] * 6 + ["sparse", "folder", "link", "dangling", "loop", "hard", "pipe", "socket"])


@dataclass(frozen=True)
class Node:
    """One thing to be made. `seconds`: its time of modification, None for now."""

    parts: Parts
    kind: str
    size: int
    fill: int
    seconds: int | None
    mode: int


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    depth = draw(depths)
    above: Parts = (draw(names),) * depth if depth <= 2 else (draw(st.sampled_from([b"d", b"deeper"])),) * depth
    return Node((*above, draw(names)), draw(kinds), draw(sizes), draw(st.integers(0, 3)), draw(times), draw(modes))


trees = st.lists(nodes(), min_size=1, max_size=10)


def make(root: Path, tree: list[Node]) -> None:
    """Makes what the file system takes of the tree; modes come last, for they may shut a folder."""
    made = [node for node in tree if _make(root, node)]
    for node in sorted(made, key=lambda one: -len(one.parts)):
        if node.kind in ("file", "sparse", "folder"):
            _try(root, node.parts, lambda folder, name, mode=node.mode: os.chmod(name, mode, dir_fd=folder))


def _make(root: Path, node: Node) -> bool:
    def here(folder: int, name: bytes) -> None:
        if node.kind in ("file", "sparse"):
            _write(folder, name, node)
        elif node.kind == "folder":
            os.mkdir(name, dir_fd=folder)
        elif node.kind == "hard":
            first = sorted(os.listdir(folder))[0]
            os.link(first, os.fsdecode(name), src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        elif node.kind == "pipe":
            os.mkfifo(name, dir_fd=folder)
        elif node.kind == "socket":
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(f"/proc/self/fd/{folder}/".encode() + name)
        else:
            target = {"link": b"..", "dangling": b"/nonexistent/target", "loop": name}[node.kind]
            os.symlink(target, name, dir_fd=folder)

    return _try(root, node.parts, here, make=True)


def _write(folder: int, name: bytes, node: Node) -> None:
    with open(os.open(name, _NEW, dir_fd=folder), "wb") as file:
        if node.kind == "sparse":
            file.truncate(node.size + 5 * _PIECE)
        else:
            file.write(bytes([node.fill]) * node.size)
    if node.seconds is not None:
        try:
            os.utime(name, ns=(node.seconds * 10**9 + 123_456_789,) * 2, dir_fd=folder)
        except (OSError, OverflowError):
            pass


def _try(root: Path, parts: Parts, do: object, *, make: bool = False) -> bool:
    """Whether the file system allowed it."""
    try:
        with opened(root, parts[:-1], make=make) as folder:
            do(folder, parts[-1])  # type: ignore[operator]
    except (OSError, IndexError):
        return False
    return True


@contextmanager
def opened(root: Path, parts: Parts, *, make: bool = False) -> Iterator[int]:
    folder = os.open(root, _FOLDER)
    try:
        for part in parts:
            if make:
                try:
                    os.mkdir(part, dir_fd=folder)
                except FileExistsError:
                    pass
            below = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def contents(root: Path) -> dict[str, str | None]:
    """Everything but folders and gobi's own: vault path → SHA-256 of a regular file, None for anything else."""
    found: dict[str, str | None] = {}
    folders = [(os.open(root, _FOLDER), b"")]  # the way down to where we are
    names = [[name for name in os.listdir(folders[0][0]) if os.fsencode(name) != STATE]]
    while folders:
        folder, path = folders[-1]
        if not names[-1]:
            os.close(folder)
            folders.pop()
            names.pop()
            continue
        name = os.fsencode(names[-1].pop())
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            folders.append((os.open(name, _FOLDER, dir_fd=folder), path + name + b"/"))
            names.append(os.listdir(folders[-1][0]))
        else:
            digest = _digest(folder, name) if stat.S_ISREG(status.st_mode) else None
            found[os.fsdecode(path + name)] = digest
    return found


def _digest(folder: int, name: bytes) -> str:
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(root: Path) -> None:
    """As deep as it goes, which is deeper than Python's own."""
    subprocess.run(["chmod", "-R", "u+rwx", root], check=True)
    subprocess.run(["rm", "-r", root], check=True)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Permissions hold for everybody but root: who runs the tests as root does this as somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
