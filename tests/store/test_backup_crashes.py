"""A fault at every system call of a backup and a restore: what was there before stays whole, the next run does it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from store import backup_format
from store.errors import Refused, Unavailable
from store.moving import check_in_use
from store.sqlite import SqliteMetadata
from tests.store.backups import contents
from tests.store.crashing_backup import NEW, NEW_DATA, OLD, backups, put_back, save
from tests.store.world import World

ROOT = Path(__file__).resolve().parents[2]
FAULTS = ["kill", *(pytest.param(one, marks=pytest.mark.soak) for one in ("ENOSPC", "EIO"))]


class Run:
    """What is left of one run, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: Any = json.loads((folder / "told.json").read_text())["told"].get("done")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All runs of a kind with a fault; the one without first."""

    @cache
    def all_with(what: str, fault: str) -> list[Run]:
        folder = tmp_path_factory.mktemp(f"{what}-{fault}")
        subprocess.run([sys.executable, "-m", "tests.store.crashing_backup", what, folder, fault], cwd=ROOT, check=True)
        numbered = sorted((one for one in folder.iterdir() if one.name != "template"), key=lambda one: int(one.name))
        return [Run(one) for one in numbered]

    return all_with


def assert_whole(folder: Path) -> dict[str, int]:
    """Every snapshot is whole, and every body that one names is there and right; each with its number of versions."""
    there = backups(folder)
    counts = {}
    for name in there.names():
        vault = ""
        for kind, fields in backup_format.rows(there.file(name)):
            vault = fields["id"] if kind == "vault" else vault
            for _, digest, _ in backup_format.bodies_of(kind, fields):
                body = (there.path / "bodies" / vault / digest[:2] / digest[2:]).read_bytes()
                assert hashlib.sha256(body).hexdigest() == digest
        counts[name] = backup_format.summary(there.file(name)).counts["version"]
    return counts


def kept_bodies(folder: Path) -> set[bytes]:
    bodies = (folder / "backups" / "bodies").glob("*/??/*")
    return {path.read_bytes() for path in bodies if len(path.name) == 62}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_happens_to_a_backup_there_is_a_whole_one_and_the_next_run_makes_another(
    runs: Any, fault: str
) -> None:
    """The one before, the new one, or for a moment both."""
    seen = set()
    for run in runs("backup", fault):
        counts = assert_whole(run.folder)
        seen.add(tuple(counts.values()))
        assert run.said is not True or list(counts.values()) == [9]
        with closing(SqliteMetadata(run.folder / "gobi.db")) as metadata:
            assert metadata.moving().state() is None
        save(World.at(run.folder), run.folder)
        assert list(assert_whole(run.folder).values()) == [9]
        assert kept_bodies(run.folder) == {*OLD.values(), *NEW.values(), b"another side"}
        assert list((run.folder / "backups" / "bodies" / "tmp").iterdir()) == []
    assert seen >= ({(5,), (5, 9), (9,)} if fault == "kill" else {(5,), (9,)})


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_happens_to_a_restore_no_server_runs_on_a_part_and_the_next_run_does_it(runs: Any, fault: str) -> None:
    """Before it is complete the database is empty, or says that it is not complete."""
    complete = incomplete = 0
    for run in runs("restore", fault):
        data = run.folder / NEW_DATA
        with closing(SqliteMetadata(data / "gobi.db")) as metadata:
            try:
                check_in_use(metadata.moving().state())
            except Unavailable:
                incomplete += 1
            else:
                complete += bool(metadata.users())
                assert not metadata.users() or contents(metadata) == before(run)
        with suppress(Refused):  # where it was complete
            put_back(run.folder)
        world, old = World.at(data), World.at(run.folder)
        assert contents(world.metadata) == before(run)
        assert world.files() == old.files()
        assert world.vault.epoch != old.vault.epoch
    assert complete
    assert incomplete or fault != "kill"


def before(run: Run) -> object:
    with closing(SqliteMetadata(run.folder / "gobi.db")) as metadata:
        return contents(metadata)
