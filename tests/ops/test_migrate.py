"""`gobi migrate` beside a running server, with clients that are to notice nothing."""

from __future__ import annotations

import base64
import http.client
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from store.base import Metadata, Totals, Transaction
from store.mongo import MongoMetadata
from store.moving import Move
from store.sqlite import SqliteMetadata
from tests.contract.log import versions_for
from tests.e2e.machines import House, Machine, in_step
from tests.mongo.asking import ask, put
from tests.mongo_proxy import MongoProxy
from tests.server import GOBI, PASSWORD, USER, GobiServer
from tests.services import Mongod, ReplicaSet, free_port, wait_until

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def database(mongo: ReplicaSet) -> Iterator[str]:
    """The name of a database of the test's own."""
    name = f"test-{secrets.token_hex(6)}"
    yield name
    mongo.drop(name)


@pytest.fixture
def server(tmp_path: Path, database: str) -> Iterator[GobiServer]:
    """On SQLite; does not run yet."""
    one = GobiServer(tmp_path / "server")
    one._env["GOBI_MONGO_DB"] = database
    one.add_user()
    yield one
    one.close()


@pytest.fixture
def house(server: GobiServer, tmp_path: Path) -> House:
    server.start()
    return House([server], "notes", tmp_path)


@pytest.fixture
def proxy(mongo: ReplicaSet) -> Iterator[MongoProxy]:
    with MongoProxy(mongo.members[0].port) as one:
        yield one


def file_of(server: GobiServer) -> Metadata:
    return SqliteMetadata(server.data_dir / "metadata.db")


def state_of(metadata: Metadata) -> str | None:
    with closing(metadata):
        move = metadata.moving().state()
        return move.state if move else None


def to_mongo(server: GobiServer, mongo: ReplicaSet, *options: str) -> Done:
    """With the address in a file, as it should be."""
    address = server.folder / "mongo-uri"
    address.write_text(mongo.uri + "\n")
    return server.gobi("migrate", "--to-file", str(address), *options)


def refused(done: Done, code: int, *said: str) -> None:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done
    for words in said:
        assert words in done.stderr


# -- there and back


def test_clients_notice_nothing_of_a_move_there_and_back(house: House, mongo: ReplicaSet, database: str) -> None:
    server = house.server
    laptop, desktop = house.machine("laptop"), house.machine("desktop")
    for number in range(40):
        laptop.write(f"folder {number % 3}/note {number}.md", f"text {number}")
    laptop.sync()
    desktop.sync()
    dispute(laptop, desktop)
    before = outside(house)
    cookie = sign_in(server)

    done = to_mongo(server, mongo)
    assert (done.returncode, done.stderr) == (0, "")
    assert "notes: 41 versions\n" in done.stdout
    assert "set GOBI_MONGO_URI" in done.stdout
    server.restart(GOBI_MONGO_URI=mongo.uri)
    assert (server.data_dir / "metadata.db").exists()
    assert outside(house) == before
    assert signed_in(server, cookie)
    nothing_happens(laptop, desktop)
    change_sides(house, laptop, desktop)

    before = outside(house)
    refused(server.gobi("migrate", "--to", "sqlite:"), 2, "--replace")
    done = server.gobi("migrate", "--to", "sqlite:", "--replace")
    assert (done.returncode, done.stderr) == (0, "")
    assert "take GOBI_MONGO_URI out" in done.stdout
    server.stop()
    del server._env["GOBI_MONGO_URI"]
    server.start()
    assert outside(house) == before
    assert signed_in(server, cookie)
    nothing_happens(laptop, desktop)
    change_sides(house, laptop, desktop)
    assert len(list(server.data_dir.glob("metadata.db.moved-*"))) == 1


def dispute(laptop: Machine, desktop: Machine) -> None:
    """Both edit one file, so that a conflict is open."""
    for one in (laptop, desktop):
        one.write("folder 0/note 0.md", f"{one.name}'s text")
    laptop.sync()
    desktop.sync(code=1)


def outside(house: House) -> Any:
    """What the vault looks like to its clients."""
    log = house.api("GET", "/changes?cursor=0&limit=5000")
    conflicts = house.conflicts()
    return house.api("GET", ""), log, conflicts, house.history("folder 0/note 0.md")


