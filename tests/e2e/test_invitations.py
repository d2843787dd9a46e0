"""Connecting a machine by an invitation's code: nothing else is typed, and nothing goes wrong for good."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from sync.invitation import read_code
from tests.e2e.machines import House, Machine, Run, in_step
from tests.server import USER, GobiServer


def invited(house: House, *options: str, url: str = "") -> str:
    """A code of an invitation of the user's to the house's vault."""
    done = house.server.gobi("invite", USER, house.vault, "--url", url or house.server.url, "--json", *options)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["code"])


def join(machine: Machine, code: str, *options: str, exit: int = 0) -> Run:
    return machine.gobi("connect", str(machine.folder), code, *options, code=exit)


def passwords(machine: Machine) -> list[Path]:
    """What the machine keeps of secrets."""
    return [path for path in (machine.home / ".config" / "gobi").rglob("*") if path.is_file()]


def test_a_code_is_all_that_a_machine_needs(house: House, laptop: Machine) -> None:
    """It syncs both ways as a device of its own, which is revoked alone."""
    laptop.write("from-laptop.md", "hello")
    laptop.sync()
    name = f"{house.vault} tablet/2"
    code = invited(house, "--device", name)
    tablet = house.machine("tablet", connect=False)
    done = join(tablet, code)
    assert done.out.startswith(f"Connected {tablet.folder} to {house.vault} on ")
    assert f"as {USER} from {name}." in done.out
    tablet.write("from-tablet.md", "hello")
    tablet.sync()
    laptop.sync()
    assert in_step(laptop, tablet)
    assert house.history("from-tablet.md")[0]["device"] == name
    (kept,) = passwords(tablet)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert read_code(code).secret not in kept.read_text() + (tablet.folder / ".gobi" / "config.json").read_text()
    assert house.server.gobi("user", "token", "revoke", USER, name).returncode == 0
    again = house.machine("again", connect=False)
    assert "not good" in join(again, code, exit=78).err
    assert not (again.folder / ".gobi").exists()
    laptop.sync()


@pytest.fixture
def here(embedded_servers: list[GobiServer], tmp_path: Path) -> House:
    """A vault on one server: what follows is the client's part."""
    house = House(embedded_servers, f"invited-{tmp_path.name}"[:60].lower().replace("_", "-"), tmp_path)
    house.machine("owner")
    return house


def test_who_lost_the_reply_runs_the_same_command_again(here: House) -> None:
    with here.proxy() as proxy:
        code = invited(here, "--device", f"{here.vault} phone", url=proxy.url)
        phone = here.machine("phone", connect=False)
        proxy.cut_after("down", 1)
        failed = join(phone, code, exit=69)
        assert "try again" in failed.err
        assert proxy.pending == 0
        assert not (phone.folder / ".gobi").exists()
        join(phone, code)
        phone.write("a.md", "text")
        phone.sync()
    assert here.live() == {"a.md"}
    assert len(passwords(phone)) == 1, "nothing of the first try is left"


def test_a_name_that_is_taken_or_a_folder_that_is_somebody_elses_does_not_cost_the_invitation(here: House) -> None:
    name = f"{here.vault} desk"
    here.server.gobi("user", "token", "add", USER, name)
    code = invited(here, "--device", name)
    desk = here.machine("desk", connect=False)
    refused = join(desk, code, exit=2)
    assert "--device" in refused.err
    assert "gobi user token revoke" in refused.err
    elsewhere = House([here.server], f"{here.vault}-2", here.root).machine("elsewhere")
    assert "disconnect" in join(elsewhere, code, exit=2).err
    join(desk, code, "--device", f"{name} 2")
    assert json.loads((desk.folder / ".gobi" / "config.json").read_text())["device"] == f"{name} 2"


def test_a_machine_with_a_devices_password_has_that_devices_name(here: House) -> None:
    """Also in its own eyes: what it takes back is what it wrote."""
    name = f"{here.vault} attic"
    made = here.server.gobi("user", "token", "add", USER, name)
    attic = here.machine("attic", connect=False)
    secret = attic.home / "password"
    secret.write_text(made.stdout.split("Password: ")[1].split()[0])
    where = [str(attic.folder), here.server.url, here.vault, "--user", USER, "--password-file", str(secret)]
    assert f"as {USER} from {name}." in attic.gobi("connect", *where, "--device", "another").out
    attic.write("a.md", "text")
    attic.sync()
    attic.gobi("undo", str(attic.folder), "--since", "1h", "--yes")
    assert here.live() == set()


def test_what_runs_on_has_no_secret_among_its_words(here: House) -> None:
    code = invited(here, "--device", f"{here.vault} watcher")
    watcher = here.machine("watcher", connect=False)
    join(watcher, code)
    password = json.loads(passwords(watcher)[0].read_text())["password"]
    with watcher.start("watch", str(watcher.folder)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        proc = Path(f"/proc/{process.pid}")
        words = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
        process.kill()
    assert password.encode() not in words
    assert read_code(code).secret.encode() not in words


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda code: code[:-1], [], "copy all of the code"),
        (lambda code: code.replace("http:", "ftp:"), [], "not an address"),
        (lambda code: code.replace("127.0.0.1", "192.0.2.1"), [], "--insecure"),
        (lambda code: code, ["notes"], "a code says all the rest"),
        (lambda code: code, ["--user", "me"], "a code says all the rest"),
        (lambda code: code, ["--create"], "a code says all the rest"),
        (lambda code: code, ["--device", "büro"], "printable ASCII"),
        (lambda code: code.partition("#")[0], [], "a whole invitation in quotes"),
    ],
)
def test_what_is_no_whole_code_is_refused_in_one_line(
    here: House, change: object, options: list[str], said: str
) -> None:
    code = invited(here)
    one = here.machine("one", connect=False)
    refused = join(one, change(code), *options, exit=2)  # type: ignore[operator]
    assert said in refused.err
    assert refused.err.count("\n") == 1
    assert read_code(code).secret[:20] not in refused.err
    assert not (one.folder / ".gobi").exists()
