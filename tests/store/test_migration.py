"""A move from one database to another, cut off or failing at every one of its steps."""

from __future__ import annotations

import itertools
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest

from store import migration
from store.base import Metadata, Totals, Transaction
from store.errors import Refused, Unavailable
from store.migration import Moved, Target, cancel, migrate
from store.mongo import MongoMetadata
from store.mongo_moving import MongoMoving
from store.mongo_schema import COLLECTIONS
from store.mongo_target import MongoTarget
from store.moving import Move
from store.sqlite import SqliteMetadata
from store.sqlite_moving import SqliteMoving
from store.sqlite_target import SqliteTarget
from sync.model import Candidate, Conflict
from tests.contract.log import append, hash_of
from tests.services import ReplicaSet


class Place(Protocol):
    """Where a database may be."""

    def open(self) -> Metadata: ...

    def target(self) -> Target: ...


class File:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = folder / "metadata.db"

    def open(self) -> Metadata:
        return SqliteMetadata(self.path)

    def target(self) -> Target:
        return SqliteTarget(self.path)


class Far:
    def __init__(self, mongo: ReplicaSet) -> None:
        self.mongo = mongo
        self.name = f"test-{secrets.token_hex(6)}"

    def open(self) -> Metadata:
        one = MongoMetadata(self.mongo.uri, self.name)
        one.prepare()
        return one

    def target(self) -> Target:
        return MongoTarget(self.mongo.uri, self.name)


New = Callable[[str], Place]


