"""`gobi doctor` finds what is wrong with a server, and says what to do. MongoDB and Redis have files of their own."""

from __future__ import annotations

import os
import pwd
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import gobi
from ops import settings_check
from store import disk_check, sqlite_check
from tests.ops.looking import doctor
from tests.server import GobiServer
from tests.services import Redis, ReplicaSet, free_port

NOBODY = pwd.getpwnam("nobody")


# -- how it says it


def test_a_server_that_lacks_nothing_is_told_so(offline: GobiServer) -> None:
    offline.add_user()
    done = offline.gobi("doctor")
    *lines, last = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}
    assert (done.returncode, last, done.stderr) == (0, "Nothing is wrong.", "")


def test_a_running_server_is_no_hindrance(server: GobiServer) -> None:
    assert doctor(server).exit_code == 0


def test_what_is_wrong_comes_with_what_to_do_about_it(offline: GobiServer) -> None:
    done = offline.gobi("doctor")
    wrong = next(number for number, line in enumerate(done.stdout.splitlines()) if line.startswith("wrong"))
    assert done.stdout.splitlines()[wrong:] == [
        "wrong    users        nobody can sign in",
        "                      add somebody: gobi user add NAME",
        "1 thing is wrong.",
    ]
    assert (done.returncode, done.stderr) == (1, "")


def test_everything_is_fine_on_mongodb_and_redis(offline: GobiServer, mongo: ReplicaSet, redis_server: Redis) -> None:
    offline._env = {"GOBI_MONGO_URI": mongo.uri, "GOBI_MONGO_DB": "doctor_fine", "GOBI_REDIS_URL": redis_server.url}
    offline.add_user()
    report = doctor(offline, GOBI_WORKERS="4")
    assert report.exit_code == 0
    assert {one["level"] for one in report.findings} == {"ok"}
    assert {one["subject"] for one in report.findings} == {"settings", "data folder", "MongoDB", "users", "Redis"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GOBI_MONGO_URI", "mongodb://me:{secret}@127.0.0.1:{port}/"),
        ("GOBI_MONGO_URI", "mongodb://me:{secret}@nothing.invalid/"),
        ("GOBI_MONGO_URI", "mongodb+srv://me:{secret}@nothing.invalid/"),
        ("GOBI_MONGO_URI", "mongodb://me:a/{secret}@127.0.0.1:{port}/"),
        ("GOBI_MONGO_URI", "mongodb://me:a?{secret}@127.0.0.1:{port}/"),
        ("GOBI_MONGO_URI", "mongodb://me:a@{secret}/b@127.0.0.1:{port}/"),
        ("GOBI_MONGO_URI", "mongodb://me:a:{secret}@127.0.0.1:{port}/"),
        ("GOBI_MONGO_URI", "{secret}"),
        ("GOBI_REDIS_URL", "redis://:{secret}@127.0.0.1:{port}/0"),
        ("GOBI_REDIS_URL", "redis://:a@{secret}/b@127.0.0.1:{port}/0"),
        ("GOBI_REDIS_URL", "redis://me:{secret}/a@127.0.0.1:{port}/0"),
        ("GOBI_REDIS_URL", "redis://:{secret}@127.0.0.1:{port}/0?unknown={secret}"),
    ],
)
def test_no_secret_is_printed(offline: GobiServer, variable: str, value: str) -> None:
    offline._env = {variable: value.format(secret="geheim", port=free_port())}
    done = offline.gobi("doctor")
    assert done.returncode in (69, 78)
    assert variable in done.stdout
    assert "geheim" not in done.stdout + done.stderr


# -- settings


def test_all_wrong_settings_are_named_at_once(offline: GobiServer) -> None:
    report = doctor(offline, GOBI_WORKERS="many", GOBI_LISTEN="here", GOBI_TLS_KEY="/nonexistent")
    assert report.exit_code == 78
    for name in ("GOBI_WORKERS", "GOBI_LISTEN", "GOBI_TLS_CERT"):
        assert name in report.told("wrong", "settings")
    assert {one["subject"] for one in report.findings} == {"settings"}  # nobody knows what to look at


