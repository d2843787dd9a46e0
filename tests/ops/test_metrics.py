"""/metrics of real servers: what a run did is what all workers together counted."""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from tests.live.peer import Vault, basic, workers
from tests.server import GobiServer
from tests.services import Redis, wait_until

merge: Any = MultiProcessCollector.merge
FILES, SIZE = 60, 1_000
LISTED = "/v1/vaults/{vault}/files/{path}"

Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


def numbers(server: GobiServer) -> Numbers:
    with urllib.request.urlopen(server.url + "/metrics", timeout=30) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def one(found: Numbers, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0)


def folder(server: GobiServer) -> Path:
    (found,) = Path("/dev/shm").glob(f"gobi-metrics-{server.pid}-*")
    return found


needs_shm = pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="this machine has no /dev/shm")


@pytest.fixture
def start(tmp_path: Path, redis_server: Redis) -> Iterator[Callable[[int], GobiServer]]:
    """Starts a server with that many workers."""
    server = GobiServer(tmp_path / "server")

    def run(workers: int) -> GobiServer:
        settings = {"GOBI_WORKERS": str(workers), "GOBI_MONGO_DB": f"metrics_{secrets.token_hex(4)}"}
        server.start(GOBI_REDIS_URL=redis_server.url, **settings)
        server.add_user()
        return server

    yield run
    server.close()


@pytest.mark.parametrize("processes", [1, 4])
def test_what_all_workers_counted_adds_up_to_what_was_done(start: Callable[[int], GobiServer], processes: int) -> None:
    server = start(processes)
    vault = Vault(server)
    body = bytes(SIZE)

    def write_and_read(number: int) -> None:
        vault.put(f"{number}.bin", body, If_None_Match="*")
        request = urllib.request.Request(
            f"{server.url}{vault.url}/files/{number}.bin", headers={"Authorization": basic()}
        )
        with urllib.request.urlopen(request) as answer:
            assert len(answer.read()) == SIZE

    before = numbers(server)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write_and_read, range(FILES)))
    with pytest.raises(urllib.error.HTTPError) as stale:
        vault.put("0.bin", b"another", If_None_Match="*")
    stale.value.close()
    found = numbers(server)

    assert one(found, "gobi_http_requests_total", method="PUT", route=LISTED, status="201") == FILES
    assert one(found, "gobi_http_requests_total", method="PUT", route=LISTED, status="412") == 1
    assert one(found, "gobi_http_requests_total", method="GET", route=LISTED, status="200") == FILES
    assert one(found, "gobi_http_request_seconds_count", method="PUT", route=LISTED) == FILES + 1
    assert one(found, "gobi_http_request_seconds_bucket", method="PUT", route=LISTED, le="+Inf") == FILES + 1
    assert one(found, "gobi_http_received_bytes_total") in (FILES * SIZE, FILES * SIZE + 7)  # it may be refused unread
    sent = one(found, "gobi_http_sent_bytes_total") - one(before, "gobi_http_sent_bytes_total")
    assert FILES * SIZE < sent < FILES * (SIZE + 1_000) + 20_000
    assert one(found, "gobi_commit_versions_sum") == FILES
    assert 1 <= one(found, "gobi_commit_versions_count") <= FILES
    assert one(found, "gobi_committed_bytes_total") == FILES * SIZE
    assert one(found, "gobi_database_seconds_count", operation="transact") >= one(found, "gobi_commit_versions_count")
    assert one(found, "gobi_database_seconds_sum", operation="transact") > 0
    assert one(found, "gobi_memory_bytes", process="workers") > processes << 20
    assert one(found, "gobi_memory_bytes", process="master") > 1 << 20
    assert ("gobi_vault_files", frozenset({("vault", vault.name)})) in found


@needs_shm
def test_no_worker_alone_has_all_of_it(start: Callable[[int], GobiServer]) -> None:
    server = start(4)

    def asked(files: list[Path]) -> float:
        return sum(
            float(sample.value)
            for metric in merge([str(file) for file in files])
            for sample in metric.samples
            if dict(sample.labels).get("route") == "/healthz" and sample.name == "gobi_http_requests_total"
        )

    def spread() -> bool:
        urllib.request.urlopen(server.url + "/healthz").close()
        return sum(asked([file]) > 0 for file in folder(server).glob("counter_*.db")) > 1

    wait_until(spread, "a second worker to be asked")
    files = list(folder(server).glob("counter_*.db"))
    total = one(numbers(server), "gobi_http_requests_total", method="GET", route="/healthz", status="200")
    assert max(asked([file]) for file in files) < total == asked(files)


@pytest.mark.parametrize("processes", [1, 4])
def test_live_sockets_are_counted_while_they_are_there(start: Callable[[int], GobiServer], processes: int) -> None:
    server = start(processes)
    vault = Vault(server)
    peers = [vault.greeted() for _ in range(12)]
    wait_until(lambda: one(numbers(server), "gobi_live_sockets") == 12, "twelve sockets")
    for peer in peers[:5]:
        peer.vanish()
    wait_until(lambda: one(numbers(server), "gobi_live_sockets") == 7, "seven sockets")
    live = "/v1/vaults/{vault}/live"
    assert one(numbers(server), "gobi_http_requests_total", method="GET", route=live, status="101") == 12
    vault.close()


@needs_shm
def test_what_a_worker_counted_stays_when_it_is_replaced_and_its_sockets_do_not(
    start: Callable[[int], GobiServer],
) -> None:
    server = start(1)
    vault = Vault(server)
    vault.put("a.md", If_None_Match="*")
    vault.greeted()
    wait_until(lambda: one(numbers(server), "gobi_live_sockets") == 1, "the socket")
    (first,) = workers(server)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: workers(server) not in ([first], []), "another worker")
    vault.put("b.md", If_None_Match="*")
    wait_until(lambda: one(numbers(server), "gobi_live_sockets") == 0, "the socket to be forgotten")
    assert one(numbers(server), "gobi_commit_versions_sum") == 2
    vault.close()


@needs_shm
def test_nothing_of_it_stays_behind_and_what_a_killed_server_left_goes_with_the_next(
    start: Callable[[int], GobiServer],
) -> None:
    server = start(1)
    left = folder(server)
    server.kill9()
    assert left.exists()
    server.start()
    assert not left.exists()
    own = folder(server)
    assert own.stat().st_mode & 0o077 == 0
    assert server.stop() == 0
    assert not own.exists()


def test_methods_of_a_strangers_invention_are_counted_as_one(server: GobiServer) -> None:
    for number in range(3):
        line = http.client.HTTPConnection(*server.address, timeout=30)
        line.request(f"INVENTED{number}", "/healthz")
        assert line.getresponse().status >= 400
        line.close()
    strange = [labels for name, labels in numbers(server) if "INVENTED" in str(labels) or ("method", "other") in labels]
    assert {dict(labels)["method"] for labels in strange} == {"other"}


def test_under_systemd_it_is_in_the_services_own_folder(server: GobiServer, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    server.restart(RUNTIME_DIRECTORY=str(run))
    wait_until(lambda: bool(list((run / "metrics").glob("counter_*.db"))), "the worker's files")
    assert server.stop() == 0
    assert list(run.iterdir()) == []
