"""Where the files in systemd/ go in a package, and how they read there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deploy.package.wheels import ROOT

FOLDER = ROOT / "systemd"
SYSTEM = "usr/lib/systemd/system"
USER = "usr/lib/systemd/user"
EXAMPLES = "usr/share/doc/gobi/examples"
PROGRAM = "/usr/bin/gobi"
# How the files call the program, where they are for installing by hand.
BY_HAND = ("/opt/gobi/bin/gobi", "%h/gobi/bin/gobi")
# Enabled when the package is first installed, those of them that there are. What is not needs a decision first: the
# socket takes GOBI_LISTEN's place, and a backup needs somewhere to go.
ENABLED = ("gobi.service", "gobi-gc.timer")
_UNITS = (".service", ".socket", ".timer", ".path", ".target")
_HEAD = "# Of the package. To change something: systemctl edit {}\n\n"


def placed() -> Iterator[tuple[str, str]]:
    """The place and the text of every file. Raises ValueError for one that nobody thought of."""
    for path in sorted(one for one in FOLDER.rglob("*") if one.is_file()):
        text = path.read_text()
        if path.suffix == ".sysusers":
            yield f"usr/lib/sysusers.d/{path.stem}.conf", _body(text)
        elif path.suffix == ".tmpfiles":
            yield f"usr/lib/tmpfiles.d/{path.stem}.conf", _body(text)
        elif path.suffix == ".example":
            yield f"{EXAMPLES}/{path.name}", text
        elif path.suffix in _UNITS and path.parent == FOLDER:
            yield f"{USER if is_for_a_user(text) else SYSTEM}/{path.name}", _packaged(path.name, text)
        else:
            raise ValueError(f"{path}: say in deploy/package/units.py where a package has it")


def is_for_a_user(text: str) -> bool:
    return "\nWantedBy=default.target" in text


def system_units() -> list[str]:
    return [Path(place).name for place, _ in placed() if place.startswith(SYSTEM)]


def enabled() -> list[str]:
    there = system_units()
    return [name for name in ENABLED if name in there]


def _packaged(name: str, text: str) -> str:
    for program in BY_HAND:
        text = text.replace(program, PROGRAM)
    scope = "--user " if is_for_a_user(text) else ""
    return _HEAD.format(scope + name) + _body(text)


def _body(text: str) -> str:
    """Without the comment at the top, which says how to install it by hand."""
    lines = text.splitlines(keepends=True)
    while lines and (lines[0].startswith("#") or not lines[0].strip()):
        lines.pop(0)
    return "".join(lines)
