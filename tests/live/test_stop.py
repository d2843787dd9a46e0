"""The server stops: everybody is told, nothing is cut off, and it is over in time."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.live.peer import Vault, basic
from tests.services import wait_until

GRACE_S = 10


def test_a_thousand_sockets_are_told_and_an_upload_in_flight_is_finished(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault()
    peers = [vault.greeted() for _ in range(1_000)]
    with socket.create_connection(vault.server.address, timeout=30) as line:
        body = bytes(1_000_000)
        fields = f"Host: localhost\r\nAuthorization: {basic()}\r\nContent-Length: {len(body)}"
        head = f"PUT {vault.url}/files/big HTTP/1.1\r\n{fields}"
        line.sendall(head.encode() + b"\r\n\r\n" + body[:500_000])
        incoming = vault.server.data_dir / "bodies" / "tmp"
        wait_until(lambda: any(incoming.iterdir()), "the upload to begin")
        with ThreadPoolExecutor(1) as stopping:
            began = time.monotonic()
            stopped = stopping.submit(vault.server.stop)
            codes = []
            for peer in peers:  # the upload still has half of its way to go
                codes.append(peer.close_code())
                peer.close()
            line.sendall(body[500_000:])
            assert line.recv(12) == b"HTTP/1.1 201"
            assert stopped.result() == 0
            assert time.monotonic() - began < GRACE_S
    assert codes == [1001] * 1_000
    vault.server.start()
    assert [row["path"] for row in vault.ask("GET", "/files")["files"]] == ["big"]


def test_a_client_that_does_not_answer_the_goodbye_does_not_hold_the_stop(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault()
    vault.greeted()
    began = time.monotonic()
    assert vault.server.stop() == 0
    assert time.monotonic() - began < GRACE_S / 2


def test_clients_that_come_back_after_a_restart_have_missed_nothing(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault()
    peer = vault.greeted()
    cursor = vault.put("before.md")["cursor"]
    assert peer.paths(1) == ["before.md"]
    vault.put("meanwhile.md")
    vault.server.restart()
    peer = vault.greeted(cursor)
    assert peer.paths(1) == ["meanwhile.md"]
    vault.put("after.md")
    assert peer.paths(1) == ["after.md"]