def nothing_happens(*machines: Machine) -> None:
    for one in machines:
        report = one.gobi("sync", str(one.folder), "--json", code=None).json
        assert [report[name] for name in ("uploaded", "downloaded", "deleted_here", "deleted_there", "adopted")] == [
            0
        ] * 5
        assert report["full"] is False, "the cursor is as good as before"


def change_sides(house: House, laptop: Machine, desktop: Machine) -> None:
    """Everything goes on, on what there was before."""
    laptop.write("folder 1/note 1.md", f"edited after {len(house.history('folder 1/note 1.md'))}")
    laptop.sync()
    desktop.sync(code=None)
    assert desktop.read("folder 1/note 1.md") == laptop.read("folder 1/note 1.md")


def sign_in(server: GobiServer) -> str:
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    with closing(connection):
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        connection.request("POST", "/v1/session", b"", {"Authorization": f"Basic {basic}"})
        return str(connection.getresponse().headers["Set-Cookie"]).partition(";")[0]


def signed_in(server: GobiServer, cookie: str) -> bool:
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    with closing(connection):
        connection.request("GET", "/v1/vaults", headers={"Cookie": cookie})
        return connection.getresponse().status == 200


# -- while it moves


def test_while_it_moves_reads_go_on_and_writes_come_again_later(house: House) -> None:
    laptop = house.machine("laptop")
    house.put("first.md", b"first")
    with closing(file_of(house.server)) as metadata:
        moving = Move("m1", "leaving", "the metadata is being moved to another database: try again in a few minutes")
        metadata.moving().mark(None, moving)
        for answer in (put(house, "second.md", b"second"), put(house, "third.md", b"third", If_None_Match="*")):
            assert (answer.status, answer.code) == (503, "store-unavailable")
            assert "being moved" in answer.json["detail"]
            assert 0 < int(answer.headers["retry-after"]) <= 30
        assert house.body("/files/first.md") == b"first"
        laptop.write("written meanwhile.md", "while it moved")
        with laptop.start("sync", str(laptop.folder)) as waiting:
            wait_until(lambda: "/push failed" in house.server.log, "the client to be told to wait")
            metadata.moving().mark(moving, None)
            out, err = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, out + err
    assert house.live() == {"first.md", "written meanwhile.md"}


def test_what_was_refused_by_the_old_server_is_taken_by_the_new_one(house: House, mongo: ReplicaSet) -> None:
    laptop = house.machine("laptop")
    laptop.write("before.md", "before")
    laptop.sync()
    assert to_mongo(house.server, mongo).returncode == 0
    laptop.write("after.md", "after")
    with laptop.start("sync", str(laptop.folder)) as waiting:
        wait_until(lambda: "/push failed" in house.server.log, "the client to be told to wait")
        assert "set GOBI_MONGO_URI" in house.server.log
        house.server.restart(GOBI_MONGO_URI=mongo.uri)
        out, err = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, out + err
    assert house.live() == {"before.md", "after.md"}
    desktop = house.machine("desktop")
    desktop.sync()
    assert in_step(laptop, desktop)


# -- cut off

VERSIONS, GROUP = 40_000, 2_000  # more than a few pages


def fill(metadata: Metadata) -> None:
    with closing(metadata):
        vault = metadata.create_vault("notes", USER)

        def work(tx: Transaction, start: int) -> None:
            changes = [(f"{number % 50}/{number}.md", "x") for number in range(start, start + GROUP)]
            tx.append(versions_for(tx, tuple(changes)), Totals(files=GROUP))

        for start in range(0, VERSIONS, GROUP):
            metadata.transact(vault.id, partial(work, start=start))


