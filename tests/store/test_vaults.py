"""Writing to a vault: one file at a time, what is refused when, and what is counted (docs/protocol.md, section 4)."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.base import Vault
from store.errors import (
    BadRequest,
    BodyMissing,
    HashMismatch,
    LengthMismatch,
    NotFound,
    PathTaken,
    Purged,
    QuotaExceeded,
    Refused,
    Stale,
    TooLarge,
)
from sync.judge import Verdict, Write
from sync.model import Version
from sync.paths import ancestors
from tests.store.world import USER, World, change, parcel, sha256


class Cut(Exception):
    """The connection is gone."""


def never() -> Iterator[bytes]:
    """A body that nobody may read."""
    raise AssertionError("the body was read")
    yield b""


def leftovers(tmp_path: Path) -> list[str]:
    return os.listdir(tmp_path / "bodies" / "tmp")


def truly_stored(world: World) -> int:
    """The bytes of every body that a version or a candidate names, each once."""
    sizes = {version.hash: version.size for version in world.log() if version.live}
    for conflict in world.reader.conflicts(world.vault):
        sizes |= {one.hash: one.size for one in conflict.candidates}
    return sum(sizes.values())


# -- one file


def test_a_put_is_a_version_and_tells_where_the_vault_stood(world: World) -> None:
    first = world.put("a", b"one")
    assert first.version is not None
    assert (first.verdict, first.created, first.after, first.cursor) == (Verdict.STORE, True, 0, first.version.stamp)
    assert first.version == Version("a", "put", first.cursor, None, sha256(b"one"), 3, 5, "laptop", USER)
    second = world.put("a", b"two!", first.cursor)
    assert (second.created, second.after, second.head) == (False, first.cursor, first.version)
    assert world.files() == {"a": b"two!"}
    vault = world.vault
    assert (vault.clock, vault.files, vault.bytes, vault.stored) == (second.cursor, 1, 4, 7)


def test_a_put_on_a_tombstone_stands_on_it(world: World) -> None:
    """With its stamp as the base, or with none: then the stored base is the tombstone all the same."""
    stamp = world.new("a", b"one").stamp
    for base_given in (True, False):
        tombstone = world.delete("a", stamp)
        outcome = world.put("a", b"again", tombstone.stamp if base_given else None)
        assert outcome.version is not None
        assert (outcome.created, outcome.version.base) == (True, tombstone.stamp)
        stamp = outcome.version.stamp


def test_the_same_bytes_as_the_head_are_no_new_version(world: World) -> None:
    """Whoever sends them, on whatever base: so a repeated request is harmless."""
    first = world.new("a", b"one")
    second = world.new("a", b"two", first.stamp)
    for base, device in ((second.stamp, "laptop"), (first.stamp, "laptop"), (None, "phone"), (1, "phone")):
        outcome = world.put("a", b"two", base, device=device)
        assert (outcome.verdict, outcome.version) == (Verdict.SAME, second)
        assert outcome.after == outcome.cursor == second.stamp
    assert world.log() == [first, second]
    assert world.vault.stored == 6


def test_a_delete_is_a_tombstone(world: World) -> None:
    first = world.new("a", b"one")
    tombstone = world.delete("a", first.stamp)
    assert tombstone == Version("a", "delete", tombstone.stamp, first.stamp, None, 0, None, "laptop", USER)
    vault = world.vault
    assert (vault.files, vault.bytes, vault.stored) == (0, 0, 3)


def test_a_repeated_delete_is_the_same_tombstone(world: World) -> None:
    """From the same device; another one hears that the file has changed."""
    first = world.new("a", b"one")
    tombstone = world.delete("a", first.stamp)
    assert world.delete("a", first.stamp) == tombstone
    with pytest.raises(Stale) as refused:
        world.delete("a", first.stamp, device="phone")
    assert refused.value.head == tombstone
    with pytest.raises(NotFound) as gone:
        world.delete("a", tombstone.stamp)
    assert gone.value.head == tombstone
    assert len(world.log()) == 2


def test_a_file_where_a_folder_is_and_the_reverse(world: World) -> None:
    inside = world.new("dir/inside", b"x")
    for path in ("dir", "dir/inside/deeper"):
        with pytest.raises(PathTaken) as refused:
            world.put(path, b"y")
        assert refused.value.version == inside
    world.delete("dir/inside", inside.stamp)
    world.new("dir", b"y")
    assert world.files() == {"dir": b"y"}


# -- refused before the body is read


def assert_refused_unread(world: World, error: type[Exception], write: Write, **announced: object) -> None:
    log, stored = world.log(), world.vault.stored
    fields: dict[str, object] = {"length": None, "hash": None} | announced
    with pytest.raises(error):
        world.vaults.put(world.vault, world.head(write.path), write, never(), by=world.by(), **fields)  # type: ignore[arg-type]  # length and hash
    assert (world.log(), world.vault.stored) == (log, stored)


def test_what_can_be_refused_is_refused_before_the_body_is_read(tmp_path: Path) -> None:
    world = World.at(tmp_path, max_file=1000)
    first = world.new("a", b"one")
    world.new("a", b"two", first.stamp)
    stale = Write("a", "put", first.stamp, "laptop", USER)
    assert_refused_unread(world, Stale, stale, length=4)
    assert_refused_unread(world, Stale, stale, hash=sha256(b"other"))
    assert_refused_unread(world, Stale, Write("b", "put", 5, "laptop", USER))
    assert_refused_unread(world, TooLarge, Write("b", "put", None, "laptop", USER), length=1001)
    assert leftovers(tmp_path) == []


def test_unannounced_bytes_may_turn_out_to_be_the_heads_own(world: World) -> None:
    """Of the head's length, or of none that was told: only reading them shows."""
    first = world.new("a", b"one")
    second = world.new("a", b"two", first.stamp)
    for announced in (True, False):
        assert world.put("a", b"two", first.stamp, announced=announced).version == second
        with pytest.raises(Stale):
            world.put("a", b"six", first.stamp, announced=announced)


