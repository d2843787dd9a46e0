"""gobi on MongoDB: bytes a version, commands a request, and a database that is far away. `python -m bench.database`.

Against a real mongod of its own, in a temporary folder. The budgets are a free cluster's: 512 MB counted as
uncompressed documents and indexes, 100 commands a second, 20 to 100 ms away.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymongo

from bench.vault import make_vault
from store.base import Totals, Transaction
from store.mongo import MongoMetadata
from sync.model import Version
from tests.e2e.machines import House, in_step
from tests.mongo_proxy import MongoProxy
from tests.server import GobiServer
from tests.services import ReplicaSet

QUOTA = 512 * 1_000_000
BUDGET_BYTES = 280
DELAY_S, COMMANDS_PER_S = 0.05, 100


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.database", description=__doc__)
    parser.add_argument("--versions", type=int, default=300_000, help="how many versions to store (default: 300000)")
    parser.add_argument("--notes", type=int, default=10_000, help="notes in the far-away vault (default: 10000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gobi-bench-") as folder:
        mongo = ReplicaSet(Path(folder) / "mongo").start()
        try:
            bytes_a_version(mongo, options.versions)
            far_away(mongo, Path(folder), options.notes, delay_s=0, commands_per_s=None)
            far_away(mongo, Path(folder), options.notes, delay_s=DELAY_S, commands_per_s=COMMANDS_PER_S)
        finally:
            mongo.stop()


# -- room


def bytes_a_version(mongo: ReplicaSet, count: int) -> None:
    """Notes in folders, each edited ten times on average, by two devices of one person."""
    metadata = MongoMetadata(mongo.uri, "room")
    metadata.prepare()
    metadata.add_user("someone", "")
    vault = metadata.create_vault("notes", "someone")
    rng = random.Random(1)
    words = ["meeting", "project", "garden", "travel", "recipe", "journal", "reading", "house", "idea", "draft"]
    paths = [
        f"{rng.choice(words)} {rng.randrange(40)}/{rng.choice(words)} {rng.choice(words)} {number}.md"
        for number in range(max(1, count // 10))
    ]
    started = time.monotonic()
    heads: dict[str, int] = {}
    for _ in range(0, count, 1_000):
        metadata.transact(vault.id, lambda tx: append(tx, rng, paths, heads))
    took = time.monotonic() - started
    client: pymongo.MongoClient[dict[str, Any]]
    with pymongo.MongoClient(mongo.uri) as client:
        found = client["room"].command("collStats", "versions")
    documents, indexes = found["size"] / found["count"], sum(found["indexSizes"].values()) / found["count"]
    total = documents + indexes
    length = sum(len(path.encode()) for path in paths) / len(paths)
    print(f"{found['count']:,} versions, paths of {length:.0f} bytes on average, stored in {took:.0f} s")
    print(f"bytes a version: {documents:.0f} + {indexes:.0f} of indexes = {total:.0f} (budget {BUDGET_BYTES})")
    print(f"a free cluster's 512 MB hold {QUOTA / total / 1e6:.1f} million versions")
    metadata.close()


def append(tx: Transaction, rng: random.Random, paths: list[str], heads: dict[str, int]) -> None:
    versions = []
    for stamp in range(tx.first_stamp, tx.first_stamp + 1_000):
        path, device = rng.choice(paths), rng.choice(["laptop", "desktop"])
        digest, size = rng.randbytes(32).hex(), rng.randrange(200, 20_000)
        versions.append(
            Version(path, "put", stamp, heads.get(path), digest, size, stamp - 5_000_000, device, "someone")
        )
        heads[path] = stamp
    tx.append(versions, Totals(files=0, bytes=0, stored=1))


# -- far away


def far_away(mongo: ReplicaSet, folder: Path, notes: int, *, delay_s: float, commands_per_s: int | None) -> None:
    """A first sync, one with nothing to do, and one with 100 edits, over a database behind a proxy."""
    name = "far" if delay_s else "near"
    with MongoProxy(mongo.members[0].port) as proxy:
        server = GobiServer(folder / name).start(GOBI_MONGO_URI=proxy.uri, GOBI_MONGO_DB=name)
        try:
            server.add_user()
            house = House([server], "notes", folder / name)
            laptop, desktop = house.machine("laptop"), house.machine("desktop")
            make_vault(laptop.folder / "notes", notes=notes)
            proxy.delay_s, proxy.commands_per_s = delay_s, commands_per_s
            where = (
                f"{delay_s * 1000:.0f} ms away, {commands_per_s} commands a second" if delay_s else "on this machine"
            )
            print(f"\na database {where}: seconds, commands")
            timed(proxy, f"first sync of {notes:,} notes, laptop", laptop.sync)
            timed(proxy, f"first sync of {notes:,} notes, desktop", desktop.sync)
            timed(proxy, "nothing to do", laptop.sync)
            for path in sorted((laptop.folder / "notes").rglob("*.md"))[:: notes // 100]:
                path.write_bytes(path.read_bytes() + b"\nOne line more.\n")
            timed(proxy, "100 edits, laptop", laptop.sync)
            timed(proxy, "100 edits, desktop", desktop.sync)
            assert in_step(laptop, desktop)
        finally:
            server.close()


def timed(proxy: MongoProxy, what: str, act: Callable[[], object]) -> None:
    proxy.reset()
    started = time.monotonic()
    act()
    print(f"  {what:40} {time.monotonic() - started:7.2f} {proxy.count:6}")


if __name__ == "__main__":
    main()
