"""The server knows its disk: whatever is in the place of its bodies or its database is not taken for them."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from store.bodies_mark import MARK
from tests.databases import Database, MongoDatabase, SqliteDatabase
from tests.e2e.machines import House
from tests.mongo.asking import ask, put
from tests.ops.looking import doctor
from tests.server import GobiServer
from tests.services import Redis, ReplicaSet, wait_until

LOOKING = (("check",), ("gc", "--dry-run"), ("gc",), ("backup", "backups"))


@pytest.fixture(params=["sqlite", "mongo"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        yield SqliteDatabase(tmp_path / "server" / "data" / "metadata.db")
        return
    mongo: ReplicaSet = request.getfixturevalue("mongo")
    one = MongoDatabase(mongo.uri, f"test-{secrets.token_hex(6)}")
    yield one
    one.drop()


@pytest.fixture
def house(database: Database, tmp_path: Path) -> Iterator[House]:
    """A running server with one file, `note.md`."""
    server = GobiServer(tmp_path / "server")
    if isinstance(database, MongoDatabase):
        server._env = {"GOBI_MONGO_URI": database.uri, "GOBI_MONGO_DB": database.name}
    server.start()
    server.add_user()
    one = House([server], "notes", tmp_path)
    assert ask(one, "PUT", "").status == 201
    assert put(one, "note.md", b"a note").status == 201
    yield one
    server.close()


def refuses(server: GobiServer, *said: str) -> None:
    """The server does not start, whoever looks is told, and nothing is made or changed."""
    before = tree(server.data_dir)
    for arguments in (("serve",), *LOOKING):
        done = server.gobi(*arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1), (arguments, done)
        for words in said:
            assert words in done.stderr
    report = doctor(server)
    assert report.exit_code == 78
    assert said[0] in report.told("wrong")
    assert tree(server.data_dir) == before
    assert not (server.folder / "backups" / "snapshots").exists() or not list(
        (server.folder / "backups" / "snapshots").iterdir()
    )


def tree(folder: Path) -> list[str]:
    """What lies there, but for SQLite's own files beside the database."""
    return sorted(str(path) for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm")))


def test_a_data_disk_that_is_not_mounted_is_no_new_server(house: House) -> None:
    server = house.server
    server.stop()
    bodies = server.data_dir / "bodies"
    away = bodies.rename(server.folder / "away")
    refuses(server, "mounted", "GOBI_DATA_DIR", "gobi check --adopt")
    bodies.mkdir()
    (bodies / "tmp").mkdir()
    refuses(server, "mounted", "GOBI_DATA_DIR")
    shutil.rmtree(bodies)
    away.rename(bodies)
    server.start()
    assert ask(house, "GET", "/files/note.md").body == b"a note"
    assert server.gobi("check").returncode == 0


def test_a_new_and_empty_data_folder_on_mongodb_is_refused_too(mongo: ReplicaSet, tmp_path: Path) -> None:
    """As a container that is started without its volume."""
    server = GobiServer(tmp_path / "server")
    server._env = {"GOBI_MONGO_URI": mongo.uri, "GOBI_MONGO_DB": f"test-{secrets.token_hex(6)}"}
    server.start()
    server.add_user()
    house = House([server], "notes", tmp_path)
    ask(house, "PUT", "")
    put(house, "note.md", b"a note")
    server.stop()
    elsewhere = GobiServer(tmp_path / "elsewhere")
    elsewhere._env = dict(server._env)
    done = elsewhere.gobi("serve")
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert not elsewhere.data_dir.exists()
    mongo.drop(server._env["GOBI_MONGO_DB"])


def test_an_empty_database_beside_bodies_is_no_new_server(house: House, database: Database) -> None:
    server = house.server
    server.stop()
    if isinstance(database, SqliteDatabase):
        for leftover in server.data_dir.glob("metadata.db*"):
            leftover.unlink()
        (server.data_dir / "metadata.db").touch()  # as after a power cut
    else:
        database.drop()
    refuses(server, "knows of no files", "restore-backup")
    if isinstance(database, SqliteDatabase):
        assert server.gobi("user", "list").returncode == 78
        assert server.gobi("user", "add", "you", "--generate").returncode == 78
        assert (server.data_dir / "metadata.db").read_bytes() == b""


def test_a_folder_that_vanishes_while_it_serves_is_waited_for(house: House) -> None:
    """Also where what is in its place was a data folder once."""
    server = house.server
    bodies = server.data_dir / "bodies"
    away = bodies.rename(server.folder / "away")
    for make in (False, True):
        if make:
            bodies.mkdir()
            (bodies / "tmp").mkdir()
        before = tree(server.data_dir)
        answers = [put(house, "new.md", b"new"), ask(house, "GET", "/files/note.md")]
        assert [(one.status, one.code) for one in answers] == [(503, "store-unavailable")] * 2
        assert ask(house, "GET", "").status == 200  # what the database alone can say
        assert tree(server.data_dir) == before
    shutil.rmtree(bodies)
    away.rename(bodies)
    assert ask(house, "GET", "/files/note.md").body == b"a note"
    assert put(house, "new.md", b"new").status == 201
    assert server.gobi("check").stdout.endswith("All is well.\n")
    assert not (bodies / "lost").exists()


def test_a_worker_that_comes_while_the_disk_is_away_makes_nothing_and_serves_once_it_is_back(house: House) -> None:
    server = house.server
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    first = children.read_text().split()
    away = server.data_dir.rename(server.folder / "away")
    server.data_dir.mkdir()
    os.kill(int(first[0]), signal.SIGKILL)
    wait_until(lambda: children.read_text().split() not in ([], first), "another worker")
    assert ask(house, "GET", "/files/note.md").status == 503
    assert os.listdir(server.data_dir) == []
    server.data_dir.rmdir()
    away.rename(server.data_dir)
    assert ask(house, "GET", "/files/note.md").body == b"a note"
    assert server.running


def test_what_is_gone_for_good_can_be_accepted_on_purpose(house: House) -> None:
    server = house.server
    server.stop()
    shutil.rmtree(server.data_dir / "bodies")
    done = server.gobi("check", "--adopt", "--repair")
    assert done.returncode == 1
    assert "its body is missing" in done.stdout
    server.start()
    assert put(house, "another.md", b"another").status == 201


def test_a_restored_server_has_its_mark(house: House, tmp_path: Path) -> None:
    server = house.server
    assert server.gobi("backup", "backups").returncode == 0
    server.stop()
    again = GobiServer(tmp_path / "again")
    assert again.gobi("restore-backup", str(server.folder / "backups"), "--yes").returncode == 0
    assert (again.data_dir / "bodies" / MARK).exists()
    again.start()
    assert again.stop() == 0


def test_after_a_move_the_bodies_are_the_new_databases(house: House, mongo: ReplicaSet, database: Database) -> None:
    server = house.server
    server._env.setdefault("GOBI_MONGO_DB", f"test-{secrets.token_hex(6)}")
    to = "sqlite:" if isinstance(database, MongoDatabase) else mongo.uri
    with closing(database.open()) as before:
        identity = before.identity()
    assert server.gobi("migrate", "--to", to).returncode == 0
    server.stop()
    server.start(GOBI_MONGO_URI="" if to == "sqlite:" else mongo.uri)
    assert ask(house, "GET", "/files/note.md").body == b"a note"
    mark = (server.data_dir / "bodies" / MARK).read_text()
    assert identity is not None
    assert mark.startswith(identity)
    mongo.drop(server._env["GOBI_MONGO_DB"])


# -- looking makes nothing


@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "list"),
        ("user", "token", "list", "me"),
        ("vault", "list"),
        ("user", "passwd", "me", "--generate"),
        *LOOKING,
    ],
    ids=" ".join,
)
def test_a_mistyped_data_folder_is_said_and_not_made(offline: GobiServer, arguments: tuple[str, ...]) -> None:
    done = offline.gobi(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
    assert str(offline.data_dir) in done.stderr
    assert "GOBI_DATA_DIR" in done.stderr
    assert not offline.data_dir.exists()
    offline.data_dir.mkdir(mode=0o700)
    assert offline.gobi(*arguments).returncode == 78
    assert list(offline.data_dir.iterdir()) == []


def test_a_mistyped_data_folder_is_not_adopted(offline: GobiServer) -> None:
    done = offline.gobi("check", "--adopt")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
    assert not offline.data_dir.exists()


def test_a_backup_of_nobody_and_nothing_is_none(offline: GobiServer) -> None:
    offline.start()
    done = offline.gobi("backup", "backups")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
    assert not (offline.folder / "backups").exists()
    offline.close()


def test_whoever_is_added_is_said_to_be_added_where(offline: GobiServer) -> None:
    done = offline.gobi("user", "add", "me", "--generate")
    assert done.stdout.startswith(f"Added me, in {offline.data_dir}.\n")


def test_looking_at_a_server_that_never_ran_makes_no_bodies(offline: GobiServer) -> None:
    offline.add_user()
    for arguments in (("check",), ("gc", "--dry-run"), ("vault", "list"), ("doctor",)):
        assert offline.gobi(*arguments).returncode == 0
    assert not (offline.data_dir / "bodies").exists()
    assert offline.gobi("backup", "backups").returncode == 0
    assert offline.gobi("gc").returncode == 0


# -- a disk that is read-only


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which can be made read-only."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "none", place], capture_output=True).returncode:
        pytest.skip("only root mounts file systems, and not everywhere")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def make_read_only(disk: Path) -> None:
    """As soon as whoever was killed has let go of it."""
    command = ["mount", "-o", "remount,ro", str(disk)]
    wait_until(lambda: subprocess.run(command, capture_output=True).returncode == 0, "nobody to write there")


@pytest.mark.parametrize("ended", ["in order", "killed"])
def test_what_only_reads_works_on_a_disk_that_is_read_only(disk: Path, tmp_path: Path, ended: str) -> None:
    """As an SD card that is dying: what is on it is to be saved first. Killed, the newest is in the write-ahead log."""
    server = GobiServer(tmp_path / "server", data_dir=disk / "data").start()
    server.add_user()
    house = House([server], "notes", tmp_path)
    ask(house, "PUT", "")
    assert put(house, "note.md", b"a note").status == 201
    if ended == "killed":
        server.kill9()
    else:
        server.stop()
    make_read_only(disk)
    done = server.gobi("backup", "backups")
    assert done.returncode == 0, done.stderr
    assert (done.stderr.count("\n"), "read-only" in done.stderr) == (1, True)
    assert "1 user, 1 vault, 1 version" in done.stdout
    assert "1 bodies copied" in done.stdout
    for arguments, said in (
        (("check", "--bodies"), "All is well."),
        (("user", "list"), "me"),
        (("vault", "list"), "1 files"),
    ):
        done = server.gobi(*arguments)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    again = GobiServer(tmp_path / "again")
    assert again.gobi("restore-backup", str(server.folder / "backups"), "--yes").returncode == 0


def test_what_writes_says_that_the_disk_is_read_only(disk: Path, tmp_path: Path) -> None:
    server = GobiServer(tmp_path / "server", data_dir=disk / "data")
    server.add_user()
    make_read_only(disk)
    for arguments in (("user", "add", "you", "--generate"), ("gc",), ("serve",)):
        done = server.gobi(*arguments)
        assert done.returncode in (69, 78)
        assert done.stderr.count("\n") == 1
        assert "read" in done.stderr.lower()


# -- two servers over one folder


def test_a_second_server_on_an_embedded_database_is_refused_and_the_first_goes_on(server: GobiServer) -> None:
    second = GobiServer(server.folder.with_name("second"), data_dir=server.data_dir)
    done = second.gobi("serve")
    assert (done.returncode, done.stderr.count("\n")) == (75, 1)
    assert "another `gobi serve`" in done.stderr
    assert ask(House([server], "notes", server.folder), "PUT", "").status == 201
    for arguments in (("backup", "backups"), ("gc",), ("check",), ("doctor",)):
        assert server.gobi(*arguments).returncode == 0


def test_servers_that_tell_each_other_over_redis_may_share_a_folder(offline: GobiServer, redis_server: Redis) -> None:
    offline.start(GOBI_REDIS_URL=redis_server.url)
    second = GobiServer(offline.folder.with_name("second"), data_dir=offline.data_dir, GOBI_REDIS_URL=redis_server.url)
    second.start()
    third = GobiServer(offline.folder.with_name("third"), data_dir=offline.data_dir)
    assert third.gobi("serve").returncode == 75  # it would be told nothing
    for one in (offline, second):
        one.close()


def test_after_a_kill_the_next_server_starts_at_once(server: GobiServer) -> None:
    os.kill(server.pid, signal.SIGKILL)  # the master alone: its worker ends by itself
    second = GobiServer(server.folder.with_name("second"), data_dir=server.data_dir).start()
    assert second.stop() == 0
