"""The certificate and the key: at the start, at a renewal, when the renewal goes wrong, and when it is forgotten."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import tls
from ops.settings import Settings
from tests.ops.looking import doctor
from tests.server import GobiServer
from tests.services import wait_until

DAY_S = 24 * 3600
NEW_KEY = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
NAMES = ("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")


class Files:
    """What the settings name; `put` is a renewal."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.certificate, self.key = folder / "live.pem", folder / "live.key"

    def make(self, name: str, days: int = 30) -> str:
        where = ("-keyout", f"{self._folder}/{name}.key", "-out", f"{self._folder}/{name}.pem")
        command = [*NEW_KEY, "-days", str(days), "-subj", f"/CN={name}", *NAMES, *where]
        subprocess.run(command, check=True, capture_output=True)
        return name

    def put(self, certificate: str, key: str) -> None:
        self.certificate.write_bytes((self._folder / f"{certificate}.pem").read_bytes())
        self.key.write_bytes((self._folder / f"{key}.key").read_bytes())

    @property
    def settings(self) -> dict[str, str]:
        return {"GOBI_TLS_CERT": str(self.certificate), "GOBI_TLS_KEY": str(self.key)}

    def load(self) -> tls.Certificate:
        found = tls.load(Settings(data_dir=self._folder, tls_cert=self.certificate, tls_key=self.key))
        assert found is not None
        return found


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path / "tls")
    made.make("one")
    made.make("two")
    made.put("one", "one")
    return made


@pytest.fixture
def secure(files: Files, tmp_path: Path) -> Iterator[GobiServer]:
    server = GobiServer(tmp_path / "server").start(**files.settings)
    yield server
    server.close()


def served(server: GobiServer) -> str:
    """What it shows now, in PEM."""
    return ssl.get_server_certificate(server.address)


def workers(server: GobiServer) -> list[str]:
    return Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()


def reload(server: GobiServer) -> None:
    """Returns when every worker is a new one."""
    before = set(workers(server))
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: bool(workers(server)) and not before & set(workers(server)), "new workers")


def pem(files: Files, name: str) -> str:
    return (files.certificate.parent / f"{name}.pem").read_text()


def test_a_renewed_certificate_is_taken_at_a_reload_and_not_before(secure: GobiServer, files: Files) -> None:
    files.put("two", "two")
    assert served(secure) == pem(files, "one")
    reload(secure)
    assert served(secure) == pem(files, "two")
    assert secure.log.count("level=error") == 0


@pytest.mark.parametrize("spoiled", ["the key of another", "no key", "no certificate", "half a certificate"])
def test_what_cannot_be_used_at_a_reload_is_one_line_and_the_server_goes_on(
    secure: GobiServer, files: Files, spoiled: str
) -> None:
    if spoiled == "the key of another":
        files.put("two", "one")
    elif spoiled == "half a certificate":
        files.certificate.write_text(pem(files, "two")[:300])
    else:
        (files.key if spoiled == "no key" else files.certificate).unlink()
    reload(secure)
    assert served(secure) == pem(files, "one")
    (line,) = [line for line in secure.log.splitlines() if "level=error" in line]
    assert "GOBI_TLS_CERT and GOBI_TLS_KEY" in line
    assert "goes on with the certificate that it had" in line
    assert "Traceback" not in secure.log
    files.put("two", "two")  # the renewal goes on, and nobody says so
    wait_until(lambda: served(secure) == pem(files, "two"), "the new certificate")


def test_a_worker_that_dies_while_the_files_do_not_fit_is_replaced_by_one_that_serves(
    secure: GobiServer, files: Files
) -> None:
    files.put("two", "one")
    first = workers(secure)
    os.kill(int(first[0]), signal.SIGKILL)
    wait_until(lambda: workers(secure) not in ([], first), "another worker")
    second = workers(secure)
    assert served(secure) == pem(files, "one")
    assert workers(secure) == second
    assert "Traceback" not in secure.log


# -- its time


