"""The server is somewhere behind an office's proxy, and has a certificate of its own authority."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machines import House, Machine
from tests.middlemen import ForwardProxy
from tests.server import NAME_BEHIND_PROXIES
from tests.services import wait_until

NAME = NAME_BEHIND_PROXIES


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            *("-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


@pytest.fixture
def behind(house: House) -> Iterator[ForwardProxy]:
    with ForwardProxy(house.servers[0].address) as proxy:
        yield proxy


def stranger(house: House, name: str, proxy: ForwardProxy, scheme: str = "http", **environment: str) -> Machine:
    """A machine that reaches the server through the proxy alone."""
    machine = Machine(house.servers[0], house.vault, house.root, name, f"{scheme}://{NAME}")
    machine.environment = {f"{scheme.upper()}_PROXY": proxy.url, **environment}
    return machine


def test_everything_goes_through_the_proxy_live_too(house: House, laptop: Machine, behind: ForwardProxy) -> None:
    office = stranger(house, "office", behind)
    office.connect("--insecure")
    office.write("a.md", "a")
    office.write("film.mp4", bytes(9_000_000))
    office.sync()
    assert house.live() == {"a.md", "film.mp4"}
    assert ("POST", f"http://{NAME}/v1/vaults/{house.vault}/sync") in behind.asked
    with office.start("watch", str(office.folder)) as watch:
        wait_until(lambda: ("CONNECT", f"{NAME}:80") in behind.asked, "the live socket")
        laptop.write("b.md", "b")
        laptop.sync()
        wait_until(lambda: office.has("b.md"), "the file")
        watch.terminate()


def test_a_proxy_gets_its_password_and_says_so_where_it_does_not(house: House, laptop: Machine) -> None:
    with ForwardProxy(house.servers[0].address, "Basic bWU6cDpz") as proxy:
        office = stranger(house, "office", proxy)
        refused = office.connect("--insecure", code=69)
        assert "wants a user and a password" in refused.err
        office.environment["HTTP_PROXY"] = proxy.url.replace("//", "//me:p%3As@")
        office.connect("--insecure")
        office.sync()
        office.environment["HTTP_PROXY"] = proxy.url.replace("//", "//me:wrong@")
        refused = office.sync(code=69)
        assert "wants a user and a password" in refused.err
        assert "wrong" not in refused.err


def test_a_server_that_needs_no_proxy_is_reached_without(house: House, behind: ForwardProxy) -> None:
    near = stranger(house, "near", behind, NO_PROXY="example.org")
    assert NAME in near.connect("--insecure", code=69).err
    assert behind.asked == []


@pytest.fixture
def tls(own_deployment: object, own_house: House, tmp_path: Path) -> Iterator[tuple[House, Path, ForwardProxy]]:
    cert, key = certificate(tmp_path, NAME)
    server = own_house.servers[0]
    server.restart(GOBI_TLS_CERT=str(cert), GOBI_TLS_KEY=str(key))
    with ForwardProxy(server.address) as proxy:
        yield own_house, cert, proxy


@pytest.mark.parametrize("deployed", ["embedded"], indirect=True)
def test_an_authority_is_remembered_and_encryption_goes_through_the_proxy(
    tls: tuple[House, Path, ForwardProxy], tmp_path: Path
) -> None:
    house, cert, proxy = tls
    office = stranger(house, "office", proxy, "https")
    unknown = office.connect("--create", code=69)
    assert "--ca FILE" in unknown.err
    office.connect("--create", "--ca", str(cert))
    cert.rename(tmp_path / "gone.pem")
    office.write("a.md", "a")
    office.sync()
    office.connect()  # renews the password, and keeps the authority
    office.write("b.md", "b")
    with office.start("watch", str(office.folder)) as watch:
        assert watch.stdout is not None
        while not watch.stdout.readline().startswith("watching"):
            pass
        wait_until(lambda: proxy.asked.count(("CONNECT", f"{NAME}:443")) >= 4, "the live socket")
        watch.terminate()
    assert {method for method, _ in proxy.asked} == {"CONNECT"}
    shutil.copytree(office.folder, house.root / "copy")
    assert office.gobi("sync", str(house.root / "copy")).code == 0
    office.gobi("disconnect", str(office.folder))
    assert office.gobi("sync", str(house.root / "copy")).code == 0
    proxy.closed = 403
    assert "does not let this machine through" in office.gobi("sync", str(house.root / "copy"), code=69).err


@pytest.mark.parametrize("deployed", ["embedded"], indirect=True)
def test_what_is_wrong_with_a_certificate_is_said(tls: tuple[House, Path, ForwardProxy], tmp_path: Path) -> None:
    house, cert, proxy = tls
    office = stranger(house, "office", proxy, "https")
    office.url = "https://other.example.org"
    assert "is for another name" in office.connect("--ca", str(cert), code=69).err
    office.url = f"https://{NAME}"

    der = tmp_path / "ca.der"
    subprocess.run(["openssl", "x509", "-in", cert, "-outform", "der", "-out", der], check=True)
    office.environment["SSL_CERT_FILE"] = str(der)
    assert "not in PEM" in office.connect(code=69).err
    office.environment["SSL_CERT_FILE"] = str(tmp_path / "missing.pem")
    assert "SSL_CERT_FILE names" in office.connect(code=69).err
    del office.environment["SSL_CERT_FILE"]

    assert "is not a certificate" in office.connect("--ca", str(cert.with_suffix(".key")), code=2).err
    assert "cannot be read" in office.connect("--ca", str(tmp_path / "missing.pem"), code=2).err
    both = tmp_path / "both.pem"
    both.write_text(cert.with_suffix(".key").read_text() + cert.read_text())
    office.connect("--create", "--ca", str(both))
    (kept,) = (office.home / ".config" / "gobi" / "authorities").iterdir()
    assert "PRIVATE" not in kept.read_text()
    office.connect("--ca", str(der))
    office.sync()
