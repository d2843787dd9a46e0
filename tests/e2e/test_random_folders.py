"""Random folders again, with real processes: one machine syncs, one watches, one comes later. Words and codes agree."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from client.names import printable
from sync.paths import ancestors
from tests.e2e.machines import House, Machine
from tests.e2e.watching import Watching
from tests.property.random_folders import Node, contents, make, remove, trees
from tests.server import GobiServer
from tests.services import wait_until
from tests.spawn import spawn

QUICK = settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False)
LONG = settings(QUICK, max_examples=100)
_numbers = count(1)


def check_tree(server: GobiServer, tree: list[Node]) -> None:
    root = Path(tempfile.mkdtemp())
    try:
        house = House([server], f"random-{next(_numbers)}", root)
        laptop, desktop = house.machine("laptop"), house.machine("desktop")
        make(laptop.folder, tree)
        with Watching(desktop):
            first = laptop.sync(code=None)
            phone = house.machine("phone")
            phone.sync(code=None)
            there = set(house.live())
            wait_until(lambda: there <= set(contents(desktop.folder)), "the watching machine to have everything")
        machines = (laptop, desktop, phone)
        for machine in machines:
            done = machine.sync("--json", code=None)
            assert done.code in (0, 1), done.err
            status = machine.gobi("status", str(machine.folder), "--json", code=None)
            assert status.code == done.code
            assert done.json["in_step"] == status.json["in_step"]
            assert all(done.json[what] == 0 for what in ("uploaded", "downloaded", "deleted_here", "deleted_there"))
            assert there <= set(contents(machine.folder))
            for path, digest in contents(machine.folder).items():
                if digest is None or path not in there:
                    assert is_named(path, named(status.json)), f"{machine.name} leaves out {path!r} silently"
            machine.gobi("verify", str(machine.folder), code=None)
        assert first.code in (0, 1)
    finally:
        remove(root)


def named(status: Any) -> set[str]:
    """What `gobi status` lists as left out or not done."""
    rows = [*status["refused"], *status["waiting"], *status["conflicts"]]
    return {one["name"] for one in status["skipped"]} | {printable(one["path"]) for one in rows}


def is_named(path: str, names: set[str]) -> bool:
    return any(printable(place) in names for place in (".", *ancestors(path), path))


@QUICK
@given(tree=trees)
def test_real_machines_agree_on_any_folder_or_name_what_is_left_out(
    shared_server: GobiServer, tree: list[Node]
) -> None:
    check_tree(shared_server, tree)


@pytest.fixture(scope="module")
def namespace() -> Iterator[int]:
    """A process in a mount namespace of its own."""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo ready && exec sleep infinity"]
    with spawn(command, signal.SIGKILL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdout.readline() != "ready\n":
            pytest.skip(
                f"nothing can be mounted here, so no disks in folders are tried: {process.stderr.read().strip()}"
            )
        yield process.pid
        process.kill()


@QUICK
@given(tree=trees)
def test_folders_with_disks_in_them_are_synced_or_named(
    shared_server: GobiServer, namespace: int, tree: list[Node]
) -> None:
    """A memory disk, and a folder of the same disk that is mounted once more."""
    root = Path(tempfile.mkdtemp())
    within = ("nsenter", "--mount", "--target", str(namespace))
    disks = {"disk": ["-t", "tmpfs", "none"], "bound": ["--bind", str(root / "elsewhere")]}
    try:
        house = House([shared_server], f"disks-{next(_numbers)}", root)
        laptop, phone = house.machine("laptop", connect=False), house.machine("phone")
        laptop.within = within
        laptop.connect()
        (root / "elsewhere").mkdir()
        for name, options in disks.items():
            (laptop.folder / name).mkdir()
            subprocess.run([*within, "mount", *options, laptop.folder / name], check=True)
        check_disks(house, laptop, phone, Path(f"/proc/{namespace}/root{laptop.folder}"), tree)
    finally:
        for name in disks:
            subprocess.run([*within, "umount", root / "laptop" / name], check=False)
        remove(root)


def check_disks(house: House, laptop: Machine, phone: Machine, inside: Path, tree: list[Node]) -> None:
    """`inside`: the laptop's folder as its processes see it."""
    plain = [inside / name / "plain.md" for name in ("disk", "bound")]
    for file in plain:
        make(file.parent, tree)
        file.write_text("plain")
    laptop.sync(code=None)
    phone.sync(code=None)
    for file in plain:
        phone.write(str(file.relative_to(inside)), "edited elsewhere")
    phone.sync(code=None)
    laptop.sync(code=None)
    there, here = set(house.live()), contents(inside)
    assert {"disk/plain.md", "bound/plain.md"} <= there <= set(here)
    assert there <= set(contents(phone.folder))
    assert [file.read_text() for file in plain] == ["edited elsewhere"] * 2
    names = named(laptop.status())
    for path, digest in here.items():
        if digest is None or path not in there:
            assert is_named(path, names), f"{path!r} is left out silently"


@pytest.mark.soak
@LONG
@given(tree=trees)
def test_real_machines_agree_on_any_folder_for_minutes(shared_server: GobiServer, tree: list[Node]) -> None:
    check_tree(shared_server, tree)
