"""What is measured. Every timed step ends with both folders compared by SHA-256, off the clock."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass

from bench.peers import Peer
from bench.place import Failed, PeakMemory, digests, wait_until_quiet

EDITS = 100
REST = 3.0  # seconds between the last sync and the look at the resting hub


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    what: str


STEPS = {
    step.name: step
    for step in (
        Step("W1", "first sync of the notes, A → hub → B"),
        Step("W2", "nothing to do, both ends"),
        Step("W3", f"{EDITS} scattered edits, both ends"),
        Step("W5", "first sync of one big file, A → hub → B"),
        Step("W6", "the hub at rest"),
    )
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One step of one peer in one run. `seconds`: wall time (None at W6).

    `pss`: the hub's memory in MiB, at its highest or at rest.
    """

    step: str
    peer: str
    run: int
    seconds: float | None = None
    pss: float = 0.0
    error: str | None = None


def measure(step: str, peer: Peer, run: int, quiet: float) -> Measured:
    """Raises Failed where the peer fails or leaves the two folders different."""
    if step == "W6":
        time.sleep(REST)
        return Measured(step, peer.name, run, pss=peer.place.hub_pss())
    if step == "W3":
        _edit(peer, random.Random(f"edits-{run}"))
    before = digests(peer.place.a)
    os.sync()  # what an earlier step left to be written is not this one's to pay for
    wait_until_quiet(quiet)
    with PeakMemory(peer.place) as peak:
        began = time.perf_counter()
        peer.sync_a()
        peer.sync_b()
        seconds = time.perf_counter() - began
    for folder in (peer.place.a, peer.place.b):
        _verify(before, digests(folder), folder.name)
    return Measured(step, peer.name, run, seconds, peak.mib)


def _edit(peer: Peer, rng: random.Random) -> None:
    """Puts a line into each of some notes, at the end or in the middle; the same ones for every peer of a run."""
    notes = sorted(peer.place.a.rglob("*.md"))
    for note in rng.sample(notes, min(EDITS, len(notes))):
        body = note.read_bytes()
        cut = len(body) if rng.random() < 0.6 else body.rfind(b"\n", 0, len(body) // 2) + 1
        note.write_bytes(body[:cut] + b"\nedited %d\n" % rng.getrandbits(60) + body[cut:])


def _verify(expected: dict[str, str], found: dict[str, str], where: str) -> None:
    if found != expected:
        wrong = sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path))
        raise Failed(f"{len(wrong)} of {len(expected)} files are wrong in {where}, first {wrong[0]!r}")