def test_a_whole_network_of_trusted_proxies_is_a_warning(offline: GobiServer) -> None:
    offline.add_user()
    report = doctor(offline, GOBI_TRUSTED_PROXIES="127.0.0.1,172.16.0.0/12")
    assert "believes all of 172.16.0.0/12" in report.told("warning")
    assert "name the proxy's own address" in report.told("warning")
    assert report.exit_code == 0
    assert doctor(offline, GOBI_TRUSTED_PROXIES="127.0.0.1,::1,172.30.87.2").told("warning") == ""


def test_a_misspelled_setting_is_a_warning(offline: GobiServer) -> None:
    offline.add_user()
    report = doctor(offline, GOBI_WORKRES="2")
    assert "did you mean GOBI_WORKERS?" in report.told("warning")
    assert report.exit_code == 0


def test_secrets_that_everybody_may_read_are_wrong(offline: GobiServer, tmp_path: Path) -> None:
    offline.add_user()
    file = tmp_path / "gobi.env"
    file.write_text("GOBI_METRICS_TOKEN=geheim\n")
    file.chmod(0o644)
    report = doctor(offline, "--env-file", str(file))
    assert (report.exit_code, f"chmod o-rwx {file}" in report.told("wrong")) == (1, True)
    file.chmod(0o640)
    assert doctor(offline, "--env-file", str(file)).exit_code == 0


