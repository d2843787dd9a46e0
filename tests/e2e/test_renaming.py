"""A vault that got another name: its machines stop, say what to do, and go on where they were."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.machines import House
from tests.server import GobiServer


def test_a_machine_of_a_renamed_vault_says_what_to_do_and_goes_on_where_it_was(tmp_path: Path) -> None:
    server = GobiServer(tmp_path / "server").start()
    server.add_user()
    house = House([server], "notes", tmp_path)
    laptop, desktop = house.machine("laptop"), house.machine("desktop")
    laptop.write("a.md", "one\n")
    laptop.sync()
    desktop.sync()
    assert server.gobi("vault", "rename", "notes", "family").returncode == 0
    laptop.write("b.md", "two\n")
    stopped = laptop.sync(code=78)
    assert f"gobi connect {laptop.folder} URL NEW-NAME --user USER" in stopped.err
    house.vault = "family"
    laptop.rm("a.md")
    for machine in (laptop, desktop):
        machine.vault = "family"
        machine.connect()
        machine.sync()
    assert laptop.files() == desktop.files() == {"b.md": b"two\n"}
    assert house.live() == {"b.md"}
    server.stop()
