"""What is tried in the machine that tests/packages/machine.py boots: a Debian with systemd, and no network.

It knows nothing but the standard library. `payload` is the folder that it lies in, with the packages beside it. Each
step says "ok" or "not ok" and what it is about, a line starting with # what it measured.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import pwd
import re
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

PAYLOAD = Path(__file__).resolve().parent
ADDRESS = ("127.0.0.1", 8787)
UNIT = "gobi.service"
PATIENCE_S = 180
DATA = Path("/var/lib/gobi")
HOME = Path("/home/ann")
STEPS: list[Callable[[], None]] = []


def step(one: Callable[[], None]) -> Callable[[], None]:
    STEPS.append(one)
    return one


def say(text: str) -> None:
    """To the console, which the other side reads. Opened anew each time: asking for a login there hangs it up."""
    with open("/dev/console", "w") as console:
        console.write(text + "\n")


def run(*command: str, fails: bool = False, **options: object) -> str:
    """What it wrote, both streams. `fails`: it may."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)  # type: ignore[call-overload]
    assert fails or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}"
    return str(done.stdout)


def as_ann(*command: str) -> str:
    environ = {"HOME": str(HOME), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": "/run/user/1000"}
    return run(*command, user="ann", group="ann", extra_groups=[], cwd=HOME, env=environ)


def shown(name: str, unit: str = UNIT) -> str:
    return run("systemctl", "show", "--value", f"--property={name}", unit).strip()


def master() -> int:
    return int(shown("MainPID"))


def workers() -> list[int]:
    found = Path(f"/proc/{master()}/task/{master()}/children").read_text().split()
    return [int(one) for one in found]


def status(path: str = "/healthz", timeout_s: float = 60) -> int:
    """0: refused, or broken off."""
    connection = http.client.HTTPConnection(*ADDRESS, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool], what: str) -> float:
    """Seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < PATIENCE_S, f"waited in vain for {what}"
        time.sleep(0.1)
    return time.monotonic() - began


@contextlib.contextmanager
def load() -> Iterator[list[int]]:
    """Four clients that ask and ask, each time over a new connection. Yields the statuses they get."""
    seen: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            seen.append(status())

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        yield seen
    finally:
        over.set()
        for client in clients:
            client.join()


def wait_for_more(seen: list[int]) -> None:
    before = len(seen)
    wait_until(lambda: len(seen) > before + 200, "more answers")


def package(*, later: bool = False) -> str:
    (found,) = (path for path in PAYLOAD.glob("gobi_*.deb") if path.name.startswith("gobi_99.") is later)
    return str(found)


# -- the steps


@step
def the_package_installs_without_a_network_and_the_server_runs() -> None:
    began = time.monotonic()
    said = run("dpkg", "-i", package())
    say(f"# dpkg -i: {time.monotonic() - began:.1f} s; installed: {run('du', '-sh', '/usr/lib/gobi').split()[0]}")
    assert "gobi user add" in said, said
    assert run("systemctl", "is-enabled", UNIT).strip() == "enabled"
    wait_until(lambda: status() == 200, "the server")
    assert shown("ActiveState") == "active"


@step
def it_runs_as_its_own_user_confined_and_the_settings_are_closed_to_others() -> None:
    assert pwd.getpwuid(Path(f"/proc/{master()}").stat().st_uid).pw_name == "gobi"
    settings = Path("/etc/gobi/gobi.env")
    assert (settings.stat().st_mode & 0o777, settings.owner(), settings.group()) == (0o640, "root", "gobi")
    assert DATA.stat().st_mode & 0o777 == 0o700
    exposure = run("systemd-analyze", "security", UNIT, fails=True).splitlines()[-1]
    say(f"# {exposure.strip(' →')}")
    memory = {pid: memory_of(pid) for pid in (master(), *workers())}
    say(f"# PSS of master and worker: {sum(memory.values()) / 1024:.0f} MB")


def memory_of(pid: int) -> int:
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


@step
def the_installed_files_are_those_of_the_package() -> None:
    assert run("dpkg", "--verify", "gobi") == ""


@step
def the_command_starts_fast() -> None:
    for words in (["--version"], ["--help"], ["sync", "--help"]):
        seconds = []
        for _ in range(11):
            began = time.perf_counter()
            run("gobi", *words)
            seconds.append(time.perf_counter() - began)
        say(f"# gobi {' '.join(words)}: {sorted(seconds)[5]:.3f} s")


@step
def two_folders_are_kept_in_step_by_a_person_without_rights() -> None:
    run("useradd", "--create-home", "--shell", "/bin/sh", "--uid", "1000", "ann")
    word = HOME / "password"
    word.write_text("a password of some length\n")
    run("gobi", "user", "add", "ann", "--password-file", str(word))
    assert {path.owner() for path in DATA.rglob("*")} == {"gobi"}
    word.chmod(0o644)
    for device in ("laptop", "desktop"):
        who = ["--user", "ann", "--password-file", str(word), "--device", device]
        as_ann("mkdir", device)
        as_ann("gobi", "connect", device, "http://127.0.0.1:8787", "notes", *who, "--create")
    as_ann("sh", "-c", "for n in $(seq 200); do echo note $n > laptop/$n.md; done")
    as_ann("gobi", "sync", "laptop")
    as_ann("gobi", "sync", "desktop")
    as_ann("diff", "-r", "--exclude=.gobi", "laptop", "desktop")
    assert (HOME / "desktop" / "200.md").read_text() == "note 200\n"


@step
def a_folder_is_watched_by_the_persons_own_unit() -> None:
    run("loginctl", "enable-linger", "ann")
    wait_until(lambda: Path("/run/user/1000/systemd/private").exists(), "ann's own systemd")
    name = run("systemd-escape", "--path", str(HOME / "laptop")).strip()
    as_ann("systemctl", "--user", "enable", "--now", f"gobi-watch@{name}.service")
    as_ann("sh", "-c", "echo watched > desktop/watched.md")
    as_ann("gobi", "sync", "desktop")
    wait_until(lambda: (HOME / "laptop" / "watched.md").exists(), "the file in the watched folder")


@step
def a_service_restarted_on_its_own_port_is_back() -> None:
    with load() as seen:
        wait_until(lambda: len(seen) > 50, "answers")
        run("systemctl", "restart", UNIT)
        before = len(seen)
        wait_until(lambda: seen[before:].count(200) > 50, "answers after the restart")
    say(f"# restart without the socket: {len(seen) - seen.count(200)} of {len(seen)} requests were refused")


@step
def nobody_is_refused_during_a_restart_where_systemd_has_the_socket() -> None:
    run("systemctl", "stop", UNIT)
    run("systemctl", "enable", "--now", "gobi.socket")
    run("systemctl", "start", UNIT)
    with load() as seen:
        for _ in range(3):
            wait_for_more(seen)
            run("systemctl", "restart", UNIT)
        wait_for_more(seen)
    say(f"# 3 restarts with the socket: {len(seen) - seen.count(200)} of {len(seen)} requests failed")
    assert set(seen) == {200}


@step
def nobody_is_refused_during_an_upgrade_of_the_package() -> None:
    running = master()
    with load() as seen:
        wait_for_more(seen)
        run("dpkg", "-i", package(later=True))
        wait_for_more(seen)
    say(f"# upgrade with the socket: {len(seen) - seen.count(200)} of {len(seen)} requests failed")
    assert set(seen) == {200}
    assert master() != running


@step
def a_worker_that_hangs_is_replaced() -> None:
    (hung,) = workers()
    os.kill(hung, signal.SIGSTOP)
    took = wait_until(lambda: workers() != [] and hung not in workers(), "another worker")
    wait_until(lambda: status() == 200, "the server")
    say(f"# a worker that hangs is replaced after {took:.0f} s")
    assert shown("NRestarts") == "0"


@step
def a_server_that_hangs_is_started_anew() -> None:
    hung = master()
    os.kill(hung, signal.SIGSTOP)
    took = wait_until(lambda: shown("NRestarts") == "1" and shown("ActiveState") == "active", "the watchdog")
    wait_until(lambda: status() == 200, "the server")
    say(f"# a server whose main process hangs is started anew after {took:.0f} s")
    assert master() != hung
    assert "watchdog" in run("journalctl", "-u", UNIT, "--no-pager").lower()


@step
def a_wrong_setting_stops_it_and_the_journal_says_which() -> None:
    settings = Path("/etc/gobi/gobi.env")
    before = settings.read_text()
    settings.write_text(before + "\nGOBI_WORKERS=many\n")
    run("systemctl", "restart", UNIT, fails=True)
    wait_until(lambda: shown("ActiveState") == "failed", "the failure")
    assert "GOBI_WORKERS" in run("journalctl", "-u", UNIT, "-n", "50", "--no-pager")
    settings.write_text(before)
    run("systemctl", "stop", UNIT, "gobi.socket")
    run("systemctl", "reset-failed", UNIT, "gobi.socket", fails=True)
    run("systemctl", "start", "gobi.socket", UNIT)
    wait_until(lambda: status() == 200, "the server")


@step
def removing_it_stops_it_and_a_purge_leaves_what_people_have() -> None:
    run("dpkg", "--remove", "gobi")
    assert status() == 0
    assert Path("/etc/gobi/gobi.env").exists()
    assert not Path("/usr/lib/gobi").exists(), run("find", "/usr/lib/gobi")
    said = run("dpkg", "--purge", "gobi")
    assert str(DATA) in said, said
    assert not Path("/etc/gobi").exists()
    assert (DATA / "metadata.db").exists()
    assert [path for path in (DATA / "bodies").rglob("*") if path.is_file()]
    left = run("find", "/etc/systemd", "/var/lib/systemd/deb-systemd-helper-enabled", "-name", "gobi*", fails=True)
    assert "gobi.s" not in left, left


@step
def installed_again_it_has_everything() -> None:
    run("dpkg", "-i", package())
    wait_until(lambda: status() == 200, "the server")
    (HOME / "again").mkdir()
    os.chown(HOME / "again", 1000, 1000)
    who = ["--user", "ann", "--password-file", str(HOME / "password"), "--device", "again"]
    as_ann("gobi", "connect", "again", "http://127.0.0.1:8787", "notes", *who)
    as_ann("gobi", "sync", "again")
    as_ann("diff", "-r", "--exclude=.gobi", "laptop", "again")


@step
def the_single_file_serves_under_the_same_unit() -> None:
    """From /opt, unpacked into the unit's CacheDirectory=."""
    run("install", "-D", "-m", "755", str(PAYLOAD / "gobi"), "/opt/gobi/gobi")
    drop_in = Path("/etc/systemd/system/gobi.service.d/single.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nExecStart=\nExecStart=/opt/gobi/gobi serve\n")
    run("systemctl", "daemon-reload")
    began = time.monotonic()
    run("systemctl", "restart", UNIT)
    say(f"# the single file, first start of the service: {time.monotonic() - began:.1f} s")
    began = time.monotonic()
    run("systemctl", "restart", UNIT)
    say(f"# the single file, next start: {time.monotonic() - began:.1f} s")
    assert status() == 200
    (unpacked,) = Path("/var/cache/gobi").iterdir()
    assert str(unpacked) in Path(f"/proc/{master()}/environ").read_text()
    drop_in.unlink()
    run("systemctl", "daemon-reload")
    began = time.monotonic()
    run("systemctl", "restart", UNIT)
    say(f"# the package, a restart: {time.monotonic() - began:.1f} s")


@step
def nothing_of_it_complained() -> None:
    journal = run("journalctl", "-u", UNIT, "--no-pager", "-o", "cat")
    complaints = [line for line in journal.splitlines() if re.search(r"Traceback|Permission|denied|Read-only", line)]
    assert complaints == []


def main() -> None:
    say("")  # after what else is on this line
    for one in STEPS:
        name = one.__name__.replace("_", " ")
        try:
            one()
        except Exception:  # noqa: BLE001  # whatever it was, the next step is tried
            say(f"not ok {name}")
            for line in (traceback.format_exc() + run("journalctl", "-n", "20", "--no-pager", fails=True)).splitlines():
                say(f"#  {line}")
        else:
            say(f"ok {name}")
    say("the end")


if __name__ == "__main__":
    main()
