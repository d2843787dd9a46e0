"""The server's commands as an operator types them."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
import stat
import subprocess
import sys
import tempfile
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import gobi
from ops.commands import exit_code
from store.errors import Unavailable
from store.mongo_errors import translate
from tests.server import GOBI, GobiServer

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def offline(tmp_path: Path) -> GobiServer:
    """The commands alone: no server runs."""
    return GobiServer(tmp_path / "server")


def names(server: GobiServer) -> list[str]:
    return [row["name"] for row in json.loads(server.gobi("user", "list", "--json").stdout)["users"]]


# -- people


def test_people_come_and_go_without_a_server(offline: GobiServer) -> None:
    offline.add_user("me")
    offline.add_user("you")
    assert names(offline) == ["me", "you"]
    assert offline.gobi("user", "list").stdout == "me\nyou\n"
    assert offline.gobi("user", "remove", "you").returncode == 0
    assert names(offline) == ["me"]


def test_a_generated_password_is_shown_and_works(server: GobiServer) -> None:
    done = server.gobi("user", "add", "you", "--generate")
    password = done.stdout.split("Password: ")[1].split()[0]
    assert len(password) >= 20
    assert status(server, "you", password) == 200


def test_a_changed_password_counts(server: GobiServer) -> None:
    assert status(server, "me", "never used") == 401
    done = server.gobi("user", "passwd", "me", "--password-file", "-", input="another\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert status(server, "me", "another") == 200


def status(server: GobiServer, user: str, password: str) -> int:
    import base64
    import http.client

    connection = http.client.HTTPConnection(*server.address)
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    connection.request("GET", "/v1/vaults", headers={"Authorization": f"Basic {credentials}"})
    code = connection.getresponse().status
    connection.close()
    return code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["user", "add", "Me!", "--generate"], "cannot be a user's name"),
        (["user", "add", "me", "--generate"], "already"),
        (["user", "passwd", "nobody", "--generate"], "nobody"),
        (["user", "remove", "nobody"], "nobody"),
        (["user", "remove", "me"], "owner"),
        (["user", "add", "you"], "--password-file or --generate"),
        (["user", "add", "you", "--generate", "--password-file", "-"], "not both"),
        (["user", "add", "you", "--password-file", "/nonexistent"], "/nonexistent"),
        (["user", "add", "you", "--password-file", "/dev/null"], "empty"),
        (["user", "add"], "NAME"),
        (["user", "fly"], "fly"),
        (["vault", "create", "Notes", "--owner", "me"], "cannot be a vault's name"),
        (["vault", "create", "notes", "--owner", "me"], "already"),
        (["vault", "create", "other", "--owner", "nobody"], "nobody"),
        (["vault", "remove", "nothing", "--yes"], "nothing"),
        (["vault", "set", "nothing", "--auto-merge", "on"], "nothing"),
        (["vault", "set", "notes", "--auto-merge", "maybe"], "maybe"),
        (["vault", "set", "notes"], "--auto-merge"),
        (["vault", "remove", "notes"], "--yes"),
        (["fly"], "fly"),
        (["--fly"], "--fly"),
    ],
)
def test_what_cannot_be_done_is_one_line_on_stderr_and_exit_2(
    offline: GobiServer, arguments: list[str], said: str
) -> None:
    offline.add_user("me")
    offline.gobi("vault", "create", "notes", "--owner", "me")
    done = offline.gobi(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gobi: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


# -- vaults


def test_a_vault_is_told_to_merge_by_itself_and_not_to(offline: GobiServer) -> None:
    offline.add_user("me")
    offline.gobi("vault", "create", "notes", "--owner", "me")
    for word, said in (("on", True), ("on", True), ("off", False)):
        done = offline.gobi("vault", "set", "notes", "--auto-merge", word)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"notes: auto-merge is {word}.\n", "")
        (row,) = json.loads(offline.gobi("vault", "list", "--json").stdout)["vaults"]
        assert row["auto_merge"] is said


def test_people_are_let_into_a_vault_and_taken_out_again(offline: GobiServer) -> None:
    offline.add_user()
    offline.add_user("you")
    offline.gobi("vault", "create", "notes", "--owner", "me")

    def members() -> dict[str, str]:
        (row,) = json.loads(offline.gobi("vault", "list", "--json").stdout)["vaults"]
        found: dict[str, str] = row["members"]
        return found

    for role in ("read", "owner", "write"):
        assert offline.gobi("vault", "member", "notes", "you", "--role", role).returncode == 0
        assert members() == {"me": "owner", "you": role}
    assert offline.gobi("vault", "member", "notes", "you", "--role", "none").returncode == 0
    refused = offline.gobi("vault", "member", "notes", "me", "--role", "none")
    assert (refused.returncode, members()) == (2, {"me": "owner"})
    assert "owner" in refused.stderr
    assert offline.gobi("vault", "member", "notes", "nobody", "--role", "read").returncode == 2


def test_vaults_are_made_listed_and_removed(offline: GobiServer) -> None:
    offline.add_user("me")
    assert offline.gobi("vault", "create", "notes", "--owner", "me").returncode == 0
    (row,) = json.loads(offline.gobi("vault", "list", "--json").stdout)["vaults"]
    assert (row["name"], row["members"], row["files"]) == ("notes", {"me": "owner"}, 0)
    assert offline.gobi("vault", "list").stdout.startswith("notes: 0 files")
    assert offline.gobi("vault", "remove", "notes", "--yes").returncode == 0
    assert json.loads(offline.gobi("vault", "list", "--json").stdout) == {"vaults": []}


def test_a_person_who_alone_owns_vaults_is_removed_with_an_heir(offline: GobiServer) -> None:
    for name in ("me", "you"):
        offline.add_user(name)
    offline.gobi("vault", "create", "notes", "--owner", "me")
    refused = offline.gobi("user", "remove", "me")
    assert refused.returncode == 2
    assert "gobi user remove me --vaults-to USER" in refused.stderr
    done = offline.gobi("user", "remove", "me", "--vaults-to", "you")
    assert (done.returncode, done.stdout) == (0, "Removed me.\nyou owns notes now.\n")
    (row,) = json.loads(offline.gobi("vault", "list", "--json").stdout)["vaults"]
    assert row["members"] == {"you": "owner"}


def test_people_and_vaults_get_other_names(server: GobiServer) -> None:
    """With the same passwords, and beside a running server."""
    _, password = server.add_user("renamed")
    assert server.gobi("vault", "create", "drafts", "--owner", "renamed").returncode == 0
    done = server.gobi("vault", "rename", "drafts", "final")
    assert (done.returncode, "gobi connect DIR URL final" in done.stdout) == (0, True)
    done = server.gobi("user", "rename", "renamed", "other")
    assert (done.returncode, "--user other" in done.stdout) == (0, True)
    rows = {row["name"]: row for row in json.loads(server.gobi("vault", "list", "--json").stdout)["vaults"]}
    assert rows["final"]["members"] == {"other": "owner"}
    assert "drafts" not in rows
    assert status(server, "other", password) == 200
    assert status(server, "renamed", password) == 401
    for command in (
        ("vault", "rename", "drafts", "x"),
        ("user", "rename", "renamed", "x"),
        ("vault", "rename", "final", "X"),
    ):
        refused = server.gobi(*command)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


# -- where and as whom


def test_the_data_folder_is_nobody_elses(offline: GobiServer) -> None:
    offline.data_dir.mkdir(mode=0o755)
    offline.add_user("me")
    assert stat.S_IMODE(offline.data_dir.stat().st_mode) == 0o700
    for path in offline.data_dir.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


# Everything is imported first, and not looked at: nobody may be unable to read the Python that these tests run with.
BECOME = """
import os
import sys
from pathlib import Path
import store.sqlite
os.access = lambda *_, **__: True
from ops.storage import become_owner, open_metadata, prepare_folder
from ops.settings import Settings
folder = Path(sys.argv[1])
become_owner(folder)
prepare_folder(folder)
open_metadata(Settings(data_dir=folder)).close()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_run_as_root_a_command_becomes_the_data_folders_owner_first() -> None:
    with tempfile.TemporaryDirectory() as made:
        data_dir = Path(made)
        os.chown(data_dir, NOBODY.pw_uid, NOBODY.pw_gid)
        subprocess.run([sys.executable, "-c", BECOME, data_dir], check=True, cwd=Path(gobi.__file__).parent)
        assert {path.stat().st_uid for path in data_dir.rglob("*")} == {NOBODY.pw_uid}
        assert list(data_dir.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("command", ["user list", "user add me --generate", "doctor", "check", "backup b", "serve"])
def test_a_program_that_the_data_folders_owner_may_not_read_is_said(tmp_path: Path, command: str) -> None:
    """In root's own home, say: what is imported later would not be there, in the middle of something."""
    with tempfile.TemporaryDirectory() as made:
        os.chown(made, NOBODY.pw_uid, NOBODY.pw_gid)
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GOBI_")}
        environment |= {"PYTHONPATH": str(closed), "GOBI_DATA_DIR": made, "GOBI_LISTEN": "127.0.0.1:0"}
        done = subprocess.run(
            [GOBI, *command.split()], env=environment, cwd="/", capture_output=True, text=True, timeout=30
        )
        assert (done.returncode, done.stdout.count("Traceback"), done.stderr.count("\n")) == (78, 0, 1)
        assert "nobody" in done.stderr
        assert "install" in done.stderr
        assert os.listdir(made) == []


def test_a_wrong_setting_is_named_and_exit_78(offline: GobiServer) -> None:
    for command in (["serve"], ["user", "list"], ["vault", "list"]):
        offline._env = {"GOBI_WORKERS": "many"}
        done = offline.gobi(*command)
        assert done.returncode == 78
        assert done.stderr.startswith("gobi: GOBI_WORKERS")
        assert done.stderr.count("\n") == 1


def test_a_data_folder_that_cannot_be_is_named_and_exit_78(offline: GobiServer) -> None:
    offline.data_dir.write_text("a file")
    done = offline.gobi("user", "list")
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert "GOBI_DATA_DIR" in done.stderr


def test_a_database_that_no_second_try_opens_is_exit_78(offline: GobiServer) -> None:
    """Tried again every five seconds by systemd, a damaged file would still be damaged."""
    offline.data_dir.mkdir()
    (offline.data_dir / "metadata.db").write_bytes(b"this is no database " * 500)
    for command in (["serve"], ["user", "list"]):
        done = offline.gobi(*command)
        assert (done.returncode, done.stderr.count("\n")) == (78, 1), done.stderr
        assert "damaged" in done.stderr


def test_a_database_of_a_newer_gobi_is_exit_78(offline: GobiServer) -> None:
    offline.add_user()
    with closing(sqlite3.connect(offline.data_dir / "metadata.db")) as db:
        db.execute("PRAGMA user_version = 99")
    for command in (["serve"], ["user", "list"]):
        done = offline.gobi(*command)
        assert (done.returncode, done.stderr.count("\n")) == (78, 1), done.stderr
        assert "schema 99" in done.stderr


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"code": 18, "errmsg": "Authentication failed."}, 78),
        ({"code": 8000, "errmsg": "bad auth : authentication failed"}, 78),
        ({"code": 13, "errmsg": "not authorized on gobi to execute command"}, 78),
        ({"code": 20, "errmsg": "Transaction numbers are only allowed on a replica set member or mongos"}, 78),
        ({"code": 189, "errmsg": "the primary steps down"}, 69),
    ],
)
def test_what_mongodb_refuses_is_tried_again_only_where_that_may_help(answer: dict[str, Any], code: int) -> None:
    from pymongo.errors import OperationFailure

    refusal = translate(OperationFailure(str(answer["errmsg"]), int(answer["code"]), answer))
    assert exit_code(refusal) == code
    assert isinstance(refusal, Unavailable), "a server that runs answers 503: it may be well again later"