# -- refused with the body


def test_a_body_that_is_not_the_announced_one_is_refused(world: World, tmp_path: Path) -> None:
    write = Write("a", "put", None, "laptop", USER)
    with pytest.raises(HashMismatch):
        world.vaults.put(
            world.vault, world.head(write.path), write, [b"evil"], length=4, hash=sha256(b"good"), by=world.by()
        )
    for length in (3, 5, 0):
        with pytest.raises(LengthMismatch):
            world.vaults.put(
                world.vault, world.head(write.path), write, [b"ev", b"il"], length=length, hash=None, by=world.by()
            )
    assert world.log() == []
    assert leftovers(tmp_path) == []
    assert world.bodies.reuse(world.vault.id, [(sha256(b"evil"), 4)]) == {}


def test_a_body_of_untold_length_is_cut_off_at_the_limit(tmp_path: Path) -> None:
    world = World.at(tmp_path, max_file=1000)
    chunks = iter([b"x" * 600, b"x" * 600, b"x"])
    with pytest.raises(TooLarge):
        world.vaults.put(
            world.vault,
            world.head("a"),
            Write("a", "put", None, "laptop", USER),
            chunks,
            length=None,
            hash=None,
            by=world.by(),
        )
    assert list(chunks) == [b"x"], "nothing more was read"
    assert world.log() == []
    assert leftovers(tmp_path) == []


def test_an_upload_that_is_cut_off_at_any_chunk_leaves_nothing(world: World, tmp_path: Path) -> None:
    def cut_after(chunks: int) -> Iterator[bytes]:
        for _ in range(chunks):
            yield b"x" * 100
        raise Cut

    for chunks in range(3):
        with pytest.raises(Cut):
            world.vaults.put(
                world.vault,
                world.head("a"),
                Write("a", "put", None, "d", USER),
                cut_after(chunks),
                length=300,
                hash=None,
                by=world.by(),
            )
        data = parcel([change("a", b"x" * 100_000)], [("a", b"x" * 100_000)])

        def cut_push(chunks: int = chunks, data: bytes = data) -> Iterator[bytes]:
            yield data[: 1 + chunks * 50_000]
            raise Cut

        with pytest.raises(Cut):
            world.vaults.push(world.vault, cut_push(), keep=False, by=world.by("d"))
        assert leftovers(tmp_path) == []
    assert world.log() == []


def test_a_vault_that_is_removed_during_an_upload_keeps_nothing(world: World, tmp_path: Path) -> None:
    vault: Vault = world.vault

    def chunks() -> Iterator[bytes]:
        yield b"one"
        world.registry.remove(vault, None)

    with pytest.raises(NotFound):
        world.vaults.put(
            vault, world.head("a"), Write("a", "put", None, "d", USER), chunks(), length=3, hash=None, by=world.by()
        )
    assert leftovers(tmp_path) == []


# -- older versions


def test_a_restored_version_is_a_new_one_with_the_old_bytes(world: World) -> None:
    first = world.new("a", b"one")
    second = world.new("a", b"two", first.stamp)
    outcome = world.vaults.restore(world.vault, "a", first.stamp, second.stamp, by=world.by("phone"))
    assert outcome.version is not None
    assert (outcome.version.hash, outcome.version.base, outcome.version.device) == (first.hash, second.stamp, "phone")
    assert world.files() == {"a": b"one"}
    assert world.vault.stored == 6
    again = world.vaults.restore(world.vault, "a", first.stamp, outcome.cursor, by=world.by("phone"))
    assert (again.verdict, again.version) == (Verdict.SAME, outcome.version)


