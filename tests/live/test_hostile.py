"""Clients that break the rules, do not read, or vanish: each is closed with the right code, and nobody else notices."""

from __future__ import annotations

import itertools
import os
import resource
import socket
import threading
from collections.abc import Callable

import pytest

from tests.live.peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Peer, Vault, frame, memory_kib, workers
from tests.server import PATIENCE_S
from tests.services import wait_until
from tests.store.world import change, parcel

_numbers = itertools.count(1)


def still_served(vault: Vault, others: list[Peer]) -> bool:
    path = f"{next(_numbers)}.md"
    vault.put(path)
    return all(other.paths(1) == [path] for other in others)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(TEXT, b"text", mask=b""), 1002, id="an unmasked frame"),
        pytest.param(frame(TEXT, first=0) + frame(TEXT), 1002, id="a message inside another"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 1002, id="http"),
        pytest.param(frame(TEXT, b"\xff\xfe"), 1007, id="text that is not UTF-8"),
        pytest.param(b"\x82\xff" + (1 << 30).to_bytes(8, "big") + b"mask", 1009, id="a frame of 1 GiB"),
        pytest.param(b"\x82\xff" + (1 << 30).to_bytes(8, "big"), 1009, id="a frame of 1 GiB before its mask"),
        pytest.param(frame(BINARY, bytes(65_537)), 1009, id="a frame over 64 KiB"),
        pytest.param(frame(CLOSE, b"\x0f\xa0"), 4000, id="a goodbye, which is answered"),
    ],
)
def test_what_breaks_the_rules_is_closed_with_the_code_that_says_so(vault: Vault, data: bytes, code: int) -> None:
    peer, other = vault.greeted(), vault.greeted()
    peer.send(data)
    assert peer.close_code() == code
    assert still_served(vault, [other])


def test_a_message_without_an_end_is_closed_at_64_kib(vault: Vault) -> None:
    peer, other = vault.greeted(), vault.greeted()
    peer.send(frame(TEXT, b"once upon a time", first=0))
    for _ in range(66):
        peer.send(frame(CONTINUATION, bytes(1_000), first=0))
    assert peer.close_code() == 1009
    assert still_served(vault, [other])


def test_half_frames_cost_no_memory(vault: Vault) -> None:
    peers = [vault.greeted() for _ in range(100)]
    before = memory_kib(vault.server)
    for peer in peers:
        peer.send(frame(BINARY, bytes(65_536))[:-1])  # 6.4 MB in all
    assert still_served(vault, peers)
    assert memory_kib(vault.server) - before < 2_000


def test_a_frame_that_comes_byte_by_byte_is_read(vault: Vault) -> None:
    peer = vault.greeted()
    peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in frame(PING, b"slowly"):
        peer.send(bytes([byte]))
    assert peer.frame() == (PONG, b"slowly")


def test_a_client_that_floods_holds_up_nobody(vault: Vault) -> None:
    peer, other = vault.greeted(), vault.greeted()
    stop = threading.Event()

    def flood() -> None:
        pings = frame(PING) * 10_000
        try:
            while not stop.is_set():
                peer.send(pings)
        except OSError:
            pass  # it was thrown out, which is fine too

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for _ in range(20):
            assert still_served(vault, [other])
    finally:
        stop.set()
        peer.vanish()
        thread.join()


def test_a_client_that_never_reads_costs_little_and_is_dropped(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault()
    other = vault.greeted()
    push_until_full(vault, other)
    before, files = memory_kib(vault.server), open_files(vault)
    vault.watch(small_buffers=True)
    push_until_full(vault, other)
    assert memory_kib(vault.server) - before < 4_000
    wait_until(lambda: open_files(vault) == files, "the server to let go of it")
    assert still_served(vault, [other])


def test_a_slow_client_is_told_to_ask_instead(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault()
    other = vault.greeted()
    slow = vault.watch(small_buffers=True)
    push_until_full(vault, other)
    assert slow.hello()
    kinds, cursor = [], ""
    while cursor != vault.cursor():
        message = slow.message()
        kinds.append(message["type"])
        cursor = message["cursor"]
    assert "wake" in kinds
    vault.put("after.md")
    assert slow.paths(1) == ["after.md"]


def push_until_full(vault: Vault, other: Peer) -> None:
    """Some 1.5 MB of messages: more than is kept for one who does not read, here, there and in between."""
    folder = f"{next(_numbers)}/" + "/".join(["long" * 60] * 4)
    for _ in range(4):
        files = [(f"{folder}/{next(_numbers)}.md", b"x") for _ in range(300)]
        body = parcel([change(path, content) for path, content in files], files)
        vault.ask("POST", "/push", body, Content_Type="application/x-tar")
        other.paths(300)


def test_a_client_that_vanishes_without_a_word_is_dropped(open_vault: Callable[..., Vault]) -> None:
    """As after the loss of a network: nothing comes back, no reset either."""
    vault = open_vault(GOBI_PING_S="1")
    silent, living = vault.greeted(), vault.greeted()
    assert silent.frame().opcode == PING
    done = threading.Event()

    def live() -> None:
        living.socket.settimeout(PATIENCE_S)
        while not done.is_set():
            got = living.frame()
            if got.opcode == PING:
                living.send(frame(PONG, got.payload))
            else:
                done.set()

    thread = threading.Thread(target=live)
    thread.start()
    assert silent.ended()
    vault.put("a.md")  # the other one hears it
    thread.join()
    assert done.is_set()


def test_a_client_that_is_reset_is_forgotten(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault()
    other = vault.greeted()
    for _ in range(50):
        vault.greeted().vanish()
    assert still_served(vault, [other])
    wait_until(lambda: open_files(vault) < 50, "the descriptors to be closed")


def open_files(vault: Vault) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in workers(vault.server))


def test_more_sockets_than_there_is_room_for_are_told_to_come_back_later(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault()
    (worker,) = workers(vault.server)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (266, 266))
    within = [vault.greeted() for _ in range(10)]
    assert vault.watch().close_code() == 1013
    assert still_served(vault, within)
    within.pop().close()
    wait_until(lambda: welcome(vault), "room for one more")


def welcome(vault: Vault) -> bool:
    return vault.watch().frame().opcode == TEXT
