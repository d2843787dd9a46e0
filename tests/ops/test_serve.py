"""`gobi serve` as a process."""

from __future__ import annotations

import base64
import http.client
import os
import socket
import stat
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from store.bodies import LEFTOVER_S
from tests.server import PASSWORD, GobiServer
from tests.services import wait_until


def test_a_folder_with_modules_of_gobis_names_in_it_is_never_imported_from(tmp_path: Path) -> None:
    """A person may start the server in a synced folder, and somebody else may have put a `store.py` there."""
    one = GobiServer(tmp_path / "server")
    for name in ("gobi", "store", "handlers", "ops", "sync", "falcon", "gevent", "gunicorn", "gunicorn_conf"):
        for place in (one.folder / f"{name}.py", one.folder / f"{name}.conf.py"):
            place.write_text(f"open({str(tmp_path / 'imported')!r}, 'w').write(__name__)\nraise SystemExit(99)\n")
    one.start()
    one.add_user()
    assert one.stop() == 0
    assert not (tmp_path / "imported").exists()


def test_it_says_where_it_listens_and_only_that(tmp_path: Path) -> None:
    one = GobiServer(tmp_path / "server").start(GOBI_LOG_LEVEL="warning")
    assert one.url.startswith("http://127.0.0.1:")
    assert one.stop() == 0
    (line,) = one.log.splitlines()
    assert line.endswith(f'level=info message="gobi is listening on {one.url}"')


def test_a_stopped_server_leaves_its_metadata_in_one_file(tmp_path: Path) -> None:
    """People copy `metadata.db` of a server that they stopped."""
    server = GobiServer(tmp_path / "server").start()
    server.add_user()
    assert server.stop() == 0
    assert [path.name for path in server.data_dir.glob("metadata.db*")] == ["metadata.db"]


def test_it_listens_on_a_unix_socket(tmp_path: Path) -> None:
    one = GobiServer(tmp_path / "s")
    one._listen = "unix:gobi.sock"
    one.start()
    path = one.folder / "gobi.sock"
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: line.recv(1_000), b""))
    assert received.endswith(b'{"status":"ok"}')
    assert one.stop() == 0


def test_a_listener_for_ipv6_and_ipv4_knows_its_proxy_and_this_machine(tmp_path: Path) -> None:
    """It is told of IPv4 peers as of ::ffff:127.0.0.1."""
    one = GobiServer(tmp_path / "server", GOBI_TRUSTED_PROXIES="127.0.0.1")
    one.add_user()
    one._listen = "[::]:0"
    one.start()
    port = urlsplit(one.url).port
    forwarded = {
        "Host": "gobi.example.org",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "203.0.113.9:41234",
        "Origin": "https://gobi.example.org",
    }

    def ask(method: str, path: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            return answer

    assert ask("GET", "/metrics", {}).status == 200
    assert ask("GET", "/metrics", forwarded).status == 404
    wrong = base64.b64encode(b"me:wrong").decode()
    assert ask("GET", "/v1/vaults", forwarded | {"Authorization": f"Basic {wrong}"}).status == 401
    right = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    session = ask("POST", "/v1/session", forwarded | {"Authorization": f"Basic {right}"})
    assert session.status in (200, 204)
    assert "Secure" in (session.getheader("Set-Cookie") or "")
    assert one.stop() == 0
    assert "from 203.0.113.9" in one.log


def on_socket(folder: Path, **settings: str) -> tuple[GobiServer, Path]:
    one = GobiServer(folder)
    one._listen = "unix:gobi.sock"
    return one.start(**settings), one.folder / "gobi.sock"


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: line.recv(1_000), b"")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("settings", "mode"), [({}, 0o660), ({"GOBI_SOCKET_MODE": "0666"}, 0o666)])
def test_a_unix_socket_is_open_to_its_group_or_to_whom_the_settings_say(
    tmp_path: Path, settings: dict[str, str], mode: int
) -> None:
    one, path = on_socket(tmp_path / "s", **settings)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stat.S_IMODE((one.data_dir / "metadata.db").stat().st_mode) == 0o600
    assert one.stop() == 0
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give it to any group")
@pytest.mark.parametrize("group", ["nogroup", "65534"])
def test_a_unix_socket_has_the_group_that_the_settings_name(tmp_path: Path, group: str) -> None:
    one, path = on_socket(tmp_path / "s", GOBI_SOCKET_GROUP=group)
    assert path.stat().st_gid == 65534
    one.close()


