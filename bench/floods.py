"""What floods do to a server: `python -m bench.floods`.

Each of them against a real server of one worker on SQLite, made for it. Meanwhile somebody who has signed in asks for a
listing, by a new connection each time. What counts is by how much the slowest of these takes longer than they usually
do without the flood, and the highest memory (PSS) of the server's processes. Floods run in processes of their own, of a
low priority, because those who send them do not share the server's processors.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import itertools
import json
import multiprocessing
import os
import random
import resource
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from bench.place import family, pss
from tests.live.peer import basic
from tests.server import GobiServer
from tests.store.world import parcel

BUDGET_S, BUDGET_MIB = 0.25, 128.0
VAULT = "/v1/vaults/notes"
PROXY = {"GOBI_TRUSTED_PROXIES": "127.0.0.1"}  # names the addresses that strangers have
QUIET_S, PAUSE_S = 3.0, 0.02
CONNECTIONS_A_SECOND = 200  # that a flood opens, at first and for those that the server has closed


@dataclass(frozen=True, slots=True)
class Target:
    """A server, as a flood's process knows it."""

    address: tuple[str, int]
    stop: Any

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """Status and body of an answer, as the server's user; 0 where there is none."""
        line = http.client.HTTPConnection(*self.address, timeout=60)
        sent = {"Authorization": basic()} | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            line.request(method, path, body, sent)
            answer = line.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            line.close()

    def connect(self) -> socket.socket | None:
        line = socket.socket()
        line.setblocking(False)
        with suppress(BlockingIOError):
            line.connect(self.address)
        return line


# -- floods of strangers


def slow_bodies(target: Target) -> None:
    """1,000 uses of an invitation of which a byte comes now and then, by connections that are made again and again."""
    head = b"POST /v1/invitations/redeem HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n"
    _hold(target, 1_000, head, b" ")


def silent_connections(target: Target) -> None:
    """2,000 connections by which nothing is asked, made again and again."""
    _hold(target, 2_000, b"", b"")


def _hold(target: Target, count: int, head: bytes, piece: bytes) -> None:
    lines: list[socket.socket | None] = [None] * count
    fresh = [True] * count
    pause_s = 0.1
    for turn in itertools.count():
        if target.stop.wait(pause_s):
            return
        left = CONNECTIONS_A_SECOND * pause_s
        for number, line in enumerate(lines):
            if line is None:
                if left > 0:
                    left -= 1
                    lines[number], fresh[number] = target.connect(), True
                continue
            try:
                data = head if fresh[number] else piece
                if data and (fresh[number] or turn % 20 == number % 20):  # each sends a byte every two seconds
                    line.send(data)
                fresh[number] = False
                if line.recv(4096) == b"":
                    raise ConnectionResetError
            except BlockingIOError:
                continue
            except OSError:
                line.close()
                lines[number] = None


def wrong_passwords(target: Target) -> None:
    """From 200 networks at once, each guessing at another user once a second."""
    _at_once(target, 200, lambda number: _guess(target, number, f"user{random.randrange(1_000)}"), pause_s=1)


def long_names(target: Target) -> None:
    """Wrong passwords for names of 4,000 letters, up to 600 a second, each from a network of its own."""
    numbers = iter(range(1 << 30))
    _at_once(target, 60, lambda _: _guess(target, next(numbers), f"{random.getrandbits(64):x}" * 250), pause_s=0.1)


def _guess(target: Target, network: int, user: str) -> None:
    address = f"10.{network >> 16 & 255}.{network >> 8 & 255}.{network & 255}"
    credentials = basic(user, f"{random.getrandbits(64):x}")
    target.ask("GET", "/v1/vaults", Authorization=credentials, X_Forwarded_For=address)


# -- floods of members


def candidates(target: Target) -> None:
    """One push of 1,500 candidates for one path, again and again."""
    number = 0
    while not target.stop.is_set():
        number += 1
        path = f"disputed-{number}.md"
        _, answer = target.ask("PUT", f"{VAULT}/files/{path}", b"first", If_None_Match="*")
        base = json.loads(answer)["stamp"]
        target.ask("PUT", f"{VAULT}/files/{path}", b"second", If_Match=f'"{base}"')
        bodies = [b"candidate %d" % one for one in range(1_500)]
        changes = [_edit(path, body, base) for body in bodies]
        data = parcel(changes, [(path, body) for body in bodies])
        status, _ = target.ask("POST", f"{VAULT}/push?on_conflict=keep", data)
        if status != 200:
            raise SystemExit(f"the push of candidates is answered by {status}")


def _edit(path: str, body: bytes, base: int) -> dict[str, Any]:
    found = hashlib.sha256(body).hexdigest()
    return {"path": path, "kind": "put", "base": base, "hash": found, "size": len(body), "mtime": 1_000_000}


def merges(target: Target) -> None:
    """30 merges at once of a text of 49,000 lines with another, again and again."""
    lines = [f"line {random.getrandbits(32):x}\n" for _ in range(49_000)]
    texts = []
    for every in (0, 3, 5):
        changed = [f"other {number}\n" if every and number % every == 1 else line for number, line in enumerate(lines)]
        texts.append("".join(changed).encode()[: (1 << 20) - 1])
    _, answer = target.ask("PUT", f"{VAULT}/files/long.md", texts[0], If_None_Match="*")
    base = json.loads(answer)["stamp"]
    target.ask("PUT", f"{VAULT}/files/long.md", texts[1], If_Match=f'"{base}"')
    target.ask("PUT", f"{VAULT}/files/long.md?on_conflict=keep", texts[2], If_Match=f'"{base}"', Gobi_Device="other")
    _, answer = target.ask("GET", f"{VAULT}/conflicts")
    (conflict,) = json.loads(answer)["conflicts"]
    _at_once(target, 30, lambda _: target.ask("GET", f"{VAULT}/conflicts/{conflict['id']}/merge"))


