"""`make audit`: whether a known hole is in what gobi brings along, as the lock files pin it. Exit code 1 where one is.

Asks pip-audit and npm. What audit-exceptions.txt names is let pass until the day that it names. Where the services that
know of holes cannot be asked, it says so, loudly, and exits with 0: an audit that could not be made says nothing about
a change.
"""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
LOCK = FOLDER / "package" / "lock.txt"
WEB = FOLDER / "web-libraries"
EXCEPTIONS = FOLDER / "audit-exceptions.txt"
PATIENCE_S = 180

PYTHON = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--disable-pip", "--require-hashes"]
PYTHON += ["--format", "json", "--progress-spinner", "off", "--timeout", "15"]
JAVASCRIPT = ["npm", "audit", "--package-lock-only", "--omit=dev", "--json"]


class NotDone(Exception):
    """The audit could not be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Hole:
    """`ids`: the names of one hole, its own and those that others gave it."""

    package: str
    ids: tuple[str, ...]


def python_holes(answer: str) -> list[Hole]:
    """By what pip-audit says. Raises NotDone, also where it could not ask about a package."""
    rows = _json(answer).get("dependencies")
    if not rows:
        raise NotDone("pip-audit says nothing")
    skipped = [row["name"] for row in rows if "skip_reason" in row]
    if skipped:
        raise NotDone(f"of {len(skipped)} of {len(rows)} packages nothing is known: {', '.join(skipped[:3])} …")
    return [
        Hole(f"{row['name']} {row['version']}", (one["id"], *one.get("aliases", ())))
        for row in rows
        for one in row["vulns"]
    ]


def javascript_holes(answer: str) -> list[Hole]:
    """By what npm says. Raises NotDone."""
    fields = _json(answer)
    if "vulnerabilities" not in fields:
        raise NotDone(str(fields.get("message") or fields.get("error") or "npm says nothing")[:200])
    return [
        Hole(name, (re.sub(r".*/", "", str(via.get("url", ""))) or str(via.get("source")),))
        for name, row in fields["vulnerabilities"].items()
        for via in row["via"]
        if isinstance(via, dict)  # else it is the name of another one, which has its own row
    ]


def exceptions(text: str, today: datetime.date) -> dict[str, str]:
    """By its name, why a hole is let pass. Those whose day is over are not among them. Raises ValueError."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(maxsplit=2)
        if len(words) < 3:
            raise ValueError(f"{EXCEPTIONS.name}: {line!r}: write the hole's name, the last day (2026-12-31), and why")
        name, until, why = words
        if today <= datetime.date.fromisoformat(until):
            found[name] = why
    return found


def judge(holes: Sequence[Hole], let_pass: Mapping[str, str]) -> Iterator[tuple[bool, str]]:
    """Of each hole whether it counts, and a line about it."""
    for hole in holes:
        why = next((let_pass[name] for name in hole.ids if name in let_pass), None)
        line = f"{hole.package}: {', '.join(hole.ids)}"
        yield why is None, line if why is None else f"{line}, let pass: {why}"


def main() -> int:
    today = datetime.datetime.now(datetime.UTC).date()
    let_pass = exceptions(EXCEPTIONS.read_text(), today)
    bad = 0
    for name, command, read in (
        ("the Python libraries", PYTHON, python_holes),
        ("the page's libraries", JAVASCRIPT, javascript_holes),
    ):
        try:
            found = read(_ask(command))
        except NotDone as error:
            print(f"=== AUDIT NOT DONE: {name} were not looked at for known holes: {error}", flush=True)
            continue
        for counts, line in judge(found, let_pass):
            bad += counts
            print(f"{'KNOWN HOLE' if counts else 'known hole'}: {line}")
        print(f"Audit of {name}: {len(found)} known holes", flush=True)
    if bad:
        print(
            f"{bad} to be mended: `make dist-lock` or `npm update` takes newer versions; what does not concern gobi "
            f"goes into deploy/{EXCEPTIONS.name}, with a day"
        )
    return 1 if bad else 0


def _ask(command: Sequence[str]) -> str:
    """What it prints; its exit code says only that there is something. Raises NotDone."""
    try:
        done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotDone(f"{command[0]}: {error}") from None
    if not done.stdout.strip():
        raise NotDone((done.stderr.strip() or f"{command[0]} says nothing").splitlines()[-1][:200])
    return done.stdout


def _json(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError:
        raise NotDone(f"this is no answer: {text[:100]!r}") from None
    return fields if isinstance(fields, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
