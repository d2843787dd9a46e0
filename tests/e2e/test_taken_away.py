"""Somebody who stops being allowed while a real server serves them. Nobody tells it: it has one worker and no Redis."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.peer import basic
from tests.server import PASSWORD, GobiServer


@pytest.fixture
def server(tmp_path: Path) -> GobiServer:
    """With `me`, who owns the vault `notes`, and `you`, who may write in it, also as the device `phone`."""
    one = GobiServer(tmp_path)
    for name in ("me", "you"):
        one.add_user(name)
    one.gobi("vault", "create", "notes", "--owner", "me")
    one.gobi("vault", "member", "notes", "you", "--role", "write")
    return one


def ask(server: GobiServer, method: str, address: str, who: tuple[str, str], body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    connection.request(method, address, body, {"Authorization": basic(*who)})
    answer = connection.getresponse()
    status, said = answer.status, answer.read()
    connection.close()
    return status, said


def test_a_stolen_password_makes_no_invitation_once_it_was_changed(server: GobiServer) -> None:
    """The thief's login is remembered, for they ask all the time."""
    thief = server.add_user("victim")
    server.gobi("vault", "member", "notes", "victim", "--role", "read")
    server.start()
    try:
        assert ask(server, "GET", "/v1/vaults/notes", thief)[0] == 200
        done = server.gobi("user", "passwd", "victim", "--generate", "--revoke-devices")
        assert done.returncode == 0, done.stderr
        for method, address, body in (
            ("POST", "/v1/vaults/notes/invitations", b"{}"),
            ("POST", "/v1/session", b""),
            ("PUT", "/v1/vaults/mine", b""),
        ):
            status, said = ask(server, method, address, thief, body)
            assert (status, json.loads(said)["code"]) == (401, "unauthorized")
    finally:
        server.close()


def removed(server: GobiServer) -> None:
    server.gobi("vault", "member", "notes", "you", "--role", "none")


def demoted(server: GobiServer) -> None:
    server.gobi("vault", "member", "notes", "you", "--role", "read")


def revoked(server: GobiServer) -> None:
    server.gobi("user", "token", "revoke", "you", "phone")


def password_changed(server: GobiServer) -> None:
    server.gobi("user", "passwd", "you", "--generate")


def user_removed(server: GobiServer) -> None:
    server.gobi("user", "remove", "you")


@pytest.mark.parametrize(
    ("change", "status"),
    [(removed, 404), (demoted, 403), (revoked, 401), (password_changed, 401), (user_removed, 401)],
)
def test_an_upload_does_not_outlive_the_right_to_write(
    server: GobiServer, change: Callable[[GobiServer], None], status: int
) -> None:
    """Half of it was sent before, and half of it after."""
    password = PASSWORD
    if change is revoked:
        password = server.gobi("user", "token", "add", "you", "phone").stdout.split("Password: ")[1].split()[0]
    server.start()
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    try:
        connection.putrequest("PUT", "/v1/vaults/notes/files/late.md")
        connection.putheader("Authorization", basic("you", password))
        connection.putheader("Content-Length", "10")
        connection.endheaders(b"first")
        # Another request that is answered after it: the server has let the first one in.
        assert ask(server, "GET", "/v1/vaults/notes", ("you", password))[0] == 200
        change(server)
        connection.send(b"after")
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == status, said
        me = ("me", PASSWORD)
        assert json.loads(ask(server, "GET", "/v1/vaults/notes/files", me)[1])["files"] == []
    finally:
        connection.close()
        server.close()