def test_the_time_of_a_certificate_is_what_openssl_says(files: Files) -> None:
    for days in (1, 30, 36_500):  # before and after 2050 it is written otherwise
        files.put(files.make("other", days), "other")
        told = subprocess.run(
            ["openssl", "x509", "-in", files.certificate, "-noout", "-startdate", "-enddate"],
            check=True,
            capture_output=True,
            text=True,
        )
        begins, expires = (ssl.cert_time_to_seconds(line.partition("=")[2]) for line in told.stdout.splitlines())
        found = files.load()
        assert (found.begins, found.expires) == (begins, expires)


def test_of_a_chain_that_part_counts_which_expires_first(files: Files) -> None:
    soon = files.make("soon", 3)
    files.put("one", "one")
    files.certificate.write_text(pem(files, "one") + pem(files, soon))
    assert files.load().expires < time.time() + 4 * DAY_S


@pytest.mark.parametrize(
    ("days", "later_days", "level", "said"),
    [
        (90, 0, "ok", "until 20"),
        (90, 70, "ok", "until 20"),
        (90, 80, "warning", "expires in 10 days"),
        (90, 91, "wrong", "expired"),
        (6, 3, "ok", "until 20"),
        (6, 5, "warning", "expires in 24 hours"),
        (90, -1, "wrong", "not valid for another"),
    ],
)
def test_a_certificate_near_its_end_is_warned_of(
    files: Files, days: int, later_days: int, level: str, said: str
) -> None:
    files.put(files.make("short", days), "short")
    certificate = files.load()
    finding = certificate.finding(certificate.begins + later_days * DAY_S)
    assert finding.level == level
    assert said in finding.text
    assert (level == "ok") == (finding.advice == "")


def test_the_log_warns_of_it(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    serving = tls.Serving()
    serving.current = files.load()
    serving.tell(time.time())
    assert caplog.records == []
    serving.tell(time.time() + 25 * DAY_S)
    serving.tell(time.time() + 31 * DAY_S)
    assert [one.levelname for one in caplog.records] == ["WARNING", "ERROR"]
    assert "systemctl reload gobi" in caplog.text


def test_an_expired_certificate_is_said_by_the_server_and_by_doctor(
    files: Files, offline: GobiServer, tmp_path: Path
) -> None:
    expire(files, tmp_path / "ca")
    offline.add_user()
    report = doctor(offline, **files.settings)
    assert report.exit_code == 1
    assert "expired" in report.told("wrong", "https")
    offline.start()
    wait_until(lambda: "expired" in offline.log, "the log to say so")
    assert offline.log.count("level=error") == 1
    offline.close()


def expire(files: Files, folder: Path) -> None:
    """The live certificate becomes one of 2020, with the same key."""
    folder.mkdir()
    (folder / "index").touch()
    (folder / "serial").write_text("01\n")
    (folder / "conf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nserial={folder}/serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n[req]\ndistinguished_name=n\n[n]\n"
    )
    key = str(files.key)
    request = ["openssl", "req", "-new", "-config", f"{folder}/conf", "-key", key, "-subj", "/CN=localhost"]
    subprocess.run([*request, "-out", f"{folder}/csr"], check=True, capture_output=True)
    sign = ["openssl", "ca", "-batch", "-config", f"{folder}/conf", "-selfsign", "-keyfile", key, "-notext"]
    times = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"]
    command = [*sign, *times, "-in", f"{folder}/csr", "-out", str(files.certificate)]
    subprocess.run(command, check=True, capture_output=True)


def test_the_end_of_the_certificate_is_measured(secure: GobiServer, files: Files) -> None:
    import http.client

    context = ssl.create_default_context(cafile=files.certificate)
    connection = http.client.HTTPSConnection("localhost", secure.address[1], context=context)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    (line,) = [line for line in text.splitlines() if line.startswith("gobi_certificate_expiry_timestamp_seconds ")]
    assert float(line.split()[1]) == files.load().expires


def test_nothing_older_than_tls_1_2_is_spoken(files: Files) -> None:
    """By the server, and by the client with a server that would."""
    from client import trust

    assert files.load().context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert trust.context_for(None).minimum_version >= ssl.TLSVersion.TLSv1_2