def test_a_deleted_file_is_restored_on_its_tombstone(world: World) -> None:
    first = world.new("a", b"one")
    tombstone = world.delete("a", first.stamp)
    outcome = world.vaults.restore(world.vault, "a", first.stamp, tombstone.stamp, by=world.by("d"))
    assert outcome.created
    assert world.files() == {"a": b"one"}


def test_what_cannot_be_restored_is_refused(world: World) -> None:
    """An unknown version, a purged one, a deletion, on a head that has moved, or where its place is taken."""
    first = world.new("a", b"one")
    tombstone = world.delete("a", first.stamp)

    def restore(stamp: int, head: int | None) -> None:
        world.vaults.restore(world.vault, "a", stamp, head, by=world.by("d"))

    with pytest.raises(NotFound):
        restore(first.stamp + 10**9, tombstone.stamp)
    with pytest.raises(BadRequest):
        restore(tombstone.stamp, tombstone.stamp)
    for head in (first.stamp, None):
        with pytest.raises(Stale) as refused:
            restore(first.stamp, head)
        assert refused.value.head == tombstone
    world.new("a/inside", b"x")
    with pytest.raises(PathTaken):
        restore(first.stamp, tombstone.stamp)
    world.metadata.set_purge_mark(world.vault.id, first.stamp - 1)
    with pytest.raises(Purged):
        restore(first.stamp - 1, tombstone.stamp)
    world.bodies.remove_vault(world.vault.id)
    with pytest.raises(BodyMissing):
        restore(first.stamp, tombstone.stamp)
    assert len(world.log()) == 3


# -- what is counted


def test_a_body_is_counted_once_however_often_it_is_used(world: World) -> None:
    one = world.new("a", b"body")
    world.new("b", b"body")
    world.delete("a", one.stamp)
    world.new("c", b"body")
    world.push(parcel([change("d", b"body"), change("e", b"body")], [("d", b"body")]))
    assert world.vault.stored == truly_stored(world) == 4


def test_a_refused_body_is_counted_once_it_is_used(world: World) -> None:
    """It lies on the disk all the while; kept or reused later, by a put or a push, it counts then."""
    first = world.new("a", b"one")
    second = world.new("a", b"two", first.stamp)
    for body in (b"put later", b"pushed later", b"reused later"):
        for _ in range(2):
            with pytest.raises(Stale):
                world.put("a", body, first.stamp, announced=False)
    assert world.vault.stored == truly_stored(world) == 6
    world.new("b", b"put later")
    assert world.vault.stored == truly_stored(world)
    world.push(parcel([change("c", b"pushed later")], [("c", b"pushed later")]))
    assert world.vault.stored == truly_stored(world)
    assert world.statuses(parcel([change("d", b"reused later")])) == ["stored"]
    assert world.vault.stored == truly_stored(world)
    world.put("a", b"as a candidate", first.stamp, keep=True)
    world.new("a", b"as a candidate", second.stamp)
    assert world.vault.stored == truly_stored(world)


def test_a_body_used_and_refused_in_one_push_is_counted_once(world: World) -> None:
    """Also where the push takes two transactions, in either order."""
    world.new("there", b"x")
    refused, stored = change("there", b"body"), change("new", b"body")
    assert world.statuses(parcel([refused, stored], [("there", b"body")])) == ["conflict", "stored"]
    assert world.vault.stored == truly_stored(world) == 5
    filling = [change(f"n/{number}", b"x") for number in range(999)]
    other, again = change("there", b"second"), change("newer", b"second")
    world.push(parcel([*filling, other, again], [("there", b"second")]))
    assert world.vault.stored == truly_stored(world) == 11
    twice = [change(f"{number}", b"third") for number in range(1001)]
    world.push(parcel(twice, [("0", b"third")]))
    world.new("last", b"third")
    assert world.vault.stored == truly_stored(world) == 16


def test_one_body_sent_by_many_at_once_is_one_file_counted_once(world: World) -> None:
    start = threading.Barrier(6)
    failures: list[BaseException] = []

    def send(number: int) -> None:
        start.wait()
        try:
            for round in range(5):
                world.put(f"{number}/{round}", b"body of round %d" % round)
        except BaseException as error:  # noqa: BLE001  # shown by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert world.vault.files == 30
    assert world.vault.stored == truly_stored(world)


