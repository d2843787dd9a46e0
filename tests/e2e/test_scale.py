"""Whole vaults, byte for byte, within the server's memory budget."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest

from bench.vault import make_vault
from tests.deployments import WORKERS
from tests.e2e.machines import House, Machine
from tests.server import GobiServer

MIB = 1 << 20
# A master and one worker, with everything that MongoDB and Redis need. Measured: 54 alone, 63 on each of two hosts.
SERVER_MB = 80
# Each further worker shares the program with the others. Measured with four: 153 in all, 162 beside other tests.
WORKER_MB = 35


def digest(folder: Path) -> dict[str, str]:
    found = {}
    for place, folders, names in os.walk(folder):
        if ".gobi" in folders:
            folders.remove(".gobi")
        for name in names:
            path = Path(place) / name
            with path.open("rb") as file:
                found[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


class Memory:
    """Watches the proportional set size of all servers' processes; `peak` is in MB."""

    def __init__(self, servers: Sequence[GobiServer]) -> None:
        self._masters = [server.pid for server in servers]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            processes = [pid for master in self._masters for pid in (master, *children(master))]
            self.peak = max(self.peak, sum(map(pss, processes)))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def write_large(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))


def budget_mb(deployed: str) -> int:
    """What all servers of a deployment may use together."""
    return {"embedded": SERVER_MB, "workers": SERVER_MB + (WORKERS - 1) * WORKER_MB, "hosts": 2 * SERVER_MB}[deployed]


@pytest.fixture
def pair(own_house: House) -> tuple[Machine, Machine]:
    return own_house.machine("laptop"), own_house.machine("desktop")


def carry(house: House, laptop: Machine, desktop: Machine) -> float:
    """Takes everything across, expects a second sync to transfer nothing, and returns the servers' peak memory."""
    with Memory(house.servers) as memory:
        laptop.sync()
        desktop.sync()
        assert digest(laptop.folder) == digest(desktop.folder)
        for machine in (laptop, desktop):
            report = machine.sync("--json").json
            assert (report["uploaded"], report["downloaded"]) == (0, 0)
    return memory.peak


def test_ten_thousand_notes_go_across_byte_for_byte(
    own_house: House, pair: tuple[Machine, Machine], deployed: str
) -> None:
    make_vault(pair[0].folder / "vault", notes=10_000)
    assert carry(own_house, *pair) < budget_mb(deployed)


def test_a_thousand_mixed_files_go_across_byte_for_byte(
    own_house: House, pair: tuple[Machine, Machine], deployed: str
) -> None:
    make_vault(pair[0].folder / "vault", notes=970, attachments=30)
    assert carry(own_house, *pair) < budget_mb(deployed)


# It takes half a minute, and bodies go the same way whatever the database is.
@pytest.mark.parametrize("deployed", ["embedded", pytest.param("workers", marks=pytest.mark.soak)], indirect=True)
def test_one_gibibyte_goes_across_byte_for_byte(own_house: House, pair: tuple[Machine, Machine], deployed: str) -> None:
    write_large(pair[0].folder / "film.bin", 1024 * MIB)
    assert carry(own_house, *pair) < budget_mb(deployed)
