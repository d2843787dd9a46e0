"""The client's commands from the outside: real processes, a real server, exit codes and words."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.server import PASSWORD, USER, GobiServer

GOBI = str(Path(sys.executable).with_name("gobi"))
TIMEOUT = 60


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Person:
    """Somebody with a home folder, a folder of notes and a vault's name of their own."""

    home: Path
    url: str
    vault: str = field(default_factory=lambda: f"v{uuid.uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        self.folder = self.home / "notes"
        self.folder.mkdir(parents=True)
        self.secret = self.home / "secret"
        self.secret.write_text(PASSWORD + "\n")

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GOBI_", "XDG_"))}
        return kept | {"HOME": str(self.home)}

    def gobi(self, *arguments: str | Path, cwd: Path | None = None) -> Done:
        done = subprocess.run(
            [GOBI, *map(str, arguments)],
            env=self.env,
            cwd=cwd or self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def connect(self, *more: str | Path, folder: Path | None = None, vault: str | None = None) -> Done:
        where = (folder or self.folder, self.url, vault or self.vault, "--user", USER)
        return self.gobi("connect", *where, "--password-file", self.secret, *more)

    def connected(self) -> Person:
        done = self.connect("--create", "--device", "laptop")
        assert done.code == 0, done.err
        return self

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def passwords(self) -> list[Path]:
        return list((self.home / ".config" / "gobi" / "passwords").glob("*"))


@pytest.fixture
def person(shared_server: GobiServer, tmp_path: Path) -> Person:
    return Person(tmp_path / "home", shared_server.url)


def stopped(done: Done, code: int, advice: str) -> None:
    """It failed with this exit code and one line that advises."""
    assert done.code == code, done
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert advice in done.err


# --------------------------------------------------------------------------------------------------------- connect


def test_connect_with_create_makes_the_vault_and_says_what_to_do_next(person: Person) -> None:
    done = person.connect("--create", "--device", "laptop")
    assert done.code == 0, done.err
    assert f"gobi sync {person.folder}" in done.out
    assert json.loads((person.folder / ".gobi" / "config.json").read_text())["vault"] == person.vault


def test_connect_to_a_vault_that_is_not_there_writes_nothing(person: Person) -> None:
    stopped(person.connect(), 78, "--create")
    assert not (person.folder / ".gobi").exists()
    assert person.passwords() == []


def test_connect_with_a_wrong_password_writes_nothing_and_does_not_repeat_it(person: Person) -> None:
    person.secret.write_text("wrong guess")
    done = person.connect("--create")
    stopped(done, 78, USER)
    assert "wrong guess" not in done.err
    assert not (person.folder / ".gobi").exists()


def test_connect_without_a_server_writes_nothing(person: Person) -> None:
    person.url = "http://127.0.0.1:9"
    stopped(person.connect("--create"), 69, "http://127.0.0.1:9")
    assert not (person.folder / ".gobi").exists()


def test_connect_makes_a_folder_that_is_not_there_yet(person: Person) -> None:
    done = person.connect("--create", folder=person.home / "new")
    assert done.code == 0, done.err
    assert (person.home / "new" / ".gobi").is_dir()


def test_plain_http_to_another_machine_is_refused_before_anything_is_sent(person: Person) -> None:
    person.url = "http://pi.example.org:8787"
    stopped(person.connect("--create"), 2, "--insecure")


@pytest.mark.parametrize(("vault", "advice"), [("Bad Name", "vault"), ("../x", "vault")])
def test_names_that_no_server_takes_are_refused_at_once(person: Person, vault: str, advice: str) -> None:
    stopped(person.connect("--create", vault=vault), 2, advice)


@pytest.mark.parametrize("url", ["https://a..b", f"https://{'a' * 64}.org", "https://pi example.org", "http://[::1"])
def test_an_address_with_a_slip_in_it_is_said_to_be_none(person: Person, url: str) -> None:
    person.url = url
    stopped(person.connect(), 2, "not an address")


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf" + PASSWORD.encode() + b"\r\n",
        PASSWORD.encode("utf-16"),
        PASSWORD.encode() + b"\r\n\r\n",
    ],
    ids=["byte order mark", "UTF-16", "empty lines"],
)
def test_a_password_file_may_be_of_any_editor(person: Person, raw: bytes) -> None:
    person.secret.write_bytes(raw)
    assert person.connect("--create").code == 0


def test_a_password_file_that_is_no_text_is_refused_in_words(person: Person) -> None:
    person.secret.write_bytes(b"\xff\x00\x80")
    stopped(person.connect("--create"), 2, "UTF-8")


def test_a_connected_folder_stays_with_its_vault(person: Person) -> None:
    person.connected()
    stopped(person.connect("--create", vault=f"{person.vault}-other"), 2, "gobi disconnect")


def test_connecting_again_renews_the_password_and_keeps_what_is_known(person: Person) -> None:
    person.connected()
    person.write("a.md", "text")
    assert person.gobi("sync", person.folder).code == 0
    (secret,) = person.passwords()
    secret.unlink()
    stopped(person.gobi("sync", person.folder), 78, "gobi connect")
    assert person.connect().code == 0
    assert person.gobi("sync", person.folder, "--json").json["full"] is False


