"""Whoever has not signed in has one deadline for a request, and only so many connections: others get in as ever."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network

import pytest

from handlers.origin import Network
from handlers.strangers import YOUNG_S, Bounds, Connection, Strangers
from tests.handlers.site import Clock
from tests.handlers.test_on_the_wire import Line, Place
from tests.server import GobiServer

REDEEM = "/v1/invitations/redeem"
HERE, ELSEWHERE = "192.0.2.1", "203.0.113.9"


# -- which connection goes


class Door:
    """Connections by socket pairs: what the server has, and what its client has."""

    def __init__(self, clock: Clock, bounds: Bounds, trusted: list[Network]) -> None:
        self.strangers = Strangers(bounds, trusted, clock)
        self.clients: dict[Connection, socket.socket] = {}
        self._servers: list[socket.socket] = []

    def come(self, host: str = HERE) -> Connection:
        server, client = socket.socketpair()
        client.setblocking(False)
        connection = self.strangers.arrive(server, (host, 40_000))
        self.clients[connection] = client
        self._servers.append(server)
        return connection

    def is_open(self, connection: Connection) -> bool:
        try:
            return self.clients[connection].recv(1) != b""
        except BlockingIOError:
            return True

    def open(self, *connections: Connection) -> list[bool]:
        return [self.is_open(connection) for connection in connections]

    def close(self) -> None:
        for one in (*self._servers, *self.clients.values()):
            one.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(clock: Clock) -> Iterator[Door]:
    with closing(Door(clock, Bounds(10, 5, 3), [ip_network("127.0.0.1")])) as one:
        yield one


def test_a_connection_that_has_not_asked_anything_is_closed_at_its_deadline(door: Door, clock: Clock) -> None:
    first = door.come()
    clock.now += 9
    second = door.come()
    clock.now += 1
    door.strangers.look()
    assert door.open(first, second) == [False, True]
    assert door.strangers.waiting == 1


def test_head_and_body_have_one_deadline_together(door: Door, clock: Clock) -> None:
    connection = door.come()
    clock.now += 6
    connection.ask({"REMOTE_ADDR": HERE})
    clock.now += 3
    connection.wait()  # for its body
    door.strangers.look()
    assert door.is_open(connection)
    clock.now += 1
    door.strangers.look()
    assert not door.is_open(connection)


def test_what_the_server_has_to_do_for_a_connection_is_not_cut(door: Door, clock: Clock) -> None:
    connection = door.come()
    connection.ask({"REMOTE_ADDR": HERE})
    clock.now += 60
    door.strangers.look()
    assert door.is_open(connection)


def test_who_has_signed_in_has_no_deadline_and_is_not_counted(door: Door, clock: Clock) -> None:
    known = door.come()
    known.ask({"REMOTE_ADDR": HERE})
    known.sign_in()
    known.wait()
    known.answer()
    known.rest()
    clock.now += 60
    for _ in range(20):
        door.come()
    door.strangers.look()
    assert door.is_open(known)
    assert door.strangers.waiting == 5


def test_the_one_that_has_waited_longest_makes_room_in_all(door: Door) -> None:
    connections = [door.come(f"198.51.100.{number}") for number in range(5)]
    newest = door.come()
    assert door.open(*connections, newest) == [False, True, True, True, True, True]


def test_the_network_with_most_connections_makes_room_first(door: Door) -> None:
    somebody = door.come(ELSEWHERE)
    crowd = [door.come() for _ in range(20)]
    assert door.is_open(somebody)
    assert sum(door.open(*crowd)) == 4


def test_one_that_has_sent_something_is_not_taken_for_one_that_waits(door: Door) -> None:
    first = door.come()
    door.clients[first].send(b"GET /")
    others = [door.come() for _ in range(5)]
    assert door.open(first, *others) == [True, False, True, True, True, True]


def test_one_network_has_its_own_number_whether_written_as_ipv4_or_ipv6(door: Door, clock: Clock) -> None:
    first = door.come("2001:db8::1")
    others = [door.come(f"2001:db8::{number}") for number in (2, 3)]
    clock.now += YOUNG_S
    assert door.open(first, door.come("2001:db8::4"), *others) == [False, True, True, True]
    assert door.is_open(door.come("2001:db8:0:1::1"))
    fourth = [door.come(host) for host in (HERE, f"::ffff:{HERE}")]
    assert door.strangers.waiting == 5
    assert {one.network for one in fourth} == {HERE}


def test_a_machine_that_opens_many_at_once_is_given_a_moment_to_use_them(door: Door, clock: Clock) -> None:
    connections = [door.come() for _ in range(5)]
    clock.now += YOUNG_S - 1
    assert all(door.open(*connections))


def test_behind_a_trusted_proxy_it_is_the_clients_network_that_counts(door: Door, clock: Clock) -> None:
    def ask(client: str) -> Connection:
        connection = door.come("127.0.0.1")
        connection.ask({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": client})
        connection.wait()  # for its body
        return connection

    crowd = [ask(HERE) for _ in range(3)]
    clock.now += YOUNG_S
    last, somebody = ask(HERE), ask(ELSEWHERE)
    assert door.open(*crowd, last, somebody) == [False, True, True, True, True]


def test_a_proxys_connection_is_a_strangers_again_with_the_next_request(door: Door, clock: Clock) -> None:
    connection = door.come("127.0.0.1")
    connection.ask({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": ELSEWHERE})
    connection.sign_in()
    connection.rest()
    clock.now += 25
    door.strangers.look()
    assert door.is_open(connection), "it is kept for the next request"
    connection.ask({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": HERE})
    connection.wait()
    clock.now += 10
    door.strangers.look()
    assert not door.is_open(connection)


def test_connections_that_ended_leave_nothing_behind(door: Door) -> None:
    for number in range(100):
        connection = door.come(f"10.0.0.{number}")
        connection.ask({"REMOTE_ADDR": HERE})
        connection.answer()
        connection.rest()
        connection.leave()
    assert door.strangers.waiting == 0
    assert door.strangers._waiting == {}
    assert door.strangers._connections == {}


def test_the_log_says_once_that_strangers_fill_the_server(
    door: Door, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        door.come()
    assert len(caplog.records) == 1
    assert "6 connections wait without having signed in, 6 of them from 192.0.2.1" in caplog.records[0].getMessage()
    clock.now += 61
    door.come()
    assert len(caplog.records) == 2


# -- a real server


@pytest.fixture(scope="module")
def hurried_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobiServer]:
    """Gives strangers a second, and few of them room."""
    one = GobiServer(tmp_path_factory.mktemp("hurried"))
    one.add_user()
    yield one.start(GOBI_STRANGER_S="1", GOBI_STRANGERS="40", GOBI_STRANGERS_PER_NETWORK="20")
    one.close()


@pytest.fixture
def hurried(hurried_server: GobiServer) -> Iterator[Place]:
    one = Place(hurried_server)
    yield one
    one.close()


class Trickle:
    """Sends a byte now and then until the server ends the connection."""

    def __init__(self, line: Line, begin: bytes, piece: bytes) -> None:
        self.ended = threading.Event()
        self._line = line
        line.send(begin)
        line.socket.settimeout(0.05)
        self._piece = piece
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.ended.set()
        self._thread.join()
        self._line.close()

    def _run(self) -> None:
        while not self.ended.is_set():
            try:
                self._line.send(self._piece)
                if self._line.socket.recv(4096) == b"":
                    self.ended.set()
            except TimeoutError:
                continue
            except OSError:
                self.ended.set()


HEAD = f"POST {REDEEM} HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"", b"\r\n"),
        (b"GET /healthz HTTP/1.1\r\n", b"X-A: b\r\n"),
        (f"{HEAD}Content-Length: 4000\r\n\r\n".encode(), b" "),
        (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode(), b"1\r\n \r\n"),
        (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n".encode(), b"X-A: b\r\n"),
    ],
    ids=["nothing", "head", "body", "chunks", "trailers"],
)
def test_a_stranger_who_sends_a_byte_now_and_then_is_cut_off(hurried: Place, begin: bytes, piece: bytes) -> None:
    """Each byte comes long before any wait for the next one would end."""
    line = hurried.line()
    trickle = Trickle(line, begin, piece)
    assert trickle.ended.wait(20)
    assert "Traceback" not in hurried.server.log


def test_a_silent_connection_is_closed(hurried: Place) -> None:
    assert hurried.line().ended()


def test_somebody_who_has_signed_in_may_take_their_time(hurried: Place) -> None:
    line = hurried.line()
    line.head("PUT", hurried.file("slow.md"), Content_Length="6")
    for piece in (b"s", b"l", b"o", b"w", b"l"):
        line.send(piece)
        hurried.line().ended()  # a stranger's whole time
    line.send(b"y")
    assert line.answer().status == 201


@pytest.mark.parametrize(
    ("method", "address", "headers"),
    [
        ("POST", "/v1/session", {"Authorization": "Basic bWU6d3Jvbmc="}),
        ("PUT", "/v1/vaults/notes/files/a.md", {"Authorization": "Basic bWU6d3Jvbmc="}),
        ("POST", "/v1/session", {"Authorization": ""}),
        ("POST", "/nowhere", {"Authorization": ""}),
        ("POST", "/healthz", {"Authorization": ""}),
        ("POST", "/", {"Authorization": ""}),
    ],
)
def test_no_other_body_of_a_stranger_is_waited_for(
    hurried: Place, method: str, address: str, headers: dict[str, str]
) -> None:
    line = hurried.line()
    line.head(method, address, Content_Length="4000", **headers)
    answer = line.answer()
    assert answer.status in (400, 401, 404, 405)
    assert answer.closes


def test_who_signs_in_gets_in_however_many_wait_in_silence(hurried: Place) -> None:
    crowd = [hurried.line() for _ in range(300)]
    for number in range(20):
        crowd.append(hurried.line())
        assert hurried.ask("PUT", hurried.file(f"{number}.md"), b"text").status == 201
    assert all(line.ended() for line in crowd)
    assert "the one that has waited longest is closed" in hurried.server.log


def test_who_signs_in_gets_in_however_many_send_slowly(hurried: Place) -> None:
    crowd = []
    for number in range(300):
        line = hurried.line()
        line.send(f"{HEAD}Content-Length: 4000\r\n\r\n{{".encode())
        crowd.append(line)
        if number % 20 == 0:
            assert hurried.ask("GET", f"{hurried.url}/files").status == 200
    assert all(line.ended() for line in crowd)


def test_five_hundred_uploads_of_one_machine_at_once_are_all_taken(server: GobiServer) -> None:
    """Right after the start: the server has not met its owner, and no connection has signed in."""
    place = Place(server)
    server.restart()
    lines = [place.line() for _ in range(500)]
    body = b"x" * 10_000
    for number, line in enumerate(lines):
        line.head("PUT", place.file(f"{number}.bin"), Content_Length=str(len(body)), If_None_Match="*")
    for line in lines:
        line.send(body)
    assert {line.answer().status for line in lines} == {201}
    place.close()