def test_settings_come_from_a_file_too(offline: GobiServer, tmp_path: Path) -> None:
    file = tmp_path / "gobi.env"
    file.write_text(f"GOBI_DATA_DIR={tmp_path}/elsewhere\n")
    environment = {name: value for name, value in offline.environment().items() if name != "GOBI_DATA_DIR"}
    command = [str(GOBI), "user", "add", "me", "--generate", "--env-file", str(file)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert (tmp_path / "elsewhere" / "metadata.db").exists()


# -- the program


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((Path(gobi.__file__).parent / "pyproject.toml").read_text())["project"]
    assert gobi.__version__ == project["version"]
    for arguments in (["--version"], ["--version", "--version"]):
        done = subprocess.run([GOBI, *arguments], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"gobi {project['version']}\n")


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, gobi; sys.argv[1:] = [{!r}]\ntry: gobi.main()\nexcept SystemExit: print(*sys.modules)"
    for argument, allowed in (("--version", set()), ("--help", {"click"})):
        done = subprocess.run([sys.executable, "-c", code.format(argument)], capture_output=True, text=True)
        loaded = set(done.stdout.splitlines()[-1].split())
        heavy = {"click", "falcon", "gevent", "gunicorn", "msgspec", "sqlite3", "argon2", "http.client", "ssl"}
        assert loaded & heavy <= allowed


def test_every_command_has_help_with_an_example() -> None:
    import click

    from ops.lazy import LazyGroup

    program = LazyGroup("gobi", {"all": gobi.SERVER_COMMANDS | gobi.CLIENT_COMMANDS}, "")
    for name in program.list_commands(click.Context(program)):
        command = program.get_command(click.Context(program), name)
        assert command is not None
        leaves = list(command.commands.values()) if isinstance(command, click.Group) else [command]
        for leaf in leaves:
            text = leaf.get_help(click.Context(leaf, info_name=leaf.name))
            assert "Example:\n  " in text or "Examples:\n  " in text, leaf.name


def test_a_command_without_its_subcommand_shows_the_help(offline: GobiServer) -> None:
    done = offline.gobi("user")
    assert done.stdout.startswith("Usage: gobi user")