def test_a_folder_inside_a_connected_one_is_refused(person: Person) -> None:
    person.connected()
    (person.folder / "sub").mkdir()
    stopped(person.connect("--create", folder=person.folder / "sub", vault=f"{person.vault}-sub"), 2, "inside")


def test_without_a_terminal_the_password_has_to_come_from_a_file(person: Person) -> None:
    stopped(person.gobi("connect", person.folder, person.url, person.vault, "--user", USER), 2, "--password-file")


def test_on_a_terminal_the_password_is_asked_for_and_not_shown(person: Person) -> None:
    parent, child = pty.openpty()
    with subprocess.Popen(
        [GOBI, "connect", person.folder, person.url, person.vault, "--user", USER, "--create"],
        env=person.env,
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
    ) as running:
        os.close(child)
        shown = b""
        while b":" not in shown.partition(b"Password of")[2].partition(b"on http:")[2].partition(b":8")[2] + shown[-2:]:
            shown += os.read(parent, 1000)
        os.write(parent, PASSWORD.encode() + b"\n")
        while piece := _read_terminal(parent):
            shown += piece
        assert running.wait(TIMEOUT) == 0, shown
    os.close(parent)
    assert PASSWORD.encode() not in shown
    assert b"Connected" in shown


def _read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1000)
    except OSError:  # Linux says so when the other side has closed
        return b""


# ------------------------------------------------------------------------------------------------------ disconnect


def test_disconnect_leaves_the_files_and_takes_the_rest(person: Person) -> None:
    person.connected()
    person.write("a.md", "text")
    assert person.gobi("sync", person.folder).code == 0
    assert person.gobi("disconnect", person.folder).code == 0
    assert [path.name for path in person.folder.iterdir()] == ["a.md"]
    assert person.passwords() == []


def test_disconnect_keeps_a_trash_that_holds_the_only_copy(person: Person) -> None:
    person.connected()
    person.write("never-sent.md", "the only copy")
    assert person.gobi("rm", person.folder, "never-sent.md").code == 0
    done = person.gobi("disconnect", person.folder)
    assert done.code == 0
    assert str(person.folder / ".gobi" / "trash") in done.out
    kept = [path.read_text() for path in (person.folder / ".gobi").rglob("*") if path.is_file()]
    assert kept == ["the only copy"]


def test_disconnecting_what_is_not_connected_says_so(person: Person) -> None:
    stopped(person.gobi("disconnect", person.folder), 78, "not connected")


# ------------------------------------------------------------------------------------------------------------ sync


def test_sync_brings_a_file_from_one_machine_to_the_other(person: Person, tmp_path: Path) -> None:
    person.connected().write("ideas/garden.md", "Tomatoes.")
    done = person.gobi("sync", person.folder)
    assert done.code == 0, done.err
    assert "1 sent (9 B)" in done.out
    other = Person(tmp_path / "other", person.url, person.vault).connected()
    assert "1 received" in other.gobi("sync", other.folder).out
    assert (other.folder / "ideas" / "garden.md").read_text() == "Tomatoes."
    assert "nothing to do" in other.gobi("sync", other.folder).out


def test_sync_for_scripts_is_one_json_object(person: Person) -> None:
    person.connected().write("a.md", "text")
    done = person.gobi("sync", person.folder, "--json")
    assert done.err == ""
    assert (done.json["in_step"], done.json["uploaded"], done.json["conflicts"]) == (True, 1, [])


def test_what_both_sides_changed_is_listed_and_the_exit_code_says_so(person: Person, tmp_path: Path) -> None:
    person.connected().write("today.md", "mine")
    other = Person(tmp_path / "other", person.url, person.vault).connected()
    other.write("today.md", "theirs")
    assert person.gobi("sync", person.folder).code == 0
    done = other.gobi("sync", other.folder)
    assert done.code == 1
    assert "  today.md" in done.out
    assert (other.folder / "today.md").read_text() == "theirs"
    status = other.gobi("status", other.folder, "--json")
    assert status.code == 1
    assert [row["path"] for row in status.json["conflicts"]] == ["today.md"]


def test_a_folder_that_is_not_connected_says_how(person: Person) -> None:
    for command in ("sync", "status", "rm"):
        stopped(person.gobi(command, person.folder, *["a"] * (command == "rm")), 78, "gobi connect")


def test_a_vanished_folder_stops_the_sync(person: Person) -> None:
    person.connected()
    person.folder.rename(person.home / "unmounted")
    stopped(person.gobi("sync", person.folder), 78, "disk")


def test_without_a_server_a_sync_says_that_nothing_is_lost(person: Person, tmp_path: Path) -> None:
    server = GobiServer(tmp_path / "server").start()
    server.add_user()
    person.url = server.url
    person.connected()
    server.kill9()
    stopped(person.gobi("sync", person.folder), 69, "nothing is lost")
    status = person.gobi("status", person.folder, "--json")
    assert status.code == 1
    assert status.json["server"]["reachable"] is False
    assert "cannot reach" in person.gobi("status", person.folder).out


