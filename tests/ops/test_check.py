"""`gobi check` beside a real server, and what that server gives out of a damaged disk: never a rotten byte."""

from __future__ import annotations

import http.client
import json
import os
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from store.aging import Counters
from store.sqlite import SqliteMetadata
from tests.e2e.machines import House
from tests.mongo.asking import Answer, ask, put
from tests.server import GobiServer
from tests.store.world import sha256

LARGE = os.urandom(1 << 20) * 2 + b"large"
SMALL = b"a note"


@pytest.fixture
def house(server: GobiServer, tmp_path: Path) -> House:
    one = House([server], "notes", tmp_path)
    assert ask(one, "PUT", "").status == 201
    return one


def place(house: House, body: bytes, aside: str = "") -> Path:
    root = house.server.data_dir / "bodies" / aside
    (found,) = root.glob(f"{'[0-9a-f]' * 16}/{sha256(body)[:2]}/{sha256(body)[2:]}")
    return found


def flip(house: House, body: bytes) -> None:
    """One bit, and nothing else to see."""
    path = place(house, body)
    there = path.stat()
    path.write_bytes(body[:-2] + bytes([body[-2] ^ 1]) + body[-1:])
    os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns))


def check(house: House, *options: str, code: int = 0) -> Any:
    done = house.server.gobi("check", "--json", *options)
    assert done.returncode == code, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] == (code == 0)
    return told


def lost(told: Any) -> set[tuple[str, str, bool]]:
    (vault,) = told["vaults"]
    return {(one["path"], one["state"], one["head"]) for one in vault["lost"]}


def test_it_finds_what_is_missing_truncated_and_rotten_and_puts_aside_what_is_there(house: House) -> None:
    for path, body in {"good.md": b"good", "gone.md": b"gone", "short.md": b"shortened", "rotten.md": SMALL}.items():
        assert put(house, path, body, If_None_Match="*").status == 201
    old = house.put("edited.md", LARGE)
    house.put("edited.md", b"the newer one", old["stamp"])
    assert check(house, "--bodies")["vaults"][0]["read"] == 6
    assert house.server.gobi("check").stdout.endswith("All is well.\n")
    place(house, b"gone").unlink()
    os.truncate(place(house, b"shortened"), 5)
    flip(house, SMALL)
    flip(house, LARGE)
    cheap = {("gone.md", "missing", True), ("short.md", "truncated", True)}
    assert lost(check(house, code=1)) == cheap
    deep = cheap | {("rotten.md", "rotten", True), ("edited.md", "rotten", False)}
    before = sorted(house.server.data_dir.rglob("*"))
    assert lost(check(house, "--bodies", code=1)) == deep
    assert sorted(house.server.data_dir.rglob("*")) == before
    assert lost(check(house, "--bodies", "--repair", code=1)) == deep
    assert lost(check(house, code=1)) == {(path, "missing", head) for path, _, head in deep}
    for body in (b"shortened", SMALL, LARGE):
        assert place(house, body, "quarantine").exists()
    text = house.server.gobi("check").stdout
    assert "gone.md: the newest version" in text
    assert f"edited.md: an older version ({old['stamp']})" in text
    assert text.endswith("Something needs you: see above.\n")
    for path, body in {"gone.md": b"gone", "short.md": b"shortened", "rotten.md": SMALL}.items():
        assert put(house, path, body, If_None_Match="*").status == 200
    assert lost(check(house, "--bodies", code=1)) == {("edited.md", "missing", False)}


def test_it_counts_anew_and_tells_of_what_is_nobodys(house: House) -> None:
    house.put("a.md", b"one")
    house.put("b.md", b"three")
    root = house.server.data_dir / "bodies"
    assert check(house)["vaults"][0]["counters"] is None
    metadata = SqliteMetadata(house.server.data_dir / "metadata.db")
    metadata.aging().adjust(metadata.vaults()[0].id, Counters(7, 1, 1, 9))
    metadata.close()
    right = {"files": 2, "bytes": 8, "stored": 8, "conflicts": 0}
    assert check(house, code=1)["vaults"][0]["counters"] == right
    assert "the count of files says 9 and ought to say 2" in house.server.gobi("check", "--repair").stdout
    assert check(house)["vaults"][0]["counters"] is None
    (root / "lost+found").mkdir()
    (root / "notes.txt").write_text("mine")
    vault = place(house, b"one").parent.parent
    (vault / "readme").write_text("mine")
    place(house, b"one").with_name("x").write_text("mine")
    orphan = place(house, b"one").parent / ("0" * 62)
    orphan.write_bytes(b"nobody's")
    os.utime(orphan, (1, 1))
    told = check(house, code=1)
    assert len(told["strays"]) + len(told["vaults"][0]["strays"]) == 4
    assert told["vaults"][0]["orphans"] == {"bodies": 1, "bytes": 8}
    assert orphan.exists()


def assert_lost(answer: Answer) -> None:
    assert (answer.status, answer.code) == (500, "internal")
    assert "damaged" in answer.json["detail"] or "lost" in answer.json["detail"]


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_no_rotten_byte_and_no_whole_rotten_file_is_ever_served(house: House, body: bytes) -> None:
    """By GET, in whole and in part, in a pull, and in an archive; what is good beside it is served as ever."""
    good = house.put("good.md", b"good")
    stamp = house.put("rotten.md", body)["stamp"]
    ways: dict[str, Callable[[], Answer]] = {
        "get": lambda: ask(house, "GET", "/files/rotten.md"),
        "part": lambda: ask(house, "GET", "/files/rotten.md", Range="bytes=2-4"),
        "pull": lambda: _pull(house, [("good.md", good["stamp"]), ("rotten.md", stamp)]),
        "archive": lambda: ask(house, "GET", "/archive.tar"),
    }
    for name, way in ways.items():
        if name != "get":
            assert put(house, "rotten.md", body, If_None_Match="*").status == 200
        flip(house, body)
        try:
            answer = way()
        except (http.client.IncompleteRead, http.client.BadStatusLine, ConnectionError) as error:
            served = getattr(error, "partial", b"")
        else:
            assert answer.status == 500 or name == "archive", name
            served = answer.body
        assert body[-10:-2] not in served or name == "part", name
        assert _whole_files(served) <= {"good.md"}, name
        assert_lost(ask(house, "GET", "/files/rotten.md"))
    assert ask(house, "GET", "/files/good.md").body == b"good"
    assert len(list(place(house, body, "quarantine").parent.iterdir())) == len(ways)
    assert put(house, "rotten.md", body, If_None_Match="*").status == 200
    assert ask(house, "GET", "/files/rotten.md").body == body
    assert "is damaged on the disk" in house.server.log


def _pull(house: House, files: list[tuple[str, int]]) -> Answer:
    asked = json.dumps({"files": [{"path": path, "stamp": stamp} for path, stamp in files]}).encode()
    return ask(house, "POST", "/pull", asked, Content_Type="application/json")


def _whole_files(tar: bytes) -> set[str]:
    found: set[str] = set()
    try:
        with tarfile.open(fileobj=BytesIO(tar), mode="r|") as archive:
            for one in archive:
                file = archive.extractfile(one)
                if file is not None and len(file.read()) == one.size:
                    found.add(one.name)
    except tarfile.TarError:
        pass
    return found
