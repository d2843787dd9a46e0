"""How a request becomes a socket, and which do not: all of it before the 101."""

from __future__ import annotations

import json
import socket
import urllib.request
from typing import Any

import pytest
import websocket

from tests.live.peer import ACCEPT, PING, PONG, TEXT, Peer, Refused, Vault, basic, frame, head
from tests.server import GobiServer


def refused(vault: Vault, url: str = "", **headers: Any) -> Refused:
    """The answer to a handshake, at the vault's own address or another one."""
    with pytest.raises(Refused) as caught:
        Peer(vault.server.address, url or f"{vault.url}/live", **headers)
    return caught.value


def test_a_good_handshake_is_answered_as_the_rfc_says(vault: Vault) -> None:
    peer = vault.watch(Sec_WebSocket_Protocol="chat, gobi.v1")
    assert peer.headers["sec-websocket-accept"] == ACCEPT
    assert peer.headers["upgrade"].lower() == "websocket"
    assert peer.headers["connection"].lower() == "upgrade"
    assert peer.headers["sec-websocket-protocol"] == "gobi.v1"
    assert peer.hello() == vault.cursor()


def test_a_subprotocol_that_was_not_offered_is_not_chosen(vault: Vault) -> None:
    assert "sec-websocket-protocol" not in vault.watch().headers
    assert "sec-websocket-protocol" not in vault.watch(Sec_WebSocket_Protocol="chat").headers


def test_no_extension_is_agreed_on(vault: Vault) -> None:
    assert "sec-websocket-extensions" not in vault.watch(Sec_WebSocket_Extensions="permessage-deflate").headers


def test_header_values_are_compared_without_case_and_among_others(vault: Vault) -> None:
    vault.greeted(Connection="keep-alive, UPGRADE", Upgrade="WebSocket")


def test_what_a_client_sends_right_behind_its_handshake_is_read(vault: Vault) -> None:
    peer = vault.greeted()
    peer.socket.sendall(head(f"{vault.url}/live"))  # on a socket this is noise
    assert peer.close_code() == 1002


def test_an_ordinary_client_is_greeted(vault: Vault) -> None:
    url = f"ws://{vault.server.address[0]}:{vault.server.address[1]}{vault.url}/live"
    client = websocket.create_connection(url, header={"Authorization": basic()}, suppress_origin=True, timeout=10)
    assert json.loads(client.recv())["type"] == "hello"
    vault.put("a.md")
    assert json.loads(client.recv())["changes"][0]["path"] == "a.md"
    client.close()
    assert client.sock is None


# -- who may not


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:81", "https://localhost"])
def test_a_page_of_another_origin_is_refused_whatever_it_knows(vault: Vault, origin: str) -> None:
    assert (refused(vault, Origin=origin).status, refused(vault, Origin=origin).code) == (403, "cross-origin")


def test_a_name_that_is_not_the_servers_opens_nothing(vault: Vault) -> None:
    """A page whose name leads here is of the same origin, for a browser."""
    answer = refused(vault, Host="evil.example", Origin="http://evil.example")
    assert (answer.status, answer.code) == (421, "wrong-host")


def test_a_page_of_the_servers_own_is_welcome(vault: Vault) -> None:
    vault.greeted(Origin="http://localhost")


def test_a_wrong_password_is_401(vault: Vault) -> None:
    answer = refused(vault, Authorization=basic(password="wrong"))
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Basic realm="gobi"'


def test_nobody_in_particular_is_401(vault: Vault) -> None:
    assert refused(vault, Authorization=None).status == 401


def test_a_sessions_cookie_is_as_good_as_a_password(vault: Vault) -> None:
    request = urllib.request.Request(vault.server.url + "/v1/session", b"", {"Authorization": basic()}, method="POST")
    with urllib.request.urlopen(request) as answer:
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    vault.greeted(Authorization=None, Cookie=cookie, Origin="http://localhost")
    assert refused(vault, Authorization=None, Cookie=cookie + "x").status == 401


def test_a_stranger_cannot_tell_a_vault_from_none(vault: Vault, shared_server: GobiServer) -> None:
    user, password = shared_server.add_user(f"stranger-{vault.name}")
    known = refused(vault, Authorization=basic(user, password))
    unknown = refused(vault, "/v1/vaults/no-such-vault/live", Authorization=basic(user, password))
    assert (known.status, known.code) == (unknown.status, unknown.code) == (404, "not-found")


def test_whoever_means_another_vault_than_has_the_name_is_told(vault: Vault) -> None:
    answer = refused(vault, Gobi_Vault="0" * 16)
    assert (answer.status, answer.code) == (409, "other-vault")


def test_a_reader_may_watch(vault: Vault, shared_server: GobiServer) -> None:
    user, password = shared_server.add_user(f"reader-{vault.name}")
    vault.ask("PUT", f"/members/{user}", json.dumps({"role": "read"}).encode())
    vault.greeted(Authorization=basic(user, password))


# -- what is no handshake


@pytest.mark.parametrize("version", ["8", "14", "", "13, 8", None])
def test_another_version_is_told_which_there_is(vault: Vault, version: str | None) -> None:
    answer = refused(vault, Sec_WebSocket_Version=version)
    assert (answer.status, answer.code) == (426, "upgrade-required")
    assert answer.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize(
    "key",
    ["", "short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSE=", "!GhlIHNhbXBsZSBub25jZQ==", "ü" * 12, None],
)
def test_a_key_that_is_not_16_bytes_in_base64_is_refused(vault: Vault, key: str | None) -> None:
    answer = refused(vault, Sec_WebSocket_Key=key)
    assert (answer.status, answer.code) == (400, "bad-request")


@pytest.mark.parametrize("missing", ["Upgrade", "Connection"])
def test_a_plain_request_is_told_to_upgrade(vault: Vault, missing: str) -> None:
    headers: dict[str, Any] = {missing: None}
    answer = refused(vault, **headers)
    assert (answer.status, answer.code) == (426, "upgrade-required")
    assert answer.headers["upgrade"] == "websocket"


def test_a_handshake_has_no_body(vault: Vault) -> None:
    assert refused(vault, Content_Length="5").status == 400


def test_a_cursor_that_no_server_gave_is_refused(vault: Vault) -> None:
    answer = refused(vault, f"{vault.url}/live?cursor=yesterday")
    assert (answer.status, answer.code) == (400, "bad-cursor")


def test_what_a_client_has_to_say_means_nothing(vault: Vault) -> None:
    peer = vault.greeted()
    peer.send(frame(TEXT, b'{"type": "hello"}') + frame(PING, b"1"))
    assert peer.frame() == (PONG, b"1")


@pytest.mark.soak
def test_half_a_handshake_is_dropped_when_its_time_is_over(vault: Vault) -> None:
    whole = head(f"{vault.url}/live")
    with socket.create_connection(vault.server.address) as line:
        line.settimeout(60)
        line.sendall(whole[: len(whole) // 2])
        assert line.recv(1) == b""
