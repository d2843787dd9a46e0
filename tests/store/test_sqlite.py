"""The embedded database: what its queries cost, and what it says when it cannot."""

from __future__ import annotations

import inspect
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import sqlite as backend
from store import sqlite_log
from store.base import Query, Totals, Transaction, User, Vault
from store.errors import DiskFull, Unavailable
from store.sqlite import SqliteMetadata
from store.sqlite_schema import STEPS, upgrade
from sync.model import START, Candidate, Change, Conflict, Json
from tests.contract.log import append
from tests.store.world import World, change, parcel, sha256

HASH = sha256(b"x")
CONFLICT = Conflict("c", "dir/1", 1, 1, (Candidate(1, "me", "d", HASH, 1, None, 1),))
Asking = Callable[[SqliteMetadata, str], object]


def in_transaction(work: Callable[[Transaction], object]) -> Asking:
    return lambda metadata, vault: metadata.transact(vault, work)


# Every query on the log, and how the database is to find the rows of it: never by looking at all of them.
QUERIES: dict[str, tuple[Asking, list[str]]] = {
    "heads": (
        lambda m, v: m.heads(v, ["dir/1"]),
        ["v USING INDEX versions_by_path (vault=? AND path=? AND stamp=?)"],
    ),
    "live_below": (
        in_transaction(lambda tx: tx.live_below(["dir", "nothing"], excluding=["dir/1"])),
        [
            "v USING INDEX versions_by_path (vault=? AND path>? AND path<?)",
            "v USING INDEX versions_by_path (vault=? AND path=? AND stamp=?)",
        ],
    ),
    "find": (lambda m, v: m.find(v, [("dir/1", 1)]), ["v USING PRIMARY KEY (vault=? AND stamp=?)"]),
    "has_stamp": (lambda m, v: m.has_stamp(v, 1), ["versions USING PRIMARY KEY (vault=? AND stamp=?)"]),
    "changes": (lambda m, v: m.changes(v, 0, 5), ["v USING PRIMARY KEY (vault=? AND stamp>?)"]),
    "live": (
        lambda m, v: m.live(v, at=1 << 60, after="dir/1", prefix="dir/", limit=5),
        ["v USING INDEX versions_by_path (vault=? AND path>? AND path<?)"],
    ),
    "listing": (
        lambda m, v: m.listing(v, at=1 << 60, after="dir/1", limit=5),
        ["v USING INDEX versions_by_path (vault=? AND path>?)"],
    ),
    "history": (
        lambda m, v: m.history(v, "dir/1", before=None, limit=5),
        ["v USING INDEX versions_by_path (vault=? AND path=? AND stamp<?)"],
    ),
    "facts": (
        lambda m, v: m.facts(v, [Query("dir/1", 1, ("0" * 64, HASH)), Query("dir/2", None, ())]),
        [
            "v USING INDEX versions_by_path (vault=? AND path=? AND stamp=?)",
            "v USING INDEX versions_by_path (vault=? AND path=? AND stamp>?)",
            "v USING PRIMARY KEY (vault=? AND stamp=?)",
        ],
    ),
    "recent": (
        lambda m, v: m.recent(v, before=1 << 60, since=0, device="laptop", user="me", prefix="dir/", limit=5),
        ["v USING PRIMARY KEY (vault=? AND stamp>? AND stamp<?)"],
    ),
    "conflict": (lambda m, v: m.conflict(v, "c"), ["conflicts USING PRIMARY KEY (vault=? AND id=?)"]),
    "conflicts_on": (
        in_transaction(lambda tx: tx.conflicts_on(["dir/1"])),
        ["conflicts USING INDEX conflicts_by_path (vault=? AND path=?)"],
    ),
    "conflicts": (lambda m, v: m.moving().conflicts(v, "c", 5), ["conflicts USING PRIMARY KEY (vault=? AND id>?)"]),
    "open_conflicts": (lambda m, v: m.open_conflicts(v), ["conflicts USING INDEX conflicts_open (vault=?)"]),
}
# Where rows come out of an index in the order asked, a page costs a page. (Conflicts on given paths are few.)
SORTED_ANYWAY = {"conflicts_on", "facts"}
# Looks for what matches at so many rows, whatever the vault holds: at all of these here.
LOOKS_FURTHER = {"recent"}


