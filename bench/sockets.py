"""Live sockets: what an idle one costs, and how long an edit takes to all of them. `python -m bench.sockets`.

Against a real server of one worker on SQLite. A socket's cost is what the worker's memory (PSS) grows by, after each of
them was written to once; what the kernel keeps for a connection is not in it.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

from bench.place import family, pss
from tests.live.peer import Peer, Vault
from tests.server import GobiServer

BUDGET_KIB, BUDGET_MIB, BUDGET_S = 4, 90, 1.0
EDITS = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sockets", description=__doc__)
    parser.add_argument("--idle", type=int, default=5_000, help="sockets whose memory is measured (default: 5000)")
    parser.add_argument("--told", type=int, default=1_000, help="sockets that an edit is sent to (default: 1000)")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="gobi-bench-") as folder:
        server = GobiServer(Path(folder)).start()
        try:
            server.add_user()
            memory(Vault(server), options.idle)
            fan_out(Vault(server), options.told)
        finally:
            server.close()


def memory(vault: Vault, count: int) -> None:
    first = vault.greeted()
    tell(vault, [first], 0)
    before = total_mib(vault)
    peers = [vault.greeted() for _ in range(count)]
    tell(vault, [first, *peers], 1)
    after = total_mib(vault)
    each = (after - before) * 1024 / count
    print(f"{count:,} idle sockets: {each:.1f} KiB each (budget {BUDGET_KIB})")
    print(f"master and worker: {before:.0f} MiB with one, {after:.0f} MiB with all (budget {BUDGET_MIB})")
    vault.close()


def fan_out(vault: Vault, count: int) -> None:
    """From the request to the last of them having read it, this process reading one after another."""
    peers = [vault.greeted() for _ in range(count)]
    took = [tell(vault, peers, number) for number in range(EDITS)]
    middle, worst = statistics.median(took), max(took)
    print(f"an edit to {count:,} sockets: median {middle:.3f} s, worst {worst:.3f} s (budget {BUDGET_S:g})")
    vault.close()


def tell(vault: Vault, peers: list[Peer], number: int) -> float:
    began = time.monotonic()
    vault.put(f"{number}.md")
    for peer in peers:
        assert peer.paths(1) == [f"{number}.md"]
    return time.monotonic() - began


def total_mib(vault: Vault) -> float:
    return sum(pss(pid) for pid in family(vault.server.pid))


if __name__ == "__main__":
    main()
