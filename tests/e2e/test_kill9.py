"""The server is killed in the middle of a push; nothing that was acknowledged is gone, and the next sync finishes."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from tests.deployments import DEPLOYMENTS, Deployment
from tests.e2e.machines import House, Machine

FILES = 5_000
SIZE = 1_500
PUSHED = FILES * (SIZE + 512 + 250)  # bodies, their headers and padding, and the manifests: about


def content(number: int) -> bytes:
    return (f"note {number}\n".encode() * SIZE)[:SIZE]


def acknowledged(machine: Machine) -> dict[str, str]:
    """What the client was told is stored: path to hash, from its index."""
    db = sqlite3.connect(f"file:{machine.folder / '.gobi' / 'index.db'}?mode=ro", uri=True)
    try:
        rows = db.execute("SELECT path, hash FROM files WHERE stamp IS NOT NULL").fetchall()
    finally:
        db.close()
    return dict(rows)


# Ten moments, spread over the push; three of them where only the database is another one, for each takes seconds.
MOMENTS = {"embedded": range(10), "workers": (1, 5, 9), "hosts": (0, 4, 8)}


@pytest.mark.parametrize(
    ("deployed", "moment"),
    [(name, moment) for name in DEPLOYMENTS for moment in MOMENTS[name]],
    indirect=["deployed"],
)
def test_a_server_killed_during_a_push_loses_nothing_it_acknowledged(
    own_deployment: Deployment, own_house: House, moment: int
) -> None:
    with own_house.proxy() as proxy:
        laptop = own_house.machine("laptop", url=proxy.url)
        for number in range(FILES):
            laptop.write(f"{number % 50}/{number}.md", content(number))
        proxy.call_after("up", PUSHED * (2 * moment + 1) // 20, laptop.server.kill9)
        run = laptop.sync(code=None)
        assert not proxy.pending, "the server was to be killed during the push"
        assert run.code in (69, 75)
        told = acknowledged(laptop)
        laptop.server.start()
        stored = {v["path"]: v["hash"] for v in own_house.api("GET", "/files?limit=10000")["files"]}
        assert told.items() <= stored.items()
        laptop.sync()
    listed = own_house.api("GET", "/files?limit=10000")["files"]
    assert len(listed) == FILES
    for version in listed:
        number = int(Path(version["path"]).stem)
        assert version["hash"] == hashlib.sha256(content(number)).hexdigest()
        body = body_file(own_deployment.bodies, version["hash"])
        assert body.read_bytes() == content(number)
    assert json.loads(laptop.gobi("status", str(laptop.folder), "--json").out)["in_step"] is True


def body_file(bodies: Path, digest: str) -> Path:
    (found,) = bodies.glob(f"*/{digest[:2]}/{digest[2:]}")
    return found