@pytest.fixture
def new(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[New]:
    """Makes an empty place of a kind, `sqlite` or `mongo`."""
    far: list[Far] = []
    numbers = itertools.count()

    def make(kind: str) -> Place:
        if kind == "sqlite":
            return File(tmp_path / str(next(numbers)))
        far.append(Far(request.getfixturevalue("mongo")))
        return far[-1]

    yield make
    for one in far:
        one.mongo.drop(one.name)


def fill(metadata: Metadata) -> None:
    """People with a device and invitations, and two vaults with versions, a tombstone, conflicts, counters and a purge
    mark."""
    for name in ("me", "you"):
        metadata.add_user(name, f"$hash of {name}$")
    for name in ("notes", "other"):
        vault = metadata.create_vault(name, "me")
        append(metadata, vault.id, ("a.md", "one"), ("Bücher/日記.md", "two"), ("a.md", "-"))
        metadata.set_purge_mark(vault.id, 5)
        metadata.transact(vault.id, dispute)
        metadata.add_invitation(f"to {name}", "me", vault.id, 3600)
    metadata.redeem("to notes", "laptop", "l" * 64)


def dispute(tx: Transaction) -> None:
    tx.append([], Totals(files=1, bytes=20, stored=300))
    for number in range(2):
        one = Conflict(f"c{number}", "a.md", 7, number, (Candidate(1, "me", "laptop", hash_of("C"), 1, None, 1),))
        tx.save_conflict(one.settled({"keep": "server", "versions": [1, 2]}) if number else one)


def contents(metadata: Metadata) -> object:
    vaults = metadata.vaults()
    logs = [metadata.changes(one.id, 0, 100_000) for one in vaults]
    disputes = [metadata.moving().conflicts(one.id, "", 1_000) for one in vaults]
    return metadata.secret(), metadata.users(), metadata.moving().invitations(), vaults, logs, disputes


@pytest.fixture
def source(new: New, request: pytest.FixtureRequest) -> Iterator[Metadata]:
    """A full one, of the test's parameter `kind`."""
    kind = getattr(request.node, "callspec", None)
    with closing(new(kind.params.get("kind", "sqlite") if kind else "sqlite").open()) as one:
        fill(one)
        yield one


def state(metadata: Metadata) -> str | None:
    move = metadata.moving().state()
    return move.state if move else None


PAIRS = [("sqlite", "mongo"), ("mongo", "sqlite"), ("sqlite", "sqlite"), ("mongo", "mongo")]


# -- undisturbed


@pytest.mark.parametrize(("kind", "to"), PAIRS)
def test_everything_is_there_afterwards_and_only_there_something_can_be_written(
    source: Metadata, new: New, kind: str, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "PAGE", 2)  # of three versions and two conflicts
    before, place = contents(source), new(to)
    told: list[tuple[str, int, bool]] = []
    with closing(place.target()) as target:
        moved = migrate(source, target, tell=lambda vault, count, done: told.append((vault.name, count, done)))
        assert moved == Moved(users=2, vaults=2, versions=6, conflicts=4)
        assert told[:3] == [("notes", 2, False), ("notes", 3, False), ("notes", 3, True)]
        with pytest.raises(Unavailable) as refused:
            source.add_user("anna", "$a$")
        assert str(refused.value) == target.notice
    with closing(place.open()) as there:
        assert contents(there) == contents(source) == before
        there.add_user("anna", "$a$")


@pytest.mark.parametrize("to", ["sqlite", "mongo"])
def test_what_was_left_behind_is_overwritten_when_that_is_asked_for(source: Metadata, new: New, to: str) -> None:
    """There, on to another place, and back."""
    home, away = new(to), new("sqlite")
    with closing(home.target()) as target:
        migrate(source, target)
    with closing(home.open()) as there, closing(away.target()) as target:
        there.add_user("anna", "$a$")
        migrate(there, target)
    with closing(away.open()) as there, closing(home.target()) as target:
        there.add_user("bert", "$b$")
        with pytest.raises(Refused, match="--replace"):
            migrate(there, target)
        assert state(there) == "arrived"
        migrate(there, target, replace=True)
        before = contents(there)
    with closing(home.open()) as there:
        assert contents(there) == before
        assert [one.name for one in there.users()] == ["anna", "bert", "me", "you"]


@pytest.mark.parametrize("to", ["sqlite", "mongo"])
def test_a_database_in_use_is_not_touched(source: Metadata, new: New, to: str) -> None:
    place = new(to)
    with closing(place.open()) as live, closing(place.target()) as target:
        live.add_user("anna", "$a$")
        before = contents(live)
        for replace in (False, True):
            with pytest.raises(Refused, match="not empty"):
                migrate(source, target, replace=replace)
        live.moving().mark(None, Move("other", "leaving", "elsewhere"))
        with pytest.raises(Refused, match="elsewhere itself"):
            migrate(source, target, replace=True)
        assert contents(live) == before
        assert (state(live), state(source)) == ("leaving", None)


def test_a_file_that_a_server_uses_is_not_replaced(source: Metadata, new: New) -> None:
    place = new("sqlite")
    with (
        closing(place.open()),
        closing(place.target()) as target,
        pytest.raises(Refused, match="in use by a server"),
    ):
        migrate(source, target)
    assert state(source) is None
    with closing(place.target()) as target:
        migrate(source, target)


def test_what_was_there_before_is_kept_beside_a_file(source: Metadata, new: New) -> None:
    place = new("sqlite")
    assert isinstance(place, File)
    place.open().close()
    with closing(place.target()) as target:
        migrate(source, target)
    names = sorted(path.name for path in place.path.parent.iterdir())
    assert names[0] == "metadata.db"
    assert [name[:18] for name in names[1:]] == ["metadata.db.moved-"]


@pytest.mark.parametrize("to", ["sqlite", "mongo"])
def test_what_does_not_arrive_as_it_was_sent_is_not_used(
    source: Metadata, new: New, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database says yes, and has lost one version."""
    place = new(to)
    with closing(place.target()) as target:
        kind = SqliteMoving if to == "sqlite" else MongoMoving
        take = kind.take_versions
        monkeypatch.setattr(kind, "take_versions", lambda self, vault, versions: take(self, vault, versions[1:]))
        with pytest.raises(Unavailable, match="not what was sent"):
            migrate(source, target)
        assert state(source) is None
        assert target.look() == (None, True)


def rows(place: Place) -> dict[str, list[tuple[object, ...]]]:
    """Every table as it is on the disk, but for what is known of the move."""
    assert isinstance(place, File)
    with closing(sqlite3.connect(place.path)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: db.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in names}  # noqa: S608
    found["meta"] = [row for row in found["meta"] if row[0] != "move"]
    return found


def test_whatever_a_database_comes_to_keep_is_moved(new: New) -> None:
    """A table or a column that is new, and that nobody thought of here, is missing after two moves."""
    home, away, back = new("sqlite"), new("mongo"), new("sqlite")
    with closing(home.open()) as source, closing(away.target()) as target:
        fill(source)
        migrate(source, target)
    with closing(away.open()) as source, closing(back.target()) as target:
        migrate(source, target)
    assert rows(back) == rows(home)
    assert all(rows(home).values()), "every table has something in it"
    assert set(COLLECTIONS) == set(rows(home)) - {"members"}, "MongoDB keeps members with their vaults"


# -- disturbed


class Killed(BaseException):
    """As by kill -9: nothing is done any more after it."""


class Steps:
    """Counts what is asked of both databases, and interferes with the `at`-th, before it is done or right after."""

    def __init__(self, at: int, *, late: bool, fault: type[BaseException]) -> None:
        self._left = at
        self._late = late
        self._fault = fault
        self.reached = False

    def call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        if self.reached and self._fault is Killed:
            raise Killed
        self._left -= 1
        here = self._left == 0
        self.reached |= here
        if here and not self._late:
            raise self._fault("interrupted")
        result = method(*arguments)
        if here:
            raise self._fault("interrupted")
        return result


class Watched:
    """A part of a move, every method of which is a step."""

    def __init__(self, real: Any, steps: Steps) -> None:
        self._real = real
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if not callable(value):
            return value
        if name == "moving":
            return lambda: Watched(value(), self._steps)
        if name == "open":
            return lambda *arguments: Watched(self._steps.call(value, *arguments), self._steps)
        return lambda *arguments: self._steps.call(value, *arguments)


def disturbed(source: Metadata, target: Target, steps: Steps) -> None:
    try:
        migrate(Watched(source, steps), Watched(target, steps))
    except (Killed, Unavailable, KeyboardInterrupt):
        assert steps.reached


def in_use(place: Place) -> bool:
    """Whether a server that is started there now would run."""
    with closing(place.target()) as target:
        there, empty = target.look()
    return not empty and (there is None or there.state == "arrived")


# All of them where that is quick. Elsewhere those that the backends themselves have a part in.
DISTURBANCES = [
    *(
        ("sqlite", "sqlite", fault, late)
        for fault in (Killed, Unavailable, KeyboardInterrupt)
        for late in (False, True)
    ),
    ("sqlite", "mongo", Killed, True),
    pytest.param("sqlite", "mongo", Unavailable, True, marks=pytest.mark.soak),
    pytest.param("mongo", "sqlite", Killed, True, marks=pytest.mark.soak),
]


@pytest.mark.parametrize(("kind", "to", "fault", "late"), DISTURBANCES)
def test_cut_off_at_any_step_nothing_is_lost_and_the_next_run_moves_everything(
    new: New, kind: str, to: str, fault: type[BaseException], late: bool
) -> None:
    for at in itertools.count(1):
        steps = Steps(at, late=late, fault=fault)
        place = new(to)
        with closing(new(kind).open()) as source:
            fill(source)
            before = contents(source)
            with closing(place.target()) as target:
                disturbed(source, target, steps)
            assert contents(source) == before
            writable = state(source) is None
            assert not (writable and in_use(place)), f"step {at}: something could be written in both"
            if fault is not Killed and not in_use(place):
                assert writable, f"step {at}: given up, and still nothing can be written"
            with closing(place.target()) as target:
                if state(source) != "left":
                    migrate(source, target)
            assert state(source) == "left"
            with closing(place.open()) as there:
                assert contents(there) == before
                assert state(there) == "arrived"
        if not steps.reached:
            assert at > 20
            break


@pytest.mark.parametrize("to", ["sqlite", "mongo"])
def test_a_move_that_was_cut_off_can_be_given_up(new: New, to: str) -> None:
    """At whatever step: writing is possible again and nothing is left there; or all is there, and it says so."""
    finished = 0
    for at in itertools.count(1):
        steps = Steps(at, late=True, fault=Killed)
        place = new(to)
        with closing(new("sqlite").open()) as source:
            fill(source)
            with closing(place.target()) as target:
                disturbed(source, target, steps)
            if not steps.reached:
                break
            if state(source) == "left":
                continue
            with closing(place.target()) as target:
                if state(source) is None or in_use(place):
                    finished += in_use(place)
                    with pytest.raises(Refused, match=r"no move to cancel|already"):
                        cancel(source, target)
                    continue
                cancel(source, target)
                assert target.look() == (None, True)
            source.add_user("anna", "$a$")
    assert finished


def test_given_up_on_another_host_in_its_middle_a_move_ends(source: Metadata, new: New) -> None:
    """What was written meanwhile would be missing there."""
    place = new("sqlite")

    def give_up(*_: object) -> None:
        if state(source) == "leaving":
            cancel(source, None)
            source.add_user("anna", "$a$")

    with closing(place.target()) as target, pytest.raises(Unavailable, match="another"):
        migrate(source, target, tell=give_up)
    assert state(source) is None
    assert not in_use(place)
