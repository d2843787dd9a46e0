"""What `gobi doctor` says of a MongoDB that it cannot talk to."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pymongo.errors import AutoReconnect

from ops.doctor import exit_code
from store import mongo_check, mongo_reach
from tests.mongo_proxy import MongoProxy
from tests.ops.looking import look, wrong
from tests.services import Mongod, ReplicaSet, free_port, wait_until

pytestmark = pytest.mark.usefixtures("impatient")


def test_nothing_listens() -> None:
    found = look(f"mongodb://127.0.0.1:{free_port()}/")
    assert "nothing listens on 127.0.0.1" in wrong(found).text
    assert exit_code(found) == 69


@pytest.mark.parametrize("uri", ["mongodb://nothing.invalid/", "mongodb+srv://nothing.invalid/"])
def test_a_name_that_there_is_not(uri: str) -> None:
    found = look(uri)
    assert "nothing.invalid" in wrong(found).text
    assert "DNS" in wrong(found).advice
    assert exit_code(found) == 69


def test_it_hangs_and_doctor_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    mongod = Mongod(tmp_path / "mongod").start()
    try:
        mongod.pause()
        start = time.monotonic()
        found = look(f"mongodb://{mongod.host}/?replicaSet=gobi")
        assert time.monotonic() - start < 10
    finally:
        mongod.kill9()
    assert "accepts connections and does not answer" in wrong(found).text
    assert exit_code(found) == 69


def test_it_hangs_half_way(proxy: MongoProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_check, "IN_ALL_S", 1.0)
    proxy.delay_s = 0.02

    def stall_after_the_write() -> None:
        wait_until(lambda: "insert" in proxy.commands, "a write")
        proxy.stall()

    watch = threading.Thread(target=stall_after_the_write)
    watch.start()
    start = time.monotonic()
    found = look(proxy.uri)
    assert time.monotonic() - start < mongo_reach.COMMAND_S
    watch.join()
    assert "did not answer in time" in wrong(found).text
    assert exit_code(found) == 69


def test_the_set_calls_its_member_what_nobody_knows_here() -> None:
    found = mongo_reach._silent(("a1b2c3.invalid", 27017), AutoReconnect("away"), named=False)
    assert "calls a member a1b2c3.invalid:27017" in found.text
    assert "directConnection=true" in found.advice


# -- TLS


@pytest.fixture
def atlas() -> Iterator[int]:
    """The port of one that does what Atlas does to addresses that are not on its list: a fatal alert instead of TLS."""
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with closing(connection):
                connection.recv(4096)
                connection.sendall(bytes.fromhex("1503030002 0250"))  # alert: fatal, internal error

    thread = threading.Thread(target=refuse)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def test_atlas_does_not_know_this_address(atlas: int) -> None:
    found = look(f"mongodb://127.0.0.1:{atlas}/?tls=true")
    assert "breaks off the TLS handshake" in wrong(found).text
    assert "Network Access" in wrong(found).advice
    assert exit_code(found) == 69


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """A mongod that wants TLS, with a certificate for `localhost` that nobody signed: `cert.pem` in its folder."""
    folder = tmp_path_factory.mktemp("tls")
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(["openssl", *request], check=True, capture_output=True)
    (folder / "both.pem").write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    one = Encrypted(folder, None, "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(folder / "both.pem"))
    one.start()
    yield one
    one.kill9()


class Encrypted(Mongod):
    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def test_it_wants_tls(encrypted: Mongod) -> None:
    found = look(f"mongodb://{encrypted.host}/")
    assert "tls=true" in wrong(found).advice
    assert exit_code(found) == 69


def test_it_does_not_know_tls(mongo: ReplicaSet) -> None:
    found = look(f"{mongo.uri}&tls=true")
    assert "take tls=true out" in wrong(found).advice
    assert exit_code(found) == 69


@pytest.mark.parametrize(
    ("host", "options", "advice"),
    [("localhost", "", "tlsCAFile=FILE"), ("127.0.0.1", "&tlsCAFile={folder}/cert.pem", "use a name")],
)
def test_its_certificate_does_not_hold(encrypted: Mongod, host: str, options: str, advice: str) -> None:
    found = look(f"mongodb://{host}:{encrypted.port}/?tls=true{options.format(folder=encrypted.folder)}")
    assert "certificate" in wrong(found).text
    assert advice in wrong(found).advice


# -- the address


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("mongodb://me:a:b@127.0.0.1/", "%3A"),
        ("mongodb://me:a/b@127.0.0.1/", "%2F"),
        ("mongodb://127.0.0.1/?tls=true&tlsCAFile=/nonexistent", "a file that this user may read"),
        ("mongodb://127.0.0.1:port/", "use an address like"),
    ],
)
def test_an_address_that_cannot_be_used(uri: str, said: str) -> None:
    found = look(uri)
    assert said in wrong(found).advice
    assert exit_code(found) == 78


def test_an_option_that_there_is_not_is_a_warning(mongo: ReplicaSet, prepared: str) -> None:
    (one,) = [one for one in look(f"{mongo.uri}&colour=blue", prepared) if one.level != "ok"]
    assert (one.level, "Unknown option" in one.text) == ("warning", True)
