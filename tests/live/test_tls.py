"""Sockets over TLS that the server does itself: they are held otherwise, and behave the same."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.peer import FIN, PING, PONG, TEXT, Vault, frame
from tests.server import GobiServer


@pytest.fixture
def tls_vault(server: GobiServer, tmp_path: Path) -> Iterator[Vault]:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    server.restart(GOBI_TLS_CERT=str(certificate), GOBI_TLS_KEY=str(key), GOBI_PING_S="1")
    one = Vault(server, ssl.create_default_context(cafile=certificate))
    yield one
    one.close()


def test_changes_are_heard_over_tls(tls_vault: Vault) -> None:
    peers = [tls_vault.greeted() for _ in range(10)]
    for number in range(10):
        tls_vault.put(f"{number}.md")
    for peer in peers:
        assert peer.paths(10) == [f"{number}.md" for number in range(10)]


def test_many_frames_in_one_tls_record_are_all_read(tls_vault: Vault) -> None:
    peer = tls_vault.greeted()
    peer.send(b"".join(frame(PING, b"%d" % number) for number in range(1_500)))  # 15 KB; 4 are read at a time
    answers = [got for got in iter(peer.frame, (PONG, b"1499")) if got.opcode == PONG]
    assert answers == [(PONG, b"%d" % number) for number in range(1_499)]


def test_what_breaks_the_rules_is_closed_with_its_code_over_tls(tls_vault: Vault) -> None:
    peer = tls_vault.greeted()
    peer.send(frame(TEXT, b"text", first=FIN | 0x40))
    while (got := peer.frame()).opcode == PING:
        pass
    assert got.code == 1002


def test_a_silent_client_is_dropped_over_tls(tls_vault: Vault) -> None:
    assert tls_vault.greeted().ended()


def test_a_stop_says_goodbye_over_tls(tls_vault: Vault) -> None:
    peer = tls_vault.greeted()
    assert tls_vault.server.stop() == 0
    while (got := peer.frame()).opcode == PING:
        pass
    assert got.code == 1001