def test_a_second_client_on_one_folder_is_refused(person: Person) -> None:
    person.connected()
    with (person.folder / ".gobi" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stopped(person.gobi("sync", person.folder), 75, "another gobi")
        stopped(person.gobi("disconnect", person.folder), 75, "another gobi")
    assert person.gobi("sync", person.folder).code == 0


def test_a_password_that_was_changed_says_to_connect_again(shared_server: GobiServer, person: Person) -> None:
    person.connected()
    (secret,) = person.passwords()
    secret.write_text(secret.read_text().replace(PASSWORD, "old and wrong"))
    done = person.gobi("sync", person.folder)
    stopped(done, 78, "gobi connect")
    assert "old and wrong" not in done.err


# -------------------------------------------------------------------------------------------------------------- rm


def test_rm_deletes_files_and_whole_folders_everywhere(person: Person, tmp_path: Path) -> None:
    person.connected()
    for path in ("keep.md", "a.md", "old/b.md", "old/deep/c.md"):
        person.write(path, path)
    assert person.gobi("sync", person.folder).code == 0
    other = Person(tmp_path / "other", person.url, person.vault).connected()
    assert other.gobi("sync", other.folder).code == 0
    done = person.gobi("rm", person.folder, "a.md", "old")
    assert done.code == 0, done.err
    assert "3 files" in done.out
    assert person.gobi("status", person.folder, "--json").json["queue"] != []
    assert person.gobi("sync", person.folder).code == 0
    assert "3 deleted here" in other.gobi("sync", other.folder).out
    assert sorted(path.name for path in other.folder.iterdir()) == [".gobi", "keep.md"]


def test_rm_of_what_is_left_out_here_takes_it_from_the_server_and_says_that_it_stays_here(person: Person) -> None:
    person.connected()
    person.write("build/out.md", "made")
    assert person.gobi("sync", person.folder).code == 0
    person.write(".gobiignore", "build/\n")
    assert person.gobi("sync", person.folder).code == 0
    done = person.gobi("rm", person.folder, "build")
    assert done.code == 0, done.err
    assert "1 file of these, left out here, stay" in done.out
    assert "1 deleted there" in person.gobi("sync", person.folder).out
    assert (person.folder / "build" / "out.md").exists()


def test_rm_understands_names_from_where_one_stands(person: Person) -> None:
    person.connected()
    person.write("sub/a.md", "nearer")
    person.write("a.md", "farther")
    assert person.gobi("rm", "..", "a.md", cwd=person.folder / "sub").code == 0
    assert not (person.folder / "sub" / "a.md").exists()
    assert (person.folder / "a.md").exists()


def test_rm_of_something_unknown_removes_nothing(person: Person) -> None:
    person.connected()
    person.write("a.md", "text")
    done = person.gobi("rm", person.folder, "a.md", "b.md")
    assert done.code != 0
    assert "b.md" in done.err
    assert (person.folder / "a.md").exists()


# ---------------------------------------------------------------------------------------------------------- status


def test_status_tells_a_person_what_waits(person: Person) -> None:
    person.connected().write("a.md", "text")
    done = person.gobi("status", person.folder)
    assert done.code == 1
    assert "never synced" in done.out
    assert "1 new here" in done.out
    assert person.gobi("sync", person.folder).code == 0
    assert "In step; 1 file; last sync just now" in person.gobi("status", person.folder).out


def test_status_knows_when_others_have_changed_something(person: Person, tmp_path: Path) -> None:
    person.connected()
    assert person.gobi("sync", person.folder).code == 0
    other = Person(tmp_path / "other", person.url, person.vault).connected()
    other.write("a.md", "text")
    assert other.gobi("sync", other.folder).code == 0
    assert other.gobi("status", other.folder, "--json").json["in_step"] is True
    assert person.gobi("status", person.folder, "--json").json["in_step"] is False
    assert "gobi sync fetches them" in person.gobi("status", person.folder).out
    assert person.gobi("sync", person.folder).code == 0
    assert person.gobi("status", person.folder, "--json").json["in_step"] is True


def test_status_shows_names_as_harmless_lines(person: Person) -> None:
    person.connected().write("evil\n\x1b[2J.md", "text")
    done = person.gobi("status", person.folder)
    assert "\x1b" not in done.out
    assert "\\n" in done.out
    (row,) = person.gobi("status", person.folder, "--json").json["skipped"]
    assert row["reason"]


def test_status_for_scripts_names_everything(person: Person) -> None:
    row = person.connected().gobi("status", person.folder, "--json").json
    assert set(row) == {
        "in_step", "files", "last_sync", "pending", "queue", "conflicts", "refused", "waiting", "skipped", "notes",
        "server",
    }  # fmt: skip
    assert row["server"]["reachable"] is True
    assert row["server"]["role"] == "owner"
