"""The server dies: what was backed up comes back on another kind of database, and what is newer from the clients."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest

from store.backup_folder import BackupFolder
from store.sqlite import SqliteMetadata
from tests.e2e.machines import House, Machine, in_step
from tests.server import GOBI, GobiServer
from tests.services import ReplicaSet, wait_until
from tests.spawn import spawn

Done = subprocess.CompletedProcess[str]

MANY = 10_000


class Home:
    """One server, its backups, and the clients of its vault. Its database may become another one."""

    def __init__(self, root: Path, mongo: ReplicaSet) -> None:
        self.backups = root / "backups"
        self._mongo = mongo
        self._databases: list[str] = []
        self._generation = 0
        self._root = root
        self.server = GobiServer(root / "server")
        self.house = House([self.server], "notes", root)

    def use(self, kind: str) -> None:
        """A new and empty database and data folder. No server runs."""
        self._generation += 1
        self.server.data_dir = self._root / "server" / f"data {self._generation}"
        self.server._env.pop("GOBI_MONGO_URI", None)
        if kind == "mongo":
            self._databases.append(f"test-{secrets.token_hex(6)}")
            self.server._env |= {"GOBI_MONGO_URI": self._mongo.uri, "GOBI_MONGO_DB": self._databases[-1]}

    def die(self) -> None:
        """The machine with all that was on it."""
        self.server.close()
        shutil.rmtree(self.server.data_dir)
        for name in self._databases:
            self._mongo.drop(name)

    def close(self) -> None:
        self.server.close()
        for name in self._databases:
            self._mongo.drop(name)

    def back_up(self, *options: str, code: int = 0) -> Any:
        return told(self.server.gobi("backup", str(self.backups), "--json", *options), code)

    def restore(self, *options: str, code: int = 0) -> Any:
        return told(self.server.gobi("restore-backup", str(self.backups), "--yes", "--json", *options), code)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that is going to be killed."""
        return spawn(
            [GOBI, *arguments],
            signal.SIGKILL,
            env=self.server.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def bodies(self) -> Path:
        return self.server.data_dir / "bodies"


def told(done: Done, code: int) -> Any:
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def home(tmp_path: Path, mongo: ReplicaSet) -> Iterator[Home]:
    one = Home(tmp_path, mongo)
    yield one
    one.close()


def refused(done: Done, code: int, *said: str) -> None:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done
    for words in said:
        assert words in done.stderr


class Writing:
    """Writes to the vault as fast as it can, as another client."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.count = 0

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.count > 0, "something written")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _write(self) -> None:
        base = None
        while not self._over.is_set():
            self._house.put(f"live/{self.count}.md", b"live %d" % self.count)
            base = self._house.put("busy.md", b"busy %d" % self.count, base)["stamp"]
            self.count += 1


@pytest.mark.parametrize("files", [300, pytest.param(MANY, marks=pytest.mark.soak)])
@pytest.mark.parametrize(("kind", "to"), [("sqlite", "mongo"), ("mongo", "sqlite")])
def test_everything_comes_back_after_the_server_died_and_what_is_newer_comes_from_the_clients(
    home: Home, kind: str, to: str, files: int
) -> None:
    home.use(kind)
    home.server.add_user()
    home.server.start()
    house = home.house
    laptop, desktop = house.machine("laptop"), house.machine("desktop")
    for number in range(files):
        laptop.write(f"{number % 50}/{number}.md", f"note {number}")
    laptop.sync()
    desktop.sync()

    with Writing(house) as writing:
        made = home.back_up()
        assert made["lost"] == []
        assert made["versions"] > files
        wait_until(lambda: writing.count > 5, "writing during and after the backup")
    after_the_backup(laptop, desktop)
    before = laptop.files()
    assert len(before) == files + writing.count + 1
    desktop.write("1/1.md", "edited at the desktop, not yet synced")
    desktop.write("unsent.md", "never synced before")

    home.die()
    home.use(to)
    done = home.restore()
    assert done["lost"] == []
    home.server.start()
    laptop.sync()
    assert desktop.sync().code == 0
    laptop.sync()
    assert in_step(laptop, desktop)
    assert laptop.files() == before | {
        "1/1.md": b"edited at the desktop, not yet synced",
        "unsent.md": b"never synced before",
        # Deleted and renamed after the backup: of that nobody is told any more.
        "0/0.md": b"note 0",
        "3/3.md": b"note 3",
    }
    assert house.api("GET", "")["files"] == len(laptop.files())
    assert house.conflicts() == []
    for one in (laptop, desktop):
        assert json.loads(one.gobi("status", str(one.folder), "--json").out)["in_step"] is True
        one.gobi("verify", str(one.folder))
        assert one.gobi("sync", str(one.folder), "--json").json["full"] is False, "once is enough"
    assert home.back_up()["lost"] == []


def after_the_backup(laptop: Machine, desktop: Machine) -> None:
    """Edits, a new file, a rename and a deletion that only the server's last moment knew, and both clients."""
    laptop.write("2/2.md", "edited after the backup")
    laptop.write("new.md", "new after the backup")
    laptop.rename("3/3.md", "3/renamed.md")
    laptop.rm("0/0.md")
    laptop.sync("--propagate-deletes")
    desktop.sync()
    laptop.sync()
    assert in_step(laptop, desktop)


def fill(home: Home, files: int) -> Machine:
    """A server that runs, with files on it that came from a machine."""
    home.server.add_user()
    home.server.start()
    laptop = home.house.machine("laptop")
    write(laptop, "note", files)
    return laptop


def write(machine: Machine, what: str, files: int) -> None:
    for number in range(files):
        machine.write(f"{number % 50}/{what} {number}.md", f"{what} {number}")
    machine.sync()


def kill_when(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    wait_until(lambda: reached() or process.poll() is not None, "the moment to kill it")
    process.kill()
    process.wait()


def count(folder: Path) -> int:
    return sum(1 for path in folder.glob("*/??/*") if len(path.name) == 62)


def test_killed_with_no_warning_a_backup_leaves_the_one_before_and_a_restore_an_unused_database(home: Home) -> None:
    home.use("sqlite")
    laptop = fill(home, 1500)
    first = home.back_up()["snapshot"]
    write(laptop, "more", 1500)
    bodies, there = home.backups / "bodies", count(home.backups / "bodies")
    moments: list[Callable[[], bool]] = [
        lambda: (home.backups / "snapshots" / "next.part").exists(),
        lambda: any((bodies / "tmp").iterdir()),
        lambda: count(bodies) > there,
    ]
    for moment in moments:
        kill_when(home.start("backup", str(home.backups)), moment)
        listed = told(home.server.gobi("restore-backup", str(home.backups), "--list", "--json"), 0)["snapshots"]
        assert listed[0]["snapshot"] == first
        assert all(one["whole"] for one in listed)
    assert home.back_up("--verify")["lost"] == []

    home.die()
    home.use("sqlite")
    database = home.server.data_dir / "metadata.db"
    seen = set()
    moments = [database.exists, lambda: count(home.bodies()) > 0, lambda: count(home.bodies()) == 3000]
    for moment in moments:
        kill_when(home.start("restore-backup", str(home.backups), "--yes"), moment)
        with closing(SqliteMetadata(database)) as metadata:
            state, users = metadata.moving().state(), metadata.users()
        if state is None and users:
            break  # it was faster than the test
        assert users == []
        if state is not None:
            refused(home.server.gobi("serve"), 69, "run it again")
            refused(home.server.gobi("user", "list"), 69, "run it again")
            seen.add(state.state)
    else:
        assert home.restore()["lost"] == []
    assert seen == {"arriving"}
    home.server.start()
    assert home.house.live() == set(laptop.files())
    laptop.sync()
    laptop.gobi("verify", str(laptop.folder))


def test_what_cannot_be_done_is_refused_in_words(home: Home, tmp_path: Path) -> None:
    home.use("sqlite")
    fill(home, 3)
    gobi, data = home.server.gobi, home.server.data_dir
    refused(gobi("backup", str(data / "backups")), 2, "inside the other")
    refused(gobi("backup", str(data.parent)), 2, "inside the other")
    refused(gobi("backup", str(tmp_path / "no" / "folder")), 2, "mount")
    refused(gobi("backup", str(home.server.folder / "..")), 2, "inside the other")
    refused(gobi("restore-backup", str(tmp_path)), 2, "no backups")
    first = home.back_up()["snapshot"]
    refused(gobi("restore-backup", str(home.backups), "--yes"), 2, "in use by a server")
    with BackupFolder(home.backups).locked(alone=True):
        refused(gobi("backup", str(home.backups)), 75, "try again")
        refused(gobi("restore-backup", str(home.backups), "--yes"), 75, "try again")
    home.server.stop()
    refused(gobi("restore-backup", str(home.backups), "--yes"), 2, "already", "GOBI_DATA_DIR")
    refused(gobi("restore-backup", str(home.backups), "--yes", "--snapshot", "1999"), 2, "--list")

    shutil.rmtree(data)
    refused(gobi("restore-backup", str(home.backups)), 2, "--yes")
    done = gobi("restore-backup", str(home.backups), "--yes", "--snapshot", first)
    assert (done.returncode, done.stderr) == (0, "")
    assert "start the server" in done.stdout
    done = gobi("restore-backup", str(home.backups), "--list")
    assert (done.returncode, done.stdout.split()[0]) == (0, first)


def test_what_is_lost_is_told_and_everything_else_is_there(home: Home) -> None:
    home.use("sqlite")
    laptop = fill(home, 3)
    (lost,) = [path for path in home.bodies().glob("*/??/*") if path.read_bytes() == b"note 1"]
    lost.write_bytes(b"rotten")
    done = home.server.gobi("backup", str(home.backups))
    assert done.returncode == 1
    assert done.stderr.startswith("gobi: notes: 1/note 1.md (")
    assert "is rotten" in done.stderr
    assert home.back_up(code=1)["lost"][0]["reason"] == "missing", "it was put aside"
    home.die()
    home.use("sqlite")
    assert [one["path"] for one in home.restore(code=1)["lost"]] == ["1/note 1.md"]
    home.server.start()
    assert home.house.body("/files/2/note 2.md") == b"note 2"
    laptop.sync()
    assert home.house.body("/files/1/note 1.md") == b"note 1"
    assert home.back_up()["lost"] == []
