"""Files' bytes by vault and hash: the promises of store.base.Bodies."""

from __future__ import annotations

import threading

import pytest

from store.base import Bodies, Received
from store.errors import BodyMissing, TooLarge
from tests.store.world import sha256

VAULT, OTHER = "00000000000000aa", "00000000000000bb"


def receive(bodies: Bodies, body: bytes) -> Received:
    incoming = bodies.receive()
    incoming.write(body)
    return incoming.finish()


def keep(bodies: Bodies, *contents: bytes, vault: str = VAULT) -> set[str]:
    return bodies.keep(vault, [receive(bodies, content) for content in contents])


def read(bodies: Bodies, body: bytes, vault: str = VAULT) -> bytes:
    with bodies.open(vault, sha256(body)) as file:
        return file.read()


def has(bodies: Bodies, body: bytes, vault: str = VAULT) -> bool:
    return sha256(body) in bodies.reuse(vault, [(sha256(body), len(body))])


# -- receiving


def test_a_body_is_named_by_its_hash_and_measured(bodies: Bodies) -> None:
    incoming = bodies.receive()
    for chunk in (b"one ", memoryview(b"two "), b"", b"three"):
        incoming.write(chunk)
    received = incoming.finish()
    assert (received.hash, received.size) == (sha256(b"one two three"), 13)


def test_a_body_over_its_limit_is_refused_as_soon_as_it_is(bodies: Bodies) -> None:
    incoming = bodies.receive(limit=10)
    incoming.write(b"0123456789")
    with pytest.raises(TooLarge):
        incoming.write(b"0")
    incoming.discard()


def test_a_large_body_says_when_flushing_keeps_the_last_flush_short(bodies: Bodies) -> None:
    incoming = bodies.receive()
    mebibyte = bytes(1 << 20)
    for _ in range(31):
        incoming.write(mebibyte)
    assert not incoming.flush_due
    incoming.write(mebibyte)
    assert incoming.flush_due
    incoming.flush()
    assert not incoming.flush_due
    incoming.discard()


def test_what_is_discarded_was_never_there(bodies: Bodies) -> None:
    """At any moment: before the first byte, in the middle, once finished; and again."""
    incoming = bodies.receive()
    incoming.write(b"half of it")
    incoming.discard()
    incoming.discard()
    received = receive(bodies, b"all of it")
    bodies.discard([received])
    bodies.discard([received])
    assert not has(bodies, b"half of it")
    assert not has(bodies, b"all of it")


def test_what_is_received_is_not_there_before_it_is_kept(bodies: Bodies) -> None:
    received = receive(bodies, b"body")
    assert not has(bodies, b"body")
    with pytest.raises(BodyMissing):
        bodies.open(VAULT, received.hash)
    bodies.keep(VAULT, [received])
    assert read(bodies, b"body") == b"body"


# -- keeping


def test_what_is_kept_is_read_back(bodies: Bodies) -> None:
    contents = [bytes([number]) * number for number in range(30)]
    assert keep(bodies, *contents) == {sha256(content) for content in contents}
    assert all(read(bodies, content) == content for content in contents)
    assert bodies.keep(VAULT, []) == set()


def test_only_what_the_vault_did_not_have_is_new(bodies: Bodies) -> None:
    assert keep(bodies, b"one", b"two", b"one") == {sha256(b"one"), sha256(b"two")}
    assert keep(bodies, b"two", b"three") == {sha256(b"three")}
    assert read(bodies, b"two") == b"two"


def test_no_vault_sees_another_ones_bodies(bodies: Bodies) -> None:
    """Knowing a hash opens nothing."""
    keep(bodies, b"mine")
    assert not has(bodies, b"mine", OTHER)
    assert keep(bodies, b"mine", vault=OTHER) == {sha256(b"mine")}
    with pytest.raises(BodyMissing):
        bodies.open("00000000000000cc", sha256(b"mine"))


