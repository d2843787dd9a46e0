"""A server whose embedded database is damaged: it acknowledges nothing that would be lost, and says the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.machines import House, Machine
from tests.mongo.asking import ask, put, readiness
from tests.ops.looking import doctor
from tests.server import GobiServer
from tests.store.damage import cut_in_half, spoil_index, spoil_pages

GUIDE = "docs/troubleshooting.md"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A running server with some hundred files of a machine, "laptop"."""
    server = GobiServer(tmp_path / "server").start()
    server.add_user()
    one = House([server], "notes", tmp_path)
    yield one
    server.close()


@pytest.fixture
def laptop(house: House) -> Machine:
    one = house.machine("laptop")
    for number in range(300):
        one.write(f"note {number}.md", f"note {number}")
    one.sync()
    return one


def database(house: House) -> Path:
    return house.server.data_dir / "metadata.db"


@pytest.mark.parametrize("spoil", [spoil_index, spoil_pages, cut_in_half])
def test_no_server_starts_on_a_damaged_database_and_no_backup_is_made_of_it(
    house: House, laptop: Machine, spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    assert laptop.files()
    server, backups = house.server, tmp_path / "backups"
    assert server.gobi("backup", str(backups)).returncode == 0
    server.stop()
    spoil(database(house))
    before = sorted((backups / "snapshots").iterdir())
    for command in (("serve",), ("backup", str(backups), "--keep", "1"), ("gc",), ("gc", "--dry-run"), ("check",)):
        done = server.gobi(*command)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1), (command, done)
        assert "gobi restore-backup" in done.stderr
        assert GUIDE in done.stderr
    assert sorted((backups / "snapshots").iterdir()) == before
    assert len(before) == 1
    report = doctor(server)
    assert (report.exit_code, GUIDE in report.told("wrong", "SQLite")) == (1, True)


def test_damage_that_shows_while_it_serves_ends_writing_and_a_backup_mends_it(
    house: House, laptop: Machine, tmp_path: Path
) -> None:
    server, backups = house.server, tmp_path / "backups"
    assert server.gobi("backup", str(backups)).returncode == 0
    cursor = ask(house, "GET", "/changes?cursor=0&limit=1000").json["cursor"]
    laptop.write("after the backup.md", "new")
    laptop.sync()
    spoil_index(database(house))
    refused = put(house, "another.md", b"another")
    assert (refused.status, refused.code) == (503, "store-unavailable")
    assert GUIDE in refused.json["detail"]
    assert "Retry-After".lower() in refused.headers
    elsewhere = House([server], "elsewhere", tmp_path)
    assert ask(elsewhere, "PUT", "").status == 503, "what does not touch the damage is not acknowledged either"
    news = ask(house, "GET", f"/changes?cursor={cursor}").json["changes"]
    assert [one["path"] for one in news] == ["after the backup.md"], "reading goes on"
    assert GUIDE in readiness(house)["metadata"]
    assert server.log.count("Until then nothing is written") == 1
    laptop.write("meanwhile.md", "waits")
    said = laptop.sync(code=None)
    assert said.code != 0
    assert GUIDE in said.err

    server.stop()
    assert server.gobi("restore-backup", str(backups), "--yes").returncode == 2
    aside = tmp_path / "aside"
    aside.mkdir()
    for part in server.data_dir.glob("metadata.db*"):
        part.rename(aside / part.name)
    done = server.gobi("restore-backup", str(backups), "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    server.start()
    laptop.sync()
    desktop = house.machine("desktop")
    desktop.sync()
    assert desktop.files() == laptop.files()
    assert {"after the backup.md", "meanwhile.md"} <= set(desktop.files())
