"""Rotten bytes are never given out: what a process reads for the first time is compared with its hash."""

from __future__ import annotations

import errno
import os
from io import FileIO
from pathlib import Path

import pytest

from store import bodies_verify
from store.bodies import DiskBodies
from store.bodies_verify import SMALL, partly
from store.errors import BodyDamaged, BodyMissing
from tests.store.world import sha256

VAULT = "00000000000000aa"
LARGE = os.urandom(SMALL) * 3


@pytest.fixture
def bodies(tmp_path: Path) -> DiskBodies:
    return DiskBodies(tmp_path)


def keep(bodies: DiskBodies, body: bytes) -> None:
    incoming = bodies.receive()
    incoming.write(body)
    bodies.keep(VAULT, [incoming.finish()])


def place(bodies: DiskBodies, body: bytes, aside: str = "") -> Path:
    digest = sha256(body)
    return Path(bodies._root, aside, VAULT, digest[:2], digest[2:])


def flip(bodies: DiskBodies, body: bytes, at: int = -1) -> bytes:
    """Changes one bit on the disk; returns what is there now."""
    rotten = bytearray(body)
    rotten[at] ^= 1
    place(bodies, body).write_bytes(rotten)
    return bytes(rotten)


def read(bodies: DiskBodies, body: bytes, piece: int = 256 << 10) -> bytes:
    found = b""
    with bodies.open(VAULT, sha256(body)) as file:
        while one := file.read(piece):
            found += one
    return found


@pytest.mark.parametrize("body", [b"", b"note", LARGE], ids=["empty", "small", "large"])
def test_a_good_body_is_read_again_and_again(bodies: DiskBodies, body: bytes) -> None:
    keep(bodies, body)
    for _ in range(3):
        assert read(bodies, body) == body


def test_a_rotten_small_body_gives_no_byte_and_is_put_aside(bodies: DiskBodies) -> None:
    keep(bodies, b"note")
    rotten = flip(bodies, b"note")
    with pytest.raises(BodyMissing, match="damaged"):
        bodies.open(VAULT, sha256(b"note"))
    assert not place(bodies, b"note").exists()
    assert place(bodies, b"note", "quarantine").read_bytes() == rotten
    with pytest.raises(BodyMissing, match="lost"):
        bodies.open(VAULT, sha256(b"note"))


@pytest.mark.parametrize("piece", [256 << 10, 1 << 20, 3 << 20, 10 << 20, 999_983])
def test_of_a_rotten_large_body_the_last_piece_is_never_given(bodies: DiskBodies, piece: int) -> None:
    keep(bodies, LARGE)
    flip(bodies, LARGE, 5)
    given = 0
    with bodies.open(VAULT, sha256(LARGE)) as file, pytest.raises(BodyMissing):
        while one := file.read(piece):
            given += len(one)
    assert given < len(LARGE)
    assert place(bodies, LARGE, "quarantine").exists()


@pytest.mark.parametrize("body", [b"note" * 9, LARGE], ids=["small", "large"])
def test_a_truncated_body_is_damaged(bodies: DiskBodies, body: bytes) -> None:
    keep(bodies, body)
    os.truncate(place(bodies, body), len(body) - 1)
    with pytest.raises(BodyMissing):
        read(bodies, body)
    assert place(bodies, body, "quarantine").exists()