def test_a_socket_on_which_another_server_answers_is_left_alone(tmp_path: Path) -> None:
    one, path = on_socket(tmp_path / "s")
    second = GobiServer(tmp_path / "second")
    second._listen = f"unix:{path}"
    done = second.gobi("serve")
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert "GOBI_LISTEN" in done.stderr
    assert answers(path)
    one.close()


def test_a_socket_that_a_killed_server_left_is_replaced(tmp_path: Path) -> None:
    one, path = on_socket(tmp_path / "s")
    one.kill9()
    assert path.exists()
    one.start()
    assert answers(path)
    one.close()


def test_a_file_in_the_place_of_the_socket_is_kept(tmp_path: Path) -> None:
    one = GobiServer(tmp_path / "s")
    one._listen = "unix:gobi.sock"
    (one.folder / "gobi.sock").write_text("mine")
    done = one.gobi("serve")
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert "GOBI_LISTEN" in done.stderr
    assert (one.folder / "gobi.sock").read_text() == "mine"


def test_a_socket_whose_name_is_too_long_is_said(tmp_path: Path) -> None:
    one = GobiServer(tmp_path / "s")
    one._listen = f"unix:{one.folder}/{'a' * 120}.sock"
    done = one.gobi("serve")
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert "107" in done.stderr


@pytest.mark.parametrize("listen", ["nohost.invalid:8787", "255.1.1.1:8787", "198.51.100.1:8787"])
def test_an_address_that_cannot_be_listened_on_is_named_at_once(tmp_path: Path, listen: str) -> None:
    one = GobiServer(tmp_path / "s")
    one._listen = listen
    done = one.gobi("serve")
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert "GOBI_LISTEN" in done.stderr


def test_an_address_in_use_is_named_at_once(server: GobiServer, tmp_path: Path) -> None:
    second = GobiServer(tmp_path / "second")
    second._listen = server.url.removeprefix("http://")
    done = second.gobi("serve")
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert second._listen in done.stderr


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    one = GobiServer(tmp_path / "server")
    one._env = {"GOBI_TLS_CERT": "/etc/hostname", "GOBI_TLS_KEY": "/nonexistent"}
    done = one.gobi("serve")
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert "GOBI_TLS_CERT" in done.stderr


def test_a_misspelt_setting_is_told_and_the_server_runs(tmp_path: Path) -> None:
    one = GobiServer(tmp_path / "server").start(GOBI_DATADIR="/x")
    assert "GOBI_DATADIR" in one.log
    one.close()


def test_leftovers_of_old_uploads_are_swept_and_younger_ones_stay(tmp_path: Path) -> None:
    one = GobiServer(tmp_path / "server").start()
    folder = one.data_dir / "bodies" / "tmp"
    one.kill9()
    for name, age in (("old", LEFTOVER_S + 60), ("young", 60)):
        (folder / name).write_bytes(b"begun")
        os.utime(folder / name, times=(time.time() - age,) * 2)
    one.start()
    assert os.listdir(folder) == ["young"]
    one.close()


def test_everything_it_writes_is_its_own(server: GobiServer) -> None:
    assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700
    for path in server.data_dir.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_worker_that_dies_is_replaced(server: GobiServer) -> None:
    import signal

    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    (first,) = children.read_text().split()
    os.kill(int(first), signal.SIGKILL)
    with socket.create_connection(server.address, timeout=30) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert line.recv(12) == b"HTTP/1.1 200"
    assert children.read_text().split() != [first]


@pytest.mark.parametrize("format", ["logfmt", "json"])
def test_the_log_is_one_line_an_entry_whatever_strangers_send(tmp_path: Path, format: str) -> None:
    import base64
    import http.client

    one = GobiServer(tmp_path / "server").start(GOBI_LOG_FORMAT=format)
    connection = http.client.HTTPConnection(*one.address)
    name = base64.b64encode(b'evil\nlevel=info message="all is well"\x1b[31m:x').decode()
    connection.request("GET", "/v1/vaults", headers={"Authorization": f"Basic {name}"})
    assert connection.getresponse().status == 401
    connection.close()
    wait_until(lambda: one.log.count("\n") == 3, "that it listens, the wrong password, and the request")
    one.close()
    lines = one.log.splitlines()
    assert "\x1b" not in one.log
    assert all(line.startswith('{"time"' if format == "json" else "time=") for line in lines)
