"""Whether a file may be run travels with its versions, and is no edit of its content (docs/protocol.md, section 4)."""

from __future__ import annotations

import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from store.bodies import DiskBodies
from store.errors import Stale
from sync.judge import Verdict, Write
from sync.model import Version
from tests.contract.backends import Backend
from tests.store.backups import Backups
from tests.store.world import USER, World, change, parcel

SCRIPT = b"#!/bin/sh\n"


@pytest.fixture
def world(backend: Backend, tmp_path: Path) -> World:
    return World(backend.open(), DiskBodies(tmp_path / "bodies"))


def put(world: World, body: bytes, base: int | None, executable: bool | None = None, *, path: str = "run") -> Version:
    write = Write(path, "put", base, "laptop", USER, executable=executable)
    outcome = world.vaults.put(world.vault, world.head(path), write, [body], length=len(body), hash=None, by=world.by())
    assert outcome.version is not None
    return outcome.version


def keep(world: World, body: bytes, base: int | None, executable: bool | None) -> str:
    write = Write("run", "put", base, "phone", USER, executable=executable, keep=True)
    outcome = world.vaults.put(
        world.vault, world.head("run"), write, [body], length=len(body), hash=None, by=world.by()
    )
    assert outcome.conflict is not None
    return outcome.conflict.id


def test_it_is_kept_with_the_version(world: World) -> None:
    made = put(world, SCRIPT, None, True)
    assert made.executable
    assert world.head("run") == made
    assert world.log() == [made]
    assert made.to_json()["executable"] is True
    assert Version.from_json(made.to_json()) == made
    plain = put(world, b"text", None, False, path="plain")
    assert not plain.executable
    assert "executable" not in plain.to_json()


def test_who_does_not_speak_of_it_leaves_it_as_it_is(world: World) -> None:
    """As a client does that does not know of it."""
    made = put(world, SCRIPT, None, True)
    edited = put(world, SCRIPT + b"echo\n", made.stamp)
    assert edited.executable
    pushed = world.push(parcel([change("run", b"pushed", edited.stamp)], [("run", b"pushed")])).results[0].version
    assert pushed is not None
    assert pushed.executable
    assert not put(world, b"another file", None, path="new").executable
    tombstone = world.delete("run", pushed.stamp)
    assert not tombstone.executable
    assert not put(world, SCRIPT, tombstone.stamp).executable


def test_by_itself_it_makes_a_version_of_the_same_bytes(world: World) -> None:
    """Which costs nothing, and repeating it is harmless."""
    made = put(world, SCRIPT, None)
    changed = world.push(parcel([change("run", SCRIPT, made.stamp, executable=True)])).results[0]
    assert changed.status == "stored"
    assert changed.version is not None
    assert (changed.version.hash, changed.version.base) == (made.hash, made.stamp)
    assert (changed.version.executable, world.vault.stored) == (True, len(SCRIPT))
    again = world.push(parcel([change("run", SCRIPT, made.stamp, executable=True)])).results[0]
    assert (again.status, again.version) == ("same", changed.version)
    assert not put(world, SCRIPT, changed.version.stamp, False).executable


def test_over_it_alone_nothing_is_in_conflict(world: World) -> None:
    """The same bytes on an older base are the head's, whether or not these can be run."""
    made = put(world, SCRIPT, None)
    edited = put(world, SCRIPT + b"echo\n", made.stamp)
    for executable in (True, False):
        write = Write("run", "put", made.stamp, "phone", USER, executable=executable, keep=True)
        outcome = world.vaults.put(
            world.vault, edited, write, [SCRIPT + b"echo\n"], length=None, hash=None, by=world.by()
        )
        assert (outcome.verdict, outcome.version) == (Verdict.SAME, edited)
    with pytest.raises(Stale):
        put(world, SCRIPT, made.stamp, True)


@pytest.mark.parametrize(
    ("executable", "refused"), [(None, False), (True, False), (1, True), ("true", True), (0, True), ([], True)]
)
def test_it_is_true_or_false_and_nothing_else(world: World, executable: object, refused: bool) -> None:
    statuses = world.statuses(parcel([change("a", b"a", executable=executable)], [("a", b"a")]))
    assert statuses == ["bad-request" if refused else "stored"]


def test_a_version_is_restored_with_it(world: World) -> None:
    made = put(world, SCRIPT, None, True)
    edited = put(world, b"text", made.stamp, False)
    world.vaults.restore(world.vault, "run", made.stamp, edited.stamp, by=world.by("d"))
    head = world.head("run")
    assert head is not None
    assert (head.executable, world.body(head)) == (True, SCRIPT)


def test_undo_puts_it_back(world: World) -> None:
    made = put(world, SCRIPT, None, True)
    put(world, SCRIPT, made.stamp, False)
    (undone,) = world.undo(made.stamp).changes
    assert (undone.version.executable, undone.restores) == (True, made.stamp)
    assert world.undo(made.stamp).changes == []


@pytest.mark.parametrize("side", ["server", "client", "both"])
def test_a_conflict_is_settled_with_that_of_the_side_that_is_kept(world: World, side: str) -> None:
    base = put(world, b"base", None)
    head = put(world, b"server", base.stamp)
    conflict = world.reader.conflict(world.vault, keep(world, b"client", base.stamp, True))
    assert [one.executable for one in conflict.candidates] == [True]
    assert world.reader.conflict_side(world.vault, conflict.id, "client").executable
    versions = world.resolve(conflict, side, head.stamp)
    assert versions[0].executable, "the candidate, as it was sent"
    assert [one.executable for one in versions[1:]] == {"server": [False], "client": [True], "both": [False, True]}[
        side
    ]


@pytest.mark.parametrize(("base", "server", "client"), [(b, s, c) for b in (0, 1) for s in (0, 1) for c in (0, 1)])
def test_a_merge_takes_it_from_the_side_that_changed_it(world: World, base: int, server: int, client: int) -> None:
    first = put(world, b"base", None, bool(base))
    head = put(world, b"server", first.stamp, bool(server))
    conflict = world.reader.conflict(world.vault, keep(world, b"client", first.stamp, bool(client)))
    versions = world.resolve(conflict, "merged", head.stamp, text="merged")
    assert versions[-1].executable == bool(client if server == base else server)


def test_an_archive_and_a_backup_have_it(world: World, tmp_path: Path) -> None:
    put(world, SCRIPT, None, True)
    put(world, b"text", None, path="plain")
    archive = b"".join(world.reader.archive(world.vault, None))
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        assert {one.name: one.mode for one in tar} == {"run": 0o755, "plain": 0o644}
    backups = Backups(tmp_path)
    backups.make(world)
    new, _ = backups.restore()
    assert new.log() == world.log()