@pytest.fixture
def half_moved(server: GobiServer, proxy: MongoProxy) -> Iterator[subprocess.Popen[str]]:
    """A move to MongoDB in its middle, two commands a second; the server runs."""
    server.start()
    fill(file_of(server))
    process = subprocess.Popen(
        [GOBI, "migrate", "--to", proxy.uri],
        env=server.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        wait_until(lambda: "delete" in proxy.commands, "the target to be made ready")
        proxy.commands_per_s = 2
        wait_until(lambda: "insert" in proxy.commands, "the first page")
        yield process
        process.kill()


def finish(server: GobiServer, mongo: ReplicaSet, database: str) -> None:
    """The same again, undisturbed: all of it is there."""
    done = to_mongo(server, mongo)
    assert done.returncode == 0, done.stderr
    assert f"1 user, 1 vault, {VERSIONS:,} versions, 0 conflicts." in done.stdout
    with closing(MongoMetadata(mongo.uri, database)) as there:
        (vault,) = there.vaults()
        assert vault.files == len(there.changes(vault.id, 0, 2 * VERSIONS)) == VERSIONS
    assert (state_of(file_of(server)), state_of(MongoMetadata(mongo.uri, database))) == ("left", "arrived")


def test_killed_in_its_middle_a_move_is_done_by_the_next_run(
    half_moved: subprocess.Popen[str], server: GobiServer, proxy: MongoProxy, mongo: ReplicaSet, database: str
) -> None:
    half_moved.kill()
    half_moved.wait()
    assert (state_of(file_of(server)), state_of(MongoMetadata(mongo.uri, database))) == ("leaving", "arriving")
    house = House([server], "notes", server.folder)
    server.restart()
    answer = put(house, "second.md", b"second")
    assert answer.status == 503
    assert "gobi migrate --cancel" in answer.json["detail"]
    assert ask(house, "GET", "").json["files"] == VERSIONS
    refuses_to_start(server, mongo, 69, "not complete")
    finish(server, mongo, database)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_in_its_middle_a_move_leaves_everything_as_it_was(
    half_moved: subprocess.Popen[str],
    server: GobiServer,
    proxy: MongoProxy,
    mongo: ReplicaSet,
    database: str,
    number: signal.Signals,
) -> None:
    half_moved.send_signal(number)
    proxy.commands_per_s = None
    _, err = half_moved.communicate(timeout=60)
    assert half_moved.returncode == 130
    assert err.splitlines()[-1] == "gobi: stopped: nothing was moved, and writing is possible again"
    assert put(House([server], "notes", server.folder), "second.md", b"second", If_None_Match="*").status == 201
    with closing(MongoMetadata(mongo.uri, database)) as there:
        assert there.moving().is_empty()
        assert there.moving().state() is None


def test_a_move_whose_target_goes_away_leaves_everything_as_it_was(
    half_moved: subprocess.Popen[str], server: GobiServer, proxy: MongoProxy, mongo: ReplicaSet, database: str
) -> None:
    proxy.fail("insert", 8000, "you are over your space quota, using 520 MB of 512 MB", times=None)
    proxy.commands_per_s = None
    _, err = half_moved.communicate(timeout=120)
    assert half_moved.returncode == 69
    assert "full" in err
    assert state_of(file_of(server)) is None
    finish(server, mongo, database)


def test_a_move_that_was_killed_can_be_given_up(
    half_moved: subprocess.Popen[str], server: GobiServer, mongo: ReplicaSet, database: str
) -> None:
    half_moved.kill()
    half_moved.wait()
    done = to_mongo(server, mongo, "--cancel")
    assert (done.returncode, done.stdout) == (0, "Given up. Writing is possible again.\n")
    assert put(House([server], "notes", server.folder), "second.md", b"second", If_None_Match="*").status == 201
    with closing(MongoMetadata(mongo.uri, database)) as there:
        assert there.moving().is_empty()
    refused(server.gobi("migrate", "--cancel"), 2, "no move to cancel")


def test_two_moves_at_once_are_one(
    half_moved: subprocess.Popen[str], server: GobiServer, proxy: MongoProxy, mongo: ReplicaSet
) -> None:
    refused(to_mongo(server, mongo), 69, "another `gobi migrate` is running")
    refused(server.gobi("migrate", "--cancel"), 69, "another `gobi migrate` is running")
    proxy.commands_per_s = None
    assert half_moved.wait(60) == 0


def test_killed_on_the_way_back_a_move_is_done_by_the_next_run(
    server: GobiServer, proxy: MongoProxy, mongo: ReplicaSet, database: str
) -> None:
    far = MongoMetadata(mongo.uri, database)
    far.prepare()
    far.add_user(USER, "$hash$")
    fill(far)
    (server.data_dir / "metadata.db").unlink()
    server._env["GOBI_MONGO_URI"] = proxy.uri
    half = server.data_dir / "metadata.db.new"
    with subprocess.Popen([GOBI, "migrate", "--to", "sqlite:"], env=server.environment()) as process:
        wait_until(lambda: "find" in proxy.commands and half.exists(), "the first page")
        proxy.commands_per_s = 2
        wait_until(lambda: half.stat().st_size + _size(half.with_name(half.name + "-wal")) > 1 << 20, "the first page")
        process.kill()
    proxy.commands_per_s = None
    assert not (server.data_dir / "metadata.db").exists()
    done = server.gobi("migrate", "--to", "sqlite:")
    assert done.returncode == 0, done.stderr
    assert not half.exists()
    with closing(file_of(server)) as there:
        (vault,) = there.vaults()
        assert len(there.changes(vault.id, 0, 2 * VERSIONS)) == VERSIONS


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


# -- what is refused


def refuses_to_start(server: GobiServer, mongo: ReplicaSet, code: int, said: str) -> None:
    """On the target, if it is not complete."""
    other = GobiServer(server.folder / "other", data_dir=server.data_dir)
    other._env = {"GOBI_MONGO_URI": mongo.uri, "GOBI_MONGO_DB": server._env["GOBI_MONGO_DB"]}
    for command in (["serve"], ["user", "list"]):
        refused(other.gobi(*command), code, said)


def test_no_server_starts_on_what_was_left_behind(server: GobiServer, mongo: ReplicaSet) -> None:
    assert to_mongo(server, mongo).returncode == 0
    for command in (["serve"], ["user", "list"], ["migrate", "--to", mongo.uri], ["migrate", "--cancel"]):
        refused(server.gobi(*command), 78, "was moved to mongodb at 127.0.0.1", "set GOBI_MONGO_URI")


def test_a_database_that_is_not_empty_is_left_alone(server: GobiServer, mongo: ReplicaSet, database: str) -> None:
    with closing(MongoMetadata(mongo.uri, database)) as live:
        live.prepare()
        live.add_user("anna", "$a$")
        for options in ((), ("--replace",)):
            refused(to_mongo(server, mongo, *options), 2, "is not empty")
        assert [one.name for one in live.users()] == ["anna"]
        assert live.moving().state() is None
    assert state_of(file_of(server)) is None


def test_moving_to_where_it_is_is_refused(server: GobiServer, mongo: ReplicaSet) -> None:
    refused(server.gobi("migrate", "--to", "sqlite:"), 2, "in SQLite already")
    server._env["GOBI_MONGO_URI"] = mongo.uri
    refused(server.gobi("migrate", "--to", mongo.uri + "&appname=other"), 2, "there already")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--to or --to-file"),
        (["--to", "sqlite:", "--to-file", "-"], "not both"),
        (["--to", "postgres://me:hunter2@host/"], "mongodb://"),
        (["--to-file", "-"], "mongodb://"),
        (["--to-file", "/nonexistent"], "/nonexistent"),
        (["--cancel"], "no move to cancel"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_happens(
    server: GobiServer, arguments: list[str], said: str
) -> None:
    done = server.gobi("migrate", *arguments, input="\n")
    refused(done, 2, said)
    assert "hunter2" not in done.stderr


def test_a_target_out_of_reach_costs_nothing_and_no_password_is_shown(server: GobiServer) -> None:
    refusals = {
        f"mongodb://me:hunter2@127.0.0.1:{free_port()}/?timeoutMS=500": 69,
        "mongodb://me:hunter2@127.0.0.1:port/": 78,
        "mongodb://me:hunter2/1@127.0.0.1/": 78,
        "mongodb://me:hunter2@127.0.0.1/?nonsense=1&timeoutMS=500": 69,
    }
    for uri, code in refusals.items():
        done = server.gobi("migrate", "--to", uri)
        assert done.returncode == code, done
        assert "hunter2" not in done.stderr + done.stdout
        assert "GOBI_MONGO_URI" not in done.stderr
        assert state_of(file_of(server)) is None


def test_a_mongodb_without_transactions_is_refused(server: GobiServer, tmp_path: Path) -> None:
    alone = Mongod(tmp_path / "alone", None).start()
    try:
        refused(server.gobi("migrate", "--to", alone.uri), 78, "replica set")
    finally:
        alone.stop()
    assert state_of(file_of(server)) is None
