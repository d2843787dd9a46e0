"""What only shows between real sockets and a real `gobi serve`: framing, cuts, refusals in the middle of an upload."""

from __future__ import annotations

import base64
import itertools
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.handlers.site import sha256
from tests.server import PASSWORD, PATIENCE_S, USER, GobiServer
from tests.services import wait_until

BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
_numbers = itertools.count(1)


class Answer:
    """One response as it came."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])

    @property
    def closes(self) -> bool:
        return self.headers["connection"] == "close"


class Line:
    """A connection that sends exactly what it is told."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.socket.settimeout(PATIENCE_S)
        self._received = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def head(self, method: str, url: str, **headers: str) -> None:
        lines = [f"{method} {url} HTTP/1.1", "Host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in ({"Authorization": BASIC} | headers).items()]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def chunks(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.send(b"%x\r\n%s\r\n" % (len(piece), piece))

    def answer(self, to: str = "GET") -> Answer:
        status = int(self._received.readline().split()[1])
        headers = {}
        while (line := self._received.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        length = 0 if status < 200 or status in (204, 304) or to == "HEAD" else int(headers["content-length"])
        return Answer(status, headers, self._received.read(length))

    def ended(self) -> bool:
        """Whether the server closed its side, cleanly, with nothing more to say."""
        return self._received.read(1) == b""

    def reset(self) -> None:
        """Goes away without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        self._received.close()
        self.socket.close()


class Place:
    """A vault of the test's own."""

    def __init__(self, server: GobiServer) -> None:
        self.server = server
        self.url = f"/v1/vaults/wire-{next(_numbers)}"
        self._lines: list[Line] = []
        assert self.ask("PUT", self.url).status == 201

    def line(self) -> Line:
        line = Line(socket.create_connection(self.server.address))
        self._lines.append(line)
        return line

    def file(self, path: str) -> str:
        return f"{self.url}/files/{path}"

    def ask(self, method: str, url: str, body: bytes = b"", **headers: str) -> Answer:
        line = self.line()
        line.head(method, url, Content_Length=str(len(body)), **headers)
        line.send(body)
        return line.answer(method)

    def files(self) -> list[str]:
        return [row["path"] for row in json.loads(self.ask("GET", f"{self.url}/files").body)["files"]]

    def leftovers(self) -> list[str]:
        return os.listdir(self.server.data_dir / "bodies" / "tmp")

    def close(self) -> None:
        for line in self._lines:
            line.close()


def eventually(what: Callable[[], bool]) -> None:
    """Waits for a condition in another process."""
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)  # between two looks


@pytest.fixture
def place(shared_server: GobiServer) -> Iterator[Place]:
    one = Place(shared_server)
    yield one
    one.close()


@pytest.fixture
def own_place(server: GobiServer) -> Iterator[Place]:
    one = Place(server)
    yield one
    one.close()


# -- bodies


def test_a_chunked_upload_is_stored_whole(place: Place) -> None:
    body = os.urandom(700_000)
    line = place.line()
    line.head("PUT", place.file("a.bin"), Transfer_Encoding="chunked")
    line.chunks(body[:1], body[1:10], body[10:300_000], body[300_000:])
    line.send(b"0\r\n\r\n")
    assert line.answer().status == 201
    assert place.ask("GET", place.file("a.bin")).body == body


def test_a_chunked_upload_with_extensions_and_trailers_is_stored_whole(place: Place) -> None:
    line = place.line()
    line.head("PUT", place.file("a.bin"), Transfer_Encoding="chunked")
    line.send(b"4;name=value\r\ntext\r\n0\r\nX-Trailer: x\r\n\r\n")
    assert line.answer().status == 201
    line.head("GET", place.file("a.bin"))
    assert line.answer().body == b"text"


def test_a_chunked_request_in_json_is_read_whole(place: Place) -> None:
    line = place.line()
    line.head("POST", f"{place.url}/sync", Transfer_Encoding="chunked")
    line.chunks(b'{"cursor"', b': "0"}')
    line.send(b"0\r\n\r\n")
    assert line.answer().status == 200


@pytest.mark.parametrize(
    "broken", [b"4\r\ntextMORE\r\n", b"xyz\r\n", b"-4\r\ntext\r\n", b"4\ntext\n", b"4 4\r\ntext\r\n"]
)
def test_a_broken_chunk_is_bad_request_and_ends_the_connection(place: Place, broken: bytes) -> None:
    line = place.line()
    line.head("PUT", place.file("a.bin"), Transfer_Encoding="chunked")
    line.chunks(b"good")
    line.send(broken + b"0\r\n\r\n")
    answer = line.answer()
    assert (answer.status, answer.code, answer.closes) == (400, "bad-request", True)
    assert line.ended()
    assert place.files() == []
    assert place.leftovers() == []


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("how", ["closed", "reset"])
def test_an_upload_that_is_cut_changes_nothing(own_place: Place, framing: str, how: str) -> None:
    line = own_place.line()
    name, value = framing.split(": ")
    line.head("PUT", own_place.file("a.bin"), **{name: value})
    line.send(b"5\r\ntext!\r\n")
    eventually(lambda: own_place.leftovers() != [])
    line.reset() if how == "reset" else line.close()
    eventually(lambda: own_place.leftovers() == [])
    assert own_place.files() == []


def test_a_push_that_is_cut_leaves_nothing_half(own_place: Place) -> None:
    line = own_place.line()
    line.head("POST", f"{own_place.url}/push", Content_Length="100000")
    line.send(b"manifest.json" + b"\0" * 87)
    line.close()
    assert own_place.files() == []


def test_an_upload_that_stands_still_is_dropped(server: GobiServer) -> None:
    server.restart(GOBI_STALL_S="1")
    place = Place(server)
    line = place.line()
    line.head("PUT", place.file("a.bin"), Content_Length="1000")
    line.send(b"begun")
    assert line.ended()
    assert place.files() == []
    eventually(lambda: place.leftovers() == [])
    place.close()


def test_a_reader_that_goes_away_leaves_no_open_file(own_place: Place) -> None:
    body = b"x" * 50_000_000
    assert own_place.ask("PUT", own_place.file("big"), body).status == 201
    line = own_place.line()
    line.head("GET", own_place.file("big"))
    assert line.socket.recv(1_000)
    assert open_bodies(own_place.server) == 1
    line.reset()
    eventually(lambda: open_bodies(own_place.server) == 0)


def test_a_reader_that_stands_still_is_dropped(server: GobiServer) -> None:
    server.restart(GOBI_STALL_S="1")
    place = Place(server)
    assert place.ask("PUT", place.file("big"), b"x" * 50_000_000).status == 201
    line = place.line()
    line.head("GET", place.file("big"))
    assert line.socket.recv(1_000)
    eventually(lambda: open_bodies(server) == 0)
    assert "Traceback" not in server.log
    place.close()


def open_bodies(server: GobiServer) -> int:
    """How many bodies the workers hold open."""
    count = 0
    for worker in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split():
        for descriptor in Path(f"/proc/{worker}/fd").iterdir():
            try:
                count += f"{server.data_dir}/bodies/" in os.readlink(descriptor)
            except FileNotFoundError:
                pass
    return count


# -- refusals that come before the body


REFUSALS: list[tuple[str, str, dict[str, str], int]] = [
    ("PUT", "/files/a", {"Authorization": "Basic bm86Ym9keQ=="}, 401),
    ("PUT", "/files/a", {"Origin": "null"}, 403),
    ("PUT", "/files/../a", {}, 400),
    ("PUT", "/files/a", {"If-Match": "*"}, 400),
    ("PUT", "/files/a", {"If-Match": '"1"', "Gobi-Hash": "0" * 64}, 412),
    ("PUT", "/files/a", {"Content-Encoding": "gzip"}, 415),
    ("POST", "/sync", {}, 413),
    ("POST", "/nothing", {}, 404),
    ("POST", "/files/a", {}, 405),
]


@pytest.mark.parametrize("framing", [{"Content-Length": "100000000"}, {"Transfer-Encoding": "chunked"}])
@pytest.mark.parametrize(("method", "url", "headers", "status"), REFUSALS)
def test_a_refusal_in_the_middle_of_an_upload_arrives_and_ends_the_connection(
    place: Place, method: str, url: str, headers: dict[str, str], status: int, framing: dict[str, str]
) -> None:
    if status == 413 and "Transfer-Encoding" in framing:
        return  # how long it is shows only when it has come
    line = place.line()
    line.head(method, place.url + url, **headers, **framing)
    line.send(b"5\r\nbegun\r\n")
    answer = line.answer()
    assert (answer.status, answer.closes) == (status, True)
    line.socket.shutdown(socket.SHUT_WR)
    assert line.ended()
    assert place.files() == []


def test_a_client_that_sends_all_of_100_mb_before_it_reads_still_gets_the_refusal(place: Place) -> None:
    """Were the connection just closed, the unread bytes would cause a reset, and that would destroy the answer."""
    line = place.line()
    line.head("PUT", place.file("a"), Authorization="Basic bm86Ym9keQ==", Content_Length="100000000")
    piece = b"x" * 1_000_000
    try:
        for _ in range(100):
            line.send(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it stops listening after a while
    answer = line.answer()
    assert (answer.status, answer.code) == (401, "unauthorized")


def test_a_client_that_never_stops_sending_is_cut_off(place: Place) -> None:
    line = place.line()
    line.head("PUT", place.file("a"), Authorization="Basic bm86Ym9keQ==", Transfer_Encoding="chunked")
    piece = b"x" * 1_000_000
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(10_000):
            line.chunks(piece)


def test_what_follows_a_refused_upload_is_never_taken_for_a_request(place: Place) -> None:
    smuggled = f"PUT {place.file('smuggled')} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {BASIC}\r\n\r\n".encode()
    line = place.line()
    line.head("PUT", place.file("a"), Origin="null", Content_Length=str(len(smuggled)))
    line.send(smuggled)
    assert line.answer().status == 403
    assert line.ended()
    assert place.files() == []


def test_who_waits_for_100_continue_gets_it_and_then_the_answer(place: Place) -> None:
    line = place.line()
    line.head("PUT", place.file("a"), Expect="100-continue", Content_Length="4")
    assert line.answer().status == 100
    line.send(b"text")
    assert line.answer().status == 201


def test_who_waits_for_100_continue_is_refused_before_the_body_is_sent(place: Place) -> None:
    line = place.line()
    line.head("PUT", place.file("a"), Expect="100-continue", Content_Length="3000000000")
    assert line.answer().status == 100  # gunicorn says it before anybody is asked
    answer = line.answer()
    assert (answer.status, answer.code, answer.closes) == (413, "too-large", True)
    line.socket.shutdown(socket.SHUT_WR)
    assert line.ended()


# -- connections


def test_a_connection_carries_many_requests(place: Place) -> None:
    line = place.line()
    for number in range(5):
        line.head("PUT", place.file(f"{number}"), Content_Length="4")
        line.send(b"text")
        answer = line.answer()
        assert (answer.status, answer.closes) == (201, False)
    line.head("HEAD", place.file("0"))
    assert line.answer("HEAD").headers["content-length"] == "4"
    line.head("GET", place.file("none"))
    assert line.answer().status == 404
    line.head("DELETE", place.file("0"))
    assert line.answer().status == 428
    line.head("GET", place.file("1"), If_None_Match="*")
    assert line.answer().status == 304
    line.head("GET", place.file("1"))
    assert line.answer().body == b"text"


def test_requests_sent_without_waiting_are_answered_in_order(place: Place) -> None:
    line = place.line()
    for number in range(3):
        line.head("PUT", place.file("a"), Content_Length="1", If_None_Match="*")
        line.send(b"%d" % number)
    assert line.answer().status == 201
    assert line.answer().status == 412


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: -1",
        "Content-Length: 4,4",
        "Content-Length : 4",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:\x0bchunked",
    ],
)
def test_a_request_whose_length_can_be_read_in_two_ways_is_refused(place: Place, framing: str) -> None:
    line = place.line()
    line.send(
        f"PUT {place.file('a')} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {BASIC}\r\n{framing}\r\n\r\n".encode()
    )
    line.send(b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert line.answer().status in (400, 501)
    assert line.ended()
    assert place.files() == []


def test_the_longest_path_fits_percent_encoded(place: Place) -> None:
    path = "/".join(["%C3%A4" * 127] * 4)
    assert place.ask("PUT", place.file(path), b"text").status == 201
    after = f"{place.url}/files?after={path}&prefix={path}"
    assert place.ask("GET", after).status == 200


def test_a_request_line_or_header_beyond_measure_is_refused(place: Place) -> None:
    assert place.ask("GET", "/" + "x" * 20_000).status == 414
    assert place.ask("GET", "/healthz", X="x" * 20_000).status in (400, 431)


def test_a_head_without_an_end_is_refused_before_it_takes_much_memory(place: Place) -> None:
    line = place.line()
    line.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
    for number in range(5):
        line.send(b"X-%d: %s\r\n" % (number, b"x" * 8_000))
    assert line.answer().status in (400, 431)
    assert line.ended()


def test_a_head_as_large_as_proxies_and_browsers_make_them_is_taken(place: Place) -> None:
    assert (
        place.ask("GET", "/healthz", Cookie="x" * 8_000, Referer="x" * 8_000, X_Forwarded_For="x" * 8_000).status == 200
    )


@pytest.mark.parametrize("target", ["/healthz", "http://pi.example/healthz"])
def test_an_old_client_is_answered_too(place: Place, target: str) -> None:
    line = place.line()
    line.send(f"GET {target} HTTP/1.0\r\n\r\n".encode())
    answer = line.answer()
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')
    assert line.ended()


def test_a_large_upload_and_download_leave_the_server_small_and_awake(own_place: Place) -> None:
    body = os.urandom(1 << 20) * 100
    waits = []
    done = threading.Event()

    def knock() -> None:
        while not done.is_set():
            started = time.monotonic()
            own_place.ask("GET", "/healthz")
            waits.append(time.monotonic() - started)

    knocking = threading.Thread(target=knock)
    knocking.start()
    try:
        assert own_place.ask("PUT", own_place.file("big"), body, Gobi_Hash=sha256(body)).status == 201
        assert own_place.ask("GET", own_place.file("big")).body == body
    finally:
        done.set()
        knocking.join()
    assert max(waits) < 1  # it was never shut out; how long exactly is a benchmark's business
    assert memory(own_place.server) < 80_000_000


def test_five_hundred_uploads_under_way_at_once_leave_the_server_small(own_place: Place) -> None:
    """Each holds a quarter of a megabyte that has come, and waits for the rest."""
    lines = [own_place.line() for _ in range(500)]
    piece = os.urandom(256 << 10)
    for number, line in enumerate(lines):
        line.head("PUT", own_place.file(f"{number}"), Content_Length=str(1 << 20), If_None_Match="*")
        line.send(piece)
    incoming = own_place.server.data_dir / "bodies" / "tmp"

    def received() -> int:
        return sum(path.stat().st_size for path in incoming.iterdir())

    wait_until(lambda: received() >= 400 * len(piece), "most of it to arrive")
    assert memory(own_place.server) < 128_000_000
    for line in lines:
        line.close()
    wait_until(lambda: not any(incoming.iterdir()), "what was cut off to go")
    assert own_place.files() == []


def memory(server: GobiServer) -> int:
    """PSS of master and workers, in bytes."""
    workers = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    total = 0
    for pid in [str(server.pid), *workers]:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return total


# -- TLS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of its own making for `localhost`, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture
def tls_place(server: GobiServer, certificate: tuple[Path, Path]) -> Iterator[Place]:
    server.restart(GOBI_TLS_CERT=str(certificate[0]), GOBI_TLS_KEY=str(certificate[1]))
    trusting = ssl.create_default_context(cafile=certificate[0])

    class TlsPlace(Place):
        def line(self) -> Line:
            plain = socket.create_connection(self.server.address)
            line = Line(trusting.wrap_socket(plain, server_hostname="localhost"))
            self._lines.append(line)
            return line

    one = TlsPlace(server)
    yield one
    one.close()


def test_the_server_speaks_https_itself(tls_place: Place) -> None:
    assert tls_place.server.url.startswith("https://")
    body = os.urandom(700_000)
    assert tls_place.ask("PUT", tls_place.file("a"), body).status == 201
    assert tls_place.ask("GET", tls_place.file("a")).body == body
    cookie = tls_place.ask("POST", "/v1/session").headers["set-cookie"]
    assert "secure" in cookie.lower()


def test_a_refusal_in_the_middle_of_an_upload_arrives_over_https(tls_place: Place) -> None:
    line = tls_place.line()
    line.head("PUT", tls_place.file("a"), Origin="null", Content_Length="100000000")
    for _ in range(10):
        line.send(b"x" * 100_000)
    answer = line.answer()
    assert (answer.status, answer.closes) == (403, True)


def test_an_upload_that_is_cut_over_https_changes_nothing(tls_place: Place) -> None:
    line = tls_place.line()
    line.head("PUT", tls_place.file("a"), Content_Length="1000")
    line.send(b"begun")
    eventually(lambda: tls_place.leftovers() != [])
    line.close()
    eventually(lambda: tls_place.leftovers() == [])
    assert tls_place.files() == []


def test_who_speaks_no_tls_disturbs_nobody(tls_place: Place) -> None:
    with socket.create_connection(tls_place.server.address) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            assert b"200" not in plain.recv(1_000)
        except ConnectionResetError:
            pass  # just as well
    assert tls_place.ask("GET", "/healthz").status == 200
    assert "Traceback" not in tls_place.server.log


def test_silent_connections_are_closed_over_https(tls_place: Place) -> None:
    tls_place.server.restart(GOBI_STRANGER_S="1", GOBI_STRANGERS="10")
    crowd = [Line(socket.create_connection(tls_place.server.address)) for _ in range(30)]
    for line in crowd:
        assert line.ended()
        line.close()
    assert tls_place.ask("GET", "/healthz").status == 200
    assert "Traceback" not in tls_place.server.log


# -- stopping


def test_a_stop_finishes_what_is_running(own_place: Place) -> None:
    line = own_place.line()
    line.head("PUT", own_place.file("a"), Content_Length="10")
    line.send(b"begun")
    eventually(lambda: own_place.leftovers() != [])
    stopping = Stopping(own_place.server)
    eventually(lambda: not accepts(own_place.server))
    line.send(b"ended")
    answer = line.answer()
    assert (answer.status, json.loads(answer.body)["size"]) == (201, 10)
    answered = time.monotonic()
    assert stopping.code() == 0
    assert time.monotonic() - answered < 8  # not gunicorn's whole grace of 10 s
    own_place.server.start()
    assert own_place.files() == ["a"]


def test_a_stop_does_not_wait_for_idle_connections(own_place: Place) -> None:
    line = own_place.line()
    line.head("GET", "/healthz")
    assert line.answer().status == 200
    never_used = own_place.line()
    started = time.monotonic()
    assert own_place.server.stop() == 0
    assert time.monotonic() - started < 8  # gunicorn's grace is 10 s
    assert line.ended()
    assert never_used.ended()


class Stopping:
    """A stop that goes on while the test does."""

    def __init__(self, server: GobiServer) -> None:
        self._codes: list[Any] = []
        self._thread = threading.Thread(target=lambda: self._codes.append(server.stop()))
        self._thread.start()

    def code(self) -> int:
        self._thread.join()
        return int(self._codes[0])


def accepts(server: GobiServer) -> bool:
    try:
        socket.create_connection(server.address).close()
    except ConnectionRefusedError:
        return False
    return True


def test_what_was_acknowledged_survives_kill_9(own_place: Place) -> None:
    bodies = {f"{number}": os.urandom(100) for number in range(5)}
    for name, body in bodies.items():
        assert own_place.ask("PUT", own_place.file(name), body).status == 201
    own_place.server.kill9()
    own_place.server.start()
    assert {name: own_place.ask("GET", own_place.file(name)).body for name in bodies} == bodies