def test_so_are_those_in_files_of_their_own(offline: GobiServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("geheim")
    token.chmod(0o604)
    file = tmp_path / "gobi.env"
    file.write_text(f"GOBI_METRICS_TOKEN_FILE={token}\n")
    assert f"chmod o-rwx {token}" in doctor(offline, "--env-file", str(file)).told("wrong")


def test_an_env_file_that_is_not_there_is_named(offline: GobiServer) -> None:
    report = doctor(offline, "--env-file", "/nonexistent")
    assert (report.exit_code, "/nonexistent" in report.told("wrong", "settings")) == (78, True)


# Everything is imported first: nobody may be unable to read the Python that these tests run with.
AS_NOBODY = """
import os, sys
from pathlib import Path
from ops import settings_check
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
for one in settings_check.check({}, None, Path(sys.argv[1]))[1]:
    print(one.level, one.text, one.advice)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_settings_that_this_user_may_not_read_are_missed() -> None:
    file = Path(f"/tmp/gobi-doctor-{os.getpid()}.env")  # where nobody can at least see it
    try:
        file.write_text("")
        file.chmod(0o600)
        command = [sys.executable, "-c", AS_NOBODY, str(file), str(NOBODY.pw_uid)]
        done = subprocess.run(command, check=True, cwd=Path(gobi.__file__).parent, capture_output=True, text=True)
    finally:
        file.unlink()
    assert f"warning {file} is not used" in done.stdout
    assert "sudo" in done.stdout


def test_the_systems_file_is_told_where_it_is_used(tmp_path: Path) -> None:
    file = tmp_path / "gobi.env"
    file.write_text("GOBI_WORKERS=1\n")
    settings, found = settings_check.check({}, None, file)
    assert settings is not None
    assert [one.text for one in found] == [f"from {file} and the environment"]


def test_more_workers_than_one_need_a_redis(offline: GobiServer) -> None:
    report = doctor(offline, GOBI_WORKERS="2")
    assert (report.exit_code, "GOBI_REDIS_URL" in report.told("wrong", "settings")) == (78, True)


def test_a_certificate_that_cannot_be_used_is_named(offline: GobiServer, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    report = doctor(offline, GOBI_TLS_CERT=str(tmp_path / "cert.pem"), GOBI_TLS_KEY=str(tmp_path / "key.pem"))
    assert (report.exit_code, "cert.pem" in report.told("wrong", "settings")) == (78, True)


# -- the data folder


def test_before_the_first_start_nothing_is_made_and_nothing_is_missed(offline: GobiServer) -> None:
    report = doctor(offline)
    assert report.told("ok", "data folder").count("the first start makes it") == 1
    assert report.told("ok", "SQLite").count("the first start makes it") == 1
    assert not offline.data_dir.exists()


def test_a_file_where_the_data_folder_should_be(offline: GobiServer) -> None:
    offline.data_dir.write_text("")
    report = doctor(offline)
    assert report.exit_code == 78
    assert "is no folder: name one in GOBI_DATA_DIR" in report.told("wrong", "data folder")


def test_a_data_folder_that_cannot_be_written(offline: GobiServer) -> None:
    report = doctor(offline, GOBI_DATA_DIR="/proc")  # nor by root
    assert report.exit_code == 78
    assert "cannot be written" in report.told("wrong", "data folder")


def test_a_data_folder_that_cannot_be_made(offline: GobiServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o700)
    report = doctor(offline, GOBI_DATA_DIR=str(tmp_path / "file" / "data"))
    assert report.exit_code == 78
    assert "cannot be made" in report.told("wrong", "data folder")


def test_a_data_folder_that_others_may_look_into(offline: GobiServer) -> None:
    offline.add_user()
    offline.data_dir.chmod(0o755)
    report = doctor(offline)
    assert (report.exit_code, f"chmod 700 {offline.data_dir}" in report.told("warning")) == (0, True)


def test_looking_leaves_nothing_behind(offline: GobiServer) -> None:
    offline.add_user()
    before = sorted(offline.data_dir.rglob("*"))
    assert "flushed within" in doctor(offline).told("ok", "data folder")
    assert sorted(offline.data_dir.rglob("*")) == before


@pytest.mark.parametrize(
    ("free", "size", "inodes", "level"),
    [(3, 10, 50, "ok"), (0.9, 10, 50, "warning"), (3, 100, 50, "warning"), (3, 10, 1, "warning")],
)
def test_little_room_on_the_disk_is_a_warning(free: float, size: float, inodes: int, level: str) -> None:
    block, blocks = 4096, 1 << 18  # a GiB has so many
    disk = os.statvfs_result(
        (block, block, int(size * blocks), int(free * blocks), int(free * blocks), 100, inodes, inodes, 0, 255)
    )
    assert max(one.level for one in disk_check._space(disk)) == level


# -- the embedded database


@pytest.fixture
def database(offline: GobiServer) -> Iterator[sqlite3.Connection]:
    offline.add_user()
    with closing(sqlite3.connect(offline.data_dir / "metadata.db", isolation_level=None)) as db:
        yield db


def test_a_database_of_a_newer_gobi(offline: GobiServer, database: sqlite3.Connection) -> None:
    database.execute("PRAGMA user_version = 99")
    report = doctor(offline)
    assert (report.exit_code, "schema 99 is of a newer gobi" in report.told("wrong", "SQLite")) == (1, True)


def test_a_damaged_database(offline: GobiServer) -> None:
    offline.add_user()
    with (offline.data_dir / "metadata.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    report = doctor(offline)
    assert (report.exit_code, "put a backup back" in report.told("wrong", "SQLite")) == (1, True)


def test_a_clock_that_is_behind_the_newest_change(offline: GobiServer, database: sqlite3.Connection) -> None:
    offline.gobi("vault", "create", "notes", "--owner", "me")
    database.execute("UPDATE vaults SET clock = ?", (1_000_000 * 1_000_000,))
    path = offline.data_dir / "metadata.db"
    assert "warning" not in {one.level for one in sqlite_check.check(path, now=lambda: 1e6)}
    (one,) = [one for one in sqlite_check.check(path, now=lambda: 1e6 - 10 * 366 * 86_400) if one.level == "warning"]
    assert "stamped 10 years in the clock's future" in one.text
    assert "set it" in one.advice
    assert "lived with" in one.advice


@pytest.mark.parametrize("kind", ["sqlite", "mongo"])
def test_metadata_that_was_moved_elsewhere(offline: GobiServer, mongo: ReplicaSet, kind: str) -> None:
    """Nothing can be written there any more, and why that is so is told."""
    offline._env["GOBI_MONGO_DB"] = f"doctor-{kind}"
    if kind == "mongo":
        offline._env["GOBI_MONGO_URI"] = mongo.uri
    offline.add_user()
    done = offline.gobi("migrate", "--to", "sqlite:" if kind == "mongo" else mongo.uri)
    assert done.returncode == 0, done.stderr
    report = doctor(offline)
    assert (report.exit_code, "moved" in report.told("wrong")) == (1, True)
    mongo.drop(f"doctor-{kind}")
