"""From a save in folder A to the file in its place in folder B, with both watched: `python -m bench.watch --help`.

Also what watching costs while nothing happens, and in memory. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from bench.peers import Gobi, Peer
from bench.place import ENVIRONMENT, Failed, Place, wait_until_quiet
from bench.vault import make_vault

PATIENCE = 60.0  # seconds for one edit to arrive
LOOK = 0.0005  # seconds between looks


class Watcher:
    """A peer that watches both folders. Another program needs no more than these three."""

    name: ClassVar[str]
    peer: ClassVar[type[Peer]]

    def __init__(self, place: Place) -> None:
        self.place = place
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Returns when both folders are in step and watched. Raises Failed."""
        raise NotImplementedError

    def stop(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(15)


class GobiWatch(Watcher):
    name = "gobi"
    peer = Gobi

    def start(self) -> None:
        gobi = Gobi(self.place)
        gobi.start()
        gobi.sync_a()
        gobi.sync_b()
        for folder in (self.place.a, self.place.b):
            log = self.place.meta / f"{folder.name}.log"
            with open(log, "wb") as out:
                command = [str(Gobi.program()), "watch", str(folder)]
                environment = {
                    **ENVIRONMENT,
                    "HOME": str(self.place.meta),
                    "XDG_CONFIG_HOME": str(self.place.meta / "config"),
                }
                self.processes.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out))
            _wait(partial(_says, log, "watching"), f"gobi watch {folder}")


WATCHERS: dict[str, type[Watcher]] = {one.name: one for one in (GobiWatch,)}


def main() -> int:
    options = _options()
    notes = options.work / f"notes-{options.notes}"
    if not notes.exists():
        make_vault(notes, notes=options.notes)
    for name in options.peers:
        place = Place(options.work / f"watch-{name}-{os.getpid()}", notes)
        watcher = WATCHERS[name](place)
        try:
            watcher.start()
            wait_until_quiet(options.quiet)
            busy = sum(map(_cpu, watcher.processes))
            time.sleep(options.rest)
            rest = (sum(map(_cpu, watcher.processes)) - busy) / options.rest / len(watcher.processes)
            times = sorted(_edits(place, options.edits, options.pause))
            print(
                f"{name}: {len(times)} edits in {options.notes:,} files, from save to in place: "
                f"median {statistics.median(times) * 1000:.0f} ms, "
                f"95th percentile {times[int(len(times) * 0.95)] * 1000:.0f} ms, worst {times[-1] * 1000:.0f} ms; "
                f"at rest {rest:.2%} of a core; memory {', '.join(f'{_rss(one):.0f}' for one in watcher.processes)} MiB"
            )
        except Failed as error:
            print(f"{name}: {error}")
            return 1
        finally:
            watcher.stop()
            place.stop()
            shutil.rmtree(place.root, ignore_errors=True)
    return 0


def _edits(place: Place, count: int, pause: float) -> Sequence[float]:
    """One file after the other, as a person saves: a line is added, in place."""
    chance = random.Random("edits")
    paths = sorted(path.relative_to(place.a) for path in place.a.rglob("*.md") if ".gobi" not in path.parts)
    times = []
    for number in range(count):
        path = chance.choice(paths)
        text = (place.a / path).read_bytes() + f"\nedit {number}\n".encode()
        began = time.perf_counter()
        (place.a / path).write_bytes(text)
        _wait(partial(_holds, place.b / path, text), f"edit {number}")
        times.append(time.perf_counter() - began)
        time.sleep(pause * chance.uniform(0.5, 1.5))
    return times


def _holds(path: Path, text: bytes) -> bool:
    try:
        return path.stat().st_size == len(text) and path.read_bytes() == text
    except FileNotFoundError:
        return False


def _says(log: Path, word: str) -> bool:
    return word in log.read_text()


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: nothing came in {PATIENCE:.0f} s")
        time.sleep(LOOK)


def _cpu(process: subprocess.Popen[bytes]) -> float:
    """Seconds of a core (proc(5), /proc/pid/stat)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss(process: subprocess.Popen[bytes]) -> float:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.watch", description="Measure how soon an edit arrives.")
    parser.add_argument("--peers", nargs="+", choices=list(WATCHERS), default=list(WATCHERS))
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--notes", type=int, default=10_000)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between two edits, about")
    parser.add_argument("--rest", type=float, default=20, help="seconds of doing nothing")
    parser.add_argument("--quiet", type=float, default=20, help="wait so many seconds for a quiet machine")
    parser.add_argument("--work", type=Path, default=Path(".cache/bench"), help="where the folders go")
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    return options


if __name__ == "__main__":
    sys.exit(main())