@pytest.fixture
def metadata(tmp_path: Path) -> SqliteMetadata:
    one = SqliteMetadata(tmp_path / "gobi.db")
    one.add_user("me", "$hash$")
    return one


def vault_of(metadata: SqliteMetadata, name: str, files: int) -> str:
    """A vault with that many files in a folder, each in two versions, and with as many settled conflicts."""
    vault = metadata.create_vault(name, "me")
    for _ in range(2):
        append(metadata, vault.id, *((f"dir/{number}", "x") for number in range(files)))

    def dispute(tx: Transaction) -> None:
        for number in range(files):
            row = Conflict(f"c{number}", f"dir/{number}", 1, number, CONFLICT.candidates)
            tx.save_conflict(row.settled({"keep": "server"}) if number else row)

    metadata.transact(vault.id, dispute)
    return vault.id


def connection(metadata: SqliteMetadata) -> sqlite3.Connection:
    (db,) = metadata._idle
    return db


@contextmanager
def statements(metadata: SqliteMetadata) -> Iterator[list[str]]:
    """The statements that run meanwhile, with their values in them."""
    seen: list[str] = []
    connection(metadata).set_trace_callback(lambda sql: None if sql.startswith("--") else seen.append(sql))
    yield seen
    connection(metadata).set_trace_callback(None)


def test_every_query_on_the_log_is_looked_at_here() -> None:
    """A new one needs an entry in QUERIES."""
    own = [one for one in vars(sqlite_log).values() if inspect.getmodule(one) is sqlite_log]
    functions = {one.__name__ for one in own if inspect.isfunction(one) and not one.__name__.startswith("_")}
    helping = {"as_version", "as_versions", "beyond"}
    writing = {"append", "save_conflict", "insert", "put_conflict"}
    methods = {name for name in vars(sqlite_log.SqliteTransaction) if not name.startswith("_")} - {"is_good"}
    assert (functions | methods) - writing - helping == set(QUERIES)


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_finds_its_rows_by_an_index(metadata: SqliteMetadata, name: str) -> None:
    """The plan is the database's own; one query without its index took two minutes in a large vault."""
    ask, expected = QUERIES[name]
    vault = vault_of(metadata, "notes", 3)
    with statements(metadata) as seen:
        ask(metadata, vault)
    plans: list[str] = []
    for sql in seen:
        if " versions" in sql or " conflicts" in sql:
            plans += [row[3] for row in connection(metadata).execute(f"EXPLAIN QUERY PLAN {sql}")]
    for step in expected:
        assert f"SEARCH {step}" in plans
    for step in plans:
        assert not step.startswith("SCAN") or "VIRTUAL TABLE" in step, step
        assert "AUTOMATIC" not in step
        if name not in SORTED_ANYWAY:
            assert "TEMP B-TREE" not in step


@pytest.mark.parametrize("name", sorted(QUERIES.keys() - LOOKS_FURTHER))
def test_what_a_query_costs_does_not_grow_with_the_vault(metadata: SqliteMetadata, name: str) -> None:
    """Counted in steps of the database's own machine, which no other program on this computer can change."""
    ask, _ = QUERIES[name]
    vaults = [vault_of(metadata, f"vault{files}", files) for files in (30, 600)]

    def cost(vault: str) -> int:
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        connection(metadata).set_progress_handler(step, 1)
        ask(metadata, vault)
        connection(metadata).set_progress_handler(None, 1)
        return steps

    small, large = map(cost, vaults)
    assert large <= small * 1.2 + 20


def test_ten_thousand_rows_are_a_handful_of_statements(tmp_path: Path) -> None:
    """A sync that reports them, a first listing of them, a pull of them; a push takes a few for each thousand."""
    world = World.at(tmp_path)
    metadata = world.metadata
    assert isinstance(metadata, SqliteMetadata)
    many = [f"{number % 100}/{number}" for number in range(10_000)]
    manifest: list[Json] = [change(path, b"x") for path in many]
    data = parcel(manifest, [(many[0], b"x")])
    with statements(metadata) as seen:
        versions = [one.version for one in world.push(data).results if one.version]
    inserts = [sql for sql in seen if sql.startswith("INSERT INTO versions")]
    assert len(inserts) == len(versions) == 10_000
    assert len(seen) - len(inserts) < 10 * 12
    vault = world.vault
    reported = [Change(one.path, "put", one.stamp, sha256(b"edited"), 6, None, (HASH,)) for one in versions]
    with statements(metadata) as seen:
        assert len(world.reader.sync(vault, world.reader.cursor(vault), reported, True, 5_000).actions) == 10_000
    assert len(seen) <= 10
    with statements(metadata) as seen:
        assert len(world.reader.sync(vault, START, [], True, 10_000).actions) == 10_000
    assert len(seen) <= 10
    with statements(metadata) as seen:
        world.reader.pull(vault, [(one.path, one.stamp) for one in versions])
    assert len(seen) <= 4


