"""The container files. No image is built here; what they say is held to what gobi is."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import yaml

from ops import settings
from tests.server import GobiServer

DEPLOY = Path(__file__).resolve().parent.parent.parent / "deploy"
ROOT = DEPLOY.parent
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def instructions(name: str) -> list[str]:
    whole = re.sub(r"\\\n", " ", DOCKERFILE)
    return re.findall(rf"^{name} +(.*)", whole, re.MULTILINE)


def test_every_setting_in_the_container_files_exists_and_has_a_value_that_gobi_takes() -> None:
    image = dict(word.partition("=")[::2] for line in instructions("ENV") for word in shlex.split(line))
    composed = COMPOSE["services"]["gobi"]["environment"]
    variables = {name: value for name, value in {**image, **composed}.items() if name.startswith("GOBI_")}
    assert set(variables) <= set(settings.names())
    found = settings.parse(variables)
    assert found.workers == 2
    assert found.listen == "0.0.0.0:8787"
    commented = re.findall(r"# (GOBI_\w+): (\S+)", (DEPLOY / "compose.yaml").read_text())
    settings.parse(variables | dict(commented))


def test_the_composition_believes_one_proxy_and_no_other_program() -> None:
    """A port of a container has requests of the whole machine come from the network's first address."""
    text = (DEPLOY / "compose.yaml").read_text()
    (trusted,) = re.findall(r"# GOBI_TRUSTED_PROXIES: (\S+)", text)
    (subnet,) = (IPv4Network(one["subnet"]) for one in COMPOSE["networks"]["outside"]["ipam"]["config"])
    assert IPv4Network(trusted).num_addresses == 1
    assert IPv4Network(trusted).subnet_of(subnet)
    assert IPv4Network(trusted)[0] != subnet[1]
    assert f"ipv4_address: {trusted}" in text


def test_the_image_copies_what_there_is_and_all_rooms_of_gobi() -> None:
    copied = {
        word.rstrip("/") for line in instructions("COPY") if not line.startswith("--from") for word in line.split()[:-1]
    }
    assert [one for one in copied if not (ROOT / one).exists()] == []
    assert {"gobi.py", "handlers", "store", "sync", "client", "ops"} <= copied
    kept = {
        line.lstrip("!") for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    assert kept == copied


def test_the_server_has_no_rights_in_the_container_and_keeps_its_data_outside() -> None:
    assert instructions("USER")[-1] == "8787:8787"
    (volume,) = instructions("VOLUME")
    assert f"GOBI_DATA_DIR={volume}" in DOCKERFILE
    service = COMPOSE["services"]["gobi"]
    assert [one.partition(":")[2] for one in service["volumes"]] == [volume]
    assert service["ports"] == ["127.0.0.1:8787:8787"], "passwords in plain text belong on no network"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_nobody_but_the_server_reaches_the_database_and_redis() -> None:
    for name in ("mongo", "redis"):
        assert COMPOSE["services"][name]["networks"] == ["inside"]
        assert "ports" not in COMPOSE["services"][name]
    assert COMPOSE["networks"]["inside"]["internal"] is True
    named = {volume.partition(":")[0] for one in COMPOSE["services"].values() for volume in one.get("volumes", [])}
    assert named == set(COMPOSE["volumes"])


def healthcheck(listen: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DEPLOY / "healthcheck.py")]
    return subprocess.run(command, env={"GOBI_LISTEN": listen}, capture_output=True, text=True)


def test_its_health_is_whether_it_answers(server: GobiServer) -> None:
    for host in ("0.0.0.0", "127.0.0.1", "localhost"):  # noqa: S104  # nothing is bound here
        assert healthcheck(f"{host}:{server.address[1]}").returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    for listen in (f"0.0.0.0:{port}", f"[::1]:{port}", "unix:/nonexistent/gobi.sock"):
        done = healthcheck(listen)
        assert done.returncode == 1
        assert f"{listen} does not answer" in done.stderr
        assert "Traceback" not in done.stderr


def test_its_health_is_asked_on_a_unix_socket_too(tmp_path: Path) -> None:
    one = GobiServer(tmp_path / "s")
    one._listen = "unix:gobi.sock"
    one.start()
    assert healthcheck(f"unix:{one.folder}/gobi.sock").returncode == 0
    one.close()
