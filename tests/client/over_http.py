"""A vault on running servers, and machines in this process that reach it as the real client does: over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count, cycle
from typing import BinaryIO

import psutil

from client.connection import Connection
from client.http import HttpTransport
from client.ports import Pushed, SyncAnswer
from store.bodies import DiskBodies
from sync.model import Change, Json, Version
from tests.client.one_vault import OneVault
from tests.client.overheard import Overheard
from tests.deployments import Deployment
from tests.server import PASSWORD, USER, GobiServer
from tests.services import wait_until


class Lines:
    """For each device a connection to every worker of every server, kept from one vault to the next.

    A connection stays with the worker that took it: a machine with a single one would only ever talk to that worker.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._servers = deployment.servers
        self._of: dict[str, list[Connection]] = {}

    def of(self, device: str) -> list[Connection]:
        if device not in self._of:
            self._of[device] = [line for server in self._servers for line in _one_to_each_worker(server, device)]
        return self._of[device]

    def close(self) -> None:
        for line in chain(*self._of.values()):
            line.close()


class SharedVault(OneVault):
    """A new vault on running servers. What is done here beneath the protocol, another worker may have done."""

    _numbers = count(1)

    def __init__(self, deployment: Deployment, lines: Lines) -> None:
        name = f"shared-{next(self._numbers)}"
        super().__init__(deployment.database.open(), DiskBodies(deployment.bodies), name)
        self._lines = lines
        self.registry.create(USER, name, None)

    def transport(self, device: str) -> OverHttp:
        return OverHttp([HttpTransport(line, self.name) for line in self._lines.of(device)])


class OverHttp(Overheard):
    """The real client's requests, each over the next of `lines`."""

    def __init__(self, lines: Sequence[HttpTransport]) -> None:
        super().__init__()
        self._lines = cycle(lines)

    def sync(self, cursor: str, changes: Sequence[Change], last: bool, limit: int) -> SyncAnswer:
        self.reported += changes
        with self._request("sync") as line:
            return line.sync(cursor, changes, last, limit)

    def push(self, changes: Sequence[Change], bodies: dict[str, bytes], keep: bool) -> Pushed:
        self.pushed += changes
        with self._request("push") as line:
            return line.push(changes, bodies, keep)

    def put(self, change: Change, body: BinaryIO, keep: bool) -> Pushed:
        self.pushed.append(change)
        with self._request("put") as line:
            return line.put(change, body, keep)

    def pull(self, wanted: Sequence[Version]) -> Iterator[tuple[Version, Iterator[bytes]]]:
        self.pulled += [version.path for version in wanted]
        with self._request("pull") as line:
            arriving = line.pull(wanted)
            first = next(arriving)  # nothing is asked before
        for version, body in chain([first], arriving):
            self.meddle("body", "before")
            yield version, body

    def get(self, version: Version) -> Iterator[bytes]:
        self.pulled.append(version.path)
        with self._request("get") as line:
            pieces = line.get(version)
            first = next(pieces, b"")  # an empty body comes in no pieces
        for piece in chain([first], pieces):
            self.meddle("body", "before")
            yield piece

    def vault(self) -> Json:
        with self._request("vault") as line:
            return line.vault()

    def conflicts(self) -> list[Json]:
        with self._request("conflicts") as line:
            return line.conflicts()

    def lost(self) -> list[str]:
        with self._request("lost") as line:
            return line.lost()

    def give_back(self, hash: str, size: int, body: BinaryIO) -> None:
        with self._request("give_back") as line:
            line.give_back(hash, size, body)

    @contextmanager
    def _request(self, method: str) -> Iterator[HttpTransport]:
        self.calls.append(method)
        self.meddle(method, "before")
        yield next(self._lines)
        self.meddle(method, "after")


def _one_to_each_worker(server: GobiServer, device: str) -> list[Connection]:
    workers = psutil.Process(server.pid).children()
    reached: dict[int, Connection] = {}

    def dial() -> bool:
        line = Connection(server.url, USER, PASSWORD, device)
        line.json("GET", "/v1/vaults")
        worker = _at_the_other_end(line, workers)
        reached.setdefault(worker, line)
        if reached[worker] is not line:
            line.close()
        return len(reached) == len(workers)

    wait_until(dial, "a connection to each worker")
    return list(reached.values())


def _at_the_other_end(line: Connection, workers: Sequence[psutil.Process]) -> int:
    assert line._http is not None
    ours: int = line._http.sock.getsockname()[1]
    found = [worker.pid for worker in workers if ours in _remote_ports(worker)]
    return found[0]


def _remote_ports(process: psutil.Process) -> set[int]:
    # A listening socket has no other end.
    return {port for one in process.net_connections("tcp") for port in one.raddr[1:2]}
