"""Devices' passwords and invitations as an operator makes them."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess

import pytest

from sync.invitation import read_code
from tests import qr
from tests.live.peer import basic
from tests.ops.test_commands import status
from tests.server import GOBI, PATIENCE_S, GobiServer

URL = "https://pi.example.org"


@pytest.fixture
def home(server: GobiServer) -> GobiServer:
    """A server with the vault `notes`."""
    server.gobi("vault", "create", "notes", "--owner", "me")
    return server


def token(server: GobiServer, device: str, user: str = "me") -> str:
    done = server.gobi("user", "token", "add", user, device)
    assert (done.returncode, done.stderr) == (0, "")
    password = done.stdout.split("Password: ")[1].split()[0]
    assert "not shown again" in done.stdout
    return password


def devices(server: GobiServer, user: str = "me") -> list[str]:
    return [row["name"] for row in json.loads(server.gobi("user", "token", "list", user, "--json").stdout)["devices"]]


def test_a_devices_password_is_made_listed_and_revoked(server: GobiServer) -> None:
    assert "None yet" in server.gobi("user", "token", "list", "me").stdout
    laptop, phone = token(server, "laptop"), token(server, "the phone")
    assert devices(server) == ["laptop", "the phone"]
    listed = server.gobi("user", "token", "list", "me").stdout
    assert listed.startswith("laptop: since 2")
    assert [status(server, "me", password) for password in (laptop, phone)] == [200, 200]
    done = server.gobi("user", "token", "revoke", "me", "laptop")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Revoked laptop of me.\n", "")
    assert devices(server) == ["the phone"]
    everything = b"".join(path.read_bytes() for path in server.data_dir.glob("metadata.db*"))
    assert b"laptop" in everything
    assert laptop.encode() not in everything
    assert phone.encode() not in everything


def test_a_changed_password_takes_the_devices_only_where_it_is_to(home: GobiServer) -> None:
    token(home, "laptop")
    for options, left in ((("--generate",), ["laptop"]), (("--generate", "--revoke-devices"), [])):
        assert home.gobi("user", "passwd", "me", *options).returncode == 0
        assert devices(home) == left


def test_an_invitation_is_a_command_to_copy_or_json(home: GobiServer) -> None:
    done = home.gobi("invite", "me", "notes", "--url", URL)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = [one.strip() for one in done.stdout.splitlines() if "gobi connect" in one]
    shell = subprocess.run(["sh", "-c", line.replace("gobi connect", "printf '%s\\n'")], capture_output=True, text=True)
    folder, code = shell.stdout.splitlines()
    assert folder == "DIR"
    assert read_code(code)[:2] == (URL, "notes")
    made = json.loads(home.gobi("invite", "me", "notes", "--url", URL, "--device", "my 'phone'", "--json").stdout)
    assert read_code(made["code"]).device == made["device"] == "my 'phone'"
    assert (made["user"], made["vault"], made["url"]) == ("me", "notes", URL)
    day = json.loads(home.gobi("invite", "me", "notes", "--url", URL, "--valid-hours", "48", "--json").stdout)
    assert 23 * 3600 < (day["expires"] - made["expires"]) / 1_000_000 < 25 * 3600


def test_the_public_address_is_taken_where_it_is_set(home: GobiServer) -> None:
    home._env["GOBI_PUBLIC_URL"] = URL
    assert f"{URL}/#invite=notes/" in home.gobi("invite", "me", "notes").stdout
    assert (
        "https://b.example/#invite=notes/" in home.gobi("invite", "me", "notes", "--url", "https://B.example/").stdout
    )
    home._env["GOBI_PUBLIC_URL"] = "http://127.0.0.1:8787"
    assert "--insecure" not in home.gobi("invite", "me", "notes").stdout


def test_plain_http_is_told_to_the_machine_too(home: GobiServer) -> None:
    done = home.gobi("invite", "me", "notes", "--url", "http://pi.local", "--insecure")
    assert done.stdout.rstrip().endswith("' --insecure")


def test_on_a_terminal_the_code_is_a_picture_too(home: GobiServer) -> None:
    ours, theirs = pty.openpty()
    command = [str(GOBI), "invite", "me", "notes", "--url", URL]
    with subprocess.Popen(command, env=home.environment(), stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65_536):
                shown += piece
        except OSError:  # the other end is closed
            pass
        assert running.wait(PATIENCE_S) == 0
    os.close(ours)
    text = shown.decode()
    assert f"{URL}/#invite=notes/" in text
    picture = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if "█" in line or "▄" in line]
    assert qr.read_blocks(picture) == text.split("'")[1]
    assert "does not use the code up" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["user", "token", "add", "nobody", "laptop"], "nobody"),
        (["user", "token", "add", "me", "büro"], "printable ASCII"),
        (["user", "token", "add", "me", "desktop"], "already"),
        (["user", "token", "add", "me"], "DEVICE"),
        (["user", "token", "revoke", "me", "laptop"], "gobi user token list me"),
        (["user", "token", "revoke", "nobody", "laptop"], "nobody"),
        (["user", "token", "list", "nobody"], "nobody"),
        (["user", "token", "fly"], "fly"),
        (["invite", "me", "notes"], "GOBI_PUBLIC_URL"),
        (["invite", "nobody", "notes", "--url", URL], "nobody"),
        (["invite", "me", "nothing", "--url", URL], "gobi vault create nothing --owner me"),
        (["invite", "you", "notes", "--url", URL], "gobi vault member notes you"),
        (["invite", "me", "notes", "--url", "pi.example.org"], "--url"),
        (["invite", "me", "notes", "--url", "https://pi.example.org/?query"], "--url"),
        (["invite", "me", "notes", "--url", "http://pi.example.org"], "--insecure"),
        (["invite", "me", "notes", "--url", URL, "--device", ""], "cannot name a device"),
        (["invite", "me", "notes", "--url", URL, "--valid-hours", "0"], "1 to 720 hours"),
        (["invite", "me", "notes", "--url", URL, "--valid-hours", "soon"], "soon"),
    ],
)
def test_what_cannot_be_done_is_one_line_on_stderr_and_exit_2(
    prepared: GobiServer, arguments: list[str], said: str
) -> None:
    done = prepared.gobi(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gobi: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> GobiServer:
    """The commands alone, with people, a device and a vault, for tests that change nothing."""
    one = GobiServer(tmp_path_factory.mktemp("prepared"))
    one.add_user("me")
    one.add_user("you")
    one.gobi("vault", "create", "notes", "--owner", "me")
    token(one, "desktop")
    return one


def test_no_secret_is_in_the_servers_log_however_much_it_says(home: GobiServer) -> None:
    """One that is used, one that is guessed, and the password that comes of it."""
    import http.client

    home.restart(GOBI_LOG_LEVEL="debug")
    secret = read_code(
        json.loads(home.gobi("invite", "me", "notes", "--url", home.url, "--json").stdout)["code"]
    ).secret
    laptop = token(home, "laptop")
    password = "-".join(["abcd"] * 8)
    connection = http.client.HTTPConnection(*home.address, timeout=PATIENCE_S)

    def ask(method: str, url: str, body: object, **headers: str) -> int:
        connection.request(method, url, json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    asked = {"secret": secret, "device": "phone", "password": password}
    assert ask("POST", "/v1/invitations/redeem", asked | {"device": "laptop"}) == 409
    assert ask("POST", "/v1/invitations/redeem", asked) == 201
    assert ask("POST", "/v1/invitations/redeem", asked | {"device": "tablet"}) == 404
    assert ask("GET", "/v1/vaults", None, Authorization=basic("me", laptop)) == 200
    connection.close()
    assert home.stop() == 0
    assert "an invitation that is not good" in home.log
    for one in (secret, password, laptop):
        assert one not in home.log
