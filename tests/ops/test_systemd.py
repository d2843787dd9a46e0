"""The server as a service of systemd: what it reports, the socket it is handed, and the unit files."""

from __future__ import annotations

import base64
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.machines import House
from tests.e2e.watching import Watching
from tests.ops.supervisor import ROOT, UNIT, Supervisor, allowed_calls, confinement, unit_lines
from tests.server import GOBI, PASSWORD, USER, GobiServer, complaints
from tests.services import Redis, wait_until

UNITS = ("gobi.service", "gobi.socket", "gobi-backup.service", "gobi-backup.timer", "gobi-gc.service", "gobi-gc.timer")

WATCH = ROOT / "systemd" / "gobi-watch@.service"

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    one = Supervisor(tmp_path / "service")
    yield one
    one.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


def status(address: tuple[str, int], path: str = "/healthz", method: str = "GET", **headers: str) -> int:
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request(method, path, b"text" if method == "PUT" else None, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


# -- what it reports


def test_it_is_ready_when_every_worker_serves_and_says_so_once(supervisor: Supervisor, redis_server: Redis) -> None:
    supervisor.start(GOBI_WORKERS="2", GOBI_REDIS_URL=redis_server.url)
    heard = supervisor.hear_until("READY=1")
    assert set(heard[:-1]) <= {"WATCHDOG=1"}
    assert len(supervisor.workers) == 2
    assert status(place(supervisor.address)) == 200
    assert supervisor.stop() == 0
    assert "READY=1" not in supervisor.heard_already()


def test_it_reports_a_stop_before_it_stops(supervisor: Supervisor) -> None:
    supervisor.start().hear_until("READY=1")
    os.kill(supervisor.pid, signal.SIGTERM)
    supervisor.hear_until("STOPPING=1")
    assert supervisor.wait() == 0


def test_it_beats_although_a_worker_hangs(supervisor: Supervisor) -> None:
    """gunicorn replaces that one; ending all of them would be worse."""
    supervisor.start().hear_until("READY=1")
    (worker,) = supervisor.workers
    os.kill(worker, signal.SIGSTOP)
    supervisor.heard_already()
    assert [supervisor.hear() for _ in range(2)] == ["WATCHDOG=1"] * 2
    os.kill(worker, signal.SIGCONT)


def test_a_worker_that_hangs_is_replaced(supervisor: Supervisor) -> None:
    supervisor.start(GUNICORN_CMD_ARGS="--timeout=5").hear_until("READY=1")
    address = place(supervisor.address)
    (hung,) = supervisor.workers
    os.kill(hung, signal.SIGSTOP)
    wait_until(lambda: hung not in supervisor.workers and supervisor.workers != [], "another worker")
    assert status(address) == 200
    assert supervisor.stop() == 0


def test_it_does_not_beat_when_its_main_loop_hangs_although_the_workers_serve(supervisor: Supervisor) -> None:
    supervisor.start().hear_until("READY=1")
    address = place(supervisor.address)
    os.kill(supervisor.pid, signal.SIGSTOP)
    supervisor.heard_already()
    assert status(address) == 200
    with pytest.raises(TimeoutError):
        supervisor.hear(timeout_s=3)
    os.kill(supervisor.pid, signal.SIGCONT)
    supervisor.hear_until("WATCHDOG=1")


def test_a_wrong_setting_ends_it_with_the_code_that_is_not_tried_again(supervisor: Supervisor) -> None:
    supervisor.start(GOBI_WORKERS="many")
    assert [str(supervisor.wait())] == unit_lines("RestartPreventExitStatus")
    assert supervisor.heard_already() == []


# -- the socket that it is handed


def test_nobody_is_refused_while_it_restarts_on_a_socket_of_systemds(tmp_path: Path, listener: socket.socket) -> None:
    supervisor = Supervisor(tmp_path / "service", listener=listener)
    address = listener.getsockname()
    supervisor.start(GOBI_LISTEN="192.0.2.1:1").hear_until("READY=1")
    assert place(supervisor.address) == address
    seen: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                seen.append(status(address))
            except ConnectionRefusedError:
                seen.append(0)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        wait_until(lambda: bool(seen), "the first answer")
        assert supervisor.stop() == 0
        supervisor.start().hear_until("READY=1")
        before = len(seen)
        wait_until(lambda: len(seen) > before + 1, "answers of the new one")
    finally:
        over.set()
        asking.join()
        supervisor.close()
    assert set(seen) == {200}


# -- the unit files


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit_files(tmp_path: Path) -> None:
    """But for where gobi is: that is this checkout's here."""
    files = [ROOT / "systemd" / name for name in UNITS]
    for file in files:
        (tmp_path / file.name).write_text(file.read_text().replace("/opt/gobi/bin/gobi", str(GOBI)))
    drop_in = tmp_path / "gobi.service.d" / "secrets.conf"
    drop_in.parent.mkdir()
    example = (ROOT / "systemd" / "gobi.service.d" / "secrets.conf.example").read_text()
    drop_in.write_text(re.sub("^#(?=[A-Z])", "", example, flags=re.MULTILINE))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / file.name) for file in files)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("name", ["gobi.service", "gobi-backup.service", "gobi-gc.service"])
