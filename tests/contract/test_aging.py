"""A database that forgets what is too old: the promises of store.aging.Aging."""

from __future__ import annotations

import time

import pytest

from store.aging import Collected, Counters
from store.base import Metadata, Totals, Vault
from store.errors import Unavailable
from store.moving import Move
from sync.model import Candidate, Conflict, Version
from tests.contract.backends import Backend
from tests.contract.log import append, hash_of

EVER = 1 << 60


def log(metadata: Metadata, vault: Vault) -> list[Version]:
    return metadata.changes(vault.id, 0, 1_000)


def dispute(metadata: Metadata, vault: Vault, path: str, base: int) -> None:
    one = Conflict("c1", path, base, 1, (Candidate(1, "me", "laptop", hash_of("C"), 1, None, 1),))
    metadata.transact(vault.id, lambda tx: tx.save_conflict(one), {path})


def test_the_time_is_the_databases(metadata: Metadata, backend: Backend) -> None:
    now = metadata.aging().clock().now
    assert abs(now / 1e6 - time.time()) < 3_600
    backend.step_back(10**12)
    assert metadata.aging().clock().now < now - 10**11


def test_what_a_collection_did_is_remembered_for_every_client(metadata: Metadata, backend: Backend) -> None:
    assert metadata.aging().last_collection() is None
    for at in (5, 1 << 55):
        done = Collected(at, 1, 2, 3, 1 << 40, 5, 6, 7)
        metadata.aging().note_collection(done)
        assert backend.open().aging().last_collection() == done


def test_what_is_purged_is_gone_and_the_rest_is_as_it_was(metadata: Metadata, vault: Vault) -> None:
    other = metadata.create_vault("other", "me")
    theirs = append(metadata, other.id, ("a", "A"), ("a", "B"))
    a1, b1, a2, b2 = append(metadata, vault.id, ("a", "A"), ("b", "B"), ("a", "a"), ("b", "-"))
    assert metadata.aging().purge(vault.id, [a1, b1, b2], EVER) == [a1, b1, b2]
    assert log(metadata, vault) == [a2]
    assert metadata.heads(vault.id, ["a", "b"]) == {"a": a2}
    assert metadata.aging().purge(vault.id, [a1, b1, b2], EVER) == []
    assert metadata.aging().purge(vault.id, [], EVER) == []
    assert metadata.aging().purge("00000000000000aa", theirs, EVER) == []
    assert metadata.changes(other.id, 0, 10) == theirs


def test_a_vault_knows_how_many_versions_its_log_has(metadata: Metadata, vault: Vault) -> None:
    first, second, _ = append(metadata, vault.id, ("a", "A"), ("a", "B"), ("b", "C"))
    other = metadata.create_vault("other", "me")
    assert [one.versions for one in metadata.vaults()] == [3, 0]
    for _ in range(2):
        metadata.aging().purge(vault.id, [first], second.stamp + 1)
        assert [one.versions for one in metadata.vaults()] == [2, 0]
    append(metadata, other.id, ("a", "A"))
    assert [one.versions for one in metadata.vaults()] == [2, 1]


def test_a_tombstone_stays_as_long_as_an_older_version_would_come_back_to_life(
    metadata: Metadata, vault: Vault
) -> None:
    v1, v2, gone = append(metadata, vault.id, ("a", "A"), ("a", "B"), ("a", "-"))
    assert metadata.aging().purge(vault.id, [v2, gone], EVER) == [v2]
    assert metadata.aging().purge(vault.id, [gone], EVER) == []
    assert log(metadata, vault) == [v1, gone]
    assert metadata.aging().purge(vault.id, [v1, gone], EVER) == [v1, gone]


def test_a_tombstone_that_was_followed_a_moment_ago_stays(metadata: Metadata, vault: Vault) -> None:
    v1, gone = append(metadata, vault.id, ("a", "A"), ("a", "-"))
    (again,) = append(metadata, vault.id, ("a", "again"))
    assert metadata.aging().purge(vault.id, [v1, gone], again.stamp) == [v1]
    assert metadata.aging().purge(vault.id, [gone], again.stamp + 1) == [gone]
    assert log(metadata, vault) == [again]


def test_of_a_path_with_an_open_conflict_nothing_goes(metadata: Metadata, vault: Vault) -> None:
    v1, b1, gone = append(metadata, vault.id, ("a", "A"), ("b", "B"), ("a", "-"))
    dispute(metadata, vault, "a", v1.stamp)
    assert metadata.aging().purge(vault.id, [v1, b1, gone], EVER) == [b1]
    assert log(metadata, vault) == [v1, gone]


def test_counters_change_by_what_they_are_told_to_and_by_what_is_committed(metadata: Metadata, vault: Vault) -> None:
    metadata.transact(vault.id, lambda tx: tx.append([], Totals(files=2, bytes=30, stored=400)))
    metadata.aging().adjust(vault.id, Counters(-1, -10, -100, 3))
    there = metadata.vault("notes")
    assert there is not None
    assert (there.files, there.bytes, there.stored, there.conflicts) == (1, 20, 300, 3)
    assert (there.clock, there.purge_mark) == (vault.clock, vault.purge_mark)
    metadata.aging().adjust("00000000000000aa", Counters(stored=1))


def test_while_it_moves_nothing_is_forgotten(metadata: Metadata, vault: Vault) -> None:
    v1, _ = append(metadata, vault.id, ("a", "A"), ("a", "B"))
    before = (log(metadata, vault), metadata.vaults())
    metadata.moving().mark(None, Move("m1", "leaving", "wait"))
    for write in (
        lambda: metadata.aging().purge(vault.id, [v1], EVER),
        lambda: metadata.aging().adjust(vault.id, Counters(stored=1)),
        lambda: metadata.aging().note_collection(Collected(1)),
    ):
        with pytest.raises(Unavailable, match="wait"):
            write()
    assert (log(metadata, vault), metadata.vaults()) == before