@pytest.mark.parametrize("start", [0, 7, SMALL * 2])
def test_a_part_is_given_once_all_was_compared_where_that_is_not_too_much(
    bodies: DiskBodies, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(bodies, LARGE)
    with bodies.open(VAULT, sha256(LARGE)) as file:
        partly(file)
        file.seek(start)
        assert file.read(10) == LARGE[start : start + 10]
        assert file.read(10) == LARGE[start + 10 : start + 20]
    rotten = flip(bodies, LARGE)
    with bodies.open(VAULT, sha256(LARGE)) as file:
        partly(file)
        file.seek(start)
        with pytest.raises(BodyMissing):
            file.read(10)
    keep(bodies, LARGE)
    place(bodies, LARGE).write_bytes(rotten)
    monkeypatch.setattr(bodies_verify, "WAITED_FOR", len(LARGE) - 1)
    with bodies.open(VAULT, sha256(LARGE)) as file:
        partly(file)
        file.seek(start)
        assert file.read(10) == LARGE[start : start + 10]


def test_what_was_good_once_is_compared_again_when_its_file_has_changed(bodies: DiskBodies) -> None:
    for body in (b"note", LARGE):
        keep(bodies, body)
        assert read(bodies, body) == body
        flip(bodies, body)
        with pytest.raises(BodyMissing):
            read(bodies, body)


def test_what_is_good_is_compared_once(bodies: DiskBodies, monkeypatch: pytest.MonkeyPatch) -> None:
    for body in (b"note", LARGE):
        keep(bodies, body)
        read(bodies, body)
    monkeypatch.setattr("store.bodies_verify.hashlib", None)  # whoever hashes now fails
    for body in (b"note", LARGE):
        assert read(bodies, body) == body


def test_only_so_many_are_remembered(bodies: DiskBodies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies_verify, "REMEMBERED", 3)
    for number in range(20):
        keep(bodies, b"%d" % number)
        read(bodies, b"%d" % number)
    assert len(bodies._verified._good) == 3


def test_a_body_that_was_sent_again_takes_the_rotten_ones_place(bodies: DiskBodies) -> None:
    for body in (b"note", LARGE):
        keep(bodies, body)
        flip(bodies, body)
        with pytest.raises(BodyMissing):
            read(bodies, body)
        keep(bodies, body)
        assert read(bodies, body) == body


def test_a_good_body_that_came_meanwhile_is_not_put_aside_for_the_rotten_one(bodies: DiskBodies) -> None:
    keep(bodies, LARGE)
    flip(bodies, LARGE)
    with bodies.open(VAULT, sha256(LARGE)) as file:
        file.read(1)
        keep(bodies, LARGE)
        with pytest.raises(BodyMissing):
            while file.read(SMALL):
                pass
    assert read(bodies, LARGE) == LARGE


def test_what_is_put_aside_is_never_written_over(bodies: DiskBodies) -> None:
    kept = []
    for at in (0, 1, 2):
        keep(bodies, b"note")
        kept.append(flip(bodies, b"note", at))
        with pytest.raises(BodyMissing):
            read(bodies, b"note")
    folder = place(bodies, b"note", "quarantine").parent
    assert sorted(path.read_bytes() for path in folder.iterdir()) == sorted(kept)


class BadSector(FileIO):
    """A file of which the disk does not give what lies from `AT` on."""

    AT = 0

    def read(self, size: int | None = -1, /) -> bytes:
        end = os.fstat(self.fileno()).st_size if size is None or size < 0 else self.tell() + size
        if end > self.AT:
            raise OSError(errno.EIO, os.strerror(errno.EIO), self.name)
        return super().read(size) or b""


def with_a_bad_sector(patch: pytest.MonkeyPatch, at: int) -> None:
    """On the whole disk."""
    patch.setattr(BadSector, "AT", at)
    patch.setattr("store.bodies.open", lambda path, _mode, buffering: BadSector(path), raising=False)


@pytest.mark.parametrize("known", [False, True], ids=["read for the first time", "known to be good"])
@pytest.mark.parametrize(
    ("body", "at"),
    [(b"note", 0), (LARGE, 0), (LARGE, 2 * SMALL), (LARGE, 3 * SMALL - 1)],
    ids=["small", "at its beginning", "in its middle", "at its end"],
)
def test_what_the_disk_does_not_give_is_lost_for_now_and_stays_where_it_is(
    bodies: DiskBodies, monkeypatch: pytest.MonkeyPatch, body: bytes, at: int, known: bool
) -> None:
    """A bad sector, wherever it is; it stands for one file, and what else the disk has goes on being served."""
    keep(bodies, body)
    keep(bodies, b"another")
    if known:
        read(bodies, body)
    with monkeypatch.context() as patched, pytest.raises(BodyDamaged):
        with_a_bad_sector(patched, at)
        read(bodies, body)
    assert bodies.lost(VAULT) == [sha256(body)]
    assert place(bodies, body).exists()
    assert read(bodies, b"another") == b"another"
    keep(bodies, body)
    assert (read(bodies, body), bodies.lost(VAULT)) == (body, [])


def test_a_bad_sector_is_noted_by_whoever_wants_only_a_part(
    bodies: DiskBodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(bodies, LARGE)
    with_a_bad_sector(monkeypatch, 2 * SMALL)
    with bodies.open(VAULT, sha256(LARGE)) as file, pytest.raises(BodyDamaged):
        partly(file)
        file.seek(5)
        file.read(10)
    assert bodies.lost(VAULT) == [sha256(LARGE)]