def test_systemd_finds_it_well_confined(name: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", str(ROOT / "systemd" / name)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_backup_is_confined_as_the_server_is_and_has_the_same_settings() -> None:
    """But for what only the server needs."""
    server, backup = (
        {line for line in (ROOT / "systemd" / name).read_text().splitlines() if re.match(r"[A-Z]\w+=", line)}
        for name in ("gobi.service", "gobi-backup.service")
    )
    assert "Group=gobi" in backup
    first = "NoNewPrivileges=yes"
    confined = set(UNIT.read_text().partition(first)[2].partition("[Install]")[0].splitlines()) & server | {first}
    shared = {"User=gobi", "UMask=0077", "Environment=GOBI_DATA_DIR=%S/gobi", "EnvironmentFile=-/etc/gobi/gobi.env"}
    assert len(confined) > 20
    assert (confined | shared) - backup == {"SystemCallFilter=chown fchownat"}


@needs_systemd
@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="this machine has no systemd-sysusers")
def test_its_user_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    file = ROOT / "systemd" / "gobi.sysusers"
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", file], check=True, capture_output=True)
    (line,) = [one for one in (tmp_path / "etc/passwd").read_text().splitlines() if one.startswith("gobi:")]
    assert line.endswith(":/var/lib/gobi:/usr/sbin/nologin")


_CONFINED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tests.ops.supervisor import confinement
confinement(set(sys.argv[2].split()))()
os.execv(sys.argv[3], sys.argv[3:])
"""


@needs_systemd
def test_a_watch_lives_with_the_system_calls_that_its_unit_file_allows(tmp_path: Path) -> None:
    """With all that it does to files on both ways."""
    calls = allowed_calls(WATCH)
    try:
        confinement(calls)
    except OSError:
        pytest.skip("this machine has no libseccomp")
    server = GobiServer(tmp_path / "server")
    server.add_user()
    house = House([server.start()], "notes", tmp_path)
    phone, laptop = house.machine("phone"), house.machine("laptop")
    laptop.within = (sys.executable, "-c", _CONFINED, str(ROOT), " ".join(calls))
    try:
        with Watching(laptop) as watching:
            phone.write("a/run.sh", "one\n").chmod(0o755)
            phone.sync()
            wait_until(lambda: laptop.has("a/run.sh"), "the file to arrive")
            phone.write("a/run.sh", "two\n")
            phone.rename("a/run.sh", "b/run.sh")
            phone.sync()
            wait_until(lambda: laptop.has("b/run.sh") and laptop.read("b/run.sh") == "two\n", "the edit to arrive")
            wait_until(lambda: bool((laptop.folder / "b" / "run.sh").stat().st_mode & 0o111), "its permission")
            laptop.write("c.md", "from here\n")
            wait_until(lambda: (phone.sync(), phone.has("c.md"))[1], "what was written here")
            laptop.delete("c.md")
            wait_until(lambda: (phone.sync(), not phone.has("c.md"))[1], "the deletion")
            assert not watching.said("not permitted"), watching.lines
    finally:
        server.close()


def test_a_watch_is_confined_without_what_only_some_systems_let_a_person_do() -> None:
    """A namespace of one's own is not for everybody: with one in the unit, watch would not start there."""
    example = (WATCH.parent / f"{WATCH.name}.d" / "confined.conf.example").read_text()
    for name in (
        "NoNewPrivileges",
        "LockPersonality",
        "MemoryDenyWriteExecute",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
    ):
        assert unit_lines(name, WATCH) == ["yes"], name
    assert unit_lines("SystemCallFilter", WATCH)[:2] == ["@system-service", "~@privileged @resources"]
    for name in ("PrivateUsers", "PrivateTmp", "ProtectSystem", "ReadWritePaths"):
        assert unit_lines(name, WATCH) == [], name
        assert f"\n{name}=" in example


@needs_systemd
def test_a_backup_lives_with_the_system_calls_that_its_unit_file_allows(tmp_path: Path) -> None:
    try:
        confine = confinement(allowed_calls(ROOT / "systemd" / "gobi-backup.service"))
    except OSError:
        pytest.skip("this machine has no libseccomp")
    server = GobiServer(tmp_path / "server")
    server.add_user()
    done = subprocess.run(
        [GOBI, "backup", tmp_path / "backups"],
        env=server.environment(),
        capture_output=True,
        text=True,
        preexec_fn=confine,
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_it_lives_with_the_system_calls_that_the_unit_file_allows(tmp_path: Path, unix: bool) -> None:
    try:
        confine = confinement(allowed_calls())
    except OSError:
        pytest.skip("this machine has no libseccomp")
    supervisor = Supervisor(tmp_path / "service", confine=confine)
    GobiServer(tmp_path / "people", data_dir=tmp_path / "service" / "data").add_user()
    settings = {"GOBI_LISTEN": f"unix:{tmp_path / 'gobi.sock'}"} if unix else {}
    try:
        supervisor.start(**settings).hear_until("READY=1")
        if not unix:
            address = place(supervisor.address)
            mine = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
            assert status(address, "/readyz", **mine) == 200
            assert status(address, "/v1/vaults/notes", "PUT", **mine) == 201
            assert status(address, "/v1/vaults/notes/files/a.md", "PUT", **mine, **{"If-None-Match": "*"}) == 201
        assert supervisor.stop() == 0
        assert complaints(supervisor.log) == []
    finally:
        supervisor.close()
