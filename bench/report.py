"""The figures as Markdown. Seconds differ from machine to machine; ratios within one run far less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.steps import STEPS, Measured

BASES = ("unison", "rsync-fsync")


@dataclass(frozen=True, slots=True)
class Budget:
    """What gobi aims at: at most `times` what `beside` took in the same run; at W6 at most so many MiB."""

    times: float
    beside: str = ""


BUDGETS = {
    "W1": Budget(0.6, "unison"),
    "W2": Budget(1.0, "unison"),
    "W3": Budget(1.0, "unison"),
    "W5": Budget(1.5, "rsync-fsync"),
    "W6": Budget(64),
}


def report(results: Sequence[Measured]) -> str:
    blocks = [_table(step, good) for step in STEPS if (good := [r for r in results if r.step == step and not r.error])]
    errors = [f"* {r.peer}, run {r.run}, {r.step}: {r.error}" for r in results if r.error]
    if errors:
        blocks.append("\n".join(["### What failed", "", *errors]))
    return "\n\n".join(blocks)


def ratio(results: Sequence[Measured], peer: str, base: str) -> float | None:
    """The median over all runs that both finished of `peer`'s time by `base`'s; None where there is no such run."""
    times = {(r.peer, r.run): r.seconds for r in results if r.seconds}
    pairs = [(times[peer, run], times.get((base, run))) for name, run in times if name == peer]
    ratios = [own / other for own, other in pairs if own and other]
    return median(ratios) if ratios else None


def _table(step: str, results: Sequence[Measured]) -> str:
    peers = {r.peer for r in results}
    bases = [base for base in BASES if base in peers]
    ranked = sorted(peers, key=lambda peer: median(r.seconds or r.pss for r in results if r.peer == peer))
    if step == "W6":
        rows = [["peer", "PSS MiB, median (min – max)"]]
        rows += [[peer, _spread([r.pss for r in results if r.peer == peer], 1)] for peer in ranked]
    else:
        rows = [["peer", "runs", "seconds, median (min – max)", *(f"× {base}" for base in bases), "hub's peak PSS MiB"]]
        for peer in ranked:
            own = [r for r in results if r.peer == peer]
            ratios = [_number(ratio(results, peer, base)) for base in bases]
            seconds = _spread([r.seconds for r in own if r.seconds], 2)
            rows.append([peer, str(len(own)), seconds, *ratios, f"{max(r.pss for r in own):.0f}"])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join([f"### {step}: {STEPS[step].what}", "", *lines, *_verdict(step, results)])


def _verdict(step: str, results: Sequence[Measured]) -> list[str]:
    budget = BUDGETS[step]
    gobi = [r.pss for r in results if r.peer == "gobi"]
    if not gobi:
        return []
    if step == "W6":
        value, said = median(gobi), f"{budget.times:.0f} MiB"
    else:
        measured = ratio(results, "gobi", budget.beside)
        if measured is None:
            return []
        value, said = measured, f"{budget.times} × {budget.beside}"
    return ["", f"Budget for gobi: at most {said}. {'Met' if value <= budget.times else 'Missed'}."]


def _spread(values: Sequence[float], digits: int) -> str:
    return f"**{median(values):.{digits}f}** ({min(values):.{digits}f} – {max(values):.{digits}f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