def uploads(target: Target) -> None:
    """500 uploads of a MiB at once, again and again."""
    body = os.urandom(1 << 20)
    numbers = iter(range(1 << 30))

    def upload(_: int) -> None:
        name = f"upload-{next(numbers)}.bin"
        target.ask("PUT", f"{VAULT}/files/{quote(name)}", name.encode() + body, If_None_Match="*")

    _at_once(target, 500, upload)


def _at_once(target: Target, count: int, act: Callable[[int], object], pause_s: float = 0) -> None:
    def again(number: int) -> None:
        act(number)
        while not target.stop.wait(pause_s):
            act(number)

    with ThreadPoolExecutor(count) as threads:
        for done in [threads.submit(again, number) for number in range(count)]:
            done.result()


# -- what is measured


FLOODS: dict[str, tuple[Callable[[Target], None], dict[str, str]]] = {
    "slow-bodies": (slow_bodies, {}),
    "silent-connections": (silent_connections, {}),
    "wrong-passwords": (wrong_passwords, PROXY),
    "long-names": (long_names, PROXY),
    "candidates": (candidates, {}),
    "merges": (merges, {}),
    "uploads": (uploads, {}),
}


class Watch:
    """Somebody who has signed in asks, and the server's memory is looked at, until the end of the block."""

    def __init__(self, server: GobiServer, target: Target) -> None:
        self.seconds: list[float] = []
        self.alone: list[
            float
        ] = []  # the same without the waits for a processor, which others on this machine may have
        self.failed = 0
        self.mib = 0.0
        self._server = server
        self._target = target
        self._worker = max(family(server.pid))
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask), threading.Thread(target=self._look)]

    def _ask(self) -> None:
        while not self._over.wait(PAUSE_S):
            began, queued = time.monotonic(), self._queued()
            status, _ = self._target.ask("GET", f"{VAULT}/files?limit=10")
            taken = time.monotonic() - began
            self.seconds.append(taken)
            self.alone.append(max(0.0, taken - (self._queued() - queued)))
            self.failed += status != 200

    def _queued(self) -> float:
        """Seconds for which the server's loop and this thread were ready to run and had no processor."""
        places = [f"/proc/{self._worker}/task/{self._worker}/schedstat", "/proc/thread-self/schedstat"]
        return sum(int(Path(place).read_text().split()[1]) for place in places) / 1e9

    def _look(self) -> None:
        while not self._over.wait(0.2):
            self.mib = max(self.mib, sum(pss(pid) for pid in family(self._server.pid)))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def _run(flood: Callable[[Target], None], target: Target) -> None:
    os.nice(10)
    flood(target)


def measure(name: str, seconds: float) -> bool:
    """Prints a line of a table; False where a budget is not kept."""
    flood, settings = FLOODS[name]
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="gobi-bench-") as folder:
        server = GobiServer(Path(folder))
        server.add_user()
        server.start(**settings)
        try:
            target = Target(server.address, context.Event())
            assert target.ask("PUT", VAULT)[0] == 201
            assert target.ask("PUT", f"{VAULT}/files/a.md", b"text", If_None_Match="*")[0] == 201
            with Watch(server, target) as before:
                time.sleep(QUIET_S)
            process = context.Process(target=_run, args=(flood, target))
            process.start()
            with Watch(server, target) as during:
                process.join(seconds)
                target.stop.set()
            process.join(90)
            if process.is_alive():
                process.kill()
        finally:
            server.close()
    usual, worst = statistics.median(before.seconds), max(during.seconds)
    kept = worst - usual <= BUDGET_S and during.mib < BUDGET_MIB and not during.failed and process.exitcode == 0
    alone = max(during.alone) - statistics.median(before.alone)
    figures = [usual, max(before.seconds), statistics.median(during.seconds), worst, worst - usual, alone]
    cells = [name, *(f"{figure:.3f}" for figure in figures), f"{during.failed} of {len(during.seconds)}"]
    print("|", " | ".join([*cells, f"{during.mib:.0f}", "yes" if kept else "NO"]), "|", flush=True)
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.floods", description=__doc__)
    parser.add_argument("floods", nargs="*", default=list(FLOODS), help=f"of {', '.join(FLOODS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=20, help="how long each lasts (default: 20)")
    options = parser.parse_args()
    for name in options.floods:
        if name not in FLOODS:
            parser.error(f"{name} is none of {', '.join(FLOODS)}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    columns = [
        *("flood", "usual GET, s", "worst before", "median meanwhile", "worst meanwhile", "more"),
        *("more, but for waits for a processor", "failed", "peak PSS, MiB"),
        f"at most {BUDGET_S} s more, under {BUDGET_MIB:.0f} MiB",
    ]
    print("|", " | ".join(columns), "|")
    print("|---" * len(columns) + "|", flush=True)
    kept = [measure(name, options.seconds) for name in options.floods]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