def test_writers_that_fall_over_each_other_leave_a_vault_that_adds_up(world: World) -> None:
    """Files and folders of the same names, edited, deleted, pushed and settled by four devices at once."""
    names = ("a", "a/b", "a/b/c", "ab", "b", "b/a")
    surprises: list[BaseException] = []

    def meddle(device: int) -> None:
        chance = random.Random(device)
        for _ in range(40):
            path, body = chance.choice(names), b"%d" % chance.randrange(20)
            head = world.head(path)
            base = head.stamp if head and chance.random() < 0.8 else None
            try:
                match chance.randrange(4):
                    case 0:
                        world.put(path, body, base, keep=chance.random() < 0.5, device=str(device))
                    case 1:
                        world.delete(path, base, device=str(device))
                    case 2:
                        changes = [change(path, body, base), change(chance.choice(names), body)]
                        world.push(parcel(changes, [(path, body)]), device=str(device))
                    case _:
                        for conflict in world.reader.conflicts(world.vault)[:1]:
                            there = world.head(conflict.path)
                            assert there is not None
                            world.resolve(conflict, chance.choice(("server", "client", "both")), there.stamp)
            except (Refused, BadRequest, NotFound):
                pass  # somebody else was first
            except BaseException as error:  # noqa: BLE001  # shown by the test's own thread
                surprises.append(error)

    threads = [threading.Thread(target=meddle, args=(device,)) for device in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert surprises == []
    vault, files = world.vault, world.files()
    assert (vault.files, vault.bytes) == (len(files), sum(map(len, files.values())))
    assert vault.conflicts == len(world.reader.conflicts(vault))
    assert not any(folder in files for path in files for folder in ancestors(path))
    stamps = [version.stamp for version in world.log()]
    assert stamps == sorted(set(stamps))
    assert vault.clock == stamps[-1]


# -- a vault's quota


def test_a_quota_bounds_what_is_stored(tmp_path: Path) -> None:
    """History counts, a body once; at the limit everything that needs no room still goes."""
    world = World.at(tmp_path, quota=10)
    first = world.new("a", b"12345")
    second = world.new("a", b"67890", first.stamp)
    for announced in (True, False):
        with pytest.raises(QuotaExceeded):
            world.put("b", b"x", announced=announced)
    assert world.statuses(parcel([change("b", b"x")], [("b", b"x")])) == ["quota"]
    assert leftovers(tmp_path) == []
    assert world.put("a", b"67890", first.stamp).version == second, "a repeated request"
    assert world.statuses(parcel([change("b", b"12345")], [("b", b"12345")])) == ["stored"]
    assert world.statuses(parcel([change("c", b"67890")])) == ["stored"]
    assert world.statuses(parcel([change("d", b"67890")], [("d", b"67890")])) == ["stored"]
    world.vaults.restore(world.vault, "a", first.stamp, second.stamp, by=world.by("d"))
    world.delete("b", world.log()[2].stamp)
    assert world.vault.stored == 10


def test_a_quota_refuses_an_announced_body_unread(tmp_path: Path) -> None:
    world = World.at(tmp_path, quota=10)
    world.new("a", b"12345")
    write = Write("b", "put", None, "laptop", USER)
    assert_refused_unread(world, QuotaExceeded, write, length=6)
    assert_refused_unread(world, QuotaExceeded, write, length=6, hash=sha256(b"sixsix"))
    outcome = world.vaults.put(
        world.vault, world.head(write.path), write, [b"12345"], length=5, hash=sha256(b"12345"), by=world.by()
    )
    assert outcome.verdict is Verdict.STORE


def test_a_refused_body_that_lies_there_uncounted_needs_room_like_any_other(tmp_path: Path) -> None:
    """Asking for room does not make it counted, and does not let it in for nothing."""
    world = World.at(tmp_path, quota=10)
    first = world.new("a", b"1")
    second = world.new("a", b"2", first.stamp)
    with pytest.raises(Stale):
        world.put("a", b"12345", first.stamp, announced=False)
    third = world.new("a", b"666666", second.stamp)
    write = Write("b", "put", None, "laptop", USER)
    for _ in range(2):
        assert_refused_unread(world, QuotaExceeded, write, length=5, hash=sha256(b"12345"))
        with pytest.raises(QuotaExceeded):
            world.put("b", b"12345", announced=False)
        assert world.statuses(parcel([change("b", b"12345")], [("b", b"12345")])) == ["quota"]
    roomier = World.at(tmp_path, quota=13)
    roomier.new("b", b"12345")
    assert roomier.vault.stored == truly_stored(roomier) == 13
    assert roomier.head("a") == third