def test_a_body_that_is_not_there_is_missing(bodies: Bodies) -> None:
    with pytest.raises(BodyMissing):
        bodies.open(VAULT, sha256(b"never"))


def test_a_removed_vaults_bodies_are_gone_and_its_neighbours_stay(bodies: Bodies) -> None:
    keep(bodies, b"body")
    keep(bodies, b"body", vault=OTHER)
    bodies.remove_vault(VAULT)
    bodies.remove_vault(VAULT)
    assert not has(bodies, b"body")
    assert read(bodies, b"body", OTHER) == b"body"
    assert keep(bodies, b"body") == {sha256(b"body")}
    assert read(bodies, b"body") == b"body"


def test_one_body_uploaded_many_times_at_once_is_one_body(bodies: Bodies) -> None:
    """Every uploader gets a good reply, and for exactly one of them it is new."""
    uploads = [receive(bodies, b"the same") for _ in range(8)]
    start = threading.Barrier(8)
    new: list[set[str]] = []

    def upload(received: Received) -> None:
        start.wait()
        new.append(bodies.keep(VAULT, [received]))

    threads = [threading.Thread(target=upload, args=(received,)) for received in uploads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(new) == 8
    assert sorted(map(len, new)) == [0] * 7 + [1]
    assert read(bodies, b"the same") == b"the same"


def test_a_body_that_was_lost_is_not_new_when_it_comes_again(bodies: Bodies) -> None:
    """It was counted all the time."""
    with pytest.raises(BodyMissing):
        bodies.open(VAULT, sha256(b"lost"))
    assert keep(bodies, b"lost", b"new") == {sha256(b"new")}
    assert bodies.lost(VAULT) == []


# -- reusing


def test_a_body_is_reused_where_it_is_there_whole(bodies: Bodies) -> None:
    keep(bodies, b"one", b"two")
    wanted = [(sha256(b"one"), 3), (sha256(b"two"), 99), (sha256(b"never"), 5)]
    assert bodies.reuse(VAULT, wanted) == {sha256(b"one"): False}
    assert bodies.reuse(VAULT, []) == {}


def test_a_body_that_came_to_nothing_counts_as_new_for_the_next(bodies: Bodies) -> None:
    """Whoever comes next, by keeping or by reusing, and only for that one."""
    one, two = sha256(b"one"), sha256(b"two")
    keep(bodies, b"one", b"two")
    bodies.forsake(VAULT, [one, two])
    bodies.forsake(VAULT, [one, two])
    assert keep(bodies, b"one") == {one}
    assert keep(bodies, b"one") == set()
    assert bodies.reuse(VAULT, [(one, 3), (two, 3)]) == {one: False, two: True}
    assert bodies.reuse(VAULT, [(two, 3)]) == {two: False}
    assert read(bodies, b"two") == b"two"


def test_what_was_forsaken_can_be_claimed_once(bodies: Bodies) -> None:
    one, two = sha256(b"one"), sha256(b"two")
    keep(bodies, b"one", b"two")
    bodies.forsake(VAULT, [one])
    assert bodies.claim(VAULT, [one, two, sha256(b"never")]) == {one}
    assert bodies.claim(VAULT, [one, two]) == set()
    assert keep(bodies, b"one") == set()


def test_forsaking_what_is_not_there_is_harmless(bodies: Bodies) -> None:
    bodies.forsake(VAULT, [sha256(b"never")])
    assert not has(bodies, b"never")


def test_looking_at_what_is_counted_changes_nothing(bodies: Bodies) -> None:
    one, two = sha256(b"one"), sha256(b"two")
    keep(bodies, b"one", b"two")
    bodies.forsake(VAULT, [two])
    for _ in range(2):
        assert bodies.counted(VAULT, [(one, 3), (two, 3), (one, 4), (sha256(b"never"), 5)]) == {one}
    assert bodies.reuse(VAULT, [(two, 3)]) == {two: True}


# -- service


def test_bodies_that_can_be_written_pass_the_check(bodies: Bodies) -> None:
    bodies.check()
