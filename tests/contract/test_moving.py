"""A database that moves: it takes no writes, keeps serving reads, and gives and takes everything as it is.

The promises of store.moving.Moving.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store.base import Metadata, Totals, Transaction, User, Vault
from store.errors import Unavailable
from store.moving import Move
from sync.model import Candidate, Conflict
from tests.contract.backends import BACKENDS, Backend
from tests.contract.log import append, hash_of, versions_for

LEAVING = Move("m1", "leaving", "it is being moved: try again later")
ARRIVING = Move("m1", "arriving", "it is not complete: wait")
LEFT = Move("m1", "left", "it was moved elsewhere: go there")
ARRIVED = Move("m1", "arrived")


def conflict(id: str, path: str = "a", opened: int = 1) -> Conflict:
    return Conflict(id, path, 7, opened, (Candidate(1, "me", "Büro 🌱", hash_of("C"), 1, None, opened, True),))


@pytest.fixture
def full(metadata: Metadata, vault: Vault) -> Metadata:
    """Two people and two vaults: histories, tombstones, conflicts, counters, a purge mark and a setting; a device, and
    an invitation that is open beside one that was used."""
    metadata.set_member(vault.id, "you", "read")
    other = metadata.create_vault("other", "you")
    append(metadata, vault.id, ("a", "A"), ("Bücher/日記.md", "B"), ("a", "-"))
    append(metadata, vault.id, ("a", "again"))
    append(metadata, other.id, ("a", "A"))

    def marked(tx: Transaction) -> None:
        (version,) = versions_for(tx, (("run.sh", "x"),))
        tx.append([version._replace(executable=True, at=5)], Totals())

    metadata.transact(vault.id, marked)

    def disputes(tx: Transaction) -> None:
        tx.append([], Totals(files=2, bytes=30, stored=400))
        tx.save_conflict(conflict("c1"))
        tx.save_conflict(conflict("c2", opened=2).settled({"keep": "server", "versions": [1, 2]}))

    metadata.transact(vault.id, disputes)
    metadata.set_purge_mark(vault.id, 5)
    metadata.set_auto_merge(vault.id, True)
    metadata.renew_epoch(vault.id)
    metadata.add_device("me", "laptop", "l" * 64)
    for secret in ("used", "open"):
        metadata.add_invitation(secret, "you", vault.id, 3600)
    metadata.redeem("used", "büro".encode().hex(), "p" * 64)
    return metadata


def contents(metadata: Metadata) -> object:
    """Everything there is in it."""
    vaults = metadata.vaults()
    logs = [metadata.changes(one.id, 0, 1_000) for one in vaults]
    disputes = [metadata.moving().conflicts(one.id, "", 1_000) for one in vaults]
    return metadata.secret(), metadata.users(), metadata.moving().invitations(), vaults, logs, disputes


# -- taking no writes

WRITES: dict[str, Callable[[Metadata, str], object]] = {
    "append": lambda m, v: append(m, v, ("b", "B")),
    "transact": lambda m, v: m.transact(v, lambda tx: tx.save_conflict(conflict("c9")), {"a"}),
    "add_user": lambda m, v: m.add_user("anna", "$a$"),
    "set_password": lambda m, v: m.set_password("me", "$new$"),
    "remove_user": lambda m, v: m.remove_user("me"),
    "add_device": lambda m, v: m.add_device("me", "desktop", "d" * 64),
    "remove_device": lambda m, v: m.remove_device("me", "laptop"),
    "add_invitation": lambda m, v: m.add_invitation("another", "me", v, 3600),
    "redeem": lambda m, v: m.redeem("open", "phone", "q" * 64),
    "create_vault": lambda m, v: m.create_vault("third", "me"),
    "set_member": lambda m, v: m.set_member(v, "you", "write"),
    "remove_member": lambda m, v: m.remove_member(v, "you"),
    "remove_vault": lambda m, v: m.remove_vault(v),
    "set_auto_merge": lambda m, v: m.set_auto_merge(v, False),
    "set_purge_mark": lambda m, v: m.set_purge_mark(v, 9),
    "renew_epoch": lambda m, v: m.renew_epoch(v),
}


@pytest.mark.parametrize("write", WRITES)
def test_while_it_moves_a_write_is_told_to_come_again(full: Metadata, backend: Backend, write: str) -> None:
    """Also that of a client which was there before the move."""
    vault = full.vaults()[0].id
    before = contents(full)
    mover = backend.open().moving()
    state: Move | None = None
    for move in (LEAVING, LEFT, ARRIVING):
        mover.mark(state, move)
        with pytest.raises(Unavailable) as refused:
            WRITES[write](full, vault)
        assert str(refused.value) == move.notice
        assert refused.value.retry_after > 0
        state = move
    assert contents(full) == before


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("state", [None, ARRIVED], ids=["given up", "arrived"])
def test_a_move_that_was_given_up_or_has_arrived_is_in_nobodys_way(
    full: Metadata, write: str, state: Move | None
) -> None:
    vault = full.vaults()[0].id
    full.set_member(vault, "you", "owner")
    full.moving().mark(None, LEAVING)
    full.moving().mark(LEAVING, state)
    before = contents(full)
    WRITES[write](full, vault)
    assert contents(full) != before


def test_while_it_moves_reading_goes_on(full: Metadata) -> None:
    before = contents(full)
    full.moving().mark(None, LEAVING)
    assert contents(full) == before
    full.ping()
    vault = full.vault("notes")
    assert vault is not None
    assert vault.members == {"me": "owner", "you": "read"}
    assert [one.id for one in full.open_conflicts(vault.id)] == ["c1"]


def test_once_it_moves_nothing_is_committed_that_had_begun_before(metadata: Metadata, backend: Backend) -> None:
    """Eight writers in four clients, at logs, people and vaults, none of whom pauses."""
    vaults = [metadata.create_vault(f"vault{number}", "me").id for number in range(2)]
    stopped: list[str] = []
    over = threading.Event()

    def write(client: Metadata, number: int, begun: threading.Event) -> None:
        count = 0
        try:
            while not over.is_set():
                match number % 4:
                    case 0 | 1:
                        append(client, vaults[number % 2], (f"{number}/{count}", "A"))
                    case 2:
                        client.add_user(f"u{number}-{count}", "$")
                    case _:
                        client.create_vault(f"v{number}-{count}", "me")
                count += 1
                begun.set()
        except Unavailable as refused:
            stopped.append(str(refused))

    begun = [threading.Event() for _ in range(8)]
    clients = [backend.open() for _ in range(4)]
    writers = [threading.Thread(target=write, args=(clients[number % 4], number, begun[number])) for number in range(8)]
    for one in writers:
        one.start()
    for event in begun:
        assert event.wait(60)
    metadata.moving().mark(None, LEAVING)
    then = contents(metadata)
    for one in writers:
        one.join(5)  # longer than each takes to be refused
    over.set()
    for one in writers:
        one.join()
    assert contents(metadata) == then
    assert stopped == [LEAVING.notice] * 8


# -- the state


def test_the_state_is_what_was_written_last_for_every_client(metadata: Metadata, backend: Backend) -> None:
    other = backend.open().moving()
    assert other.state() is None
    for old, new in ((None, LEAVING), (LEAVING, LEFT), (LEFT, ARRIVING), (ARRIVING, ARRIVED), (ARRIVED, None)):
        metadata.moving().mark(old, new)
        assert other.state() == new


def test_whoever_takes_the_state_for_another_one_changes_nothing(metadata: Metadata) -> None:
    moving = metadata.moving()
    with pytest.raises(Unavailable, match="another"):
        moving.mark(LEAVING, LEFT)
    moving.mark(None, LEAVING)
    for old in (None, Move("m2", "leaving", LEAVING.notice), LEFT):
        with pytest.raises(Unavailable, match="another"):
            moving.mark(old, None)
    assert moving.state() == LEAVING


def test_of_many_who_begin_to_move_one_does(metadata: Metadata, backend: Backend) -> None:
    start = threading.Barrier(6)
    began: list[str] = []

    def begin(client: Metadata, id: str) -> None:
        start.wait()
        try:
            client.moving().mark(None, Move(id, "leaving", "moving"))
            began.append(id)
        except Unavailable:
            pass

    threads = [threading.Thread(target=begin, args=(backend.open(), f"m{number}")) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    state = metadata.moving().state()
    assert state is not None
    assert began == [state.id]


# -- giving and taking


@pytest.fixture
def empty(request: pytest.FixtureRequest, tmp_path: Path, mongo_uri: Callable[[], str]) -> Iterator[Metadata]:
    """Another database of the same kind."""
    folder = tmp_path / "other"
    folder.mkdir()
    one = BACKENDS[request.node.callspec.params["backend"]](folder, mongo_uri)
    yield one.open()
    one.close()


def take(source: Metadata, target: Metadata) -> None:
    here, there = source.moving(), target.moving()
    for one in source.vaults():
        there.take_versions(one.id, here.versions(one.id, 0, 1_000))
        there.take_conflicts(one.id, here.conflicts(one.id, "", 1_000))
    there.take_invitations(here.invitations())
    there.take_people(source.secret(), source.users(), source.vaults())


def test_what_is_taken_in_is_what_was_given(full: Metadata, empty: Metadata) -> None:
    empty.moving().mark(None, ARRIVING)
    take(full, empty)
    assert contents(empty) == contents(full)
    assert empty.moving().state() == ARRIVING
    empty.moving().mark(ARRIVING, ARRIVED)
    vault = full.vaults()[0]
    for one in (full, empty):
        append(one, vault.id, ("b", "B"))
        one.set_member(vault.id, "you", "owner")
        one.remove_user("me")
        one.transact(vault.id, lambda tx: tx.save_conflict(conflict("c1").settled({"keep": "server"})))
        assert one.redeem("open", "phone", "q" * 64) == ("you", "notes")
    after = [one.vaults()[0] for one in (full, empty)]
    assert [one.conflicts for one in after] == [0, 0]
    assert [one.members for one in after] == [{"you": "owner"}] * 2
    assert [one.versions for one in after] == [len(one.changes(vault.id, 0, 1_000)) for one in (full, empty)]


def test_versions_and_conflicts_are_given_in_pages(full: Metadata) -> None:
    vault = full.vaults()[0].id
    moving = full.moving()
    log = full.changes(vault, 0, 1_000)
    first = moving.versions(vault, 0, 3)
    assert first + moving.versions(vault, first[-1].stamp, 3) == log
    assert [one.id for one in moving.conflicts(vault, "", 1)] == ["c1"]
    assert [one.id for one in moving.conflicts(vault, "c1", 1)] == ["c2"]
    assert moving.conflicts(vault, "c2", 1) == []


def test_a_database_is_empty_until_something_would_be_lost_with_it(metadata: Metadata, empty: Metadata) -> None:
    metadata.create_vault("second", owner=metadata.users()[0].name)
    moving = empty.moving()
    for people, vaults in (metadata.users()[:1], list[Vault]()), (list[User](), metadata.vaults()[:1]):
        assert moving.is_empty()
        moving.take_people(empty.secret(), people, vaults)
        assert not moving.is_empty()
        moving.clear()


def test_a_log_that_arrives_when_its_move_was_given_up_is_in_nobodys_way(
    metadata: Metadata, empty: Metadata, vault: Vault
) -> None:
    moving = empty.moving()
    append(metadata, vault.id, ("a", "A"))
    moving.take_versions(vault.id, metadata.changes(vault.id, 0, 1))
    moving.take_conflicts(vault.id, [conflict("c1")])
    assert moving.is_empty()


def test_what_is_cleared_can_be_taken_in_again(full: Metadata) -> None:
    full.moving().mark(None, ARRIVING)
    secret, users, vaults, invitations = full.secret(), full.users(), full.vaults(), full.moving().invitations()
    logs = [full.changes(one.id, 0, 1_000) for one in vaults]
    full.moving().clear()
    assert full.moving().is_empty()
    assert full.moving().state() == ARRIVING
    for one, log in zip(vaults, logs, strict=True):
        full.moving().take_versions(one.id, log)
    full.moving().take_invitations(invitations)
    full.moving().take_people(secret, users, vaults)
    assert (full.users(), full.vaults(), full.moving().invitations()) == (users, vaults, invitations)
