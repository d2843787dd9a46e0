"""Whatever a folder holds, three machines end with the same files, or say by name what is left out: never silently."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings

from client.names import printable
from client.report import Report, Status
from sync.paths import ancestors
from tests.client.direct import Server
from tests.client.machines import DiskMachine
from tests.client.memory import ManualClock
from tests.property.random_folders import NOBODY, Node, as_nobody, contents, make, remove, trees

NAMES = ("laptop", "desktop", "phone")
ROUNDS = 2
QUICK = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False)
LONG = settings(QUICK, max_examples=1_500)

# A disk and memory hold other times.
PLACES = [place for place in (None, "/dev/shm") if place is None or os.access(place, os.W_OK)]


class RealClock(ManualClock):
    """The file system's times are the machine's, so gobi's have to be."""

    def time_ns(self) -> int:
        return time.time_ns()

    def boot_ns(self) -> int:
        return 0


class RealMachine(DiskMachine):
    def _open(self) -> None:
        self.clock = RealClock()
        super()._open()


@contextmanager
def house(place: str | None) -> Iterator[tuple[Server, list[RealMachine], Path]]:
    root = Path(tempfile.mkdtemp(dir=place))
    if os.geteuid() == 0:
        os.chown(root, NOBODY, NOBODY)
    with as_nobody():
        server = Server(root / "server")
        machines = [RealMachine(server, name, root / name) for name in NAMES]
    try:
        yield server, machines, root
    finally:
        for machine in machines:
            machine.close()
        remove(root)


def named(status: Status) -> set[str]:
    """What a machine says is left out or not done, as a person reads it."""
    skipped = {one.name for one in status.skipped}
    return skipped | {printable(path) for path, _ in (*status.refused, *status.waiting, *status.conflicts)}


def is_named(path: str, names: set[str]) -> bool:
    return any(printable(place) in names for place in (".", *ancestors(path), path))


def check_tree(tree: list[Node], place: str | None) -> None:
    with house(place) as (server, machines, _):
        laptop = machines[0]
        with as_nobody():
            make(laptop.root, tree)
            reports = sync_all(machines)
            check_nothing_is_left_out_silently(server, machines, reports)
            again = sync_all(machines)
        for machine, report in zip(machines, again, strict=True):
            assert not report.trail, f"{machine.name} does it again and again: {report.trail}"
        event(f"{len(contents(laptop.root))} things")


def sync_all(machines: list[RealMachine]) -> list[Report]:
    reports: list[Report] = []
    for _ in range(ROUNDS):
        reports = [machine.sync() for machine in machines]
    return reports


def check_nothing_is_left_out_silently(server: Server, machines: list[RealMachine], reports: list[Report]) -> None:
    there = server.files_by_hash()
    for machine, report in zip(machines, reports, strict=True):
        status = machine.status()
        names = named(status)
        with as_root():
            here = contents(machine.root)
        for path, digest in here.items():
            if digest is None or there.get(path) != digest:
                assert is_named(path, names), f"{machine.name} leaves out {path!r} and does not say so"
        for path in there.keys() - here.keys():
            assert is_named(path, names), f"{machine.name} lacks {path!r} and does not say so"
        assert status.in_step == report.in_step
        wrong = status.conflicts or status.refused or status.waiting or any(one.refused for one in status.skipped)
        assert bool(report.exit_code) == bool(wrong)


@contextmanager
def as_root() -> Iterator[None]:
    """Back for a moment, to look everywhere."""
    if os.getuid() != 0:
        yield
        return
    os.seteuid(0)
    os.setegid(0)
    try:
        yield
    finally:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)


@pytest.fixture(scope="module", autouse=True)
def _everything_imported() -> None:
    """What is imported late must be there before the tests become somebody who may not read it."""
    assert printable("\udcff\n")
    plain = [Node((b"a",), "file", 10, 0, None, 0o644), Node((b"b", b"c"), "file", 0, 0, None, 0o644)]
    with house(None) as (_, machines, _):
        make(machines[0].root, plain)
        sync_all(machines)


@pytest.mark.parametrize("place", PLACES)
@QUICK
@given(tree=trees)
def test_three_machines_agree_on_any_folder_or_name_what_is_left_out(place: str | None, tree: list[Node]) -> None:
    check_tree(tree, place)


@pytest.mark.soak
@pytest.mark.parametrize("place", PLACES)
@LONG
@given(tree=trees)
def test_three_machines_agree_on_any_folder_for_minutes(place: str | None, tree: list[Node]) -> None:
    check_tree(tree, place)
