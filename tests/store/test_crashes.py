"""Acknowledged is durable, and nothing is ever half there: a fault at every system call of a put and a push."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from store.bodies import DiskBodies
from sync.model import Version
from tests.store.crashing import NEW_A, OLD, PUSHED, REQUESTS
from tests.store.world import World

ROOT = Path(__file__).resolve().parents[2]
TWO_DAYS_AGO = 1_000_000_000
BEFORE = {path: body for path, body in OLD.items() if path != "gone.md"}
PUSHED_WHOLE = PUSHED | {"gone.md": OLD["gone.md"]}
REFUSAL = {"EIO": "Unavailable", "ENOSPC": "DiskFull"}
GOOD = {"put": {"STORE", "SAME"}, "push": {"stored", "same", "deleted"}}


class Run:
    """What is left of one server, and what its client was told before the end."""

    def __init__(self, folder: Path) -> None:
        notes = json.loads((folder / "told.json").read_text())
        self.told: dict[str, Any] = notes["told"]
        self.trace: list[tuple[str, str]] = [tuple(call) for call in notes["trace"]]
        self.folder = folder
        self.temporary = folder / "bodies" / "tmp"

    def done(self, request: str) -> bool:
        """Whether the client was told that it is done."""
        reply = self.told.get(request)
        replies = reply if isinstance(reply, list) else [reply]
        return set(replies) <= GOOD[request]

    def looked_after_commit(self) -> bool:
        """Whether the call that failed was a look at a body when everything was committed, or at whether it counts."""
        calls = [at for at, (name, _) in enumerate(self.trace) if name not in ("sql", "reply")]
        failed = calls[int(self.folder.name) - 1]
        statements = [text for name, text in self.trace[:failed] if name == "sql"]
        name, path = self.trace[failed]
        return (name == "stat" or path.endswith(".forsaken")) and statements[-1] == "COMMIT"

    def leftovers(self) -> list[str]:
        return os.listdir(self.temporary)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All runs with a fault, by its name; the one without first."""

    @cache
    def all_with(fault: str) -> list[Run]:
        folder = tmp_path_factory.mktemp(fault)
        subprocess.run([sys.executable, "-m", "tests.store.crashing", folder, fault], cwd=ROOT, check=True)
        numbered = sorted((one for one in folder.iterdir() if one.name != "template"), key=lambda one: int(one.name))
        return [Run(one) for one in numbered]

    return all_with


def assert_whole(world: World) -> None:
    """Every version's body is there and right, whether or not anybody was told of it."""
    for version in world.log():
        if version.live:
            assert hashlib.sha256(world.body(version)).hexdigest() == version.hash


def expected(done_put: bool, done_push: bool) -> dict[str, bytes]:
    files = dict(BEFORE)
    if done_put:
        files["a.md"] = NEW_A
    if done_push:
        files |= PUSHED_WHOLE
        del files["b.md"]
    return files


def remaining(run: Run) -> dict[str, bytes]:
    """What has to be there by what the client was told. A push tells of each change in its turn."""
    told = run.told.get("push")
    if not isinstance(told, list):
        return expected(run.done("put"), run.done("push"))
    files = expected(run.done("put"), False)
    for (path, body), reply in zip({"b.md": None, **PUSHED_WHOLE}.items(), told, strict=True):
        if reply == "deleted":
            del files[path]
        elif reply in GOOD["push"]:
            assert body is not None
            files[path] = body
    return files


def refused(run: Run, fault: str) -> bool:
    """Whether the client was told of the fault, for a whole request or for the one body that had no room."""
    return REFUSAL[fault] in run.told.values() or (fault == "ENOSPC" and "disk-full" in run.told.get("push", []))


def assert_repeatable(world: World) -> None:
    """The same requests once more are done, and then everything is there once."""
    for name, request in REQUESTS.items():
        reply = request(world)
        assert set(reply if isinstance(reply, list) else [reply]) <= GOOD[name]
    assert world.files() == expected(True, True)
    paths = [version.path for version in world.log()]
    assert all(paths.count(path) == 1 for path in PUSHED)
    assert paths.count("a.md") == 2


