"""The client's connection over a real socket: what it survives, and what it says about the rest."""

from __future__ import annotations

import errno
import hashlib
import io
import threading
from collections.abc import Callable
from typing import Any

import pytest

from client.ports import ServerAway, ServerRefused, SlowDown
from sync.model import Change
from tests.client.transport.scripted import Peer, Request, Script, cut, vault

Serve = Callable[..., Script]


def test_one_connection_carries_every_request(serve: Serve, connect: Any) -> None:
    script = serve(vault, vault, vault)
    transport = connect(script)
    for _ in range(3):
        assert transport.vault() == {"name": "notes"}
    assert script.connections == 1


def test_every_request_says_who_asks_and_from_which_device(serve: Serve, connect: Any) -> None:
    script = serve(vault)
    connect(script).vault()
    headers = script.requests[0].headers
    assert headers["authorization"] == "Basic bWU6c2VjcmV0"
    assert headers["gobi-device"] == "laptop"
    assert headers["host"] == f"127.0.0.1:{script.port}"


def test_an_idle_connection_that_the_server_closed_is_opened_again(serve: Serve, connect: Any) -> None:
    def answer_and_close(peer: Peer, request: Request) -> None:
        vault(peer, request)
        peer.close()

    script = serve(answer_and_close, vault)
    transport = connect(script)
    transport.vault()
    assert transport.vault() == {"name": "notes"}
    assert script.connections == 2


def test_a_request_on_a_stale_connection_is_repeated_with_its_whole_body(serve: Serve, connect: Any) -> None:
    synced = {"actions": [], "cursor": "c", "more": False}
    script = serve(vault, cut, lambda peer, _: peer.json("200 OK", synced))
    transport = connect(script)
    transport.vault()
    transport.sync("0", [Change("gone.md", "delete", 5)], True, 100)
    assert script.requests[1].body == script.requests[2].body != b""


def test_a_fresh_connection_that_is_cut_means_the_server_is_away(serve: Serve, connect: Any) -> None:
    """Repeating on it would hammer a server that has just failed."""
    script = serve(cut)
    with pytest.raises(ServerAway, match="the connection was cut"):
        connect(script).vault()
    assert len(script.requests) == 1


def test_no_server_at_all_is_said_in_words(serve: Serve, connect: Any) -> None:
    script = serve()
    script.close()
    with pytest.raises(ServerAway, match="Connection refused"):
        connect(script).vault()


def test_a_server_that_never_answers_is_given_up(serve: Serve, connect: Any) -> None:
    done = threading.Event()
    script = serve(lambda peer, request: done.wait(5) and None)
    with pytest.raises(ServerAway, match="does not answer"):
        connect(script, timeout=0.05).vault()
    done.set()


def test_an_answer_cut_in_the_middle_is_never_taken_for_whole(serve: Serve, connect: Any) -> None:
    def half(peer: Peer, request: Request) -> None:
        peer.send("200 OK", b'{"name": "no', length=100)
        peer.close()

    with pytest.raises(ServerAway):
        connect(serve(half)).vault()


# ------------------------------------------------------------------------------------------ a server that says no


def test_a_busy_server_is_asked_again_when_it_said(serve: Serve, connect: Any) -> None:
    slept: list[float] = []
    script = serve(lambda peer, _: peer.problem(503, "store-unavailable", "Retry-After: 3"), vault)
    assert connect(script, slept).vault() == {"name": "notes"}
    assert slept == [3.0]


def test_patience_with_a_busy_server_ends(serve: Serve, connect: Any) -> None:
    slept: list[float] = []
    script = serve(*[lambda peer, _: peer.problem(503, "store-unavailable", "Retry-After: 4")] * 3)
    with pytest.raises(ServerAway) as away:
        connect(script, slept, patience=10).vault()
    assert slept == [4.0, 4.0]
    assert away.value.retry_after == 4.0
    assert not isinstance(away.value, SlowDown)


def test_a_server_that_asks_for_more_than_our_patience_is_left_alone_at_once(serve: Serve, connect: Any) -> None:
    slept: list[float] = []
    script = serve(lambda peer, _: peer.problem(429, "slow-down", "Retry-After: 900"))
    with pytest.raises(SlowDown, match="900 s"):
        connect(script, slept).vault()
    assert slept == []


def test_a_server_that_does_not_know_its_name_is_waited_for(serve: Serve, connect: Any) -> None:
    """It was upgraded, and whoever runs it has to name it: nobody is to start `gobi watch` again after that."""
    script = serve(lambda peer, _: peer.problem(421, "wrong-host"))
    with pytest.raises(ServerAway, match="no: wrong-host; nothing is lost"):
        connect(script).vault()


def test_a_clear_no_carries_the_protocols_word_and_the_whole_problem(serve: Serve, connect: Any) -> None:
    script = serve(lambda peer, _: peer.problem(410, "cursor-expired", extra=1))
    with pytest.raises(ServerRefused, match="no: cursor-expired") as no:
        connect(script).sync("old", [], True, 10)
    assert (no.value.status, no.value.code, no.value.problem["extra"]) == (410, "cursor-expired", 1)


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b'{"status": 404}', b"\xff", b""])
def test_an_answer_that_is_not_gobis_says_to_check_the_address(serve: Serve, connect: Any, body: bytes) -> None:
    script = serve(lambda peer, _: peer.send("404 Not Found", body))
    with pytest.raises(ServerRefused, match="check the address"):
        connect(script).vault()


