"""What happens inside a transaction happens whole or not at all: the promises of store.base.Transaction."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from store.base import Metadata, Totals, Transaction, Vault
from store.errors import NotFound
from sync.model import Candidate, Conflict
from tests.contract.backends import Backend
from tests.contract.log import append, hash_of, versions_for

HOUR = 3_600_000_000


def now() -> int:
    return time.time_ns() // 1000


def fresh(metadata: Metadata) -> Vault:
    there = metadata.vault("notes")
    assert there is not None
    return there


def conflict(id: str, path: str = "a", opened: int = 1, base: int | None = 7) -> Conflict:
    candidate = Candidate(1, "me", "laptop", hash_of("C"), 1, None, opened)
    return Conflict(id, path, base, opened, (candidate,))


# -- all or nothing


def test_a_transaction_hands_on_what_its_work_returns(metadata: Metadata, vault: Vault) -> None:
    assert metadata.transact(vault.id, lambda tx: tx.vault) == vault


def test_an_unknown_vault_has_no_transactions(metadata: Metadata, vault: Vault) -> None:
    metadata.remove_vault(vault.id)
    with pytest.raises(NotFound):
        metadata.transact(vault.id, lambda tx: tx.vault)


class Refusal(Exception):
    pass


def test_an_exception_takes_everything_back_and_comes_out_as_it_is(metadata: Metadata, vault: Vault) -> None:
    refusal = Refusal("on second thoughts")

    def work(tx: Transaction) -> None:
        tx.append(versions_for(tx, (("a", "A"),)), Totals(1, 2, 3))
        tx.save_conflict(conflict("c1"))
        raise refusal

    with pytest.raises(Refusal) as caught:
        metadata.transact(vault.id, work)
    assert caught.value is refusal
    assert fresh(metadata) == vault
    assert metadata.changes(vault.id, 0, 10) == []
    assert metadata.open_conflicts(vault.id) == []
    append(metadata, vault.id, ("a", "A"))  # the lock is free again


def test_work_that_appends_nothing_leaves_the_clock(metadata: Metadata, vault: Vault) -> None:
    append(metadata, vault.id, ("a", "A"))
    before = fresh(metadata)
    metadata.transact(vault.id, lambda tx: tx.append([], Totals(stored=5)))
    metadata.transact(vault.id, lambda tx: tx.save_conflict(conflict("c1")))
    assert fresh(metadata) == replace(before, stored=5, conflicts=1)


def test_a_transaction_sees_the_vault_as_it_found_it(metadata: Metadata, vault: Vault) -> None:
    a, b = append(metadata, vault.id, ("a", "A"), ("b/c", "B"))

    def work(tx: Transaction) -> None:
        assert tx.vault == fresh(metadata)
        assert tx.heads(["a", "never"]) == {"a": a}
        assert tx.heads([]) == {}
        assert tx.find([("a", a.stamp), ("a", b.stamp)]) == {("a", a.stamp): a}
        assert tx.conflict("c1") is None

    metadata.transact(vault.id, work)


def test_writers_of_one_vault_take_turns(metadata: Metadata, backend: Backend, vault: Vault) -> None:
    """Read, then write what follows from it, in 8 threads and two clients: not one step is lost."""
    clients = [metadata, backend.open()]

    def count(tx: Transaction) -> None:
        head = tx.heads(["counter"]).get("counter")
        tx.append(versions_for(tx, (("counter", "x" * (head.size + 1 if head else 1)),)), Totals())

    def run(client: Metadata) -> None:
        for _ in range(10):
            client.transact(vault.id, count)

    threads = [threading.Thread(target=run, args=(clients[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metadata.heads(vault.id, ["counter"])["counter"].size == 80


# -- stamps


def test_stamps_are_the_databases_time_and_consecutive(metadata: Metadata, vault: Vault) -> None:
    earliest = now()
    versions = append(metadata, vault.id, ("a", "A"), ("b", "B"), ("c", "C"))
    first = versions[0].stamp
    assert earliest - HOUR <= first <= now() + HOUR
    assert [version.stamp for version in versions] == [first, first + 1, first + 2]
    assert fresh(metadata).clock == first + 2


def test_stamps_rise_when_the_databases_clock_steps_back(metadata: Metadata, backend: Backend, vault: Vault) -> None:
    last = append(metadata, vault.id, ("a", "A"))[-1].stamp
    for _ in range(3):
        backend.step_back(HOUR)
        (version,) = append(metadata, vault.id, ("a", "B"))
        assert version.stamp == last + 1
        last = version.stamp
    assert fresh(metadata).clock == last
    assert [one.stamp for one in metadata.changes(vault.id, 0, 10)] == sorted(
        one.stamp for one in metadata.history(vault.id, "a", before=None, limit=10)
    )


def test_one_vaults_clock_is_not_anothers(metadata: Metadata, backend: Backend, vault: Vault) -> None:
    """A vault made after the clock stepped back begins with the time as it is now."""
    append(metadata, vault.id, ("a", "A"))
    backend.step_back(HOUR)
    other = metadata.create_vault("other", "me")
    (version,) = append(metadata, other.id, ("a", "A"))
    assert version.stamp < fresh(metadata).clock


# -- counters


def test_totals_are_added_up(metadata: Metadata, vault: Vault) -> None:
    metadata.transact(vault.id, lambda tx: tx.append(versions_for(tx, (("a", "A"),)), Totals(2, 30, 400)))
    metadata.transact(vault.id, lambda tx: tx.append(versions_for(tx, (("a", "-"),)), Totals(-1, -10, 5)))
    there = fresh(metadata)
    assert (there.files, there.bytes, there.stored) == (1, 20, 405)


# -- files in the way of folders


def test_a_live_path_below_is_found(metadata: Metadata, vault: Vault) -> None:
    """Below means in the folder of that very name, at any depth; siblings that begin alike are not below."""
    written = append(
        metadata,
        vault.id,
        *((path, "A") for path in ("a!", "a.md", "a/b/c", "a0", "b/c", "dir/x", "dir/y", "%/x", "é/🌱")),
    )
    heads = {version.path: version for version in written}
    append(metadata, vault.id, ("b/c", "-"))

    def work(tx: Transaction) -> None:
        below = tx.live_below(["a", "a/b", "a/b/c", "b", "c", "%", "é", "_"])
        assert below == {"a": heads["a/b/c"], "a/b": heads["a/b/c"], "%": heads["%/x"], "é": heads["é/🌱"]}
        assert tx.live_below([]) == {}
        assert tx.live_below(["dir"], excluding=["dir/x"]) == {"dir": heads["dir/y"]}
        assert tx.live_below(["dir"], excluding=["dir/x", "dir/y"]) == {}

    metadata.transact(vault.id, work)


def test_what_lives_below_is_found_of_every_path_where_there_is_much_of_it(metadata: Metadata, vault: Vault) -> None:
    """However much lies below one of the paths, all are answered for."""
    files = [f"{folder}/{number:03}" for folder in ("a", "b", "c/d") for number in range(300)]
    written = {version.path: version for version in append(metadata, vault.id, *((path, "A") for path in files))}
    asked = ["a", "b", "c", "c/d", *(f"none {number}" for number in range(50))]

    def work(tx: Transaction) -> None:
        below = tx.live_below(asked)
        assert below.keys() == {"a", "b", "c", "c/d"}
        assert all(written[one.path] == one and one.path.startswith(f"{path}/") for path, one in below.items())
        most = [path for path in files if path not in ("b/299", "c/d/299")]
        assert tx.live_below(asked, excluding=most) == {
            "b": written["b/299"],
            "c": written["c/d/299"],
            "c/d": written["c/d/299"],
        }

    for about in ((), asked):
        metadata.transact(vault.id, work, about)


def test_what_lives_below_is_judged_by_its_newest_version(metadata: Metadata, vault: Vault) -> None:
    append(metadata, vault.id, ("a/x", "A"), ("a/x", "-"), ("a/y", "A"), ("a/y", "B"))
    (again,) = append(metadata, vault.id, ("a/x", "again"))
    append(metadata, vault.id, ("a/y", "-"))
    metadata.transact(vault.id, lambda tx: _assert_equal(tx.live_below(["a"]), {"a": again}))


def _assert_equal(found: object, expected: object) -> None:
    assert found == expected


# -- conflicts


def test_a_conflict_comes_back_the_same(metadata: Metadata, vault: Vault) -> None:
    two = Candidate(2, "you", "Büro 🌱", hash_of("D"), 7, -5, 12)
    one = conflict("c1", "Bücher/日記.md", base=None)
    full = one._replace(candidates=(*one.candidates, two))
    metadata.transact(vault.id, lambda tx: tx.save_conflict(full))
    assert metadata.conflict(vault.id, "c1") == full
    assert metadata.open_conflicts(vault.id) == [full]
    settled = full.settled({"keep": "server", "versions": [1, 2]})
    metadata.transact(vault.id, lambda tx: tx.save_conflict(settled))
    assert metadata.conflict(vault.id, "c1") == settled
    assert metadata.open_conflicts(vault.id) == []
    assert metadata.conflict(vault.id, "c2") is None


def test_the_count_of_open_conflicts_is_right_however_they_are_saved(metadata: Metadata, vault: Vault) -> None:
    """Opened, opened again with one more candidate, settled, settled again, and opened and settled at once."""
    steps = [
        (conflict("c1"), 1),
        (conflict("c1"), 1),
        (conflict("c2"), 2),
        (conflict("c1").settled({"keep": "server"}), 1),
        (conflict("c1").settled({"keep": "client"}), 1),
        (conflict("c3").settled({"keep": "server"}), 1),
        (conflict("c1"), 2),
    ]
    for step, count in steps:
        metadata.transact(vault.id, lambda tx, step=step: tx.save_conflict(step))  # type: ignore[misc]  # bound early
        assert fresh(metadata).conflicts == count
        assert len(metadata.open_conflicts(vault.id)) == count

    def twice(tx: Transaction) -> None:
        tx.save_conflict(conflict("c4"))
        tx.save_conflict(conflict("c4").settled({"keep": "server"}))

    metadata.transact(vault.id, twice)
    assert fresh(metadata).conflicts == 2


def test_conflicts_come_oldest_first(metadata: Metadata, vault: Vault) -> None:
    opened = [conflict("c3", "a", 10), conflict("c1", "b", 20), conflict("c2", "a", 30), conflict("c0", "c", 40)]

    def work(tx: Transaction) -> None:
        for one in reversed(opened):
            tx.save_conflict(one)
        tx.save_conflict(opened[2].settled({"keep": "server"}))

    metadata.transact(vault.id, work)
    assert [one.id for one in metadata.open_conflicts(vault.id)] == ["c3", "c1", "c0"]
    on = metadata.transact(vault.id, lambda tx: tx.conflicts_on({"a", "b", "never"}))
    assert [(one.id, one.open) for one in on] == [("c3", True), ("c1", True), ("c2", False)]
    assert metadata.transact(vault.id, lambda tx: tx.conflicts_on(set())) == []
    assert metadata.transact(vault.id, lambda tx: tx.conflict("c2")) == opened[2].settled({"keep": "server"})


def test_open_conflicts_come_page_by_page(metadata: Metadata, vault: Vault) -> None:
    """Also those that were opened at the same moment."""
    opened = [conflict(f"c{number}", f"{number}", 10 * (number // 3)) for number in range(8)]

    def work(tx: Transaction) -> None:
        for one in reversed(opened):
            tx.save_conflict(one)
        tx.save_conflict(opened[4].settled({"keep": "server"}))

    metadata.transact(vault.id, work)
    found, after = list[Conflict](), (0, "")
    while page := metadata.open_conflicts(vault.id, after=after, limit=2):
        assert len(page) <= 2
        found += page
        after = (page[-1].opened, page[-1].id)
    assert found == [*opened[:4], *opened[5:]]


def test_no_vault_sees_another_ones_conflicts(metadata: Metadata, vault: Vault) -> None:
    other = metadata.create_vault("other", "me")
    metadata.transact(vault.id, lambda tx: tx.save_conflict(conflict("c1")))
    assert metadata.conflict(other.id, "c1") is None
    assert metadata.open_conflicts(other.id) == []
    assert metadata.transact(other.id, lambda tx: tx.conflict("c1")) is None
    assert metadata.transact(other.id, lambda tx: tx.conflicts_on({"a"})) == []


# -- durability


def test_what_was_committed_is_there_for_the_next_client(metadata: Metadata, backend: Backend, vault: Vault) -> None:
    written = append(metadata, vault.id, ("a", "A"))
    metadata.close()
    assert backend.open().changes(vault.id, 0, 10) == written