def stored(world: World) -> int:
    bodies: dict[str | None, Version] = {version.hash: version for version in world.log() if version.live}
    return sum(version.size for version in bodies.values())


def test_without_a_fault_everything_is_there(runs: Any) -> None:
    run = runs("kill")[0]
    assert run.done("put")
    assert run.done("push")
    world = World.at(run.folder)
    assert world.files() == expected(True, True)
    assert world.vault.stored == stored(world)
    assert run.leftovers() == []


def test_killed_anywhere_what_was_acknowledged_is_there_and_nothing_is_half_there(runs: Any) -> None:
    """Each file is old or new; the push, one transaction here, is there whole or not at all."""
    killed = runs("kill")[1:]
    assert len(killed) > 80
    for run in killed:
        world = World.at(run.folder)
        assert_whole(world)
        possible = [expected(a, b) for a in (True, run.done("put")) for b in (True, run.done("push"))]
        assert world.files() in possible, run.trace[-1]
        for leftover in run.leftovers():
            os.utime(run.temporary / leftover, (TWO_DAYS_AGO, TWO_DAYS_AGO))
        DiskBodies(run.folder / "bodies").sweep()
        assert run.leftovers() == []
        assert_repeatable(world)
        assert world.vault.stored <= stored(world)
        world.metadata.close()


@pytest.mark.parametrize("fault", ["EIO", "ENOSPC"])
def test_a_call_that_fails_fails_its_request_and_the_next_one_is_done(runs: Any, fault: str) -> None:
    """What was refused changed nothing, all else is done, reads go on, no temporary file stays behind."""
    failed = runs(fault)[1:]
    assert len(failed) > 20
    for run in failed:
        world = World.at(run.folder)
        assert_whole(world)
        assert world.files() == remaining(run), run.told
        if not (run.done("put") and run.done("push")):
            assert refused(run, fault)
            assert run.leftovers() == []
        assert_repeatable(world)
        assert world.vault.stored == stored(world)
        world.metadata.close()


def test_only_what_cannot_matter_may_fail_unnoticed(runs: Any) -> None:
    """Where a call fails and both requests are done all the same, it was the removal of a temporary file, or the look
    at the bodies after the commit: they are durable then, and only a body that is not there would be lost, or would not
    count."""
    for run in runs("EIO")[1:]:
        if run.done("put") and run.done("push"):
            assert len(run.leftovers()) == 1 or run.looked_after_commit()


def flushes_of(trace: list[tuple[str, str]], path: str) -> list[int]:
    """When the file or folder was flushed: by itself, or with its whole file system."""
    return [at for at, call in enumerate(trace) if call in (("fsync", path), ("syncfs", ""))]


def test_bytes_are_flushed_before_they_have_a_name_and_names_before_a_version_has_them(runs: Any) -> None:
    """The order of calls: write, flush, name, flush the folder (and the folders that hold new ones), commit."""
    trace = runs("kill")[0].trace
    begun = [at for at, (name, _) in enumerate(trace) if name == "reply"]
    for first, last in ((0, begun[0]), (begun[0], begun[1])):
        one = trace[first:last]
        writes = [(at, path) for at, (name, path) in enumerate(one) if name == "write"]
        named = [(at, path) for at, (name, path) in enumerate(one) if name == "link"]
        made = [(at, path) for at, (name, path) in enumerate(one) if name == "mkdir"]
        commit = max(at for at, call in enumerate(one) if call == ("sql", "COMMIT"))
        assert writes
        assert len(named) == len(writes)
        for at, path in writes:
            assert any(at < flushed < named[0][0] for flushed in flushes_of(one, path)), path
        for at, path in named + made:
            assert any(at < flushed < commit for flushed in flushes_of(one, os.path.dirname(path))), path
        assert max(at for at, _ in named) < commit < last - first


def test_no_file_is_flushed_twice(runs: Any) -> None:
    """After a failed flush nothing is known of a file: what is sent again goes into another one."""
    for run in runs("EIO"):
        flushed = [path for name, path in run.trace if name == "fsync" and "/tmp/" in path and "/bodies/tmp/" in path]
        assert len(flushed) == len(set(flushed))
