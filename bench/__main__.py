"""Measures gobi beside its peers and prints the figures: `python -m bench --help`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench.peers import PEERS
from bench.place import Failed, Place
from bench.report import report
from bench.steps import STEPS, Measured, measure
from bench.vault import make_big, make_vault

NOTE_STEPS = ("W1", "W2", "W3", "W6")


def main() -> int:
    options = _options()
    peers = _present(options.peers)
    if not peers:
        return 69
    runs = options.work / "runs"
    if runs.exists():
        print(
            f"{runs} is left from a run that was stopped: remove it, wait five minutes, and start again (see README.md)"
        )
        return 75
    notes = _made(options.work / f"notes-{options.notes}", partial(make_vault, notes=options.notes))
    note_steps = [step for step in NOTE_STEPS if step in options.steps]
    if note_steps and note_steps[0] != "W1":
        note_steps.insert(0, "W1")  # the others start from two folders in step
    results: list[Measured] = []
    with open(options.work / "results.jsonl", "w") as log:

        def keep(result: Measured) -> None:
            results.append(result)
            log.write(json.dumps(asdict(result)) + "\n")
            log.flush()
            print(_line(result), flush=True)

        try:
            for run in range(options.runs if note_steps else 0):
                for name in _shuffled(peers, run):
                    _one(name, run, note_steps, Place(runs / f"{name}-{run}", notes), options.quiet, keep)
            if "W5" in options.steps:
                big = _made(options.work / f"big-{options.big_mb}", partial(make_big, mebibytes=options.big_mb))
                for run in range(options.big_runs):
                    for name in _shuffled(peers, run):
                        place = Place(runs / f"{name}-big-{run}", big)
                        _one(name, run, ["W5"], place, options.quiet, keep)
                        shutil.rmtree(place.root)  # a few files: this delete costs the next peer nothing
        finally:
            shutil.rmtree(runs, ignore_errors=True)
    machine = f"{os.cpu_count()} × {platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}"
    print(f"\n{options.notes:,} notes, one file of {options.big_mb} MiB; {machine}.\n")
    print("\n".join(f"* {name}: {PEERS[name].what}" for name in peers), end="\n\n")
    print(report(results))
    return 1 if any(result.error for result in results) else 0


def _one(
    name: str, run: int, steps: Sequence[str], place: Place, quiet: float, keep: Callable[[Measured], None]
) -> None:
    """All steps of one peer in one run; after one that fails, the others would measure nothing."""
    step = steps[0]
    try:
        peer = PEERS[name](place)
        peer.start()
        for step in steps:
            keep(measure(step, peer, run, quiet))
    except Failed as error:
        keep(Measured(step, name, run, error=str(error)))
    finally:
        place.stop()


def _present(names: Sequence[str]) -> list[str]:
    present = []
    for name in names:
        if PEERS[name].program():
            present.append(name)
        else:
            print(f"{name} is missing here ({PEERS[name].hint}); going on without it", file=sys.stderr)
    return present


def _made(place: Path, make: Callable[[Path], None]) -> Path:
    """`place`, made now unless an earlier run did; whole or not at all."""
    if not place.exists():
        half = place.with_name(place.name + ".half")
        shutil.rmtree(half, ignore_errors=True)
        make(half)
        half.rename(place)
    return place


def _shuffled(names: Sequence[str], run: int) -> list[str]:
    """Another order each run, so that the machine's moods fall on all of them."""
    return random.Random(f"order-{run}").sample(names, len(names))


def _line(result: Measured) -> str:
    figures = result.error or (f"{result.seconds:.2f} s, " if result.seconds else "") + f"hub {result.pss:.0f} MiB"
    return f"run {result.run} {result.step} {result.peer:12} {figures}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure gobi beside rsync and unison.")
    parser.add_argument("--peers", type=_choice(list(PEERS)), default=list(PEERS), help=f"of {','.join(PEERS)}")
    parser.add_argument("--steps", type=_choice(list(STEPS)), default=list(STEPS), help=f"of {','.join(STEPS)}")
    parser.add_argument("--runs", type=int, default=5, help="runs of W1, W2, W3 and W6")
    parser.add_argument("--big-runs", type=int, default=3, help="runs of W5")
    parser.add_argument("--notes", type=int, default=10_000)
    parser.add_argument("--big-mb", type=int, default=512, help="MiB of the big file")
    parser.add_argument(
        "--quiet", type=float, default=20, help="wait so many seconds for a quiet machine before a step"
    )
    parser.add_argument(
        "--work", type=Path, default=Path(".cache/bench"), help="where vaults, runs and results.jsonl go"
    )
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    return options


def _choice(known: Sequence[str]) -> Callable[[str], list[str]]:
    def chosen(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return names

    return chosen


if __name__ == "__main__":
    sys.exit(main())
