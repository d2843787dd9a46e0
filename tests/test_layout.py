"""The folders show the architecture, and imports go one way (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Which rooms a room may use, beside itself. gobi.py puts everything together and may use all.
MAY_USE = {
    "sync": set(),
    "store": {"sync"},
    "client": {"sync"},
    "ops": {"store", "sync"},
    "handlers": {"store", "sync"},
}
# The only places where these libraries are at home.
AT_HOME = {
    "falcon": ["handlers/*"],
    "gevent": ["handlers/*", "ops/*", "store/*"],
    "geventwebsocket": ["handlers/*"],
    "sqlite3": ["store/sqlite*.py", "client/index*.py"],
    "prometheus_client": ["handlers/measures.py", "handlers/metrics.py"],
    "pymongo": ["store/mongo*.py"],
    "bson": ["store/mongo*.py"],
    "redis": ["store/bus*.py"],
    "argon2": ["store/users.py"],
    "click": ["client/command.py", "client/*commands.py", "ops/*", "gobi.py"],
}
# The rules are pure: they read no file, no clock, no chance.
IMPURE = {"os", "io", "time", "datetime", "random", "secrets", "socket", "pathlib", "shutil", "subprocess", "threading"}


def modules() -> list[Path]:
    rooms = [path for room in MAY_USE for path in sorted((ROOT / room).rglob("*.py"))]
    return [ROOT / "gobi.py", *rooms]


def imports(path: Path) -> Iterator[str]:
    """The full names of everything a module imports, late or early, also for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield str(node.module)
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("room", sorted(MAY_USE))
def test_a_room_uses_only_the_rooms_below_it(room: str) -> None:
    allowed = MAY_USE[room] | {room}
    known = set(MAY_USE) | {"gobi", "tests", "bench", "deploy"}
    for path in sorted((ROOT / room).rglob("*.py")):
        used = {name.partition(".")[0] for name in imports(path)} & known
        assert used <= allowed, f"{path.relative_to(ROOT)} may not use {sorted(used - allowed)}"


@pytest.mark.parametrize("library", sorted(AT_HOME))
def test_a_library_stays_where_it_is_at_home(library: str) -> None:
    for path in modules():
        place = str(path.relative_to(ROOT))
        if library in {name.partition(".")[0] for name in imports(path)}:
            assert any(fnmatch(place, home) for home in AT_HOME[library]), f"{place} imports {library}"


def test_the_rules_of_syncing_are_pure() -> None:
    for path in sorted((ROOT / "sync").rglob("*.py")):
        used = {name.partition(".")[0] for name in imports(path)} & IMPURE
        assert not used, f"{path.relative_to(ROOT)} imports {sorted(used)}"


def test_a_backend_knows_neither_the_vaults_nor_another_backend() -> None:
    families = {
        "sqlite": "store/sqlite*.py",
        "mongo": "store/mongo*.py",
        "bodies": "store/bodies*.py",
        "bus": "store/bus*.py",
    }
    for family, pattern in families.items():
        others = {f"store.{name}" for name in families if name != family} | {"store.vaults"}
        for path in sorted(ROOT.glob(pattern)):
            used = set(imports(path)) & others
            assert not used, f"{path.relative_to(ROOT)} imports {sorted(used)}"


def test_every_module_says_what_it_is_for() -> None:
    for path in modules():
        texts = (node.value for node in ast.parse(path.read_text()).body if isinstance(node, ast.Expr))
        # Not always the first statement: what gevent patches has to be patched before anything else.
        assert any(isinstance(text, ast.Constant) for text in texts), f"{path.relative_to(ROOT)} has no docstring"