def test_a_success_that_is_not_json_says_to_check_the_address(serve: Serve, connect: Any) -> None:
    script = serve(lambda peer, _: peer.send("200 OK", b"<html>a router's sign-in page</html>"))
    with pytest.raises(ServerRefused, match="check the address"):
        connect(script).vault()


def test_a_redirect_is_not_followed_with_the_password_in_hand(serve: Serve, connect: Any) -> None:
    script = serve(lambda peer, _: peer.send("301 Moved", b"", "Location: https://elsewhere/"))
    with pytest.raises(ServerRefused, match="https://elsewhere/"):
        connect(script).vault()


# ------------------------------------------------------------------------------------- somebody else who says no


@pytest.mark.parametrize("status", [408, 425, 499, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530])
def test_what_a_proxy_says_for_a_while_is_waited_for(serve: Serve, connect: Any, status: int) -> None:
    slept: list[float] = []
    script = serve(*[lambda peer, _: peer.send(f"{status} No", b"<html>")] * 3, vault)
    assert connect(script, slept).vault() == {"name": "notes"}
    assert slept == [2.0, 4.0, 8.0]


def test_a_proxy_that_cannot_reach_the_server_is_told_from_the_server(serve: Serve, connect: Any) -> None:
    script = serve(*[lambda peer, _: peer.send("502 Bad Gateway", b"", "Server: nginx/1.22.1")] * 5)
    with pytest.raises(ServerAway, match=r"answered 502 Bad Gateway.*nginx/1\.22\.1") as away:
        connect(script).vault()
    assert away.value.on_the_way


def test_patience_that_has_run_out_is_not_spent_again_on_the_next_request(serve: Serve, connect: Any) -> None:
    slept: list[float] = []
    script = serve(*[lambda peer, _: peer.send("502 No", b"")] * 6, vault, vault)
    transport = connect(script, slept)
    with pytest.raises(ServerAway):
        transport.vault()
    waited = len(slept)
    with pytest.raises(ServerAway):
        transport.vault()
    assert len(slept) == waited
    assert transport.vault() == transport.vault()


def test_patience_with_what_is_sent_is_not_renewed_by_a_question_that_comes_through(serve: Serve, connect: Any) -> None:
    slept: list[float] = []
    change = Change("a.md", "delete", 5)

    def no(peer: Peer, _: Request) -> None:
        peer.send("499 No", b"")

    transport = connect(serve(*[no] * 5, vault, no, vault), slept)
    with pytest.raises(ServerAway):
        transport.push([change], {}, keep=False)
    waited = len(slept)
    transport.vault()
    with pytest.raises(ServerAway):
        transport.push([change], {}, keep=False)
    assert len(slept) == waited
    assert transport.vault()


def test_a_large_body_is_not_sent_again_and_again_to_a_proxy_that_gives_up_on_it(serve: Serve, connect: Any) -> None:
    slept: list[float] = []
    body = bytes(2 * 1024 * 1024)
    change = Change("a.md", "put", None, hashlib.sha256(body).hexdigest(), len(body), 0)
    script = serve(lambda peer, _: peer.send("524 A Timeout Occurred", b""), vault)
    with pytest.raises(ServerAway, match="524") as away:
        connect(script, slept).put(change, io.BytesIO(body), keep=False)
    assert away.value.on_the_way
    assert slept == []


def test_a_request_that_is_too_large_for_a_proxy_says_whose_limit_that_is(serve: Serve, connect: Any) -> None:
    script = serve(lambda peer, _: peer.send("413 Request Entity Too Large", b"<html>", "Server: nginx/1.22.1"))
    with pytest.raises(ServerRefused, match=r"the proxy nginx/1\.22\.1 .* takes no request .*client_max_body_size"):
        connect(script).sync("0", [Change("a.md", "delete", 5)], True, 100)


def test_a_file_that_is_too_large_for_a_proxy_is_not_said_to_be_for_the_server(serve: Serve, connect: Any) -> None:
    script = serve(lambda peer, _: peer.send("413 Too Large", b"<html>"))
    with pytest.raises(ServerRefused, match="something between this machine and http"):
        connect(script).put(Change("a.md", "put", None, "0" * 64, 3, 0), io.BytesIO(b"abc"), keep=False)


def test_what_was_sent_and_went_nowhere_was_cut_on_the_way(serve: Serve, connect: Any) -> None:
    """The kernel gives up on a line that takes nothing any more; other files may be smaller."""
    transport = connect(serve(vault))
    transport.vault()

    def take_nothing(piece: bytes) -> None:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    transport._connection._http.send = take_nothing
    with pytest.raises(ServerAway, match="Connection timed out") as away:
        transport.put(Change("a.md", "put", None, "0" * 64, 3, 0), io.BytesIO(b"abc"), keep=False)
    assert away.value.on_the_way
