"""A database 50 ms away that allows 100 commands a second, as a free cluster does: slower, and all the same."""

from __future__ import annotations

from bench.vault import make_vault
from tests.e2e.machines import House, in_step
from tests.mongo_proxy import MongoProxy

DELAY_S = 0.05
COMMANDS_PER_S = 100


def test_ten_thousand_notes_and_a_sync_with_nothing_to_do(far_house: House, proxy: MongoProxy) -> None:
    """How long it takes is `python -m bench.database`'s business; how many round trips it takes is not luck."""
    laptop, desktop = far_house.machine("laptop"), far_house.machine("desktop")
    make_vault(laptop.folder / "notes", notes=10_000)
    proxy.delay_s, proxy.commands_per_s = DELAY_S, COMMANDS_PER_S
    proxy.reset()
    laptop.sync()
    desktop.sync()
    assert in_step(laptop, desktop)
    assert len(desktop.files()) == 10_000
    assert proxy.count <= 100, proxy.commands

    proxy.reset()
    laptop.sync()
    # Whoever has not signed in for half a minute, the vault, and what is new.
    assert proxy.commands in (["find", "find"], ["find", "find", "find"])