# -- what it says when it cannot


def fill(metadata: SqliteMetadata, vault: str) -> None:
    for number in range(1000):
        append(metadata, vault, *((f"{number}/{n}" + "x" * 200, "A") for n in range(50)))


def test_a_full_disk_refuses_the_write_and_reads_go_on(metadata: SqliteMetadata) -> None:
    vault = metadata.create_vault("notes", "me").id
    (first,) = append(metadata, vault, ("first", "A"))
    connection(metadata).execute("PRAGMA max_page_count = 60")
    with pytest.raises(DiskFull, match="free some"):
        fill(metadata, vault)
    assert metadata.heads(vault, ["first"]) == {"first": first}
    log = metadata.changes(vault, 0, 100_000)
    there = metadata.vault("notes")
    assert there is not None
    assert log[-1].stamp == there.clock
    assert len(log) % 50 == 1, "the last transaction is there whole or not at all"
    append(metadata, vault, ("first", "-"))  # with a new connection, which has room again


def test_a_writer_that_waits_too_long_for_another_process_is_told_to_try_again(
    metadata: SqliteMetadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers go on all the while."""
    vault = metadata.create_vault("notes", "me").id
    monkeypatch.setattr(backend, "BUSY_MS", 1)
    hurried = SqliteMetadata(tmp_path / "gobi.db")
    locked, done = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        locked.set()
        assert done.wait(20)

    holder = threading.Thread(target=metadata.transact, args=(vault, hold))
    holder.start()
    assert locked.wait(20)
    with pytest.raises(Unavailable, match="busy"):
        append(hurried, vault, ("a", "A"))
    assert hurried.changes(vault, 0, 10) == []
    hurried.ping()
    done.set()
    holder.join()
    append(hurried, vault, ("a", "A"))


def test_a_file_that_is_no_database_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "gobi.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(Unavailable, match="damaged"):
        SqliteMetadata(tmp_path / "gobi.db")


def test_a_folder_that_is_not_there_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="permissions"):
        SqliteMetadata(tmp_path / "missing" / "gobi.db")


def test_a_database_of_a_newer_gobi_is_left_alone(tmp_path: Path) -> None:
    SqliteMetadata(tmp_path / "gobi.db").close()
    db = sqlite3.connect(tmp_path / "gobi.db")
    db.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    db.commit()
    db.close()
    before = (tmp_path / "gobi.db").read_bytes()
    with pytest.raises(Unavailable, match="newer gobi"):
        SqliteMetadata(tmp_path / "gobi.db")
    assert (tmp_path / "gobi.db").read_bytes() == before


def test_a_database_of_the_first_schema_is_upgraded_with_all_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as first, sqlite3.connect(tmp_path / "gobi.db", isolation_level=None) as db:
        first.setattr("store.sqlite_schema.STEPS", STEPS[:1])
        upgrade(db)
        db.execute("INSERT INTO users VALUES ('me', '$hash$')")
        db.execute("INSERT INTO vaults (key, name, epoch, clock, files) VALUES (7, 'notes', 'e', 12, 3)")
        db.execute("INSERT INTO members VALUES (7, 'me', 'owner')")
    db.close()
    metadata = SqliteMetadata(tmp_path / "gobi.db")
    there = metadata.vault("notes")
    assert metadata.users() == [User("me", "$hash$")]
    metadata.add_device("me", "laptop", "l" * 64)
    assert there == Vault(f"{7:016x}", "notes", "e", 12, 0, {"me": "owner"}, files=3)


def test_a_real_database_of_the_third_schema_is_upgraded_with_all_it_has(tmp_path: Path) -> None:
    """Nothing in it was executable, for nobody said so."""
    with sqlite3.connect(tmp_path / "gobi.db") as db:
        db.executescript(Path(__file__).with_name("schema-3.sql").read_text())
    db.close()
    metadata = SqliteMetadata(tmp_path / "gobi.db")
    there = metadata.vault("notes")
    assert there is not None
    assert (there.lapses, there.versions) == ((), 4)
    log = metadata.changes(there.id, 0, 10)
    assert [(one.path, one.kind, one.executable, one.at) for one in log] == [
        ("tools/run.sh", "put", False, None),
        ("tools/run.sh", "put", False, None),
        ("notes.md", "put", False, None),
        ("notes.md", "delete", False, None),
    ]
    (conflict,) = metadata.open_conflicts(there.id)
    assert [(one.device, one.executable) for one in conflict.candidates] == [("phone", False)]
    (person,) = metadata.users()
    assert [device.name for device in person.devices] == ["laptop"]


def test_a_real_database_of_the_fifth_schema_is_upgraded_and_nobody_is_signed_in(tmp_path: Path) -> None:
    """Its cookies named no session."""
    with sqlite3.connect(tmp_path / "gobi.db") as db:
        db.executescript(Path(__file__).with_name("schema-5.sql").read_text())
    db.close()
    metadata = SqliteMetadata(tmp_path / "gobi.db")
    (person,) = metadata.users()
    assert person.sessions == ()
    assert [device.name for device in person.devices] == ["laptop"]
    began = metadata.add_session("me", "a" * 16, "laptop", "a browser", 60)
    assert metadata.users()[0].sessions == (began,)


def test_a_schema_step_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.sqlite_schema.STEPS", [*STEPS, "CREATE TABLE more (x); CREATE TABLE more (x)"])
    with pytest.raises(Unavailable):
        SqliteMetadata(tmp_path / "gobi.db")
    monkeypatch.undo()
    metadata = SqliteMetadata(tmp_path / "gobi.db")
    metadata.add_user("me", "$hash$")
    assert len(metadata.secret()) == 32


def test_many_open_a_new_database_at_once(tmp_path: Path) -> None:
    """One makes the tables, all find them; the secret is one."""
    start = threading.Barrier(6)
    secrets: list[bytes] = []

    def open_it() -> None:
        start.wait()
        one = SqliteMetadata(tmp_path / "gobi.db")
        secrets.append(one.secret())
        one.close()

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == 6
    assert len(set(secrets)) == 1


def test_a_commit_is_flushed_before_it_returns(metadata: SqliteMetadata) -> None:
    """WAL with synchronous=FULL, on every connection."""
    settings = [
        connection(metadata).execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    ]
    assert settings == ["wal", 2]


def test_a_failed_statement_does_not_spoil_the_next_one(metadata: SqliteMetadata) -> None:
    """Its connection is not used again; a work's own exception leaves the connection in use."""
    vault = metadata.create_vault("notes", "me").id
    (version,) = append(metadata, vault, ("a", "A"))
    with pytest.raises(Unavailable):
        metadata.transact(vault, lambda tx: tx.append([version], Totals()))  # the stamp is there already
    assert len(metadata._idle) == 0
    append(metadata, vault, ("a", "B"))
    db = connection(metadata)
    with pytest.raises(ZeroDivisionError):
        metadata.transact(vault, lambda tx: 1 // 0)
    assert connection(metadata) is db
    assert not db.in_transaction


def test_closing_leaves_one_file(metadata: SqliteMetadata, tmp_path: Path) -> None:
    """The write-ahead log is part of the database by then: copying the file copies everything."""
    vault = metadata.create_vault("notes", "me").id
    written = append(metadata, vault, ("a", "A"))
    metadata.close()
    assert os.listdir(tmp_path) == ["gobi.db"]
    assert SqliteMetadata(tmp_path / "gobi.db").changes(vault, 0, 10) == written


def test_paths_that_look_like_json_or_sql_are_paths(metadata: SqliteMetadata) -> None:
    vault = metadata.create_vault("notes", "me").id
    names = ['"', "'; DROP TABLE versions; --", "[1]", "{}", "null", "1", "1.0", "$[0]", "%", "\u2028", json.dumps("x")]
    written = append(metadata, vault, *((name, "A") for name in names))
    expected = {version.path: version for version in written}
    assert metadata.heads(vault, names) == expected
    assert metadata.find(vault, [(one.path, one.stamp) for one in written]) == {
        (one.path, one.stamp): one for one in written
    }
    facts = metadata.facts(vault, [Query(name, None, (sha256(b"A"),)) for name in names])
    assert {path: fact.base for path, fact in facts.items()} == expected
