"""The log of real servers: it adds up to what was done, names requests, and never says a secret."""

from __future__ import annotations

import base64
import http.client
import json
import os
import resource
import secrets
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sync.invitation import device_password
from tests.live.peer import Vault
from tests.server import GOBI, PASSWORD, USER, GobiServer
from tests.services import Redis, free_port, wait_until

FILES = 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GobiServer]:
    one = GobiServer(tmp_path / "server")
    yield one
    one.close()


def ask(server: GobiServer, method: str, path: str, *, password: str = PASSWORD, **headers: str) -> tuple[int, str]:
    """One request; its status and the id it has."""
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    basic = base64.b64encode(f"{USER}:{password}".encode()).decode()
    try:
        connection.request(method, path, body=b"text", headers={"Authorization": f"Basic {basic}", **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["X-Request-ID"]
    finally:
        connection.close()


def entries(server: GobiServer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.splitlines()]


def requests(server: GobiServer) -> list[dict[str, Any]]:
    return [entry for entry in entries(server) if entry["message"] == "request"]


def test_a_log_of_four_workers_adds_up_to_what_was_done(server: GobiServer, redis_server: Redis) -> None:
    database = f"log_{secrets.token_hex(4)}"
    server.start(
        GOBI_LOG_FORMAT="json", GOBI_WORKERS="4", GOBI_REDIS_URL=redis_server.url, GOBI_MONGO_DB=database
    ).add_user()
    ask(server, "PUT", "/v1/vaults/notes")

    def write(number: int) -> str:
        path = f"/v1/vaults/notes/files/{number}%0a.md" if number == 0 else f"/v1/vaults/notes/files/{number}.md"
        _, request = ask(server, "PUT", path, **{"If-None-Match": "*", "Gobi-Device": "laptop"})
        return request

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(write, range(FILES)))
    assert ask(server, "PUT", "/v1/vaults/notes/files/1.md", **{"If-None-Match": "*", "X-Request-ID": "of-mine"}) == (
        200,
        "of-mine",
    )
    wait_until(lambda: len(requests(server)) >= FILES + 2, "every request's line")
    told = requests(server)
    assert Counter((one["method"], one["status"]) for one in told) == {
        ("PUT", "201"): FILES,
        ("PUT", "400"): 1,
        ("PUT", "200"): 1,
    }
    files = [one for one in told if "/files/" in one["path"]]
    assert {one["request"] for one in files} == {*ids, "of-mine"}
    assert {(one["user"], one["vault"]) for one in files} == {(USER, "notes")}
    assert {one["device"] for one in files} == {"laptop", USER}
    assert sum(one["received"] for one in files if one["status"] == "201") == 4 * (FILES - 1)
    assert server.stop() == 0
    assert {one["level"] for one in entries(server)} == {"info"}


def test_what_fails_is_found_by_the_id_that_the_client_was_told(server: GobiServer) -> None:
    server.start(GOBI_LOG_FORMAT="json").add_user()
    ask(server, "PUT", "/v1/vaults/notes")
    ask(server, "PUT", "/v1/vaults/notes/files/a.md")
    (body,) = [one for one in (server.data_dir / "bodies").rglob("*") if one.is_file() and one.stat().st_size == 4]
    body.unlink()
    status, request = ask(server, "GET", "/v1/vaults/notes/files/a.md")
    assert status == 500
    wait_until(lambda: requests(server)[-1]["request"] == request, "the request's line")
    (trouble,) = [one for one in entries(server) if one["level"] == "error"]
    assert (trouble["request"], trouble["user"], trouble["vault"]) == (request, USER, "notes")


def test_no_secret_is_ever_in_the_log(server: GobiServer, redis_server: Redis) -> None:
    """At debug, while databases are away and passwords are wrong: what a connection string or a header holds."""
    token, guess, word = (secrets.token_urlsafe(24) for _ in range(3))
    server.start(
        GOBI_LOG_LEVEL="debug",
        GOBI_METRICS_TOKEN=token,
        GOBI_REDIS_URL=f"redis://:{word}@127.0.0.1:{free_port()}/0",
    ).add_user()
    vault = Vault(server)
    vault.greeted()
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    connection.request("POST", "/v1/session", headers={"Authorization": f"Basic {basic}"})
    answer = connection.getresponse()
    answer.read()
    cookie = answer.headers["Set-Cookie"].split(";")[0].partition("=")[2]
    connection.request("GET", "/v1/vaults", headers={"Cookie": answer.headers["Set-Cookie"].split(";")[0]})
    assert connection.getresponse().read()
    connection.request("GET", f"/metrics?token={token}", headers={"Authorization": f"Bearer {token}"})
    assert connection.getresponse().read()
    connection.request(
        "GET", f"/v1/nothing?password={PASSWORD.replace(' ', '%20')}", headers={"Authorization": f"Basic {basic}"}
    )
    assert connection.getresponse().read()
    assert ask(server, "GET", "/v1/vaults", password=guess)[0] == 401
    invited = server.gobi("invite", USER, vault.name, "--url", server.url, "--json")
    secret = json.loads(invited.stdout)["code"].split("#invite=")[1].split("/")[1]
    own = device_password(secrets.token_bytes(20))
    told = json.dumps({"secret": secret, "device": "laptop", "password": own})
    connection.request("POST", "/v1/invitations/redeem", body=told, headers={"Content-Type": "application/json"})
    assert connection.getresponse().read()
    assert ask(server, "GET", "/v1/vaults", password=own)[0] == 200
    connection.close()
    ask(server, "PUT", f"/v1/vaults/{vault.name}/files/a.md")
    (server.data_dir / "metadata.db").rename(server.data_dir / "elsewhere")
    ask(server, "PUT", f"/v1/vaults/{vault.name}/files/b.md")
    (server.data_dir / "elsewhere").rename(server.data_dir / "metadata.db")
    wait_until(lambda: "Redis is out of reach" in server.log, "its trouble with Redis")
    vault.close()
    server.stop()
    mongo = server.gobi("doctor", "--json")
    server._env["GOBI_MONGO_URI"] = f"mongodb://me:{word}@127.0.0.1:{free_port()}/?timeoutMS=300"
    output = mongo.stdout + mongo.stderr
    for command in (("doctor",), ("user", "list"), ("serve",)):
        done = server.gobi(*command)
        assert done.returncode != 0
        output += done.stdout + done.stderr
    assert "level=debug" in server.log
    found = [
        name
        for name, secret in {
            "token": token,
            "guess": guess,
            "database's password": word,
            "password": PASSWORD,
            "escaped password": PASSWORD.replace(" ", "%20"),
            "header": basic,
            "cookie": cookie,
            "invitation": secret,
            "device's password": own,
        }.items()
        if secret in server.log or secret in output
    ]
    assert found == []


@pytest.mark.parametrize("level", ["warning", "info"])
def test_the_journal_is_told_priorities(server: GobiServer, level: str) -> None:
    server.log_file.touch()
    there = server.log_file.stat()
    server.start(JOURNAL_STREAM=f"{there.st_dev}:{there.st_ino}", GOBI_LOG_LEVEL=level).add_user()
    ask(server, "GET", "/v1/vaults", password="wrong")
    wait_until(lambda: "wrong password" in server.log, "the wrong password's line")
    server.stop()
    assert {line[:3] for line in server.log.splitlines()} == {"<6>", "<4>"}
    assert server.log.count("message=request") == (level == "info")


def test_a_log_that_nobody_reads_stops_nothing(server: GobiServer) -> None:
    server.add_user()
    reading, writing = os.pipe()
    address = f"127.0.0.1:{free_port()}"
    environment = server.environment() | {"GOBI_LISTEN": address}
    process = subprocess.Popen([GOBI, "serve"], env=environment, stdout=writing, stderr=subprocess.DEVNULL)
    try:
        os.close(writing)
        server.url = f"http://{address}"
        assert b"listening" in os.read(reading, 4_096)
        connection = http.client.HTTPConnection(*server.address, timeout=30)
        long = "x" * 1_000
        for _ in range(200):
            connection.request("GET", f"/v1/{long}")
            assert connection.getresponse().read()
        connection.close()
        os.set_blocking(reading, False)
        while len(os.read(reading, 65_536)) == 65_536:
            pass
        os.set_blocking(reading, True)
        ask(server, "GET", "/v1/vaults")
        assert b"entries of this log are left out" in os.read(reading, 65_536)
    finally:
        process.terminate()
        process.wait()
        os.close(reading)


def serves(server: GobiServer) -> bool:
    with socket.create_connection(server.address, timeout=5) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return line.recv(12) == b"HTTP/1.1 200"


def test_out_of_files_is_one_line_and_no_traceback_and_the_server_recovers(server: GobiServer) -> None:
    server.start()
    wait_until(lambda: serves(server), "a worker")
    (worker,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    used = len(os.listdir(f"/proc/{worker}/fd"))
    limits = resource.prlimit(int(worker), resource.RLIMIT_NOFILE)
    resource.prlimit(int(worker), resource.RLIMIT_NOFILE, (used + 5, limits[1]))
    idle = [socket.create_connection(server.address) for _ in range(30)]
    wait_until(lambda: "no more files" in server.log, "the log to say so")
    for line in idle:
        line.close()
    wait_until(lambda: serves(server), "an answer")
    assert server.log.count("no more files") == 1
    assert "Traceback" not in server.log
    assert all(line.startswith("time=") for line in server.log.splitlines())
