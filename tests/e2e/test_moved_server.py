"""A server with another address: the folder goes on as it was, and nothing that was deleted or renamed comes back."""

from __future__ import annotations

from tests.e2e.machines import House, Machine, in_step
from tests.middlemen import ReverseProxy


def nothing_refused(method: str, target: str, size: int) -> None:
    return None


def test_connecting_to_the_new_address_keeps_what_is_known(house: House, laptop: Machine, desktop: Machine) -> None:
    for name in ("stays.md", "goes.md", "old.md"):
        laptop.write(name, name)
    laptop.sync()
    desktop.sync()
    laptop.rm("goes.md")
    laptop.rename("old.md", "new.md")
    desktop.write("desktop.md", "new there")
    desktop.sync()
    with ReverseProxy(house.servers[0].address, nothing_refused) as proxy:
        laptop.url = proxy.url
        laptop.connect()
        report = laptop.sync("--json").json
        assert report["full"] is False
        desktop.sync()
        laptop.sync()
        assert in_step(laptop, desktop)
        assert set(laptop.files()) == {"stays.md", "new.md", "desktop.md"}
        assert laptop.status()["server"]["url"] == proxy.url


def test_another_vault_at_the_new_address_is_refused(house: House, laptop: Machine) -> None:
    laptop.write("a.md", "a")
    laptop.sync()
    other = Machine(house.servers[0], f"{house.vault}-other", house.root, "other")
    other.connect("--create")
    laptop.vault = other.vault
    refused = laptop.connect(code=2)
    assert "is not that vault" in refused.err
    assert "gobi disconnect" in refused.err
    laptop.vault = house.vault
    laptop.sync()


def test_a_new_address_never_makes_a_vault(house: House, laptop: Machine) -> None:
    laptop.vault = f"{house.vault}-mistyped"
    assert "gobi disconnect" in laptop.connect("--create", code=2).err
    with_it = laptop.connect(code=2)
    assert "gobi disconnect" in with_it.err


def test_a_folder_that_was_never_synced_may_go_anywhere(house: House, laptop: Machine) -> None:
    with ReverseProxy(house.servers[0].address, nothing_refused) as proxy:
        laptop.url = proxy.url
        laptop.connect()
        laptop.sync()
