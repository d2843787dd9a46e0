"""The server's disk loses bodies, and the clients that have the files bring them back without being asked to."""

from __future__ import annotations

import hashlib
import http.client
import json
from pathlib import Path

import pytest

from store.healing import note_lost
from tests.deployments import Deployment
from tests.e2e.machines import House, Machine, in_step


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def body_file(house: House, body: bytes) -> Path:
    (found,) = house.server.data_dir.glob(f"bodies/*/{digest(body)[:2]}/{digest(body)[2:]}")
    return found


def lose(house: House, *bodies: bytes) -> None:
    """As `gobi check --repair` does with what it finds rotten."""
    for body in bodies:
        file = body_file(house, body)
        file.unlink()
        note_lost(str(file.parents[2]), file.parents[1].name, [digest(body)])


def notes(run_err_or_out: str) -> bool:
    return "it has them again" in run_err_or_out


def test_what_the_disk_lost_comes_back_from_whoever_has_it(house: House, laptop: Machine, desktop: Machine) -> None:
    """A file, a large one, and an older version from a trash; what nobody has stays lost, and all else goes on."""
    large = house.vault.encode() * 1_500_000
    words, old, nobodys = (f"{what} of {house.vault}".encode() for what in ("words", "an older version", "nobody's"))
    laptop.write("a.md", words)
    laptop.write("large.bin", large)
    laptop.write("old.md", old)
    laptop.sync()
    desktop.sync()
    desktop.write("old.md", "edited")
    (desktop.folder / ".gobi" / "trash" / "20270115T080000.000000Z" / "folder").mkdir(parents=True)
    (desktop.folder / ".gobi" / "trash" / "20270115T080000.000000Z" / "folder" / "old.md").write_bytes(old)
    desktop.sync()
    house.put("nobody.md", nobodys)
    house.delete("nobody.md")
    laptop.sync()
    lose(house, words, large, old, nobodys)
    lost = {digest(one) for one in (words, large, old, nobodys)}
    assert set(house.api("GET", "/lost")["lost"]) == lost

    laptop.write("b.md", "goes on")
    done = laptop.sync("--json").json
    assert notes(" ".join(done["notes"]))
    assert (done["uploaded"], done["waiting"]) == (1, [])
    assert set(house.api("GET", "/lost")["lost"]) == {digest(old), digest(nobodys)}
    assert house.body("/files/a.md") == words
    assert house.body("/files/large.bin") == large
    assert body_file(house, large).read_bytes() == large

    desktop.sync()
    assert house.contents("old.md") == [b"edited", old]
    assert house.api("GET", "/lost")["lost"] == [digest(nobodys)]
    assert not notes(" ".join(laptop.sync("--json").json["notes"]))
    assert in_step(laptop, desktop)
    for one in (laptop, desktop):
        one.gobi("verify", str(one.folder))


def test_a_file_that_is_lost_does_not_keep_a_new_machine_from_all_others(house: House, laptop: Machine) -> None:
    """It comes to that machine once somebody brought it back."""
    for number in range(20):
        laptop.write(f"{number}.md", f"note {number} of {house.vault}")
    laptop.sync()
    body_file(house, f"note 7 of {house.vault}".encode()).unlink()
    desktop = house.machine("desktop")
    done = desktop.sync("--json", code=None)
    assert len(done.json["refused"]) == 1
    assert len(desktop.files()) == 19
    laptop.sync()
    desktop.sync()
    assert in_step(laptop, desktop)


def test_another_client_sees_nothing_of_it_until_something_is_lost(house: House, laptop: Machine) -> None:
    words = f"words of {house.vault}".encode()
    laptop.write("a.md", words)
    laptop.sync()
    asked = {"cursor": "0", "changes": [], "last": True}
    assert "lost" not in house.api("POST", "/sync", asked)
    lose(house, words)
    assert house.api("POST", "/sync", asked)["lost"] == 1
    connection = http.client.HTTPConnection(*house.server.address, timeout=30)
    connection.request("GET", f"/v1/vaults/{house.vault}/lost")
    assert connection.getresponse().status == 401
    connection.close()


def test_what_a_check_finds_is_never_served_and_comes_back_with_the_next_sync(
    own_deployment: Deployment, own_house: House
) -> None:
    """A flipped bit, a body that is cut off, and one that is gone, while the server runs."""
    laptop = own_house.machine("laptop")
    flipped, cut, gone, sound = (f"{what} of {own_house.vault}".encode() for what in ("flip", "cut", "gone", "sound"))
    for name, body in {"flip": flipped, "cut": cut, "gone": gone, "sound": sound}.items():
        laptop.write(f"{name}.md", body)
    laptop.sync()
    damaged = bytearray(flipped)
    damaged[3] ^= 1
    body_file(own_house, flipped).write_bytes(damaged)
    body_file(own_house, cut).write_bytes(cut[:-1])
    body_file(own_house, gone).unlink()

    def check(*options: str) -> tuple[int, dict[str, str]]:
        done = own_house.server.gobi("check", "--json", *options)
        (vault,) = json.loads(done.stdout)["vaults"]
        return done.returncode, {one["path"]: one["state"] for one in vault["lost"]}

    assert check() == (1, {"cut.md": "truncated", "gone.md": "missing"})
    everything = {"flip.md": "rotten", "cut.md": "truncated", "gone.md": "missing"}
    assert check("--bodies") == (1, everything), "and nothing was changed by looking"
    assert check("--bodies", "--repair") == (1, everything)
    for name in ("flip", "cut", "gone"):
        with pytest.raises(AssertionError, match=r"500 .*lost"):
            own_house.body(f"/files/{name}.md")
    assert notes(" ".join(laptop.sync("--json").json["notes"]))
    assert check("--bodies") == (0, {})
    for name, body in {"flip": flipped, "cut": cut, "gone": gone, "sound": sound}.items():
        assert own_house.body(f"/files/{name}.md") == body
