"""Behind a real nginx and a real Caddy, with the samples of deploy/."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.handlers.test_on_the_wire import Line
from tests.handlers.test_strangers import Trickle
from tests.live.peer import PING, Refused, Vault, basic
from tests.ops.front import Caddy, CaddyBelow, CaddyStripping, Front, Nginx, NginxBelow, NginxStripping
from tests.server import GobiServer
from tests.services import free_port, wait_until

MIB = 1 << 20
LARGE_MIB = 300
# What nginx allows a connection to be silent, unless it is told otherwise, and a little more.
NGINX_SILENCE_S = 65


class Deployed:
    """A server, and a proxy before it that is all that anybody sees. The vault is spoken to through that one."""

    def __init__(self, folder: Path, kind: type[Front], **settings: str) -> None:
        self.server = GobiServer(folder / "server")
        port = free_port()
        self.front = kind(folder / "proxy", port)
        self.server._listen = f"127.0.0.1:{port}"
        self.server.start(GOBI_PUBLIC_URL=self.front.url, GOBI_TRUSTED_PROXIES="127.0.0.1", **settings)
        self.server.add_user()
        try:
            self.front.start()
            self.vault = Vault(self.front.as_server(), self.front.trust)
        except BaseException:
            self.close()
            raise

    def slow(self, headers: str = "", path: str = "/v1/invitations/redeem") -> socket.socket:
        """A connection by which a request has begun."""
        plain = socket.create_connection(("127.0.0.1", self.front.port), timeout=30)
        line = self.front.trust.wrap_socket(plain, server_hostname="localhost")
        line.sendall(
            f"POST {path} HTTP/1.1\r\nHost: {self.front.host}\r\nContent-Length: 4000\r\n{headers}\r\n{{".encode()
        )
        return line

    def trickle(self) -> Trickle:
        return Trickle(Line(self.slow()), b"", b" ")

    def close(self) -> None:
        self.front.stop()
        self.server.close()


FEW = 3


class Few(Nginx):
    changes = (("limit_conn gobi_strangers 100;", f"limit_conn gobi_strangers {FEW};"),)


class HurriedNginx(Nginx):
    changes = (("client_header_timeout 10s;", "client_header_timeout 1s;"),)


class HurriedCaddy(Caddy):
    changes = (("read_header 10s", "read_header 1s"),)


@pytest.fixture(params=[HurriedNginx, HurriedCaddy], ids=["nginx", "caddy"], scope="module")
def hurried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """With a second where a stranger has ten."""
    kind: type[Front] = request.param
    if kind.missing():
        pytest.skip(f"this machine has no {kind.program}")
    one = Deployed(tmp_path_factory.mktemp("hurried"), kind, GOBI_STRANGER_S="1", GOBI_STRANGERS="40")
    yield one
    one.vault.close()
    one.close()


@pytest.fixture(params=[Nginx, Caddy], ids=["nginx", "caddy"], scope="module")
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    kind: type[Front] = request.param
    if kind.missing():
        pytest.skip(f"this machine has no {kind.program}")
    one = Deployed(tmp_path_factory.mktemp("front"), kind)
    yield one
    one.vault.close()
    one.close()


def test_a_large_file_goes_up_and_comes_back_whole(deployed: Deployed) -> None:
    piece = bytes(range(256)) * (MIB // 256)
    pieces = [number.to_bytes(4, "big") + piece[4:] for number in range(LARGE_MIB)]
    url = f"{deployed.vault.url}/files/large.bin"
    line = http.client.HTTPSConnection("localhost", deployed.front.port, timeout=120, context=deployed.front.trust)
    whole = {"Authorization": basic(), "Content-Length": str(LARGE_MIB * MIB), "If-None-Match": "*"}
    line.request("PUT", url, iter(pieces), whole)
    answer = line.getresponse()
    assert answer.status == 201
    sent = hashlib.sha256(b"".join(pieces)).hexdigest()
    assert sent in answer.read().decode()
    line.request("GET", url, headers={"Authorization": basic()})
    answer = line.getresponse()
    came = hashlib.sha256()
    for data in iter(lambda: answer.read(MIB), b""):
        came.update(data)
    assert came.hexdigest() == sent
    line.close()


def test_what_is_too_large_is_refused_while_it_is_still_coming(deployed: Deployed) -> None:
    """And is not collected first."""
    line = http.client.HTTPSConnection("localhost", deployed.front.port, timeout=30, context=deployed.front.trust)
    line.putrequest("PUT", f"{deployed.vault.url}/files/larger.bin")
    for name, value in (("Authorization", basic()), ("If-None-Match", "*"), ("Content-Length", str(4096 * MIB))):
        line.putheader(name, value)
    line.endheaders()
    sock = line.sock
    answered = threading.Event()

    def send() -> None:
        try:
            while not answered.is_set():
                sock.sendall(bytes(10_000))
        except OSError:  # it was answered
            pass

    sending = threading.Thread(target=send)
    sending.start()
    try:
        answer = line.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (413, "too-large")
    finally:
        answered.set()
        line.close()
        sending.join()


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: {size}\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: {size}\r\nContent-Length: 4",
        "Content-Length: 4,4",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding : chunked",
        "Content-Length: {size}\r\n Transfer-Encoding: chunked",
    ],
)
def test_nothing_is_smuggled_through_the_proxy(deployed: Deployed, framing: str) -> None:
    """A request in which one of the two sees the end where the other sees another request: then what is hidden in its
    body is done, and the proxy knows of one answer. (Two answers: both took it for two requests of one client.)"""
    name = f"smuggled-{hash(framing)}.md"
    hidden = (
        f"PUT {deployed.vault.url}/files/{name} HTTP/1.1\r\nHost: {deployed.front.host}\r\n"
        f"Authorization: {basic()}\r\nContent-Length: 0\r\n\r\n"
    )
    body = f"0\r\n\r\n{hidden}"
    head = f"PUT {deployed.vault.url}/files/front.md HTTP/1.1\r\nHost: {deployed.front.host}\r\n"
    plain = socket.create_connection(("127.0.0.1", deployed.front.port), timeout=30)
    with deployed.front.trust.wrap_socket(plain, server_hostname="localhost") as line:
        # Nobody's: only what is hidden has a password.
        line.sendall((head + framing.format(size=len(body)) + "\r\n\r\n" + body).encode())
        line.settimeout(2)
        came = b""
        try:
            while piece := line.recv(1 << 16):
                came += piece
        except OSError:  # it waits for more, or was reset
            pass
    listed = [row["path"] for row in deployed.vault.ask("GET", "/files")["files"]]
    assert name not in listed or came.count(b"HTTP/1.1 ") == 2
    assert "front.md" not in listed


def test_a_live_socket_hears_of_a_commit(deployed: Deployed) -> None:
    peer = deployed.vault.greeted(Host=deployed.front.host, Origin=deployed.front.url)
    deployed.vault.put("heard.md")
    assert peer.paths(1) == ["heard.md"]


@pytest.mark.parametrize("path", ["a b.md", "100%.md", "ä/ö?.md", "%2e%2e.md", "a+b#c&d.md"])
def test_names_arrive_as_they_were_sent(deployed: Deployed, path: str) -> None:
    assert deployed.vault.put(path, If_None_Match="*")["path"] == path


def test_the_page_of_another_site_is_refused_and_the_servers_own_is_not(deployed: Deployed) -> None:
    numbers = itertools.count()
    with pytest.raises(urllib.error.HTTPError) as refused:
        deployed.vault.put(f"{next(numbers)}.md", Origin="https://evil.example", If_None_Match="*")
    assert refused.value.code == 403
    refused.value.close()
    with pytest.raises(Refused, match="403"):
        deployed.vault.watch(Host=deployed.front.host, Origin="https://evil.example")
    deployed.vault.put(f"{next(numbers)}.md", Origin=deployed.front.url, If_None_Match="*")


def test_nobody_reads_the_metrics_through_the_proxy(deployed: Deployed) -> None:
    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}):
        request = urllib.request.Request(deployed.front.url + "/metrics", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, context=deployed.front.trust)
        assert refused.value.code == 404
        refused.value.close()


def test_a_stranger_who_sends_slowly_through_the_proxy_is_cut_off(hurried: Deployed) -> None:
    """By gobi: each byte comes before any wait for the next one would end. The proxy may go on to take what comes.

    Those who have signed in are answered meanwhile.
    """
    with ExitStack() as crowd:
        for _ in range(50):
            crowd.enter_context(closing(hurried.trickle()))
        for number in range(10):
            hurried.vault.put(f"{number}.md")
        wait_until(lambda: hurried.server.log.count("redeem was cut off") == 50, "all of them to be cut off")


def test_a_connection_that_asks_nothing_is_closed_by_the_proxy(hurried: Deployed) -> None:
    """Which has none at gobi for it."""
    silent = [socket.create_connection(("127.0.0.1", hurried.front.port), timeout=30) for _ in range(2)]
    (begun, nothing) = hurried.front.trust.wrap_socket(silent[0], server_hostname="localhost"), silent[1]
    begun.sendall(b"GET / HTTP/1.1\r\nX-A: ")
    for line in (begun, nothing):
        try:
            while line.recv(4096):
                pass
        except ConnectionResetError:  # just as well
            pass
        line.close()


def test_nginx_refuses_strangers_beyond_a_number_and_nobody_who_brings_a_password(tmp_path: Path) -> None:
    if Nginx.missing():
        pytest.skip("this machine has no nginx")
    one = Deployed(tmp_path, Few)
    lines = [one.slow() for _ in range(FEW + 2)]
    try:
        assert all(b" 429 " in line.recv(100) for line in lines[FEW:])
        waiting = [one.slow(f"Authorization: {basic()}\r\n", "/v1/vaults/x/sync") for _ in range(FEW)]
        for number in range(3):
            one.vault.put(f"{number}.md")
        lines += waiting
    finally:
        for line in lines:
            line.close()
        one.vault.close()
        one.close()


@pytest.mark.parametrize("kind", [NginxBelow, NginxStripping, CaddyBelow, CaddyStripping])
def test_below_a_path_all_of_it_works(tmp_path: Path, kind: type[Front]) -> None:
    """The page, its files, signing in, names, invitations and live sockets."""
    if kind.missing():
        pytest.skip(f"this machine has no {kind.program}")
    server = GobiServer(tmp_path / "server").start(GOBI_TRUSTED_PROXIES="127.0.0.1")
    front = kind(tmp_path / "proxy", int(server.url.rpartition(":")[2]))
    server.restart(GOBI_PUBLIC_URL=f"{front.url}/gobi")
    server.add_user()
    assert server.gobi("vault", "create", "notes", "--owner", "me").returncode == 0
    front.start()
    line = http.client.HTTPSConnection("localhost", front.port, timeout=30, context=front.trust)

    def ask(method: str, place: str, body: bytes | None = None, **headers: str) -> tuple[http.client.HTTPResponse, str]:
        own = {name.replace("_", "-"): value for name, value in headers.items()}
        line.request(method, f"/gobi/{place}", body, {"Authorization": basic(), "Origin": front.url, **own})
        answer = line.getresponse()
        return answer, answer.read().decode()

    try:
        page = ask("GET", "")[1]
        for place in re.findall(r'(?:href|src)="([^"]+)"', page):
            assert ask("GET", place)[0].status == 200, place
        signed_in, _ = ask("POST", "v1/session")
        assert signed_in.status == 200
        assert "Path=/gobi/" in (signed_in.getheader("Set-Cookie") or "")
        name = "v1/vaults/notes/files/100%25%20%C3%BC%3F%23.md"
        assert ask("PUT", name, b"text", If_None_Match="*")[0].status == 201
        assert ask("GET", name)[1] == "text"
        assert '"path":"100% ü?#.md"' in ask("GET", "v1/vaults/notes/files")[1].replace(": ", ":")
        code = json.loads(ask("POST", "v1/vaults/notes/invitations", b"{}", Content_Type="application/json")[1])["code"]
        assert code.startswith(f"{front.url}/gobi/#invite=notes/")
        socket_headers = {"Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        line.request(
            "GET",
            "/gobi/v1/vaults/notes/live",
            headers={
                **{name.replace("_", "-"): value for name, value in socket_headers.items()},
                "Authorization": basic(),
                "Origin": front.url,
                "Upgrade": "websocket",
                "Connection": "Upgrade",
            },
        )
        assert line.getresponse().status == 101
    finally:
        line.close()
        front.stop()
        server.close()


def test_the_nginx_sample_allows_what_nginx_by_itself_does_not() -> None:
    text = " ".join((Path(__file__).parents[2] / "deploy" / "nginx.conf").read_text().split())
    for line in (
        "client_max_body_size 0;",
        "proxy_request_buffering off;",
        "proxy_buffering off;",
        "proxy_read_timeout 300s;",
        "proxy_set_header Upgrade $http_upgrade;",
    ):
        assert line in text


@pytest.mark.soak
@pytest.mark.parametrize("kind", [Nginx, Caddy], ids=["nginx", "caddy"])
def test_a_live_socket_may_be_silent_for_longer_than_nginx_allows_by_itself(tmp_path: Path, kind: type[Front]) -> None:
    if kind.missing():
        pytest.skip(f"this machine has no {kind.program}")
    one = Deployed(tmp_path, kind, GOBI_PING_S=str(NGINX_SILENCE_S))
    try:
        peer = one.vault.greeted(Host=one.front.host)
        peer.socket.settimeout(2 * NGINX_SILENCE_S)
        assert peer.frame().opcode == PING
        one.vault.put("late.md")
        assert peer.paths(1) == ["late.md"]
    finally:
        one.vault.close()
        one.close()
